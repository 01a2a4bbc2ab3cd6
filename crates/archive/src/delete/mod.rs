//! Deleting archives, whole repositories and what is remembered of them.
//!
//! An object goes when no archive that stays refers to it. Source: Borg 1.4, `do_delete`,
//! `Archive.delete`.

pub(crate) mod count;
pub(crate) mod removal;
mod repository;

use std::time::Duration;

use ironborg_object::{Compression, Sealer};
use ironborg_types::{BytePath, Event, Level};

pub use removal::RemovalOptions;
pub use repository::{RepositoryDeletion, delete_caches, delete_repository};

use self::removal::{Next, Removal};
use crate::items::PartFiles;
use crate::save::commit;
use crate::selection::ListedArchive;
use crate::statistics::ArchiveStatistics;
use crate::{ArchiveError, Session};

const LOGGER: &str = "borg.archiver";

/// How much damage is put up with (`--force`, given up to twice).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Force {
    /// None.
    #[default]
    No,
    /// Missing objects and damaged metadata of the archives to delete.
    Once,
    /// Any: the archives are only taken off the list.
    Twice,
}

/// What is deleted, and how.
pub struct DeleteOptions<'a> {
    /// Archives, in this order.
    pub names: Vec<BytePath>,
    /// Put up with damage.
    pub force: Force,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Whether part files count in the figures.
    pub parts: PartFiles,
    /// Commit after this long and go on; `None` or zero: never in between.
    pub checkpoint_interval: Option<Duration>,
    /// Whether each archive is listed (`--list`).
    pub list: bool,
    /// One archive as a line of that list.
    pub format_archive: &'a dyn Fn(&ListedArchive) -> String,
}

/// What was deleted.
#[derive(Debug)]
pub struct DeleteOutcome {
    /// Figures of the deleted archives, negative; metadata included, as in stock Borg.
    pub deleted: ArchiveStatistics,
    /// Archives that are not there; each was warned about, and the exit code is 1.
    pub not_found: usize,
    /// Whether the figures were counted: not in a dry run, nor for [`Force::Twice`].
    pub is_counted: bool,
}

/// Deletes archives and commits.
///
/// # Errors
/// [`ArchiveError::Interrupted`] after a signal: what was deleted by then is committed. Damage that the
/// options do not put up with: nothing since the last commit is deleted.
pub fn delete_archives(
    session: &mut Session,
    options: &DeleteOptions<'_>,
) -> Result<DeleteOutcome, ArchiveError> {
    if options.force == Force::Twice {
        return unlist_archives(session, options);
    }
    if options.dry_run {
        return list_archives(session, options);
    }
    let how = RemovalOptions {
        despite_damage: options.force == Force::Once,
        parts: options.parts,
        checkpoint_interval: options.checkpoint_interval,
        progress: true,
    };
    let names: Vec<&BytePath> = options.names.iter().collect();
    let mut removal = Removal::begin(session, &names, how)?;
    let mut not_found = 0;
    for index in 0..options.names.len() {
        match announce(removal.session(), options, index, "Deleting archive")? {
            None => not_found += 1,
            Some(listed) => {
                if removal.remove(&listed)? == Next::Stop {
                    return Err(ArchiveError::Interrupted);
                }
            }
        }
    }
    Ok(DeleteOutcome {
        deleted: removal.finish()?,
        not_found,
        is_counted: true,
    })
}

/// Only tells what would be deleted.
fn list_archives(
    session: &Session,
    options: &DeleteOptions<'_>,
) -> Result<DeleteOutcome, ArchiveError> {
    let mut not_found = 0;
    for index in 0..options.names.len() {
        if announce(session, options, index, "Would delete archive")?.is_none() {
            not_found += 1;
        }
    }
    Ok(DeleteOutcome {
        deleted: ArchiveStatistics::default(),
        not_found,
        is_counted: false,
    })
}

/// Lists the archive at `index` and returns its entry, or warns that there is none.
fn announce(
    session: &Session,
    options: &DeleteOptions<'_>,
    index: usize,
    verb: &str,
) -> Result<Option<ListedArchive>, ArchiveError> {
    let name = &options.names[index];
    let (number, count) = (index + 1, options.names.len());
    let Some(entry) = session.manifest.archives.get(name.0.as_slice()) else {
        let message = format!("Archive {name} not found ({number}/{count}).");
        session.client.log(Level::Warning, LOGGER, message);
        session.no_such_archive(name);
        return Ok(None);
    };
    let listed = ListedArchive::new(name, entry)?;
    if options.list {
        let line = format!(
            "{verb}: {} ({number}/{count})",
            (options.format_archive)(&listed)
        );
        session.client.reporter.report(Event::List(line.into()));
    }
    Ok(Some(listed))
}

/// Takes the archives off the manifest and leaves their objects for `check --repair`.
fn unlist_archives(
    session: &mut Session,
    options: &DeleteOptions<'_>,
) -> Result<DeleteOutcome, ArchiveError> {
    let mut outcome = DeleteOutcome {
        deleted: ArchiveStatistics::default(),
        not_found: 0,
        is_counted: false,
    };
    let verb = if options.dry_run {
        "Would delete"
    } else {
        "Deleted archive"
    };
    for (index, name) in options.names.iter().enumerate() {
        match announce(session, options, index, verb)? {
            Some(_) => {
                session.manifest.archives.remove(name.0.as_slice());
            }
            None => outcome.not_found += 1,
        }
    }
    if options.dry_run {
        session.client.log(Level::Info, LOGGER, "Finished dry-run.");
    } else if outcome.not_found < options.names.len() {
        commit(session, &mut Sealer::new(Compression::default()))?;
        let advice = "Done. Run \"borg check --repair\" to clean up the mess.";
        session.client.log(Level::Warning, LOGGER, advice);
    } else {
        session.client.log(Level::Warning, LOGGER, "Aborted.");
    }
    Ok(outcome)
}
