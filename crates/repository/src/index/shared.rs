//! The index of the state at hand, in memory or in its file, which many threads may ask while one changes it.
//!
//! What is written to segments is written without holding it: it is locked for one entry at a time.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ironborg_format::hashindex::Patched;
use ironborg_format::integrity::integrity_data;
use ironborg_storage::Storage;
use ironborg_types::ChunkId;

use super::filed::FiledIndex;
use super::{EntryLocation, Index};
use crate::RepositoryError;

/// One index; a clone is another handle on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedIndex(Arc<RwLock<Table>>);

#[derive(Debug)]
enum Table {
    Loaded(Index),
    Filed(Box<FiledIndex>),
}

impl Default for Table {
    fn default() -> Self {
        Self::Loaded(Index::default())
    }
}

impl SharedIndex {
    /// Bytes the file has.
    pub(crate) fn size(&self) -> u64 {
        match &*self.read() {
            Table::Loaded(index) => index.size(),
            Table::Filed(file) => file.size(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.read() {
            Table::Loaded(index) => index.len(),
            Table::Filed(file) => file.len(),
        }
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        let (found, is_worth_loading) = match &*self.read() {
            Table::Loaded(index) => return Ok(index.get(id)),
            Table::Filed(file) => file.get(id)?,
        };
        if is_worth_loading {
            self.load()?;
        }
        Ok(found)
    }

    pub(crate) fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.get(id)?.is_some())
    }

    pub(crate) fn insert(&self, id: &ChunkId, at: EntryLocation) -> Result<(), RepositoryError> {
        let mut table = self.write();
        if let Table::Filed(file) = &mut *table
            && let Patched::Done(_) = file.insert(id, at)?
        {
            return Ok(());
        }
        loaded(&mut table)?.insert(id, at);
        Ok(())
    }

    pub(crate) fn remove(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        let mut table = self.write();
        if let Table::Filed(file) = &mut *table
            && let Patched::Done(old) = file.remove(id)?
        {
            return Ok(old.map(EntryLocation::decode));
        }
        Ok(loaded(&mut table)?.remove(id))
    }

    /// Ids behind `marker` in bucket order; none if there is no such id.
    pub(crate) fn ids(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        Ok(match &*self.read() {
            Table::Loaded(index) => index.ids(limit, marker),
            Table::Filed(file) => file.ids(limit, marker)?,
        })
    }

    /// Loads the table if it is not in memory: no lookup fails from now on.
    pub(crate) fn load(&self) -> Result<(), RepositoryError> {
        loaded(&mut self.write()).map(drop)
    }

    /// Looks at all of it, in memory; whoever wants to change it waits.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, RepositoryError> {
        self.load()?;
        match &*self.read() {
            Table::Loaded(index) => Ok(look(index)),
            Table::Filed(_) => unreachable!("what is loaded stays so"),
        }
    }

    /// The index itself. Other handles are left with an empty one.
    pub(crate) fn take(self) -> Result<Index, RepositoryError> {
        Ok(std::mem::take(loaded(&mut self.write())?))
    }

    /// Stages the file `name`; gives its integrity data.
    pub(crate) fn stage(
        &self,
        storage: &dyn Storage,
        name: &str,
    ) -> Result<String, RepositoryError> {
        match &*self.read() {
            Table::Loaded(index) => {
                let (header, buckets) = index.parts();
                storage.stage(name, &[&header, buckets])?;
                Ok(integrity_data(name, &[&header, buckets], true))
            }
            Table::Filed(file) => file.stage(name),
        }
    }

    /// What was staged is in its place, and what it was made of may go.
    pub(crate) fn settle(&self, name: &str, integrity: &str) {
        if let Table::Filed(file) = &mut *self.write() {
            file.settle(name, integrity);
        }
    }

    // A thread that panicked left the index as it was between two entries.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table in memory, loaded if need be.
fn loaded(table: &mut Table) -> Result<&mut Index, RepositoryError> {
    if let Table::Filed(file) = table {
        *table = Table::Loaded(file.load()?);
    }
    match table {
        Table::Loaded(index) => Ok(index),
        Table::Filed(_) => unreachable!("it was loaded"),
    }
}

impl From<Index> for SharedIndex {
    fn from(index: Index) -> Self {
        Self(Arc::new(RwLock::new(Table::Loaded(index))))
    }
}

impl From<FiledIndex> for SharedIndex {
    fn from(file: FiledIndex) -> Self {
        Self(Arc::new(RwLock::new(Table::Filed(Box::new(file)))))
    }
}
