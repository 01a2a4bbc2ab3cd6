//! A table over a repository answers as one that holds all ids of it, while those change.

use super::*;
use ironborg_repository::StoredIds;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// What a repository has at the moment.
#[derive(Debug, Default)]
struct Below {
    ids: Mutex<BTreeSet<ChunkId>>,
    asked: AtomicUsize,
    fails: AtomicBool,
}

impl Below {
    fn new(ids: impl IntoIterator<Item = ChunkId>) -> Arc<Self> {
        Arc::new(Self {
            ids: Mutex::new(ids.into_iter().collect()),
            ..Self::default()
        })
    }

    fn put(&self, id: ChunkId) {
        self.ids.lock().unwrap().insert(id);
    }

    fn delete(&self, id: &ChunkId) {
        assert!(self.ids.lock().unwrap().remove(id), "it is not stored");
    }
}

impl StoredIds for Below {
    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            let reason = "the index cannot be read";
            return Err(RepositoryError::CheckRefused { reason });
        }
        Ok(self.ids.lock().unwrap().contains(id))
    }
}

/// How a repository has an id, for a table that lists all of them.
fn listed(ids: impl IntoIterator<Item = u32>) -> ChunkTable {
    let table = ChunkTable::new(0, Counts::Partial);
    for n in ids {
        table.note_stored(&id(n), 0);
    }
    table
}

proptest! {
    /// One thread does what workers and collector do, in any order: both tables always answer the same.
    #[test]
    fn a_table_over_a_repository_answers_as_one_of_all_its_ids(
        operations in prop::collection::vec((0_u8..6, 1_u32..30), 0..400),
    ) {
        let below = Below::new((1..15).map(id).chain([ChunkId::MANIFEST]));
        let over = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
        let all = listed(1..15);
        let (mut ours, mut in_flight) = (BTreeSet::new(), BTreeSet::new());
        for (operation, n) in operations {
            let id = id(n);
            match operation {
                0 | 1 => {
                    let claim = over.claim(&id, n).unwrap();
                    prop_assert_eq!(claim, all.claim(&id, n).unwrap(), "{}", n);
                    if claim == Claim::New {
                        in_flight.insert(n);
                    }
                }
                2 if in_flight.remove(&n) => {
                    below.put(id);
                    ours.insert(n);
                    for table in [&over, &all] {
                        table.fulfil(&id, sized(n, n + 1));
                    }
                }
                3 => prop_assert_eq!(over.reference(&id), all.reference(&id).map(|sizes| ChunkSizes {
                    // What was never claimed has no size there, as a claim is what brings it.
                    size: sizes.size, csize: sizes.csize,
                })),
                // Only what this run has put is ever taken away.
                4 if ours.remove(&n) => {
                    for table in [&over, &all] {
                        table.note_removed(&id);
                    }
                    prop_assert_eq!(over.get(&id), None, "taken away, though not deleted yet");
                    below.delete(&id);
                }
                5 if ours.contains(&n) => {
                    let [over_left, all_left] = [&over, &all].map(|table| table.unreference(&id, 1));
                    prop_assert_eq!(over_left, all_left);
                    if over_left.unwrap().refs == 0 {
                        ours.remove(&n);
                        below.delete(&id);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(over.get(&id), all.get(&id), "{}", n);
        }
        let ids: Vec<ChunkId> = (1..30).map(id).chain([ChunkId::MANIFEST]).collect();
        let [mut over_stored, mut all_stored] = [Vec::new(), Vec::new()];
        let before: Vec<[u32; 2]> = ids.iter().map(|id| [over.refs(id), all.refs(id)]).collect();
        over.reference_each(&ids, &mut over_stored);
        all.reference_each(&ids, &mut all_stored);
        prop_assert_eq!(&over_stored, &all_stored);
        for ((n, id), [of_over, of_all]) in (1..30).zip(&ids).zip(before) {
            let is_stored = over_stored[n as usize - 1];
            prop_assert_eq!(over.get(id), all.get(id), "{}", n);
            prop_assert_eq!(is_stored, over.reference(id).is_some());
            let counted = u32::from(is_stored) * 2;
            all.reference(id);
            prop_assert_eq!(all.refs(id), of_all + counted);
            prop_assert!(over.refs(id) == of_over || over.refs(id) == add_refs(of_over, counted));
        }
        prop_assert_eq!(over.get(&ChunkId::MANIFEST), None);
    }
}

#[test]
fn what_was_taken_away_is_not_stored_even_before_it_is_deleted() {
    let below = Below::new([]);
    let table = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::New);
    below.put(id(1));
    table.fulfil(&id(1), sized(5, 6));
    assert_eq!(table.unreference(&id(1), 1).unwrap().refs, 0);
    // A worker comes between the two.
    assert_eq!(table.reference(&id(1)), None);
    assert_eq!(table.unreference(&id(1), 1), None);
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::New);
    below.delete(&id(1));
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::InFlight);
    table.abandon(&id(1));
    assert_eq!((table.wait(&id(1)), table.get(&id(1))), (None, None));
}

#[test]
fn what_was_stored_before_never_comes_to_be_without_references() {
    let below = Below::new([id(1), id(2)]);
    let table = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::Known(sized(5, 0)));
    for _ in 0..3 {
        assert!(table.unreference(&id(1), 1).unwrap().refs > 0);
    }
    assert!(table.get(&id(1)).is_some());
    // References from the files cache take no room in the table.
    assert_eq!(table.reference(&id(2)), Some(sized(0, 0)));
    assert_eq!((table.len(), table.refs(&id(2))), (1, 0));
}

#[test]
fn an_index_that_cannot_be_read_ends_a_claim_and_nothing_is_taken_for_stored() {
    let below = Below::new([id(1)]);
    let table = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
    below.fails.store(true, Ordering::Relaxed);
    assert!(table.claim(&id(1), 5).is_err());
    assert_eq!((table.get(&id(1)), table.reference(&id(1))), (None, None));
    assert!(table.resolve_csize(&id(1), &Ids::new([])).is_err());
    below.fails.store(false, Ordering::Relaxed);
    assert_eq!(table.claim(&id(1), 5).unwrap(), Claim::Known(sized(5, 0)));
}

#[test]
fn a_repository_is_asked_once_for_an_id_that_is_claimed() {
    let below = Below::new((0..100).map(id));
    let table = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
    for _ in 0..3 {
        for n in 0..200 {
            table.claim(&id(n), 9).unwrap();
        }
    }
    assert_eq!(below.asked.load(Ordering::Relaxed), 200);
    assert_eq!(table.len(), 200);
}

#[test]
fn of_many_workers_over_a_repository_exactly_one_stores_what_it_lacks() {
    const CHUNKS: u32 = 3000;
    let below = Below::new((0..CHUNKS).filter(|n| n % 3 == 0).map(id));
    let table = ChunkTable::over(Arc::clone(&below) as Arc<dyn StoredIds>);
    let (send, receive) = std::sync::mpsc::channel();
    let stored = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..6 {
            let (table, send) = (&table, send.clone());
            scope.spawn(move || {
                for n in 0..CHUNKS {
                    let n = (n * 7 + worker * 131) % CHUNKS;
                    if table.claim(&id(n), n + 1).unwrap() == Claim::New {
                        send.send(n).unwrap();
                    }
                }
            });
        }
        drop(send);
        // This is the collector: it puts while the others ask.
        for n in receive {
            below.put(id(n));
            table.fulfil(&id(n), sized(n + 1, n + 2));
            stored.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(stored.into_inner(), 2000);
    assert_eq!(below.ids.lock().unwrap().len(), CHUNKS as usize);
}
