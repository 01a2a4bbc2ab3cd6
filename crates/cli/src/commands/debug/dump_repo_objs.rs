//! `debug dump-repo-objs`: write a repository's objects to files.

use std::ffi::OsString;
use std::fmt::Write as _;

use ironborg_archive::debug::ObjectDump;
use ironborg_format::segment::Entry;
use ironborg_repository::{FoundEntry, LocalRepository, Repository, RepositoryError};
use ironborg_types::{ChunkId, Level, SegmentId};

use super::object::{dump, for_each_object};
use crate::args::{ParseError, values};
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::signals;

/// Who complains of damaged segments.
const REPOSITORY_LOGGER: &str = "borg.repository";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpRepoObjsArgs {
    /// Repository whose objects are dumped
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Dump every entry of the segment files: deleted, superseded and uncommitted ones too
    #[arg(long)]
    ghost: bool,
    /// With --ghost: only this segment
    #[arg(long, value_name = "SEG", value_parser = values::positive)]
    segment: Option<usize>,
    /// With --ghost: only the entry at this offset
    #[arg(long, value_name = "OFFS", value_parser = values::positive)]
    offset: Option<usize>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpRepoObjsOptions {
    location: Location,
    ghost: bool,
    place: Place,
}

/// Where in the segment files to look; everywhere by default.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    segment: Option<usize>,
    offset: Option<usize>,
}

impl Place {
    fn has(self, segment: SegmentId) -> bool {
        self.segment
            .is_none_or(|wanted| u32::try_from(wanted) == Ok(segment.0))
    }

    fn is_before(self, found: &FoundEntry<'_>) -> bool {
        self.offset
            .is_some_and(|wanted| wanted < found.offset as usize)
    }
}

impl DebugDumpRepoObjsArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDumpRepoObjsOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(DebugDumpRepoObjsOptions {
            location,
            ghost: self.ghost,
            place: Place {
                segment: self.segment,
                offset: self.offset,
            },
        })
    }
}

impl Run for DebugDumpRepoObjsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut stdout = Stdout::new();
        if self.ghost {
            let repository = context.open_local(&self.location, Access::Read)?;
            self.dump_entries(context, &repository, &mut stdout)?;
        } else {
            let repository = context.open_repository(&self.location, Access::Read)?;
            let client = context.client_of(&self.location, repository.id());
            for_each_object(&client, &*repository, |number, id, plaintext| {
                dump(&mut stdout, &format!("{number:08}_{id}.obj"), plaintext)
            })?;
        }
        stdout.text("Done.\n")?;
        stdout.finish()
    }
}

impl DebugDumpRepoObjsOptions {
    /// Everything that lies in the segment files. The key is found by the first object there is, as the
    /// manifest may be lost.
    fn dump_entries(
        &self,
        context: &Context,
        repository: &LocalRepository,
        stdout: &mut Stdout,
    ) -> Result<(), CliError> {
        let client = context.client_of(&self.location, repository.id());
        let mut opener = None;
        for_each_entry(context, repository, Place::default(), |_, found| {
            if let Entry::Put { object, .. } = found.entry {
                opener = Some(ObjectDump::detect(&client, repository, object)?);
            }
            Ok(opener.is_none())
        })?;
        let mut number = 0_u64;
        let mut plaintext = Vec::new();
        for_each_entry(context, repository, self.place, |segment, found| {
            plaintext.clear();
            let (kind, id) = match found.entry {
                Entry::Put { id, object } => {
                    let opener = opener.as_mut();
                    let opener = opener.ok_or_else(|| CliError::unexpected("no key was found"))?;
                    opener.open(&id, object, &mut plaintext)?;
                    ("put", Some(id))
                }
                Entry::Delete { id } => ("del", Some(id)),
                Entry::Commit => ("commit", None),
            };
            let name = entry_name(number, segment, found.offset, kind, id.as_ref());
            dump(stdout, &name, &plaintext)?;
            number += 1;
            Ok(true)
        })
    }
}

fn entry_name(
    number: u64,
    segment: SegmentId,
    offset: u32,
    kind: &str,
    id: Option<&ChunkId>,
) -> String {
    let mut name = format!("{number:08}_{segment}_{offset}_{kind}");
    if let Some(id) = id {
        let _ = write!(name, "_{id}");
    }
    name.push_str(".obj");
    name
}

/// Hands the entries at a place to `take` until it says no. What follows damage in a segment is left out,
/// which is logged.
fn for_each_entry(
    context: &Context,
    repository: &LocalRepository,
    place: Place,
    mut take: impl FnMut(SegmentId, &FoundEntry<'_>) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    let segments = repository.segments()?;
    for segment in segments.into_iter().filter(|one| place.has(*one)) {
        let mut scan = repository.scan_segment(segment, place.offset.unwrap_or(0) as u64);
        loop {
            signals::check()?;
            let found = match scan.next_entry() {
                Ok(Some(found)) if !place.is_before(&found) => found,
                Ok(_) => break,
                Err(error @ RepositoryError::BadEntry { .. }) => {
                    let path = repository.segment_path(segment);
                    let text = format!(
                        "Segment {segment} ({}) has IntegrityError(s) [{error}] - skipping.",
                        path.display()
                    );
                    context
                        .reporter
                        .record(Level::Error, REPOSITORY_LOGGER, &text, None);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if !take(segment, &found)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entries_say_where_they_were() {
        let id = ChunkId([1; 32]);
        let hex = "01".repeat(32);
        assert_eq!(
            entry_name(3, SegmentId(12), 8, "put", Some(&id)),
            format!("00000003_12_8_put_{hex}.obj")
        );
        assert_eq!(
            entry_name(0, SegmentId(1), 8, "commit", None),
            "00000000_1_8_commit.obj"
        );
    }
}
