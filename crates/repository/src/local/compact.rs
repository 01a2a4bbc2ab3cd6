//! Compaction: copying what is still needed out of sparse segments, then removing them.
//!
//! Copies and originals are both there until the copies are committed, which is done when a segment of copies is
//! full. Where there is no room for that much it is done as soon as the next segment would not fit, and a segment
//! that does not fit then waits until others have been removed.
//!
//! Source: Borg 1.4, `Repository.compact_segments`; docs/format.md, "Compaction".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ironborg_format::segment::{COMMIT_SEGMENT_SIZE, Entry};
use ironborg_storage::{Retention, Storage};
use ironborg_types::limits::PUT_HEADER_SIZE;
use ironborg_types::{ChunkId, Event, Interrupt, Level, Reporter, SegmentId};

use super::{CompactOptions, LOGGER, LocalRepository};
use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::retention::renew_if_due;
use crate::segments::{Entries, SegmentLog, WhenFull};
use crate::space::{commit_room, format_size};
use crate::state::State;

/// What was begun so long ago is not going to be finished.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);
/// Names the progress.
const COMPACT: &str = "repository.compact_segments";

impl LocalRepository {
    /// Rewrites sparse segments; returns the transaction it ended with, if there was anything to do.
    pub(super) fn compact_segments(
        &mut self,
        options: CompactOptions,
    ) -> Result<Option<SegmentId>, RepositoryError> {
        self.freed = Some(0);
        let index_id = self.with_loaded(|loaded| loaded.stored.id)?;
        let reporter = std::sync::Arc::clone(&self.reporter);
        let storage = std::sync::Arc::clone(&self.storage);
        let retain = self
            .settings
            .retain
            .filter(|_| self.storage.conditional().is_some());
        let mut freed = 0;
        let id = self.change(|log, state| {
            if options.cleanup_commits {
                list_commit_segments(log, state)?;
            }
            if state.hints.compact.is_empty() {
                return Ok(None);
            }
            let used_before = state.hints.storage_quota_use;
            let mut compaction = Compaction {
                log,
                state,
                reporter: &*reporter,
                threshold: options.threshold,
                storage: &*storage,
                retain,
                kept_size: 0,
                interrupt: options.interrupt,
                index_id,
                unused: Vec::new(),
                forgot_deletes: false,
                unsynced: BTreeSet::new(),
            };
            let id = compaction.run()?;
            if let Some(retention) = retain.filter(|_| compaction.kept_size > 0) {
                let kept = format_size(compaction.kept_size as f64);
                let message = format!(
                    "{kept} of removed segments stay in older versions of their objects, for up to {} days from when they \
                     were written or renewed.",
                    retention.days
                );
                reporter.report(Event::log(Level::Info, LOGGER, message));
            }
            freed = used_before - state.hints.storage_quota_use;
            let message = format!(
                "compaction freed about {} repository space.",
                format_size(freed as f64)
            );
            reporter.report(Event::log(Level::Info, LOGGER, message));
            Ok(Some(id))
        })?;
        self.freed = u64::try_from(freed).ok();
        Ok(id)
    }
}

impl LocalRepository {
    /// Removes what is left of files that were begun long ago and never finished, where such things cost. Whoever had been
    /// writing them has lost the lock since.
    pub(super) fn give_up_leftovers(&self) {
        let Some(conditional) = self.storage.conditional() else {
            return;
        };
        let message = match conditional.give_up_leftovers(LEFTOVER_AGE) {
            Ok(0) => return,
            Ok(count) => (Level::Info, format!("Gave up {count} unfinished uploads.")),
            Err(error) => (
                Level::Debug,
                format!("Unfinished uploads were not looked for: {error}"),
            ),
        };
        self.log_message(message.0, message.1);
    }

    /// Renews the time for which segments stay, where they do.
    pub(super) fn renew_retention(&self) -> Result<(), RepositoryError> {
        let Some(retention) = self.settings.retain else {
            return Ok(());
        };
        if self.storage.conditional().is_none() {
            return Ok(());
        }
        let segments = self.log.segments()?;
        let names: Vec<_> = segments.into_iter().map(|id| self.log.name(id)).collect();
        match renew_if_due(&*self.storage, retention, &names) {
            Ok(0) => {}
            Ok(count) => self.log_message(
                Level::Info,
                format!("Renewed the retention of {count} segments."),
            ),
            // What was committed is; the next one tries again.
            Err(error) => self.log_message(
                Level::Warning,
                format!("The retention of segments could not be renewed: {error}"),
            ),
        }
        Ok(())
    }
}

/// Puts all segments that hold nothing but a COMMIT on the list.
fn list_commit_segments(log: &SegmentLog, state: &mut State) -> Result<(), RepositoryError> {
    for segment in log.segments()? {
        if log.size(segment)? == Some(COMMIT_SEGMENT_SIZE) {
            state.hints.segments.insert(segment.0, 0);
            state.hints.compact.remove(&segment.0);
            state.add_freeable(segment, 9);
        }
    }
    Ok(())
}

struct Compaction<'a> {
    log: &'a mut SegmentLog,
    state: &'a mut State,
    reporter: &'a dyn Reporter,
    threshold: f64,
    storage: &'a dyn Storage,
    /// For how long a segment takes room after it was removed.
    retain: Option<Retention>,
    /// Bytes of those.
    kept_size: u64,
    interrupt: Option<&'static Interrupt>,
    /// The transaction whose index is on disk: what it says is settled.
    index_id: Option<SegmentId>,
    /// Segments copied, to be removed once the copies are committed.
    unused: Vec<Copied>,
    /// Whether a DELETE of the segment being copied was left out.
    forgot_deletes: bool,
    /// Segments whose removal may be lost in a crash.
    unsynced: BTreeSet<SegmentId>,
}

/// A segment whose content is elsewhere now.
struct Copied {
    segment: SegmentId,
    /// Whether it alone holds DELETEs of objects whose PUTs have gone.
    forgot_deletes: bool,
}

impl Compaction<'_> {
    fn run(&mut self) -> Result<SegmentId, RepositoryError> {
        let sparse: BTreeMap<u32, i64> = self.state.hints.compact.clone();
        self.reporter
            .report(Event::ProgressStart { msgid: COMPACT });
        let total = sparse.len() as u64;
        let mut left = Vec::new();
        for (done, (number, freeable)) in sparse.into_iter().enumerate() {
            // Every segment is left whole or replaced whole, so one can stop behind any of them.
            if self.stop_requested() {
                break;
            }
            if !self.consider(SegmentId(number), freeable)? {
                left.push((number, freeable));
            }
            self.reporter.report(Event::ProgressPercent {
                msgid: COMPACT,
                current: done as u64 + 1,
                total,
                message: format!(
                    "Compacting segments {:3.0}%",
                    done as f64 * 100.0 / total as f64
                )
                .into(),
                info: None,
            });
        }
        self.reporter.report(Event::ProgressEnd { msgid: COMPACT });
        self.consider_again(left)?;
        let id = self.log.write_commit()?;
        self.complete(id)?;
        self.sync_removals()?;
        self.log.remove_empty_dirs()?;
        Ok(id)
    }

    fn stop_requested(&self) -> bool {
        self.interrupt.is_some_and(Interrupt::stop_requested)
    }

    /// Rewrites those segments there was no room for at first, as long as each round makes room.
    fn consider_again(&mut self, mut left: Vec<(u32, i64)>) -> Result<(), RepositoryError> {
        loop {
            let before = left.len();
            let mut still_left = Vec::new();
            for (number, freeable) in left {
                if self.stop_requested() || !self.consider(SegmentId(number), freeable)? {
                    still_left.push((number, freeable));
                }
            }
            left = still_left;
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        if !left.is_empty() && !self.stop_requested() {
            self.warn(format!(
                "{} sparse segments were left as they are: there is too little free space to copy what is \
                 needed of them.",
                left.len()
            ));
        }
        Ok(())
    }

    /// Rewrites one segment, if it is there and worth it; `false` if there is no room for that.
    fn consider(&mut self, segment: SegmentId, freeable: i64) -> Result<bool, RepositoryError> {
        let Some(size) = self.log.size(segment)? else {
            self.warn(format!(
                "segment {segment} not found, but listed in compaction data"
            ));
            self.state.hints.compact.remove(&segment.0);
            self.state.hints.segments.remove(&segment.0);
            return Ok(true);
        };
        // Far away a segment nothing of which is in use costs and is worth nothing, whatever else was counted in it.
        let is_unused =
            self.log.is_distant() && self.state.hints.segments.get(&segment.0).copied() == Some(0);
        if freeable as f64 / size as f64 <= self.threshold && !is_unused {
            return Ok(true);
        }
        if self.is_young(segment) {
            return Ok(true);
        }
        if !self.make_room(segment, size)? {
            return Ok(false);
        }
        if self.retain.is_some() {
            self.kept_size += size;
        }
        self.state.hints.segments.entry(segment.0).or_insert(0);
        self.forgot_deletes = false;
        self.copy_needed(segment)?;
        let used = self.state.hints.segments.get(&segment.0).copied();
        if used != Some(0) {
            self.warn_count(segment, used.unwrap_or(0));
        }
        self.unused.push(Copied {
            segment,
            forgot_deletes: self.forgot_deletes,
        });
        Ok(true)
    }

    /// Whether a segment that is still in use takes its room for long whether it is rewritten or not: a copy would only take
    /// more.
    fn is_young(&self, segment: SegmentId) -> bool {
        let used = self.state.hints.segments.get(&segment.0).copied();
        let Some(retention) = self.retain.filter(|_| used.unwrap_or(0) > 0) else {
            return false;
        };
        let written = self.storage.modified(&self.log.name(segment));
        let age = written.and_then(|time| time.elapsed().ok());
        age.is_some_and(|age| age < retention.period())
    }

    /// Whether a segment can be copied and the transaction be completed then, if need be after removing what has
    /// been copied so far.
    fn make_room(&mut self, segment: SegmentId, size: u64) -> Result<bool, RepositoryError> {
        if self.has_room(size) {
            return Ok(true);
        }
        let needed = self.needed_len(segment)?;
        if !self.has_room(needed) && !self.unused.is_empty() {
            self.complete_intermediate()?;
        }
        Ok(self.has_room(needed))
    }

    fn has_room(&self, len: u64) -> bool {
        let wanted = commit_room(self.state).saturating_add(len);
        // Where the system does not say, one has to try.
        self.log.room().is_none_or(|room| room >= wanted)
    }

    /// Bytes of a segment that may have to be copied.
    fn needed_len(&self, segment: SegmentId) -> Result<u64, RepositoryError> {
        let mut needed = 0;
        let mut entries = Entries::new(segment);
        while let Some(found) = entries.next(self.log)? {
            let is_needed = match found.entry {
                Entry::Commit => false,
                Entry::Put { id, .. } => {
                    let at = EntryLocation {
                        segment,
                        offset: found.offset,
                    };
                    self.state.index.get(&id)? == Some(at)
                }
                Entry::Delete { id } => !self.state.index.contains(&id)?,
            };
            if is_needed {
                needed += u64::from(found.size);
            }
        }
        Ok(needed)
    }

    fn copy_needed(&mut self, segment: SegmentId) -> Result<(), RepositoryError> {
        let mut entries = Entries::ahead(self.log, segment)?;
        while let Some(found) = entries.next(self.log)? {
            let at = EntryLocation {
                segment,
                offset: found.offset,
            };
            match found.entry {
                Entry::Commit => {}
                Entry::Put { id, object } => self.handle_put(&id, at, object)?,
                Entry::Delete { id } => self.handle_delete(&id, segment)?,
            }
        }
        Ok(())
    }

    fn handle_put(
        &mut self,
        id: &ChunkId,
        at: EntryLocation,
        object: &[u8],
    ) -> Result<(), RepositoryError> {
        if self.state.index.get(id)? != Some(at) {
            // Superseded: gone with this segment.
            if let Some(shadowed) = self.state.hints.shadow_index.get_mut(id) {
                // The entry stays even when its list is empty: that is how handle_delete knows.
                shadowed.remove_first(at.segment.0);
            }
            let size = (PUT_HEADER_SIZE + object.len()) as i64;
            self.state.add_quota(-size);
            return Ok(());
        }
        let mut copied = self.log.write_put(id, object, WhenFull::Refuse)?;
        if copied.is_none() {
            self.complete_intermediate()?;
            copied = self.log.write_put(id, object, WhenFull::Next)?;
        }
        let copied = copied.expect("a new segment may be begun");
        self.state.index.insert(id, copied)?;
        self.state.count_used(copied.segment, 1);
        self.state.count_used(at.segment, -1);
        Ok(())
    }

    fn handle_delete(&mut self, id: &ChunkId, segment: SegmentId) -> Result<(), RepositoryError> {
        if self.state.index.contains(id)? {
            return Ok(());
        }
        let shadowed = self.state.hints.shadow_index.get(id);
        // As long as an older PUT may lie around, in a segment that is kept or whose removal is lost in
        // a crash, the DELETE must lie behind it.
        let older_put = shadowed.is_none_or(|shadowed| {
            let mut segments = shadowed.segments().iter();
            segments.any(|&older| older < segment.0)
        });
        let unsettled = self.index_id.is_none_or(|index_id| segment > index_id);
        if !older_put && !unsettled {
            if shadowed.is_some_and(ironborg_format::hints::Shadowed::is_empty) {
                self.state.hints.shadow_index.remove(id);
            }
            self.forgot_deletes = true;
            return Ok(());
        }
        let mut copied = self.log.write_delete(id, 0, WhenFull::Refuse)?;
        if copied.is_none() {
            self.complete_intermediate()?;
            copied = self.log.write_delete(id, 0, WhenFull::Next)?;
        }
        let copied = copied.expect("a new segment may be begun");
        let size = u32::try_from(PUT_HEADER_SIZE).expect("41");
        self.state.deleted(copied, size);
        Ok(())
    }

    /// The output segment is full: commits it and removes what it replaces.
    fn complete_intermediate(&mut self) -> Result<(), RepositoryError> {
        let id = self.log.write_intermediate_commit()?;
        self.complete(id)
    }

    fn complete(&mut self, commit: SegmentId) -> Result<(), RepositoryError> {
        self.state.committed(commit);
        for copied in std::mem::take(&mut self.unused) {
            let segment = copied.segment;
            if copied.forgot_deletes {
                // Were the removal of a PUT lost and that of its DELETE not, the object would be back.
                self.sync_removals()?;
            }
            let used = self.state.hints.segments.remove(&segment.0);
            if used != Some(0) {
                self.warn_count(segment, used.unwrap_or(0));
            }
            self.log.retire(segment)?;
            self.unsynced.insert(segment);
            self.state.hints.compact.remove(&segment.0);
        }
        Ok(())
    }

    /// Makes all removals so far durable.
    fn sync_removals(&mut self) -> Result<(), RepositoryError> {
        Ok(self.log.sync_dirs_of(&std::mem::take(&mut self.unsynced))?)
    }

    fn warn_count(&self, segment: SegmentId, used: i64) {
        self.warn(format!(
            "Corrupted segment reference count {used} (expected 0) for segment {segment} - corrupted \
             index or hints"
        ));
    }

    fn warn(&self, message: String) {
        self.reporter
            .report(Event::log(Level::Warning, LOGGER, message));
    }
}
