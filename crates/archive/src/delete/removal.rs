//! Taking archives out of a repository one after another, with commits in between.

use std::time::{Duration, Instant};

use ironborg_cache::{ArchiveSummary, ChunkTable};
use ironborg_object::{Compression, Sealer};
use ironborg_repository::RepositoryError;
use ironborg_types::{BytePath, ChunkId, Level, PercentProgress, Reporter};

use super::LOGGER;
use crate::items::PartFiles;
use crate::memory::{READING_THREAD_LEN, Tables};
use crate::references::{RemovalPlan, RemovalStep, forget_gone};
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
    plan: RemovalPlan,
    deleted: ArchiveStatistics,
    sealer: Sealer,
    uncommitted: usize,
    last_commit: Instant,
}

impl<'a> Removal<'a> {
    /// Counts all references; `names` are the archives that will go, in this order.
    ///
    /// # Errors
    /// An archive that cannot be read, unless it goes and its damage is put up with.
    pub(crate) fn begin(
        session: &'a mut Session,
        names: &[&BytePath],
        options: RemovalOptions,
    ) -> Result<Self, ArchiveError> {
        session.keep_within_memory(Tables::Index, READING_THREAD_LEN)?;
        begin_changes(session);
        let plan = RemovalPlan::make(session, names, options)?;
        session.will_load(plan.unread());
        Ok(Self {
            session,
            options,
            plan,
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

    /// Commits what is not yet committed; returns the figures of all that went.
    pub(crate) fn finish(mut self) -> Result<ArchiveStatistics, ArchiveError> {
        if self.uncommitted > 0 {
            self.commit()?;
        }
        forget_gone(self.session);
        Ok(self.deleted)
    }

    fn commit(&mut self) -> Result<(), ArchiveError> {
        save::commit(self.session, &mut self.sealer)?;
        cache_progress::commit_chunks(self.session.client.reporter.as_ref());
        Ok(())
    }

    /// Takes one archive's references away and removes the objects nobody refers to any more.
    fn delete_objects(&mut self, listed: &ListedArchive) -> Result<(), ArchiveError> {
        let RemovalStep {
            orphans,
            figures,
            stream_len,
            is_damaged: mut damaged,
        } = self.plan.take(&listed.name);
        let stream_len = match stream_len {
            Some(len) => len,
            None => self
                .session
                .load_archive(&listed.name)?
                .metadata
                .items
                .len(),
        };
        show_steps(
            self.session.client.reporter.as_ref(),
            stream_len,
            self.options.progress,
            self.uncommitted == 0,
        );
        self.deleted.add(&figures);
        let missing = delete_orphans(self.session, &orphans)?;
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

/// Takes an archive's references out of `table` and deletes the objects nobody refers to any more, as
/// [`delete_orphans`] does.
pub(crate) fn remove_references(
    session: &mut Session,
    summary: &ArchiveSummary,
    table: &ChunkTable,
) -> Result<Option<RepositoryError>, ArchiveError> {
    let mut orphans = Vec::new();
    summary.remove_from(table, |id, _, left| {
        if left.refs == 0 {
            orphans.push(id);
        }
    });
    delete_orphans(session, &orphans)
}

/// Deletes objects. Gives the first error about one that was gone already: the others are deleted all the same.
fn delete_orphans(
    session: &mut Session,
    orphans: &[ChunkId],
) -> Result<Option<RepositoryError>, ArchiveError> {
    let missing = session.repository.delete_many(orphans)?;
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
