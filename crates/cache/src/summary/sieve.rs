//! Which of a few chunks other archives refer to, too: their summaries are read once, from the beginning to the end, and
//! compared while they are verified. What one archive has in common with its neighbour is nearly everything, so little is
//! left to be looked for after the first.
//!
//! Memory: the chunks that are looked for, twice, and a byte for each of them and thread.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ironborg_types::ChunkId;

use super::{ArchiveSummary, HEAD_LEN, RECORD_LEN, WHOLE, decode_head};
use crate::cache_file::Fields;

type Record = [u8; RECORD_LEN];

/// Chunks that no summary referred to so far, by ascending id.
#[derive(Debug)]
pub struct Sieve {
    left: Mutex<Arc<Vec<ChunkId>>>,
}

impl Sieve {
    /// All chunks that are looked for, in any order and more than once if need be.
    pub fn new(mut ids: Vec<ChunkId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self {
            left: Mutex::new(Arc::new(ids)),
        }
    }

    /// Takes out what `summary` refers to.
    pub fn sift(&self, summary: &ArchiveSummary) {
        let mut pass = self.pass();
        pass.content_left = summary.counts()[0];
        let (records, _) = summary.records().as_chunks();
        pass.compare(records);
        self.take_out(&pass);
    }

    /// What no summary referred to, by ascending id.
    pub fn into_left(self) -> Vec<ChunkId> {
        let left = self
            .left
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::unwrap_or_clone(left)
    }

    /// Begins with another summary.
    pub(super) fn pass(&self) -> Pass {
        let sought = Arc::clone(&self.lock());
        Pass {
            found: vec![false; sought.len()],
            sought,
            at: [0; 2],
            content_left: 0,
            has_head: false,
            begun: Vec::with_capacity(RECORD_LEN),
        }
    }

    /// Takes out what one summary, which is whole, referred to.
    pub(super) fn take_out(&self, pass: &Pass) {
        if !pass.found.contains(&true) {
            return;
        }
        let mut left = self.lock();
        // What is left is a part of what was sought when the pass began; others may have made it less since.
        let mut sought = pass.sought.iter().zip(&pass.found);
        let still = |id: &&ChunkId| {
            let same = sought.find(|(other, _)| other == id);
            same.is_some_and(|(_, found)| !found)
        };
        let still: Vec<ChunkId> = left.iter().filter(still).copied().collect();
        *left = Arc::new(still);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<ChunkId>>> {
        // It is replaced as a whole.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One summary on its way through the sieve.
pub(super) struct Pass {
    sought: Arc<Vec<ChunkId>>,
    found: Vec<bool>,
    /// What is next in `sought`, for records about content and for those about metadata.
    at: [usize; 2],
    /// Records about content that are still to come.
    content_left: u64,
    has_head: bool,
    /// The beginning of a record whose end is in the next piece.
    begun: Vec<u8>,
}

impl Pass {
    /// Takes the next piece of a summary's file, what is before the body left out. The first one has the head in it, or
    /// the file is found too short to be a summary.
    pub(super) fn feed(&mut self, mut piece: &[u8]) {
        if !self.has_head {
            let Some((head, rest)) = piece.split_at_checked(HEAD_LEN) else {
                return;
            };
            let (_, [content_count, _]) = decode_head(&mut Fields(head)).expect(WHOLE);
            (self.content_left, self.has_head) = (content_count, true);
            piece = rest;
        }
        if !self.begun.is_empty() {
            let missing = piece.len().min(RECORD_LEN - self.begun.len());
            let (end, rest) = piece.split_at(missing);
            self.begun.extend_from_slice(end);
            piece = rest;
            let Some(record) = self.begun.first_chunk().copied() else {
                return;
            };
            self.begun.clear();
            self.compare(&[record]);
        }
        let (records, begun) = piece.as_chunks();
        self.compare(records);
        self.begun.extend_from_slice(begun);
    }

    fn compare(&mut self, records: &[Record]) {
        let content_left = usize::try_from(self.content_left).unwrap_or(usize::MAX);
        let (content, metadata) = records.split_at(content_left.min(records.len()));
        self.content_left -= content.len() as u64;
        self.compare_section(0, content);
        self.compare_section(1, metadata);
    }

    /// Compares records by ascending id with what is sought.
    fn compare_section(&mut self, section: usize, records: &[Record]) {
        let sought = self.sought.as_slice();
        let key_at = |at: usize| sought.get(at).map(|id| key(&id.0));
        let mut at = self.at[section];
        let mut next = key_at(at);
        for record in records {
            let record_key = key(record);
            while let Some(sought_key) = next
                && sought_key <= record_key
            {
                // The beginning of an id is all of it but for one pair in very many.
                match sought[at].0.as_slice().cmp(&record[..ChunkId::LEN]) {
                    Ordering::Less => {}
                    Ordering::Equal => self.found[at] = true,
                    Ordering::Greater => break,
                }
                at += 1;
                next = key_at(at);
            }
        }
        self.at[section] = at;
    }
}

fn key(record: &[u8]) -> u64 {
    u64::from_be_bytes(*record.first_chunk().expect(WHOLE))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use ironborg_format::item::ChunkEntry;
    use ironborg_storage::{MemoryStorage, Storage};
    use ironborg_types::{ArchiveId, NullReporter, RepositoryId};

    use super::*;
    use crate::{SummaryBuilder, SummaryStore};

    /// More than fit into a piece of a file; those with numbers that differ by one half of all begin alike.
    const CHUNKS: u32 = 20_000;

    fn id(number: u32) -> ChunkId {
        let mut id = [7; ChunkId::LEN];
        let key = u64::from(number % (CHUNKS / 2)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        id[..8].copy_from_slice(&key.to_be_bytes());
        id[28..].copy_from_slice(&number.to_be_bytes());
        ChunkId(id)
    }

    /// Refers to some numbers for content and some for metadata.
    fn summary(content: impl Iterator<Item = u32>, metadata: &[u32]) -> ArchiveSummary {
        let entry = |number: u32| ChunkEntry {
            id: id(number),
            size: 5,
            csize: 6,
        };
        let mut builder = SummaryBuilder::new();
        let content: Vec<ChunkEntry> = content.map(entry).collect();
        builder.add_file(&content, false);
        for number in metadata {
            builder.add_metadata(&entry(*number));
        }
        builder.finish()
    }

    fn sorted(numbers: impl Iterator<Item = u32>) -> Vec<ChunkId> {
        let mut ids: Vec<ChunkId> = numbers.map(id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn what_others_refer_to_falls_through() {
        let storage = Arc::new(MemoryStorage::new());
        let store = SummaryStore::new(storage, RepositoryId([1; 32]));
        let sieve = Sieve::new((0..CHUNKS).chain([3, 3]).map(id).collect());
        let others = [
            summary((0..CHUNKS).filter(|number| number % 3 == 0), &[1, 5]),
            summary((0..CHUNKS).filter(|number| number % 3 == 1), &[8]),
            summary([].into_iter(), &[11, CHUNKS + 1]),
        ];
        thread::scope(|scope| {
            for (number, summary) in (0..).zip(&others) {
                let (store, sieve) = (&store, &sieve);
                scope.spawn(move || {
                    let archive = ArchiveId([number; 32]);
                    store.save(&archive, summary).unwrap();
                    assert!(store.sift(&archive, sieve, &NullReporter));
                });
            }
        });
        let left = (0..CHUNKS).filter(|number| number % 3 == 2 && ![5, 8, 11].contains(number));
        assert_eq!(sieve.into_left(), sorted(left));
    }

    #[test]
    fn damaged_files_say_nothing() {
        let storage = Arc::new(MemoryStorage::new());
        let store = SummaryStore::new(Arc::clone(&storage) as _, RepositoryId([1; 32]));
        let archive = ArchiveId([3; 32]);
        let ids: Vec<ChunkId> = (0..20).map(id).collect();
        store.save(&archive, &summary(0..10, &[12])).unwrap();
        let name = super::super::file_name(&archive);
        let good = storage.read(&name).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            for bytes in [bad.as_slice(), &good[..at]] {
                storage.set(&name, bytes);
                let sieve = Sieve::new(ids.clone());
                assert!(!store.sift(&archive, &sieve, &NullReporter), "byte {at}");
                assert_eq!(sieve.into_left().len(), ids.len(), "byte {at}");
            }
        }
        storage.set(&name, good);
        let sieve = Sieve::new(ids);
        assert!(store.sift(&archive, &sieve, &NullReporter));
        assert_eq!(sieve.into_left(), sorted((10..20).filter(|n| *n != 12)));
    }
}
