//! Saving the archive being made, and what this machine remembers of it.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ironborg_cache::{ArchiveSummary, CacheError, SummaryBuilder};
use ironborg_format::{ArchiveMetadata, ChunkEntry};
use ironborg_object::Sealer;
use ironborg_storage::Storage;
use ironborg_types::{BytePath, Level, Timestamp};

use super::Statistics;
use super::options::CreateOptions;
use super::shared::Shared;
use crate::cache_progress;
use crate::error::ArchiveError;
use crate::item_stream::ItemStream;
use crate::save::{chunker_values, commit, store_archive, times};
use crate::session::Session;

/// What is the same for the archive and its checkpoints.
pub(super) struct Saver<'a> {
    pub(super) options: &'a CreateOptions,
    /// Name for checkpoints: not in use yet.
    pub(super) checkpoint_name: BytePath,
    /// When the archive was begun.
    pub(super) started: Instant,
    /// Our own caches.
    pub(super) cache: Arc<dyn Storage>,
    /// Name of the files cache's file.
    pub(super) files_name: String,
}

/// An archive that was saved.
pub(super) struct Saved {
    /// Its metadata object.
    pub(super) entry: ChunkEntry,
    /// Its time.
    pub(super) start: Timestamp,
    /// When it was finished.
    pub(super) end: Timestamp,
    /// What it refers to; of a checkpoint that is not known.
    pub(super) summary: Option<ArchiveSummary>,
}

/// Whether more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saving {
    /// The archive is as far as it is.
    Checkpoint,
    /// It is all there.
    Whole,
}

impl Saver<'_> {
    /// Stores archive and manifest and commits; then updates the security record and the caches.
    #[allow(clippy::too_many_arguments)] // All of them are the collector's, borrowed one by one.
    pub(super) fn save(
        &self,
        session: &mut Session,
        shared: &Shared<'_>,
        sealer: &mut Sealer,
        items: &mut ItemStream,
        summary: &mut SummaryBuilder,
        stats: &Statistics,
        name: &[u8],
        saving: Saving,
    ) -> Result<Saved, ArchiveError> {
        let (start, end) = times(self.started, self.options.timestamp);
        let metadata = self.metadata(&session.client.identity, stats, name, start, end);
        let entry = store_archive(session, shared.chunks, sealer, items, summary, metadata)?;
        let whole = (saving == Saving::Whole).then(|| {
            let mut whole = std::mem::take(summary);
            whole.add_metadata(&entry);
            whole
        });
        let summary = self.commit(session, shared, sealer, whole)?;
        Ok(Saved {
            entry,
            start,
            end,
            summary,
        })
    }

    /// Commits, then keeps the caches for the next run: what of them is known already is got ready meanwhile, and so is
    /// the summary of an archive that is whole.
    fn commit(
        &self,
        session: &mut Session,
        shared: &Shared<'_>,
        sealer: &mut Sealer,
        summary: Option<SummaryBuilder>,
    ) -> Result<Option<ArchiveSummary>, ArchiveError> {
        thread::scope(|scope| {
            let (committed, is_committed) = crossbeam_channel::bounded(1);
            let id = session.repository.id();
            let saving = shared.files.map(|files| {
                scope.spawn(move || {
                    let mut answer = None;
                    let may_go_on = || *answer.get_or_insert_with(|| is_committed.recv().is_ok());
                    let ttl = i64::from(self.options.files_cache_ttl);
                    files.save_when(&self.cache, &self.files_name, id, ttl, may_go_on)
                })
            });
            let summing = summary.map(|summary| scope.spawn(|| summary.finish()));
            // An error, or a panic, drops the sender: that is a no.
            commit(session, sealer)?;
            // Without a files cache nobody waits for it.
            let _ = committed.send(());
            Self::save_caches(session, saving.map(|saving| || joined(saving)));
            Ok(summing.map(joined))
        })
    }

    fn metadata(
        &self,
        identity: &crate::client::Identity,
        stats: &Statistics,
        name: &[u8],
        start: Timestamp,
        end: Timestamp,
    ) -> ArchiveMetadata {
        // A checkpoint has no comment: the words belong to the finished archive.
        let comment = if name == &self.options.name[..] {
            self.options.comment.clone()
        } else {
            Vec::new()
        };
        ArchiveMetadata {
            name: name.to_vec(),
            comment: Some(comment),
            cmdline: identity.command_line.clone(),
            hostname: Some(identity.hostname.clone()),
            username: Some(identity.username.clone()),
            time: start.to_string(),
            time_end: Some(end.to_string()),
            cwd: Some(identity.cwd.clone()),
            chunker_params: Some(chunker_values(&self.options.chunker)),
            size: Some(stats.size),
            csize: Some(stats.csize),
            nfiles: Some(stats.nfiles),
            size_parts: Some(stats.size_parts),
            csize_parts: Some(stats.csize_parts),
            nfiles_parts: Some(stats.nfiles_parts),
            ..ArchiveMetadata::default()
        }
    }

    /// Keeps the caches for the next run. They may be lost at any time, so a failure is only reported.
    fn save_caches(session: &Session, save_files: Option<impl FnOnce() -> Result<(), CacheError>>) {
        let result = cache_progress::commit(session.client.reporter.as_ref(), save_files);
        if let Some(Err(error)) = result {
            let message =
                format!("the cache could not be saved, the next backup will be slower: {error}");
            session.client.log(Level::Warning, "borg.cache", message);
        }
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
