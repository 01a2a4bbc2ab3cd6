//! What the chunk table promises its callers, among threads and across runs.

mod over;

use super::*;
use ironborg_repository::{CheckOptions, CompactOptions, RepositoryError};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{NonceStore, NullReporter, RepositoryId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const REPOSITORY: RepositoryId = RepositoryId([9; 32]);
const MANIFEST_HASH: ChunkId = ChunkId([7; 32]);

fn id(n: u32) -> ChunkId {
    let mut id = [1; 32];
    for part in id.chunks_exact_mut(4) {
        part.copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
    }
    id[31] = 1;
    ChunkId(id)
}

fn sized(size: u32, csize: u32) -> ChunkSizes {
    ChunkSizes { size, csize }
}

fn storage() -> (Arc<MemoryStorage>, Arc<dyn Storage>) {
    let storage = Arc::new(MemoryStorage::new());
    (Arc::clone(&storage), storage)
}

/// A repository that holds some ids and knows their stored lengths.
struct Ids {
    csizes: BTreeMap<ChunkId, u32>,
    asked: AtomicUsize,
}

impl Ids {
    fn new(csizes: impl IntoIterator<Item = (ChunkId, u32)>) -> Self {
        Self {
            csizes: csizes.into_iter().collect(),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Repository for Ids {
    fn id(&self) -> RepositoryId {
        REPOSITORY
    }
    fn location(&self) -> String {
        String::new()
    }
    fn len(&self) -> Result<usize, RepositoryError> {
        Ok(self.csizes.len())
    }
    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        let after = |id: &&ChunkId| marker.is_none_or(|marker| *id > marker);
        let ids = self.csizes.keys().filter(after).copied();
        // Pages are smaller than asked for, as a server's may be.
        Ok(ids.take(limit.unwrap_or(usize::MAX).min(3)).collect())
    }
    fn scan(&self, _: usize, _: Option<&ChunkId>) -> Result<Vec<ChunkId>, RepositoryError> {
        unreachable!("a table does not care about storage order")
    }
    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.csizes.contains_key(id))
    }
    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.csizes.get(id).copied())
    }
    fn storage_order(&self, _: &ChunkId) -> Option<u64> {
        None
    }
    fn get(&self, _: &ChunkId, _: &mut Vec<u8>) -> Result<(), RepositoryError> {
        unreachable!("a table reads no objects")
    }
    fn put(&mut self, _: &ChunkId, _: &[u8]) -> Result<(), RepositoryError> {
        unreachable!("a table writes no objects")
    }
    fn delete(&mut self, _: &ChunkId) -> Result<(), RepositoryError> {
        unreachable!("a table deletes no objects")
    }
    fn commit(&mut self) -> Result<(), RepositoryError> {
        unreachable!("a table commits nothing")
    }
    fn commit_compact(&mut self, _: CompactOptions) -> Result<(), RepositoryError> {
        unreachable!("a table compacts nothing")
    }
    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        unreachable!("a table has nothing to do with locks")
    }
    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        Ok(())
    }
    fn rollback(&mut self) -> Result<(), RepositoryError> {
        unreachable!("a table rolls nothing back")
    }
    fn check(&mut self, _: &CheckOptions) -> Result<bool, RepositoryError> {
        unreachable!("a table checks nothing")
    }
    fn destroy(&mut self) -> Result<(), RepositoryError> {
        unreachable!("a table destroys nothing")
    }
    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        unreachable!("a table needs no key")
    }
    fn save_key(&mut self, _: &[u8]) -> Result<(), RepositoryError> {
        unreachable!("a table keeps no key")
    }
    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        unreachable!("a table encrypts nothing")
    }
}

#[test]
fn a_claim_goes_from_new_over_in_flight_to_known() {
    let table = ChunkTable::new(0, Counts::Partial);
    assert_eq!(table.claim(&id(1), 100).unwrap(), Claim::New);
    assert_eq!(table.claim(&id(1), 100).unwrap(), Claim::InFlight);
    assert_eq!(table.reference(&id(1)), None);
    assert_eq!(table.get(&id(1)), None);
    table.fulfil(&id(1), sized(100, 60));
    assert_eq!(
        table.claim(&id(1), 100).unwrap(),
        Claim::Known(sized(100, 60))
    );
    assert_eq!(table.reference(&id(1)), Some(sized(100, 60)));
    assert_eq!(table.wait(&id(1)), Some(sized(100, 60)));
    assert_eq!(table.refs(&id(1)), 4);
    assert_eq!(table.reference(&id(2)), None);
    assert_eq!(table.refs(&id(2)), 0);
}

#[test]
fn an_abandoned_chunk_is_new_again() {
    let table = ChunkTable::new(0, Counts::Partial);
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::New);
    table.abandon(&id(1));
    assert_eq!(table.wait(&id(1)), None);
    assert!(table.is_empty());
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::New);
}

#[test]
fn one_id_with_two_lengths_is_refused() {
    let table = ChunkTable::new(0, Counts::Partial);
    table.add(&id(1), 1, sized(100, 60));
    let error = table.claim(&id(1), 101).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "chunk has same id [{}], but different size (stored: 100 new: 101)!",
            id(1)
        )
    );
    assert_eq!(table.refs(&id(1)), 1);
}

#[test]
fn of_many_workers_exactly_one_stores_each_chunk() {
    const WORKERS: u32 = 8;
    const CHUNKS: u32 = 2000;
    let table = ChunkTable::new(0, Counts::Complete);
    let stored = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (table, stored) = (&table, &stored);
            scope.spawn(move || {
                for n in 0..CHUNKS {
                    let n = (n * 7 + worker * 131) % CHUNKS;
                    match table.claim(&id(n), n + 1).unwrap() {
                        Claim::New => {
                            stored.fetch_add(1, Ordering::Relaxed);
                            table.fulfil(&id(n), sized(n + 1, n + 2));
                        }
                        Claim::InFlight => {
                            assert_eq!(table.wait(&id(n)), Some(sized(n + 1, n + 2)));
                        }
                        Claim::Known(sizes) => assert_eq!(sizes, sized(n + 1, n + 2)),
                    }
                }
            });
        }
    });
    assert_eq!(stored.into_inner(), CHUNKS as usize);
    assert!((0..CHUNKS).all(|n| table.refs(&id(n)) == WORKERS));
}

#[test]
fn waiting_ends_when_the_owner_gives_up() {
    let table = ChunkTable::new(0, Counts::Partial);
    assert_eq!(table.claim(&id(1), 1).unwrap(), Claim::New);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| table.wait(&id(1)));
        table.abandon(&id(1));
        assert_eq!(waiting.join().unwrap(), None);
    });
}

#[test]
fn a_repositorys_ids_are_known_and_their_lengths_asked_once() {
    let mut ids: Vec<(ChunkId, u32)> = (1..20).map(|n| (id(n), n * 10)).collect();
    ids.push((ChunkId::MANIFEST, 1));
    let repository = Ids::new(ids);
    let table = ChunkTable::from_repository(&repository).unwrap();
    assert_eq!((table.len(), table.counts()), (19, Counts::Partial));
    assert_eq!(table.ids_without_csize().len(), 19);
    assert_eq!(table.claim(&id(3), 77).unwrap(), Claim::Known(sized(77, 0)));
    for _ in 0..2 {
        assert_eq!(table.resolve_csize(&id(3), &repository).unwrap(), Some(30));
    }
    assert_eq!(repository.asked.load(Ordering::Relaxed), 1);
    assert_eq!(
        table.claim(&id(3), 77).unwrap(),
        Claim::Known(sized(77, 30))
    );
    assert_eq!(table.resolve_csize(&id(99), &repository).unwrap(), None);
    assert_eq!(table.ids_without_csize().len(), 18);
}

#[test]
fn counts_saturate_and_then_stay() {
    let table = ChunkTable::new(0, Counts::Complete);
    table.add(&id(1), u32::MAX, sized(1, 1));
    assert_eq!(table.refs(&id(1)), 4_294_966_271);
    assert_eq!(table.unreference(&id(1), 5).unwrap().refs, 4_294_966_271);
    table.add(&id(2), 3, sized(1, 2));
    assert_eq!(table.unreference(&id(2), 2).unwrap().refs, 1);
    let last = table.unreference(&id(2), 2).unwrap();
    assert_eq!((last.refs, last.sizes), (0, sized(1, 2)));
    assert_eq!(table.unreference(&id(2), 1), None);
}

#[test]
fn the_manifest_is_no_chunk() {
    let table = ChunkTable::new(0, Counts::Complete);
    table.add(&ChunkId::MANIFEST, 1, sized(1, 1));
    assert!(table.is_empty());
    assert_eq!(table.get(&ChunkId::MANIFEST), None);
    assert_eq!(table.unreference(&ChunkId::MANIFEST, 1), None);
}

#[test]
fn a_kept_table_tells_what_is_stored_and_what_it_was_in_step_with() {
    let (memory, storage) = storage();
    let kept = || ChunkTable::kept(&storage, REPOSITORY, &NullReporter);
    assert!(kept().is_none());
    let table = ChunkTable::new(0, Counts::Partial);
    for n in 1..500 {
        table.note_stored(&id(n), n % 7);
        table.claim(&id(n), 9).unwrap();
    }
    table.claim(&id(1000), 5).unwrap();
    table.note_removed(&id(77));
    table.keep(&storage, REPOSITORY, &MANIFEST_HASH).unwrap();
    let loaded = kept().unwrap();
    assert_eq!(loaded.manifest, MANIFEST_HASH);
    let loaded = loaded.table;
    // Neither what is only on its way, nor what was removed; and nothing is referred to yet.
    assert_eq!(loaded.len(), 498);
    assert!(loaded.get(&id(1000)).is_none() && loaded.get(&id(77)).is_none());
    assert!(
        (1..77).all(|n| loaded.get(&id(n)) == Some(sized(0, n % 7)) && loaded.refs(&id(n)) == 0)
    );

    let good = memory.read("stored").unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        memory.set("stored", bad);
        assert!(kept().is_none(), "damage at {at}");
        memory.set("stored", &good[..at]);
        assert!(kept().is_none(), "cut at {at}");
    }
}

#[test]
fn a_stored_length_is_learnt_only_where_it_was_unknown() {
    let table = ChunkTable::new(0, Counts::Partial);
    table.note_stored(&id(1), 0);
    table.note_stored(&id(2), 5);
    for n in 1..4 {
        table.learn_csize(&id(n), 8);
    }
    assert_eq!(table.get(&id(1)), Some(sized(0, 8)));
    assert_eq!(table.get(&id(2)), Some(sized(0, 5)));
    assert_eq!(table.get(&id(3)), None);
    assert!(table.seek_csizes());
    assert!(!table.seek_csizes());
}

proptest! {
    #[test]
    fn a_table_counts_as_a_map_does(
        operations in prop::collection::vec((any::<bool>(), 1_u32..40, 1_u32..9, 0_u32..5, 0_u32..5), 0..300)
    ) {
        let table = ChunkTable::new(0, Counts::Complete);
        let mut model: BTreeMap<u32, (u32, u32, u32)> = BTreeMap::new();
        for (is_add, n, refs, size, csize) in operations {
            if is_add {
                table.add(&id(n), refs, sized(size, csize));
                let entry = model.entry(n).or_default();
                entry.0 += refs;
                entry.1 = if entry.1 == 0 { size } else { entry.1 };
                entry.2 = if entry.2 == 0 { csize } else { entry.2 };
            } else {
                let left = table.unreference(&id(n), refs).map(|left| left.refs);
                let expected = model.get_mut(&n).map(|entry| {
                    entry.0 = entry.0.saturating_sub(refs);
                    entry.0
                });
                prop_assert_eq!(left, expected);
                model.retain(|_, entry| entry.0 > 0);
            }
        }
        let sum = |of: &dyn Fn(&(u32, u32, u32)) -> u32| model.values().map(|e| u64::from(of(e))).sum::<u64>();
        prop_assert_eq!(table.totals(), ChunkTotals {
            unique_chunks: model.len() as u64,
            total_chunks: sum(&|e| e.0),
            unique_size: sum(&|e| e.1),
            unique_csize: sum(&|e| e.2),
            total_size: sum(&|e| e.0 * e.1),
            total_csize: sum(&|e| e.0 * e.2),
        });
    }

    #[test]
    fn no_body_makes_decoding_panic(body in prop::collection::vec(any::<u8>(), 0..200), count in 0_u64..4) {
        let _ = kept::decode(&body);
        let mut plausible = MANIFEST_HASH.0.to_vec();
        plausible.extend_from_slice(&count.to_le_bytes());
        plausible.extend_from_slice(&body);
        if let Some(kept) = kept::decode(&plausible) {
            prop_assert_eq!(kept.table.len() as u64, count);
        }
    }
}
