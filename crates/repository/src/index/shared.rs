//! The index of the state at hand, which many threads may ask while one changes it.
//!
//! What is written to segments is written without holding it: it is locked for one entry at a time.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ironborg_types::ChunkId;

use super::{EntryLocation, Index};

/// One index; a clone is another handle on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedIndex(Arc<RwLock<Index>>);

impl SharedIndex {
    /// Bytes the file has.
    pub(crate) fn size(&self) -> u64 {
        self.read().size()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Option<EntryLocation> {
        self.read().get(id)
    }

    pub(crate) fn contains(&self, id: &ChunkId) -> bool {
        self.read().contains(id)
    }

    pub(crate) fn insert(&self, id: &ChunkId, at: EntryLocation) -> Option<EntryLocation> {
        self.write().insert(id, at)
    }

    pub(crate) fn remove(&self, id: &ChunkId) -> Option<EntryLocation> {
        self.write().remove(id)
    }

    /// Ids behind `marker` in bucket order; none if there is no such id.
    pub(crate) fn ids(&self, limit: Option<usize>, marker: Option<&ChunkId>) -> Vec<ChunkId> {
        self.read().ids(limit, marker)
    }

    /// Looks at all of it; whoever wants to change it waits.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.read())
    }

    /// The index itself. Other handles are left with an empty one.
    pub(crate) fn take(self) -> Index {
        std::mem::take(&mut *self.write())
    }

    // A thread that panicked left the index as it was between two entries.
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Index> for SharedIndex {
    fn from(index: Index) -> Self {
        Self(Arc::new(RwLock::new(index)))
    }
}
