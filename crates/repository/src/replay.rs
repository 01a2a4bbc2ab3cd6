//! What the entries of a segment, read again, mean for index and hints.
//!
//! Reading them is left to `segments`; which of them are read to recovery and to the check.

use ironborg_format::segment::Entry;
use ironborg_types::{ChunkId, SegmentId};

use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::segments::{FoundEntry, SegmentLog};
use crate::state::State;

/// What an entry does to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Put,
    Delete,
}

/// A PUT or DELETE entry without its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    kind: ChangeKind,
    id: ChunkId,
    /// Bytes from the start of the segment file.
    offset: u32,
    /// The whole entry, header included.
    size: u32,
}

impl Change {
    /// What an entry does; `None` for a COMMIT.
    pub(crate) fn of(found: &FoundEntry<'_>) -> Option<Self> {
        let (kind, id) = match found.entry {
            Entry::Put { id, .. } => (ChangeKind::Put, id),
            Entry::Delete { id } => (ChangeKind::Delete, id),
            Entry::Commit => return None,
        };
        Some(Self {
            kind,
            id,
            offset: found.offset,
            size: found.size,
        })
    }
}

impl Change {
    pub(crate) fn id(&self) -> &ChunkId {
        &self.id
    }

    /// Where the object is from now on, if it is in `segment`; `None` if it is nowhere.
    pub(crate) fn put_at(&self, segment: SegmentId) -> Option<EntryLocation> {
        let offset = self.offset;
        (self.kind == ChangeKind::Put).then_some(EntryLocation { segment, offset })
    }

    /// Bytes from the start of the segment file.
    #[cfg(test)]
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }
}

/// Builds a state from segments, which are given in order.
///
/// Source: Borg 1.4, `Repository._update_index`.
pub(crate) struct Replay<'a> {
    pub(crate) log: &'a SegmentLog,
    pub(crate) state: &'a mut State,
}

impl Replay<'_> {
    /// A segment begins.
    pub(crate) fn begin_segment(&mut self, segment: SegmentId) {
        self.state.hints.segments.insert(segment.0, 0);
    }

    /// The next entry of the segment.
    ///
    /// # Errors
    /// The size of a deleted object cannot be read.
    pub(crate) fn apply(
        &mut self,
        segment: SegmentId,
        change: &Change,
    ) -> Result<(), RepositoryError> {
        let id = &change.id;
        match change.kind {
            ChangeKind::Put => {
                if let Some(old) = self.state.index.get(id)? {
                    // Superseded without a DELETE, as very old versions did: the sizes are those of
                    // the new entry, as Borg counts them.
                    self.state.supersede(id, old, change.size);
                }
                let at = EntryLocation {
                    segment,
                    offset: change.offset,
                };
                self.state.put(id, at, change.size)?;
            }
            ChangeKind::Delete => {
                let Some(old) = self.state.index.remove(id)? else {
                    return Ok(());
                };
                // An index from before a compaction may point to a segment that is gone.
                if self.log.size(old.segment)?.is_some() {
                    let size = self.log.read_size(old, id)?;
                    self.state.supersede(id, old, size);
                }
            }
        }
        Ok(())
    }

    /// The segment, whose file has `size` bytes, ends.
    pub(crate) fn end_segment(&mut self, segment: SegmentId, size: u64) {
        let hints = &mut self.state.hints;
        if hints.segments.get(&segment.0) == Some(&0) {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            hints.compact.insert(segment.0, size);
        }
    }
}
