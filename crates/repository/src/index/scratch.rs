//! An index that is made anew where there is little memory: as in memory, bucket by bucket, but kept in a temporary file.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironborg_format::integrity::IntegrityWriter;
use ironborg_storage::{ScratchSpace, ScratchTable, Storage, StorageError};
use ironborg_types::ChunkId;

use super::EntryLocation;
use crate::RepositoryError;

/// Pages written at once.
const PAGES_AT_ONCE: usize = 64;

/// The table; a lookup may bring another part of it into memory.
#[derive(Debug)]
pub(crate) struct ScratchIndex(Mutex<ScratchTable<8>>);

impl ScratchIndex {
    /// An empty one that takes so many entries without growing.
    pub(crate) fn with_capacity(space: &ScratchSpace, entries: usize) -> Self {
        let table = ScratchTable::with_capacity(&space.pages(), entries);
        Self(Mutex::new(table))
    }

    pub(super) fn size(&self) -> u64 {
        self.lock().size()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.lock().bucket_count()
    }

    pub(super) fn locate(
        &self,
        id: &ChunkId,
    ) -> Result<Option<(usize, EntryLocation)>, RepositoryError> {
        let found = self.lock().locate(&id.0)?;
        Ok(found.map(|(bucket, value)| (bucket, EntryLocation::decode(value))))
    }

    pub(super) fn get(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        Ok(self.lock().get(&id.0)?.map(EntryLocation::decode))
    }

    pub(super) fn insert(&self, id: &ChunkId, at: EntryLocation) -> Result<(), RepositoryError> {
        self.lock().insert(&id.0, &at.encode())?;
        Ok(())
    }

    pub(super) fn remove(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        Ok(self.lock().remove(&id.0)?.map(EntryLocation::decode))
    }

    pub(super) fn for_each(
        &self,
        look: &mut dyn FnMut(ChunkId, EntryLocation) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut at = 0;
        while let Some((next, id, value)) = self.next_entry(at)? {
            at = next;
            look(ChunkId(id), EntryLocation::decode(value))?;
        }
        Ok(())
    }

    /// Everything with its bucket, in this order.
    pub(super) fn for_each_place(
        &self,
        look: &mut dyn FnMut(usize, ChunkId) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut at = 0;
        while let Some((next, id, _)) = self.next_entry(at)? {
            at = next;
            look(next - 1, ChunkId(id))?;
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "a bucket, a key and a value")]
    fn next_entry(&self, at: usize) -> Result<Option<(usize, [u8; 32], [u8; 8])>, StorageError> {
        self.lock().next_entry(at)
    }

    /// Ids behind `marker` in bucket order; none if there is no such id.
    pub(super) fn ids(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, StorageError> {
        let mut table = self.lock();
        let first = match marker {
            None => Some(0),
            Some(marker) => table.behind(&marker.0)?,
        };
        let (mut ids, Some(mut at)) = (Vec::new(), first) else {
            return Ok(Vec::new());
        };
        while limit.is_none_or(|limit| ids.len() < limit)
            && let Some((next, id, _)) = table.next_entry(at)?
        {
            at = next;
            ids.push(ChunkId(id));
        }
        Ok(ids)
    }

    /// Stages the file `name`; gives its integrity data.
    pub(super) fn stage(
        &self,
        storage: &dyn Storage,
        name: &str,
    ) -> Result<String, RepositoryError> {
        let mut table = self.lock();
        let mut digest = IntegrityWriter::new(name);
        let mut next = None;
        storage.stage_pieces(name, &mut |piece| {
            piece.clear();
            if let Some(first) = next {
                for number in first..first + PAGES_AT_ONCE {
                    piece.extend_from_slice(table.buckets_of(number)?.unwrap_or_default());
                }
                digest.update(piece);
                next = Some(first + PAGES_AT_ONCE);
            } else {
                piece.extend_from_slice(&table.header());
                digest.update(piece);
                digest.end_header();
                next = Some(0);
            }
            Ok(())
        })?;
        Ok(digest.finish())
    }

    // A thread that panicked left the table as it was between two entries.
    fn lock(&self) -> MutexGuard<'_, ScratchTable<8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
