//! Which ids are stored, for threads that ask while another one stores and deletes.

use std::sync::{PoisonError, RwLock};

use ironborg_types::ChunkId;

use crate::index::SharedIndex;
use crate::{RepositoryError, StoredIds};

/// The index of the state a repository has loaded, if it has one.
#[derive(Debug, Default)]
pub(super) struct CurrentIndex(RwLock<Option<SharedIndex>>);

impl CurrentIndex {
    /// From now on this is the index; `None`: nothing is known.
    pub(super) fn set(&self, index: Option<SharedIndex>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

impl StoredIds for CurrentIndex {
    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Behind a failed commit nobody knows what is stored: then nothing is.
        index.as_ref().map_or(Ok(false), |index| index.contains(id))
    }

    fn contains_each(
        &self,
        ids: &[ChunkId],
        stored: &mut Vec<bool>,
    ) -> Result<(), RepositoryError> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = index.as_ref() {
            return index.contains_each(ids, stored);
        }
        stored.resize(stored.len() + ids.len(), false);
        Ok(())
    }
}
