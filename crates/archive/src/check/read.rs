//! Reading the objects of archives ahead of who looks at them, those of the next archive while this one is looked at.

use std::collections::VecDeque;

use ironborg_types::ChunkId;

use super::inspector::Inspector;
use crate::ArchiveError;
use crate::items::{Fetched, ReadAhead};

/// Objects that may be on their way from afar.
const ANNOUNCED_MAX: usize = 64;
/// Objects that were asked for or found missing, and not taken.
const PENDING_MAX: usize = 1024;

/// An object that was taken.
pub(super) enum Taken {
    /// It is not there.
    Missing,
    /// Its plaintext, or why there is none.
    Read(Result<Fetched, ArchiveError>),
}

/// Whether an object was there and not what it should be.
pub(super) fn is_integrity(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Object(_) | ArchiveError::Crypto(_))
}

/// Reads objects in the order in which they were named.
///
/// Memory: their ids, and as many objects as [`ReadAhead`] has in flight.
pub(super) struct ObjectQueue<'a> {
    read_ahead: ReadAhead<'a>,
    named: VecDeque<ChunkId>,
    /// How many of those named are announced.
    announced: usize,
    /// Those named earlier and not taken, each with whether it is there.
    pending: VecDeque<(ChunkId, bool)>,
}

impl<'a> ObjectQueue<'a> {
    pub(super) fn new(read_ahead: ReadAhead<'a>) -> Self {
        Self {
            read_ahead,
            named: VecDeque::new(),
            announced: 0,
            pending: VecDeque::new(),
        }
    }

    /// Names objects to be read after those that were named before.
    pub(super) fn name(&mut self, ids: impl IntoIterator<Item = ChunkId>) {
        self.named.extend(ids);
    }

    /// Takes the next object.
    pub(super) fn take(&mut self, inspector: &Inspector<'_>) -> Taken {
        self.ask(inspector);
        let next = self.pending.pop_front();
        let (id, is_there) = next.expect("every object was named before");
        if !is_there {
            return Taken::Missing;
        }
        let outcome = self.read_ahead.take().expect("it was asked for");
        Taken::Read(outcome.or_else(|error| {
            // Nothing is given up because of a bit that flipped on the way here.
            let again = is_integrity(&error).then(|| inspector.read(&id));
            again.and_then(Result::ok).ok_or(error)
        }))
    }

    /// Gives a buffer back for reuse.
    pub(super) fn recycle(&mut self, fetched: Fetched) {
        self.read_ahead.recycle(fetched);
    }

    fn ask(&mut self, inspector: &Inspector<'_>) {
        if self.announced <= ANNOUNCED_MAX / 2 && self.announced < self.named.len() {
            let end = self.named.len().min(ANNOUNCED_MAX);
            let next = self.named.range(self.announced..end);
            let next = next.filter(|id| inspector.is_readable(id));
            let next: Vec<(ChunkId, u32)> = next.map(|id| (*id, 0)).collect();
            self.read_ahead.will_ask(&next);
            self.announced = end;
        }
        while self.pending.len() < PENDING_MAX
            && let Some(id) = self.named.front()
        {
            let is_there = inspector.is_readable(id);
            if is_there {
                if self.read_ahead.room() == 0 {
                    return;
                }
                self.read_ahead.ask(*id);
            }
            self.pending.push_back((*id, is_there));
            self.named.pop_front();
            self.announced = self.announced.saturating_sub(1);
        }
    }
}
