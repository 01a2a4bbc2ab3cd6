//! Comparing the committed index with what the segments say while they are read, without making another one.
//!
//! That tells whether they agree. Where they do not, an index is made of the segments, and compared entry by entry.

use ironborg_types::SegmentId;

use crate::RepositoryError;
use crate::index::{IndexView, SharedIndex};
use crate::replay::Change;

/// What was found of the committed index so far. Memory: a bit for each of its buckets.
pub(super) struct Compared<'a> {
    committed: IndexView<'a>,
    /// A bit for each entry of the index: the last change of its object is the one it leads to.
    right: Vec<u64>,
    right_count: usize,
    /// What is stored and not in the index: what will be deleted further on, or should be in it.
    unknown: SharedIndex,
}

impl<'a> Compared<'a> {
    /// Nothing was read; `unknown` is an empty index.
    pub(super) fn new(committed: &'a SharedIndex, unknown: SharedIndex) -> Self {
        let committed = committed.view();
        Self {
            right: vec![0; committed.place_count().div_ceil(64)],
            committed,
            right_count: 0,
            unknown,
        }
    }

    /// The next change.
    pub(super) fn apply(
        &mut self,
        segment: SegmentId,
        change: &Change,
    ) -> Result<(), RepositoryError> {
        let (id, now) = (change.id(), change.put_at(segment));
        let Some((place, at)) = self.committed.locate(id)? else {
            return match now {
                Some(now) => self.unknown.insert(id, now),
                None => self.unknown.remove(id).map(drop),
            };
        };
        let (word, bit) = (&mut self.right[place / 64], 1 << (place % 64));
        if now == Some(at) {
            self.right_count += usize::from(*word & bit == 0);
            *word |= bit;
        } else {
            self.right_count -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
        Ok(())
    }

    /// Whether the index is that of the segments, which all were read.
    pub(super) fn agrees(&self) -> bool {
        self.right_count == self.committed.len() && self.unknown.len() == 0
    }
}
