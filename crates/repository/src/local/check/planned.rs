//! Reading a repository as a repair would leave it, while nothing is changed.

use ironborg_types::{ChunkId, SegmentId};

use super::Built;
use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::local::{Loaded, LocalRepository, StoredIndex};

impl LocalRepository {
    /// From now on the repository is read as a repair would leave it. What was whole in damaged segments is found
    /// where it lies; as no header leads there, the order of storage is made of the index.
    pub(super) fn read_as_planned(
        &mut self,
        transaction: SegmentId,
        built: Built,
    ) -> Result<(), RepositoryError> {
        let mut order = Vec::new();
        if built.any_salvaged {
            let mut places: Vec<(EntryLocation, ChunkId)> = Vec::new();
            built.state.index.for_each(|id, at| {
                places.push((at, id));
                Ok(())
            })?;
            places.sort_unstable();
            order = places.into_iter().map(|(_, id)| id).collect();
        }
        self.planned = Some(order);
        self.set_loaded(Some(Loaded {
            id: Some(transaction),
            state: built.state,
            has_hints: true,
            stored: StoredIndex::default(),
        }));
        Ok(())
    }
}
