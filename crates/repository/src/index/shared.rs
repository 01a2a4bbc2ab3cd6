//! The index of the state at hand, in memory or in its file, which many threads may ask while one changes it.
//!
//! What is written to segments is written without holding it: it is locked for one entry at a time.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ironborg_format::hashindex::Patched;
use ironborg_format::integrity::integrity_data;
use ironborg_storage::Storage;
use ironborg_types::ChunkId;

use super::filed::FiledIndex;
use super::scratch::ScratchIndex;
use super::{EntryLocation, Index};
use crate::{IdPlaces, RepositoryError};

/// One index; a clone is another handle on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedIndex(Arc<RwLock<Table>>);

#[derive(Debug)]
enum Table {
    Loaded(Index),
    Filed(Box<FiledIndex>),
    /// Made within little memory; never loaded.
    Scratch(Box<ScratchIndex>),
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
            Table::Scratch(table) => table.size(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.read() {
            Table::Loaded(index) => index.len(),
            Table::Filed(file) => file.len(),
            Table::Scratch(table) => table.len(),
        }
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        let (found, is_worth_loading) = match &*self.read() {
            Table::Loaded(index) => return Ok(index.get(id)),
            Table::Scratch(table) => return table.get(id),
            Table::Filed(file) => file.get(id)?,
        };
        if is_worth_loading {
            loaded(&mut self.write())?;
        }
        Ok(found)
    }

    pub(crate) fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.get(id)?.is_some())
    }

    /// Whether each of `ids` is there, into `found`.
    pub(crate) fn contains_each(
        &self,
        ids: &[ChunkId],
        found: &mut Vec<bool>,
    ) -> Result<(), RepositoryError> {
        if let Table::Loaded(index) = &*self.read() {
            found.extend(index.contains_each(ids));
            return Ok(());
        }
        for id in ids {
            found.push(self.contains(id)?);
        }
        Ok(())
    }

    pub(crate) fn insert(&self, id: &ChunkId, at: EntryLocation) -> Result<(), RepositoryError> {
        let mut table = self.write();
        match &mut *table {
            Table::Scratch(table) => return table.insert(id, at),
            Table::Filed(file) => {
                if let Patched::Done(_) = file.insert(id, at)? {
                    return Ok(());
                }
            }
            Table::Loaded(_) => {}
        }
        loaded(&mut table)?.insert(id, at);
        Ok(())
    }

    pub(crate) fn remove(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        let mut table = self.write();
        match &mut *table {
            Table::Scratch(table) => return table.remove(id),
            Table::Filed(file) => {
                if let Patched::Done(old) = file.remove(id)? {
                    return Ok(old.map(EntryLocation::decode));
                }
            }
            Table::Loaded(_) => {}
        }
        Ok(loaded(&mut table)?.remove(id))
    }

    /// Loads the table if it is in its file.
    pub(crate) fn load(&self) -> Result<(), RepositoryError> {
        let mut table = self.write();
        if let Table::Filed(_) = &*table {
            loaded(&mut table)?;
        }
        Ok(())
    }

    /// What many threads can look at at once; whoever wants to change it, or asks so much that it is to be loaded, waits.
    pub(crate) fn view(&self) -> IndexView<'_> {
        IndexView(self.read())
    }

    /// Everything, in bucket order.
    pub(crate) fn for_each(
        &self,
        mut look: impl FnMut(ChunkId, EntryLocation) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        match &*self.read() {
            Table::Loaded(index) => index.iter().try_for_each(|(id, at)| look(id, at)),
            Table::Filed(file) => file.for_each(&mut look),
            Table::Scratch(table) => table.for_each(&mut look),
        }
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
            Table::Scratch(table) => table.ids(limit, marker)?,
        })
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
            Table::Scratch(table) => table.stage(storage, name),
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

/// An index that nobody changes meanwhile.
pub(crate) struct IndexView<'a>(RwLockReadGuard<'a, Table>);

impl IndexView<'_> {
    pub(crate) fn len(&self) -> usize {
        match &*self.0 {
            Table::Loaded(index) => index.len(),
            Table::Filed(file) => file.len(),
            Table::Scratch(table) => table.len(),
        }
    }

    /// Where an object is.
    pub(crate) fn get(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        match &*self.0 {
            Table::Loaded(index) => Ok(index.get(id)),
            Table::Filed(file) => Ok(file.get(id)?.0),
            Table::Scratch(table) => table.get(id),
        }
    }

    /// How many places [`IndexView::locate`] may give.
    pub(crate) fn place_count(&self) -> usize {
        match &*self.0 {
            Table::Loaded(index) => index.bucket_count(),
            Table::Filed(file) => file.bucket_count(),
            Table::Scratch(table) => table.bucket_count(),
        }
    }

    /// The place of an id in the table, which no other id has, and where its object is.
    pub(crate) fn locate(
        &self,
        id: &ChunkId,
    ) -> Result<Option<(usize, EntryLocation)>, RepositoryError> {
        match &*self.0 {
            Table::Loaded(index) => Ok(index.locate(id)),
            Table::Filed(file) => Ok(file.locate(id)?),
            Table::Scratch(table) => table.locate(id),
        }
    }
}

/// An index for those who note something of each of its ids, by their places.
#[derive(Debug)]
pub(crate) struct PlacedIds(pub(crate) SharedIndex);

impl IdPlaces for PlacedIds {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn place_count(&self) -> usize {
        self.0.view().place_count()
    }

    fn locate(
        &self,
        ids: &[ChunkId],
        places: &mut Vec<Option<usize>>,
    ) -> Result<(), RepositoryError> {
        places.clear();
        let view = self.0.view();
        for id in ids {
            places.push(view.locate(id)?.map(|(place, _)| place));
        }
        Ok(())
    }

    fn for_each(
        &self,
        look: &mut dyn FnMut(usize, ChunkId) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        match &*self.0.read() {
            Table::Loaded(index) => index.for_each_place(look),
            Table::Filed(file) => file.for_each_place(look),
            Table::Scratch(table) => table.for_each_place(look),
        }
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
        Table::Scratch(_) => unreachable!("it does by itself what others are loaded for"),
    }
}

impl From<Index> for SharedIndex {
    fn from(index: Index) -> Self {
        Self(Arc::new(RwLock::new(Table::Loaded(index))))
    }
}

impl From<ScratchIndex> for SharedIndex {
    fn from(table: ScratchIndex) -> Self {
        Self(Arc::new(RwLock::new(Table::Scratch(Box::new(table)))))
    }
}

impl From<FiledIndex> for SharedIndex {
    fn from(file: FiledIndex) -> Self {
        Self(Arc::new(RwLock::new(Table::Filed(Box::new(file)))))
    }
}
