//! The restore drill of a run: the newest archive's files, as many as there is time for, are restored and compared.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironborg_archive::drill::{Drill, LivePaths, Pieces, Progress, Verdict, change_time};
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::selection::{ArchiveSelection, SortKey, select};
use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_format::item::{Item, ItemView};
use ironborg_format::{ItemDecoder, Operation};
use ironborg_jobs::drill::{Drillable, Memory, Seen, Time};
use ironborg_jobs::report::Figures;
use ironborg_source::pattern::NameGlob;
use ironborg_source::{FileKind, ScratchDirectory, named_file};
use ironborg_types::{ChunkId, Level, Timestamp, text};
use sha2::{Digest, Sha256};

use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::size::format_count;
use crate::output::time;
use crate::placeholders::{ExpandError, Placeholders};
use crate::signals::{self, PolledOperation};

/// So many files that differ are named.
const NAMED_MAX: u64 = 100;
/// Of the disk's free space, a batch takes so much at most.
const ROOM_DIVISOR: u64 = 4;

/// What is drilled.
#[derive(Debug, Clone)]
pub(crate) struct DrillOptions {
    /// The repository.
    pub(crate) location: Location,
    /// How long it takes.
    pub(crate) budget: Duration,
    /// The newest archive that matches this is drilled; with placeholders.
    pub(crate) archives: String,
    /// The job's paths; none: there is nothing to compare with.
    pub(crate) paths: Vec<String>,
    /// Where the job's records are.
    pub(crate) state: PathBuf,
    /// The label of the repository.
    pub(crate) target: String,
}

impl Run for DrillOptions {
    fn traits(&self) -> Traits {
        Traits {
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut figures = Figures::default();
        let result = drill(context, &self, &mut figures);
        context.note(|noted| *noted = figures);
        result
    }
}

/// Restores files of the newest archive and compares them. The figures are filled in as far as it comes.
///
/// # Errors
/// No archive; a repository that does not answer; files that came out otherwise than they went in.
fn drill(context: &Context, options: &DrillOptions, figures: &mut Figures) -> Result<(), CliError> {
    let session = context.open_session(&options.location, Access::Read, &[Operation::Read])?;
    let archive = newest(context, &session, &options.archives)?;
    figures.archive = Some(archive.name.to_string());
    let records = options.state.join("drill");
    let memory_path = records.join(file_name(&options.target));
    let mut memory = recall(&memory_path)?;
    let scratch = ScratchDirectory::create(&records.join("restored")).map_err(refused)?;
    let paths = options.paths.iter().map(String::as_bytes);
    let mut drilled = DrilledArchive {
        context,
        session: &session,
        archive: &archive,
        scratch: &scratch,
        drill: Drill::new(&session, &archive, &scratch, LivePaths::of(paths)),
        complaints: 0,
    };
    let begun = Instant::now();
    let _polled = PolledOperation::begin();
    let result = ironborg_jobs::drill::drill(
        &mut drilled,
        &mut memory,
        Time {
            elapsed: &|| begun.elapsed(),
            budget: options.budget,
            now: u32::try_from(Timestamp::now().0 / 1_000_000).unwrap_or(u32::MAX),
        },
        figures,
    );
    let complaints = drilled.complaints;
    // What was proven stays proven, whatever ended it.
    named_file::replace_private(&memory_path, &memory.encode()).map_err(refused)?;
    result?;
    if complaints > NAMED_MAX {
        let more = complaints - NAMED_MAX;
        context.log(Level::Error, format!("{more} more files came out wrong."));
    }
    context.log(Level::Warning, summary(context, &archive, figures));
    match complaints {
        0 => Ok(()),
        count => Err(CliError::generic(format!(
            "Restore drill: {count} files of archive {} came out wrong.",
            archive.name
        ))),
    }
}

/// One line for people.
fn summary(context: &Context, archive: &Archive, figures: &Figures) -> String {
    let size = |bytes: Option<u64>| format_count(bytes.unwrap_or(0), context.units());
    let line = format!(
        "Restore drill of archive {}: {} files ({}) are as the live ones, {} files ({}) whose live ones \
         have changed are whole",
        archive.name,
        figures.proven_files.unwrap_or(0),
        size(figures.proven_bytes),
        figures.restored_files.unwrap_or(0),
        size(figures.restored_bytes),
    );
    let share = figures.proven_share.unwrap_or(0.0) * 100.0;
    let oldest = figures.proven_since.map_or_else(String::new, |since| {
        let since = time::local_time(Timestamp(since.saturating_mul(1_000_000)));
        format!(", the oldest of it {}", time::text(since))
    });
    format!("{line}; proven restorable: {share:.1} % of the data{oldest}.")
}

/// The newest archive whose name matches.
fn newest(context: &Context, session: &Session, archives: &str) -> Result<Archive, CliError> {
    let expanded = Placeholders::new(&context.identity)
        .expand(archives.as_bytes())
        .map_err(|error| match error {
            ExpandError::Error(error) => error,
            ExpandError::Value(message) => CliError::generic(message),
        })?;
    let glob = text::display(&expanded);
    let selection = ArchiveSelection {
        glob: Some(NameGlob::new(&glob).map_err(|error| CliError::generic(error.to_string()))?),
        without_checkpoints: true,
        sort_by: vec![SortKey::Timestamp],
        last: 1,
        ..ArchiveSelection::default()
    };
    let selected = select(&session.manifest, &selection)?;
    let Some(newest) = selected.first() else {
        return Err(CliError::generic(format!(
            "Restore drill: there is no archive called like {glob}."
        )));
    };
    Ok(session.load_archive(&newest.name)?)
}

/// What a repository's records are called: its label may hold any character.
fn file_name(target: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let shown: String = target.chars().filter(|c| plain(*c)).take(40).collect();
    let hash = Sha256::digest(target.as_bytes());
    format!(
        "{shown}-{:02x}{:02x}{:02x}{:02x}",
        hash[0], hash[1], hash[2], hash[3]
    )
}

/// What is remembered of the drills before; what is damaged is forgotten.
fn recall(path: &Path) -> Result<Memory, CliError> {
    let found = match named_file::read(path.as_os_str()) {
        Ok(bytes) => Memory::decode(&bytes),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(refused(error)),
    };
    if let Some(memory) = found {
        return Ok(memory);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| CliError::unexpected(error.to_string()))?;
    Ok(Memory::new(key))
}

// Taken by value because that is what `map_err` hands over.
#[allow(clippy::needless_pass_by_value)]
fn refused(error: named_file::NamedFileError) -> CliError {
    CliError::generic(error.to_string())
}

/// The archive, as the drill sees it.
struct DrilledArchive<'a> {
    context: &'a Context,
    session: &'a Session,
    archive: &'a Archive,
    scratch: &'a ScratchDirectory,
    drill: Drill<'a>,
    complaints: u64,
}

impl Drillable for DrilledArchive<'_> {
    type Error = CliError;

    fn survey(&mut self, see: &mut dyn FnMut(&Seen<'_>)) -> Result<(), CliError> {
        let mut newest = i64::MIN;
        with_items(self.session, self.archive, PartFiles::Skip, |items| {
            items.for_each(|item| {
                signals::check()?;
                newest = newest.max(show(item, see));
                Ok::<_, CliError>(ControlFlow::Continue(()))
            })
        })?;
        self.drill.set_newest(newest);
        Ok(())
    }

    fn restore(&mut self, items: &[&[u8]]) -> Result<Vec<Verdict>, CliError> {
        Ok(self.drill.restore(&decoded(items)?)?)
    }

    fn restore_in_pieces(
        &mut self,
        items: &[&[u8]],
        from: Option<Progress>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Pieces, CliError> {
        let items = decoded(items)?;
        Ok(self.drill.restore_in_pieces(&items, from, go_on)?)
    }

    fn room(&self) -> u64 {
        self.scratch.free_bytes() / ROOM_DIVISOR
    }

    fn complain(&mut self, item: &[u8], what: &str) {
        self.complaints += 1;
        if self.complaints > NAMED_MAX {
            return;
        }
        let path =
            decoded(&[item]).map_or_else(|_| String::new(), |items| items[0].path.to_string());
        let archive = &self.archive.name;
        let line = format!("{archive}::{path}: restore drill: {what}");
        self.context.log(Level::Error, line);
    }
}

/// Shows an item to the drill, if it is of a kind that is drilled; gives the time of a file's last change.
fn show(item: &ItemView<'_>, see: &mut dyn FnMut(&Seen<'_>)) -> i64 {
    let kind = FileKind::of_mode(item.mode);
    if !matches!(
        kind,
        FileKind::Regular | FileKind::Directory | FileKind::Symlink | FileKind::Fifo
    ) {
        return i64::MIN;
    }
    let is_symlink = kind == FileKind::Symlink;
    let list = item.chunks;
    let chunks = || -> Box<dyn Iterator<Item = ChunkId> + '_> {
        Box::new(
            list.into_iter()
                .flat_map(|list| list.iter())
                .map(|chunk| chunk.id),
        )
    };
    see(&Seen {
        path: item.path,
        link_to: item.source.filter(|_| !is_symlink && list.is_none()),
        target: item.source.filter(|_| is_symlink),
        size: list
            .into_iter()
            .flat_map(|list| list.iter())
            .fold(0, |sum: u64, chunk| sum.saturating_add(chunk.size.into())),
        chunks: &chunks,
        encoded: item.encoded,
    });
    match kind {
        FileKind::Regular => change_time(item.mtime, item.ctime),
        _ => i64::MIN,
    }
}

fn decoded(items: &[&[u8]]) -> Result<Vec<Item>, CliError> {
    let damaged = |detail: String| -> CliError { ArchiveError::other(detail).into() };
    let decode = |encoded: &&[u8]| {
        let mut decoder = ItemDecoder::new();
        decoder.push(encoded);
        let mut item = Item::default();
        match decoder.next_into(&mut item) {
            Ok(true) => Ok(item),
            Ok(false) => Err(damaged("an item has no end".to_owned())),
            Err(error) => Err(damaged(error.to_string())),
        }
    };
    items.iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_different_repositories_are_different_files() {
        assert!(file_name("ssh://user@host/./a").starts_with("sshuserhosta-"));
        assert_ne!(file_name("a/b"), file_name("a.b"));
        assert!(file_name("../..").starts_with('-'));
    }
}
