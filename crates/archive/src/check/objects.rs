//! What is stored, and how often archives refer to it.

use ironborg_cache::{ChunkSizes, ChunkTable};
use ironborg_repository::Repository;
use ironborg_types::ChunkId;

use crate::ArchiveError;

/// All objects of a repository, each with the references counted so far. May be asked from many threads at once.
pub(super) struct Objects {
    table: ChunkTable,
    has_manifest: bool,
}

impl Objects {
    /// What the repository lists; nothing is counted yet.
    pub(super) fn of(repository: &dyn Repository) -> Result<Self, ArchiveError> {
        Ok(Self {
            table: ChunkTable::from_repository(repository)?,
            has_manifest: repository.contains(&ChunkId::MANIFEST)?,
        })
    }

    /// How many there are, the manifest included.
    pub(super) fn len(&self) -> usize {
        self.table.len() + usize::from(self.has_manifest)
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
        self.table.get(id).is_some()
    }

    /// Counts a reference to an object that is stored; `false`, and nothing counted, if it is not.
    pub(super) fn reference(&self, id: &ChunkId) -> bool {
        self.table.reference(id).is_some()
    }

    /// References counted so far.
    pub(super) fn refs(&self, id: &ChunkId) -> u32 {
        self.table.refs(id)
    }

    /// What nothing refers to.
    pub(super) fn unreferenced(&self) -> Vec<ChunkId> {
        self.table.unreferenced()
    }

    /// Notes an object that the repair stores (or would), with one reference.
    pub(super) fn add(&self, id: &ChunkId) {
        self.table.add(id, 1, ChunkSizes::default());
    }

    /// Notes that an object is not to be had any more.
    pub(super) fn remove(&mut self, id: &ChunkId) {
        if *id == ChunkId::MANIFEST {
            self.has_manifest = false;
        } else {
            self.table.note_removed(id);
        }
    }
}
