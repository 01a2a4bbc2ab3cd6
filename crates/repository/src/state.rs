//! What is known about the committed transaction or the one in progress: index and hints, and how
//! each entry changes them.

use ironborg_format::hints::Hints;
use ironborg_types::{ChunkId, SegmentId};

use crate::RepositoryError;
use crate::index::{EntryLocation, SharedIndex};

/// Size of a COMMIT entry: it can be freed as soon as it is written.
const COMMIT_SIZE: i64 = ironborg_format::segment::HEADER_LEN as i64;

/// Index and bookkeeping of one transaction.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) index: SharedIndex,
    pub(crate) hints: Hints,
}

impl State {
    /// Whether a segment is mentioned; mentions it.
    fn mention(&mut self, segment: SegmentId) {
        self.hints.segments.entry(segment.0).or_insert(0);
    }

    pub(crate) fn add_freeable(&mut self, segment: SegmentId, size: i64) {
        let freeable = self.hints.compact.entry(segment.0).or_insert(0);
        *freeable = freeable.saturating_add(size);
    }

    pub(crate) fn count_used(&mut self, segment: SegmentId, change: i64) {
        let used = self.hints.segments.entry(segment.0).or_insert(0);
        *used = used.saturating_add(change);
    }

    /// A PUT was written: `size` is that of its entry.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) fn put(
        &mut self,
        id: &ChunkId,
        at: EntryLocation,
        size: u32,
    ) -> Result<(), RepositoryError> {
        self.add_quota(i64::from(size));
        self.count_used(at.segment, 1);
        self.index.insert(id, at)
    }

    /// The PUT at `old` is no longer current and a DELETE is about to be written.
    ///
    /// Compaction must know that the old PUT is still there: as long as it is, the DELETE must stay.
    pub(crate) fn supersede(&mut self, id: &ChunkId, old: EntryLocation, size: u32) {
        self.shadow(id, old.segment);
        self.count_used(old.segment, -1);
        self.add_freeable(old.segment, i64::from(size));
    }

    /// A DELETE was written.
    pub(crate) fn deleted(&mut self, at: EntryLocation, size: u32) {
        self.add_freeable(at.segment, i64::from(size));
        self.mention(at.segment);
    }

    /// A COMMIT was written.
    pub(crate) fn committed(&mut self, segment: SegmentId) {
        self.mention(segment);
        self.add_freeable(segment, COMMIT_SIZE);
    }

    pub(crate) fn shadow(&mut self, id: &ChunkId, segment: SegmentId) {
        let shadowed = self.hints.shadow_index.entry(*id).or_default();
        shadowed.push(segment.0);
    }

    pub(crate) fn add_quota(&mut self, size: i64) {
        let used = &mut self.hints.storage_quota_use;
        *used = used.saturating_add(size);
    }

    /// Forgets superseded PUTs behind transaction `id`: those segments are gone.
    pub(crate) fn forget_uncommitted(&mut self, id: SegmentId) {
        for shadowed in self.hints.shadow_index.values_mut() {
            shadowed.retain(|&segment| segment <= id.0);
        }
    }
}
