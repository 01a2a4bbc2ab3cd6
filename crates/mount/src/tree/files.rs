//! Chunk lists of the files that are being read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::content::FileChunks;
use crate::node::ItemPlace;

/// Bytes of memory that chunk lists take, of each of two generations.
const GENERATION_WEIGHT: usize = 4 << 20;

/// Chunk lists by the item they are of. Those nobody has asked for in a while are forgotten.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<ItemPlace, Arc<FileChunks>>,
    weight: usize,
    old: HashMap<ItemPlace, Arc<FileChunks>>,
}

impl Files {
    /// The chunk list of an item, if it is remembered.
    pub(super) fn get(&self, place: ItemPlace) -> Option<Arc<FileChunks>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.young.get(&place) {
            return Some(Arc::clone(file));
        }
        let file = files.old.remove(&place)?;
        files.insert(place, Arc::clone(&file));
        Some(file)
    }

    /// Remembers a chunk list, unless another thread has just done so: that one is returned then, as it knows who reads.
    pub(super) fn insert(&self, place: ItemPlace, file: Arc<FileChunks>) -> Arc<FileChunks> {
        if let Some(known) = self.get(place) {
            return known;
        }
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(place, Arc::clone(&file));
        file
    }
}

impl Generations {
    fn insert(&mut self, place: ItemPlace, file: Arc<FileChunks>) {
        if self.weight > GENERATION_WEIGHT {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += file.weight();
        self.young.insert(place, file);
    }
}

#[cfg(test)]
mod tests {
    use ironborg_format::item::ChunkEntry;
    use ironborg_types::ChunkId;

    use super::*;

    fn file(chunks: usize) -> Arc<FileChunks> {
        let chunk = ChunkEntry {
            id: ChunkId([1; 32]),
            size: 1,
            csize: 1,
        };
        Arc::new(FileChunks::new(&vec![chunk; chunks]))
    }

    #[test]
    fn what_is_used_stays() {
        let files = Files::default();
        let kept = files.insert(ItemPlace(0), file(1));
        for n in 1..10_000 {
            files.insert(ItemPlace(n), file(20));
            let again = files
                .get(ItemPlace(0))
                .expect("it is asked for all the time");
            assert!(Arc::ptr_eq(&again, &kept));
        }
        assert!(files.get(ItemPlace(1)).is_none());
        let generations = files.0.into_inner().unwrap();
        let entries = generations.young.len() + generations.old.len();
        assert!(
            entries * file(20).weight() <= 2 * GENERATION_WEIGHT + 10_000,
            "{entries}"
        );
    }

    #[test]
    fn of_two_the_first_is_kept() {
        let files = Files::default();
        let first = files.insert(ItemPlace(3), file(1));
        let second = files.insert(ItemPlace(3), file(1));
        assert!(Arc::ptr_eq(&first, &second));
    }
}
