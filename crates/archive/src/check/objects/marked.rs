//! A bit for each object, by its place in the repository's index, while that does not change.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ironborg_repository::IdPlaces;
use ironborg_types::ChunkId;

use super::lock;
use crate::ArchiveError;

/// The objects. Memory: a bit for each bucket of the index, and what a repair would add and remove.
pub(super) struct Marked {
    ids: Arc<dyn IdPlaces>,
    has_manifest: bool,
    referenced: Box<[AtomicU64]>,
    /// Whether a repair would have changed anything so far.
    is_changed: AtomicBool,
    changes: Mutex<Changes>,
    places: Mutex<Vec<Option<usize>>>,
}

#[derive(Default)]
struct Changes {
    /// Stored by the repair, with a reference.
    added: HashSet<ChunkId>,
    removed: HashSet<ChunkId>,
}

impl Marked {
    pub(super) fn new(ids: Arc<dyn IdPlaces>) -> Self {
        let words = ids.place_count().div_ceil(64);
        let mut places = Vec::new();
        let located = ids.locate(&[ChunkId::MANIFEST], &mut places);
        Self {
            // Whoever looks for it elsewhere gets the error.
            has_manifest: located.is_ok() && matches!(places.first(), Some(Some(_))),
            ids,
            referenced: (0..words).map(|_| AtomicU64::new(0)).collect(),
            is_changed: AtomicBool::new(false),
            changes: Mutex::default(),
            places: Mutex::new(places),
        }
    }

    /// How many there are, but for the manifest.
    pub(super) fn len(&self) -> usize {
        let stored = self.ids.len() - usize::from(self.has_manifest);
        let changes = lock(&self.changes);
        stored + changes.added.len() - changes.removed.len()
    }

    pub(super) fn contains(&self, id: &ChunkId) -> Result<bool, ArchiveError> {
        Ok(match self.changed(id) {
            Some(is_there) => is_there,
            None => self.place(id)?.is_some(),
        })
    }

    pub(super) fn reference_all(&self, ids: &[ChunkId]) -> Result<usize, ArchiveError> {
        let mut places = lock(&self.places);
        // Side by side: the processor waits for several at once.
        self.ids.locate(ids, &mut places)?;
        for (number, (id, place)) in ids.iter().zip(places.iter()).enumerate() {
            match (self.changed(id), place) {
                (Some(true), _) => {}
                (None, Some(place)) if *id != ChunkId::MANIFEST => {
                    let word = &self.referenced[place / 64];
                    // Only one thread counts.
                    let bits = word.load(Ordering::Relaxed) | 1 << (place % 64);
                    word.store(bits, Ordering::Relaxed);
                }
                _ => return Ok(number),
            }
        }
        Ok(ids.len())
    }

    pub(super) fn is_unreferenced(&self, id: &ChunkId) -> Result<bool, ArchiveError> {
        Ok(match self.changed(id) {
            Some(is_there) => !is_there,
            None => self
                .place(id)?
                .is_none_or(|place| !self.is_referenced(place)),
        })
    }

    pub(super) fn each_unreferenced(
        &self,
        look: &mut dyn FnMut(&ChunkId),
    ) -> Result<(), ArchiveError> {
        Ok(self.ids.for_each(&mut |place, id| {
            if !self.is_referenced(place) && id != ChunkId::MANIFEST && self.changed(&id).is_none()
            {
                look(&id);
            }
            Ok(())
        })?)
    }

    pub(super) fn add(&self, id: &ChunkId) {
        let mut changes = lock(&self.changes);
        changes.added.insert(*id);
        self.is_changed.store(true, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, id: &ChunkId) -> Result<bool, ArchiveError> {
        let is_stored = self.place(id)?.is_some();
        let mut changes = lock(&self.changes);
        if !changes.added.remove(id) && is_stored {
            changes.removed.insert(*id);
        }
        self.is_changed.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Whether an object is there after what the repair would have changed; `None` if that has nothing to do with it.
    fn changed(&self, id: &ChunkId) -> Option<bool> {
        if !self.is_changed.load(Ordering::Relaxed) {
            return None;
        }
        let changes = lock(&self.changes);
        match (changes.added.contains(id), changes.removed.contains(id)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    fn place(&self, id: &ChunkId) -> Result<Option<usize>, ArchiveError> {
        if *id == ChunkId::MANIFEST {
            return Ok(None);
        }
        let mut places = lock(&self.places);
        self.ids.locate(std::slice::from_ref(id), &mut places)?;
        Ok(places.first().copied().flatten())
    }

    fn is_referenced(&self, place: usize) -> bool {
        self.referenced[place / 64].load(Ordering::Relaxed) >> (place % 64) & 1 == 1
    }
}
