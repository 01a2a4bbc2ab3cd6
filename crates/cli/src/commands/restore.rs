//! `restore`: brings a file or directory back from the newest archive that holds it; a layer over `extract`.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use ironborg_archive::extract::{self, Destination, ExtractOptions};
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::selection::{ArchiveSelection, ListedArchive, SortKey, select};
use ironborg_archive::{Archive, Session};
use ironborg_format::Operation;
use ironborg_source::named_file;
use ironborg_source::{PatternMatcher, RestoreOptions};
use ironborg_types::{BytePath, Level, Timestamp, text};

use super::backup::absolute;
use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::{Access, Context};
use crate::default_repository::ChosenRepository;
use crate::error::CliError;
use crate::location::normalise_path;
use crate::output::pyformat::repr;
use crate::output::time;
use crate::parse::ParseContext;
use crate::reporter::levels::OutputLoggers;
use crate::signals::{self, PolledOperation};
use crate::timestamp;

/// What may be typed.
///
/// PATH is a path as it was when it was backed up. It comes back to its place, or into DIR. Nothing
/// that is there now is touched unless you say --force.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// File or directory to bring back
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
    /// As it was then: a date, a time, "yesterday", "2 days ago", or the name of an archive
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
    /// Put it into this directory instead of its old place
    #[arg(long, value_name = "DIR")]
    into: Option<OsString>,
    /// Replace what is there now
    #[arg(long)]
    force: bool,
    /// Repository [default: BORG_REPO, else the one in your data directory]
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<OsString>,
    /// List the files
    #[arg(long)]
    list: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RestoreFromNewest {
    repository: ChosenRepository,
    /// As typed, for messages.
    shown: String,
    /// Places it may have in an archive, and the directory each is relative to.
    candidates: Vec<Candidate>,
    as_of: Option<String>,
    into: Option<PathBuf>,
    force: bool,
    list: bool,
}

/// A path inside archives and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    archived: BytePath,
    original: PathBuf,
}

/// The two ways a path may have been archived: from the root, or as it was typed.
fn candidates(path: &[u8], cwd: &[u8]) -> Vec<Candidate> {
    let to_path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    let from_root = absolute(path, cwd);
    let archived = from_root.strip_prefix(b"/").unwrap_or(&from_root).to_vec();
    let mut found = vec![Candidate {
        archived: BytePath::new(archived),
        original: to_path(from_root.to_vec()),
    }];
    let typed = normalise_path(path);
    if !typed.starts_with(b"/") && !typed.starts_with(b"..") && typed != b"." {
        let candidate = Candidate {
            archived: BytePath::new(typed),
            original: to_path(from_root.to_vec()),
        };
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}

impl RestoreArgs {
    /// Resolves the repository and the paths.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<RestoreFromNewest, ParseError> {
        let cwd = parse.cwd;
        let complain = |text: &str| Err(ParseError::argument("PATH", text));
        if self.path.is_empty() {
            return complain("Empty strings are not accepted as paths.");
        }
        if &absolute(self.path.as_bytes(), cwd)[..] == b"/" {
            return complain("the whole file system is brought back with the command extract");
        }
        Ok(RestoreFromNewest {
            repository: ChosenRepository::resolve(self.repo.as_ref(), parse)?,
            shown: text::display(self.path.as_bytes()).into_owned(),
            candidates: candidates(self.path.as_bytes(), cwd),
            as_of: self.as_of,
            into: self.into.map(|directory| {
                PathBuf::from(OsString::from_vec(
                    absolute(directory.as_bytes(), cwd).to_vec(),
                ))
            }),
            force: self.force,
            list: self.list,
        })
    }
}

impl Run for RestoreFromNewest {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                ..OutputLoggers::default()
            },
            may_bypass_lock: true,
            progress_on_terminal: true,
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let location = self.repository.location(context);
        let session = context.open_session(&location, Access::Read, &[Operation::Read])?;
        let archives = self.archives(&session)?;
        let Some((archive, listed, candidate)) = self.find(&session, &archives)? else {
            let when = self
                .as_of
                .as_deref()
                .map(|when| format!(" as of {when}"))
                .unwrap_or_default();
            return Err(CliError::generic(format!(
                "No archive holds {}{when}.",
                repr(&self.shown)
            )));
        };
        let target = self.target(&candidate)?;
        if named_file::exists(&target) && !self.force {
            return Err(CliError::generic(format!(
                "{} exists and is left alone. Use --into DIR to put the backup elsewhere, or --force to \
                 replace what is there.",
                target.display()
            )));
        }
        let parent = target.parent().unwrap_or(Path::new("/"));
        named_file::make_directories(parent, 0o777)
            .map_err(|error| CliError::generic(error.to_string()))?;
        self.extract(context, &session, &archive, &candidate, parent)?;
        let then = time::text(time::local_time(listed.time));
        context.log(
            Level::Warning,
            format!(
                "Restored {} from archive {} ({then}).",
                target.display(),
                listed.name
            ),
        );
        Ok(())
    }
}

impl RestoreFromNewest {
    /// The archives to look into, the newest first.
    fn archives(&self, session: &Session) -> Result<Vec<ListedArchive>, CliError> {
        let selection = ArchiveSelection {
            without_checkpoints: self.as_of.is_none(),
            sort_by: vec![SortKey::Timestamp],
            ..ArchiveSelection::default()
        };
        let mut archives = select(&session.manifest, &selection)?;
        archives.reverse();
        let Some(when) = &self.as_of else {
            return Ok(archives);
        };
        if archives
            .iter()
            .any(|archive| &archive.name[..] == when.as_bytes())
        {
            archives.retain(|archive| &archive.name[..] == when.as_bytes());
            return Ok(archives);
        }
        let until = timestamp::parse_spoken(when, Timestamp::now()).ok_or_else(|| {
            let text = "is neither an archive nor a time; try 2024-05-31, \"2024-05-31 18:00\", yesterday or \
                        \"2 days ago\"";
            CliError::command(format!("--as-of: {} {text}", repr(when)))
        })?;
        archives.retain(|archive| archive.time <= until);
        Ok(archives)
    }

    /// The first of the archives that holds the path, in either form.
    fn find(
        &self,
        session: &Session,
        archives: &[ListedArchive],
    ) -> Result<Option<(Archive, ListedArchive, Candidate)>, CliError> {
        for listed in archives {
            signals::check()?;
            let archive = session.load_archive(&listed.name)?;
            let mut found: Option<usize> = None;
            with_items(session, &archive, PartFiles::Skip, |items| {
                items.for_each(|item| {
                    signals::check()?;
                    let holds =
                        |candidate: &Candidate| is_at_or_below(item.path, &candidate.archived);
                    if let Some(index) = self.candidates.iter().position(holds)
                        && found.is_none_or(|best| index < best)
                    {
                        found = Some(index);
                    }
                    let best = found == Some(0);
                    Ok::<_, CliError>(if best {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    })
                })
            })?;
            if let Some(index) = found {
                return Ok(Some((
                    archive,
                    listed.clone(),
                    self.candidates[index].clone(),
                )));
            }
        }
        Ok(None)
    }

    /// Where it will be.
    fn target(&self, candidate: &Candidate) -> Result<PathBuf, CliError> {
        let Some(directory) = &self.into else {
            return Ok(candidate.original.clone());
        };
        let name = candidate.original.file_name();
        name.map(|name| directory.join(name)).ok_or_else(|| {
            CliError::generic("The root directory can only be restored to its place.")
        })
    }

    fn extract(
        &self,
        context: &Context,
        session: &Session,
        archive: &Archive,
        candidate: &Candidate,
        parent: &Path,
    ) -> Result<(), CliError> {
        let include = BytePath::new([b"pp:", &candidate.archived[..]].concat());
        let matcher = PatternMatcher::with_include_paths(Vec::new(), &[include])
            .map_err(|error| CliError::unexpected(error.to_string()))?;
        let components = candidate
            .archived
            .split(|&byte| byte == b'/')
            .filter(|c| !c.is_empty());
        let options = ExtractOptions {
            matcher,
            strip_components: components.count().saturating_sub(1),
            parts: PartFiles::Skip,
            list: self.list,
        };
        let attributes = RestoreOptions {
            numeric_ids: false,
            acls: true,
            xattrs: true,
            flags: true,
        };
        let path = parent.as_os_str().as_bytes();
        let destination = Destination::Directory {
            path,
            attributes,
            sparse: false,
        };
        let _polled = PolledOperation::begin();
        let outcome = extract::extract(session, archive, destination, options)?;
        if outcome.attributes_missing {
            context.reporter.exit.set_warning();
        }
        Ok(())
    }
}

fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_for_in_both_forms() {
        let found = |path: &str| -> Vec<String> {
            candidates(path.as_bytes(), b"/home/me")
                .iter()
                .map(|c| c.archived.to_string())
                .collect()
        };
        assert_eq!(found("docs"), ["home/me/docs", "docs"]);
        assert_eq!(found("/etc/fstab"), ["etc/fstab"]);
        assert_eq!(found("../you/./x/"), ["home/you/x"]);
    }

    #[test]
    fn only_whole_components_count() {
        assert!(is_at_or_below(b"a/b", b"a"));
        assert!(is_at_or_below(b"a", b"a"));
        assert!(!is_at_or_below(b"ab", b"a"));
    }
}
