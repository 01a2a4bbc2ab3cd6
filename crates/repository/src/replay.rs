//! What the entries of a segment, read again, mean for index and hints.
//!
//! Reading them is left to `segments`; which of them are read to recovery and to the check.

use ironborg_format::segment::Entry;
use ironborg_types::{ChunkId, SegmentId};

use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::segments::{FoundEntry, Row, SegmentLog};
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
    pub(crate) fn new(kind: ChangeKind, id: ChunkId, offset: u32, size: u32) -> Self {
        Self {
            kind,
            id,
            offset,
            size,
        }
    }

    pub(crate) fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// The whole entry, header included.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn id(&self) -> &ChunkId {
        &self.id
    }

    /// Where the object is from now on, if it is in `segment`; `None` if it is nowhere.
    pub(crate) fn put_at(&self, segment: SegmentId) -> Option<EntryLocation> {
        let offset = self.offset;
        (self.kind == ChangeKind::Put).then_some(EntryLocation { segment, offset })
    }

    /// Bytes from the start of the segment file.
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
        self.apply_row(
            segment,
            &Row {
                change: *change,
                superseded: 0,
            },
        )?;
        Ok(())
    }

    /// The same; of a DELETE also gives, and need not look for, how large the entry was that it superseded: 0 for none.
    ///
    /// # Errors
    /// As those of [`Replay::apply`].
    pub(crate) fn apply_row(
        &mut self,
        segment: SegmentId,
        Row { change, superseded }: &Row,
    ) -> Result<u32, RepositoryError> {
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
                Ok(0)
            }
            ChangeKind::Delete => {
                let Some(old) = self.state.index.remove(id)? else {
                    return Ok(0);
                };
                let size = match *superseded {
                    // An index from before a compaction may point to a segment that is gone.
                    0 if self.log.size(old.segment)?.is_none() => return Ok(0),
                    0 => self.log.read_size(old, id)?,
                    known => known,
                };
                self.state.supersede(id, old, size);
                Ok(size)
            }
        }
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
