//! Taking archives out of a repository one after another, with commits in between.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ironborg_cache::{ArchiveSummary, ChunkTable, Unreferenced};
use ironborg_object::{Compression, Sealer};
use ironborg_repository::RepositoryError;
use ironborg_types::{BytePath, ChunkId, Level, PercentProgress, Reporter};

use super::LOGGER;
use super::count::{DecrementCounter, PartUse};
use crate::items::PartFiles;
use crate::references::{ChunkReferences, TakenSummary};
use crate::selection::ListedArchive;
use crate::statistics::ArchiveStatistics;
use crate::stored::begin_changes;
use crate::{ArchiveError, Session, cache_progress, save};

/// How archives are taken out.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemovalOptions {
    /// Put up with missing objects and damaged metadata of the archives that go.
    pub despite_damage: bool,
    /// Whether part files count in the figures.
    pub parts: PartFiles,
    /// Commit after this long and go on; `None` or zero: never in between.
    pub checkpoint_interval: Option<Duration>,
    /// Whether progress within each archive is reported.
    pub progress: bool,
}

/// What a removal wants after an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next archive.
    GoOn,
    /// The end: the user asked for it, and everything is committed.
    Stop,
}

/// Archives on their way out.
pub(crate) struct Removal<'a> {
    session: &'a mut Session,
    options: RemovalOptions,
    references: ChunkReferences,
    deleted: ArchiveStatistics,
    sealer: Sealer,
    uncommitted: usize,
    last_commit: Instant,
}

impl<'a> Removal<'a> {
    /// Counts all references; `names` are the archives that will go.
    ///
    /// # Errors
    /// An archive that cannot be read, unless it goes and its damage is put up with.
    pub(crate) fn begin<'n>(
        session: &'a mut Session,
        names: impl IntoIterator<Item = &'n BytePath>,
        options: RemovalOptions,
    ) -> Result<Self, ArchiveError> {
        begin_changes(session);
        let doomed: HashSet<&[u8]> = names.into_iter().map(|name| name.0.as_slice()).collect();
        let may_be_damaged = |name: &[u8]| options.despite_damage && doomed.contains(name);
        let references = ChunkReferences::load_despite(session, &may_be_damaged)?;
        let unread = doomed
            .iter()
            .filter(|name| !references.has_read(session, name));
        session.will_load(unread.copied());
        Ok(Self {
            session,
            options,
            references,
            deleted: ArchiveStatistics::default(),
            sealer: Sealer::new(Compression::default()),
            uncommitted: 0,
            last_commit: Instant::now(),
        })
    }

    /// The session, for looking things up.
    pub(crate) fn session(&self) -> &Session {
        self.session
    }

    /// Deletes one archive, and commits if it is time to or the user asks for the end.
    pub(crate) fn remove(&mut self, listed: &ListedArchive) -> Result<Next, ArchiveError> {
        self.delete_objects(listed)?;
        self.session
            .manifest
            .archives
            .remove(listed.name.0.as_slice());
        self.uncommitted += 1;
        let stop = self.session.client.interrupt.stop_requested();
        let due = self
            .options
            .checkpoint_interval
            .is_some_and(|interval| !interval.is_zero() && self.last_commit.elapsed() > interval);
        if stop {
            let start = "checkpoint requested: starting checkpoint creation...";
            self.session.client.log(Level::Info, LOGGER, start);
        }
        if stop || due {
            self.commit()?;
            (self.uncommitted, self.last_commit) = (0, Instant::now());
        }
        if stop {
            let end = "checkpoint requested: finished checkpoint creation!";
            self.session.client.log(Level::Info, LOGGER, end);
            return Ok(Next::Stop);
        }
        Ok(Next::GoOn)
    }

    /// Commits what is not yet committed; returns the figures of all that went, and the references
    /// that are left.
    pub(crate) fn finish(mut self) -> Result<(ArchiveStatistics, ChunkReferences), ArchiveError> {
        if self.uncommitted > 0 {
            self.commit()?;
        }
        Ok((self.deleted, self.references))
    }

    fn commit(&mut self) -> Result<(), ArchiveError> {
        save::commit(self.session, &mut self.sealer)?;
        cache_progress::commit_chunks(self.session.client.reporter.as_ref());
        Ok(())
    }

    /// Takes one archive's references away and removes the objects nobody refers to any more.
    fn delete_objects(&mut self, listed: &ListedArchive) -> Result<(), ArchiveError> {
        let TakenSummary {
            summary,
            stream_len,
            mut damaged,
        } = self
            .references
            .take_summary(self.session, &listed.name, &listed.id)?;
        let parts = match self.options.parts {
            PartFiles::Skip if summary.figures().nfiles_parts > 0 => {
                let archive = self.session.load_archive(&listed.name)?;
                PartUse::read(self.session, &archive, damaged)?
            }
            _ => PartUse::default(),
        };
        show_steps(
            self.session.client.reporter.as_ref(),
            stream_len,
            self.options.progress,
            self.uncommitted == 0,
        );
        let mut counter = DecrementCounter::new(&mut self.deleted, &parts);
        let table = self.references.table();
        let missing = remove_references(self.session, &summary, table, |id, refs, left| {
            counter.count(id, refs, left);
        })?;
        if let Some(missing) = missing {
            if !self.options.despite_damage {
                return Err(missing.into());
            }
            damaged = true;
        }
        if damaged {
            for message in [
                "forced deletion succeeded, but the deleted archive was corrupted.",
                "borg check --repair is required to free all space.",
            ] {
                self.session
                    .client
                    .log(Level::Warning, "borg.archive", message);
            }
        }
        Ok(())
    }
}

/// Takes an archive's references out of `table` and deletes the objects nobody refers to any more; `each`
/// hears of every chunk. Gives the first error about an object that was gone already: the others are
/// deleted all the same.
pub(crate) fn remove_references(
    session: &mut Session,
    summary: &ArchiveSummary,
    table: &ChunkTable,
    mut each: impl FnMut(&ChunkId, u32, &Unreferenced),
) -> Result<Option<RepositoryError>, ArchiveError> {
    let mut orphans = Vec::new();
    summary.remove_from(table, |id, refs, left| {
        each(&id, refs, &left);
        if left.refs == 0 {
            orphans.push(id);
        }
    });
    let missing = session.repository.delete_many(&orphans)?;
    Ok(missing.first().map(|id| RepositoryError::ObjectNotFound {
        id: *id,
        location: session.repository.location(),
    }))
}

/// The steps stock Borg shows, if `shown`, while it walks an item stream of so many chunks; whether its
/// first change opens a transaction of the cache.
pub(crate) fn show_steps(
    reporter: &dyn Reporter,
    chunk_count: usize,
    shown: bool,
    begins_transaction: bool,
) {
    if !reporter.wants_progress() {
        return;
    }
    let total = chunk_count as u64;
    let mut progress =
        shown.then(|| PercentProgress::start(reporter, "archive.delete", total, 5.0));
    for step in 0..total {
        if let Some(progress) = &mut progress {
            progress.advance_to(reporter, step, None, |percent| {
                format!("Decrementing references {percent:3.0}%")
            });
        }
        if step == 0 && begins_transaction {
            cache_progress::begin(reporter);
        }
    }
    if total == 0 && begins_transaction {
        cache_progress::begin(reporter);
    }
    if let Some(progress) = progress {
        progress.finish(reporter);
    }
}
