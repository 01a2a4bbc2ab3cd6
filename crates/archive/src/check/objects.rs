//! What is stored, and whether archives refer to it.
//!
//! Where nothing is changed, and the repository can tell by itself what it has, there is a bit for each object, by its place
//! in the repository's index. Else there is a table of all objects: in memory, or where there is little of that in a
//! temporary file.

mod marked;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironborg_cache::{ChunkSizes, ChunkTable};
use ironborg_repository::Repository;
use ironborg_storage::{ScratchSpace, ScratchTable};
use ironborg_types::ChunkId;

use super::CheckMode;
use crate::ArchiveError;
use marked::Marked;

/// Ids asked of the repository in one go.
const PAGE: usize = 100_000;
/// In a [`ScratchTable`]: nothing refers to the object, or something does.
const UNREFERENCED: [u8; 4] = [0; 4];
const REFERENCED: [u8; 4] = [1, 0, 0, 0];

/// All objects of a repository, each with whether something was found to refer to it.
pub(super) struct Objects {
    table: Table,
    has_manifest: bool,
    /// Why a table in a file was of no use.
    failure: Mutex<Option<ArchiveError>>,
}

enum Table {
    Whole(ChunkTable),
    Scratch(Mutex<ScratchTable<4>>),
    Marked(Marked),
}

impl Objects {
    /// What the repository has; nothing refers to it so far. If there is little memory, `space` is where there is more.
    pub(super) fn of(
        repository: &dyn Repository,
        mode: CheckMode,
        space: Option<&ScratchSpace>,
    ) -> Result<Self, ArchiveError> {
        let places = match mode {
            CheckMode::Look | CheckMode::Plan => repository.id_places()?,
            CheckMode::Repair => None,
        };
        let table = match (places, space) {
            (Some(places), _) => Table::Marked(Marked::new(places)),
            (None, Some(space)) => Table::Scratch(Mutex::new(listed(repository, space)?)),
            (None, None) => Table::Whole(ChunkTable::from_repository(repository)?),
        };
        Ok(Self {
            table,
            has_manifest: repository.contains(&ChunkId::MANIFEST)?,
            failure: Mutex::new(None),
        })
    }

    /// How many there are, the manifest included.
    pub(super) fn len(&self) -> usize {
        let manifest = usize::from(self.has_manifest);
        match &self.table {
            Table::Whole(table) => table.len() + manifest,
            Table::Scratch(table) => lock(table).len() + manifest,
            Table::Marked(marked) => marked.len() + manifest,
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the manifest is stored.
    pub(super) fn has_manifest(&self) -> bool {
        self.has_manifest
    }

    /// Whether an object is stored. The manifest counts as none: archives do not refer to it.
    pub(super) fn contains(&self, id: &ChunkId) -> bool {
        match &self.table {
            Table::Whole(table) => table.get(id).is_some(),
            Table::Scratch(table) => self.look(|| Ok(lock(table).get(&id.0)?.is_some())),
            Table::Marked(marked) => self.look(|| marked.contains(id)),
        }
    }

    /// Notes a reference to an object that is stored; `false`, and nothing noted, if it is not.
    pub(super) fn reference(&self, id: &ChunkId) -> bool {
        self.reference_all(std::slice::from_ref(id)) == 1
    }

    /// Notes references to objects, in turn, until one is not stored; how many there were before that.
    pub(super) fn reference_all(&self, ids: &[ChunkId]) -> usize {
        let one = |id: &ChunkId| match &self.table {
            Table::Whole(table) => table.reference(id).is_some(),
            Table::Scratch(table) => self.look(|| {
                let mut table = lock(table);
                let known = table.get(&id.0)?;
                if known == Some(UNREFERENCED) {
                    table.insert(&id.0, &REFERENCED)?;
                }
                Ok(known.is_some())
            }),
            Table::Marked(_) => unreachable!("all at once"),
        };
        match &self.table {
            Table::Marked(marked) => self.look_or(ids.len(), || marked.reference_all(ids)),
            _ => ids.iter().take_while(|id| one(id)).count(),
        }
    }

    /// Whether nothing was found so far that refers to an object.
    pub(super) fn is_unreferenced(&self, id: &ChunkId) -> bool {
        match &self.table {
            Table::Whole(table) => table.refs(id) == 0,
            Table::Scratch(table) => self.look(|| Ok(lock(table).get(&id.0)? != Some(REFERENCED))),
            Table::Marked(marked) => self.look(|| marked.is_unreferenced(id)),
        }
    }

    /// Shows every object nothing refers to, in any order.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(super) fn each_unreferenced(
        &self,
        look: &mut dyn FnMut(&ChunkId),
    ) -> Result<(), ArchiveError> {
        self.fail()?;
        match &self.table {
            Table::Whole(table) => table.unreferenced().iter().for_each(look),
            Table::Scratch(table) => {
                let (mut table, mut at) = (lock(table), 0);
                while let Some((next, id, value)) = table.next_entry(at)? {
                    at = next;
                    if value == UNREFERENCED {
                        look(&ChunkId(id));
                    }
                }
            }
            Table::Marked(marked) => marked.each_unreferenced(look)?,
        }
        Ok(())
    }

    /// Notes an object that the repair stores (or would), with one reference.
    pub(super) fn add(&self, id: &ChunkId) {
        if *id == ChunkId::MANIFEST {
            return; // Only a hostile archive refers to it.
        }
        match &self.table {
            Table::Whole(table) => table.add(id, 1, ChunkSizes::default()),
            Table::Scratch(table) => {
                self.look(|| Ok(lock(table).insert(&id.0, &REFERENCED)?.is_some()));
            }
            Table::Marked(marked) => marked.add(id),
        }
    }

    /// Notes that an object is not to be had any more.
    pub(super) fn remove(&mut self, id: &ChunkId) {
        if *id == ChunkId::MANIFEST {
            self.has_manifest = false;
            return;
        }
        match &self.table {
            Table::Whole(table) => table.note_removed(id),
            Table::Scratch(table) => {
                self.look(|| Ok(lock(table).remove(&id.0)?.is_some()));
            }
            Table::Marked(marked) => {
                self.look(|| marked.remove(id));
            }
        }
    }

    /// What was said since may be wrong if a table could not be read: nothing may be done then.
    ///
    /// # Errors
    /// Why it could not, once.
    pub(super) fn fail(&self) -> Result<(), ArchiveError> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    fn look(&self, look: impl FnOnce() -> Result<bool, ArchiveError>) -> bool {
        self.look_or(true, look)
    }

    /// What is said if nobody knows counts for nothing, see [`Objects::fail`].
    fn look_or<T>(&self, unknown: T, look: impl FnOnce() -> Result<T, ArchiveError>) -> T {
        look().unwrap_or_else(|error| {
            lock(&self.failure).get_or_insert(error);
            unknown
        })
    }
}

/// A table of all objects a repository lists but the manifest.
fn listed(
    repository: &dyn Repository,
    space: &ScratchSpace,
) -> Result<ScratchTable<4>, ArchiveError> {
    // In the order of the index these come one behind the other here, too.
    let mut table = ScratchTable::with_capacity(&space.pages(), repository.len()?);
    let mut marker = None;
    loop {
        let page = repository.list(Some(PAGE), marker.as_ref())?;
        let Some(last) = page.last() else {
            return Ok(table);
        };
        marker = Some(*last);
        for id in page.iter().filter(|id| **id != ChunkId::MANIFEST) {
            table.insert(&id.0, &UNREFERENCED)?;
        }
    }
}

// What is behind it is as it was between two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
