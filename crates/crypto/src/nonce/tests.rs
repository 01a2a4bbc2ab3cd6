//! No counter value is ever handed out twice: not by threads, not after crashes, not after a
//! rollback.

use super::*;
use ironborg_types::NonceStoreError;
use proptest::prelude::*;

/// A counter in memory that can fail, or be put back like a file restored from a backup.
#[derive(Default)]
struct MemoryStore {
    state: Mutex<StoreState>,
}

#[derive(Default, Clone)]
struct StoreState {
    next: Option<u64>,
    failing: Failing,
    reserve_count: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Debug)]
enum Failing {
    #[default]
    No,
    /// Nothing is written.
    Before,
    /// It is written, but the writer does not get to know.
    After,
}

impl MemoryStore {
    fn set(&self, next: Option<u64>, failing: Failing) {
        let mut state = self.state.lock().expect("no test panics here");
        (state.next, state.failing) = (next, failing);
    }

    fn state(&self) -> StoreState {
        self.state.lock().expect("no test panics here").clone()
    }
}

impl NonceStore for MemoryStore {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        Ok(self.state().next)
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        let mut state = self.state.lock().expect("no test panics here");
        if state.next != expected {
            return Err(NonceStoreError::new("mismatched previous state"));
        }
        if state.failing != Failing::Before {
            state.next = Some(next);
            state.reserve_count += 1;
        }
        if state.failing == Failing::No {
            Ok(())
        } else {
            Err(NonceStoreError::new("disk full"))
        }
    }
}

fn stores() -> (Arc<MemoryStore>, Arc<MemoryStore>) {
    (Arc::default(), Arc::default())
}

fn nonces(stores: &(Arc<MemoryStore>, Arc<MemoryStore>), manifest: Option<u64>) -> Nonces {
    Nonces::new(stores.0.clone(), stores.1.clone(), manifest)
}

#[test]
fn a_reservation_begins_at_the_largest_counter_and_is_stored_before_it_is_used() {
    for (repository, local, manifest, first) in [
        (None, None, None, 0),
        (Some(10), None, None, 10),
        (Some(10), Some(20), None, 20),
        (Some(10), Some(20), Some(30), 30),
        (Some(40), Some(20), Some(30), 40),
    ] {
        let stores = stores();
        stores.0.set(repository, Failing::No);
        stores.1.set(local, Failing::No);
        let nonces = nonces(&stores, manifest);
        assert_eq!(stores.0.state().reserve_count, 0);
        let nonce = nonces.reserve(3).expect("stores work");
        assert_eq!((nonce.first(), nonce.blocks()), (first, 3));
        let end = Some(first + 3 + RESERVATION_BLOCKS);
        assert_eq!((stores.0.state().next, stores.1.state().next), (end, end));
        assert_eq!(
            nonces.reserve(5).expect("still reserved").first(),
            first + 3
        );
        assert_eq!(
            stores.0.state().reserve_count,
            1,
            "one reservation serves many objects"
        );
    }
}

#[test]
fn a_used_up_reservation_is_followed_by_another() {
    let stores = stores();
    let nonces = nonces(&stores, None);
    nonces.reserve(1).expect("stores work");
    nonces
        .reserve(RESERVATION_BLOCKS - 1)
        .expect("still reserved");
    assert_eq!(stores.1.state().reserve_count, 1);
    let next = nonces.reserve(2).expect("stores work");
    assert_eq!(next.first(), RESERVATION_BLOCKS + 1);
    assert_eq!(stores.1.state().reserve_count, 2);
}

#[test]
fn nothing_is_handed_out_when_a_counter_cannot_be_stored() {
    for failing in [Failing::Before, Failing::After] {
        let stores = stores();
        stores.1.set(Some(100), failing);
        let nonces = nonces(&stores, None);
        let refused = nonces.reserve(1).map_err(|e| e.to_string());
        assert_eq!(
            refused.map(|n| n.first()),
            Err("Error: disk full".to_owned())
        );
        let next = stores.1.state().next;
        stores.1.set(next, Failing::No);
        let nonce = nonces.reserve(1).expect("stores work again");
        assert!(nonce.first() >= next.expect("was set"), "{failing:?}");
    }
}

#[test]
fn the_end_of_the_counter_space_is_an_error() {
    let last = u64::MAX - 1 - RESERVATION_BLOCKS - 4;
    for (claimed, expected) in [
        (last, Ok(last)),
        (last + 1, Err(CryptoError::NonceSpaceExhausted)),
        (u64::MAX - 2, Err(CryptoError::NonceSpaceExhausted)),
        (u64::MAX, Err(CryptoError::NonceSpaceExhausted)),
    ] {
        let stores = stores();
        stores.0.set(Some(claimed), Failing::No);
        let first = nonces(&stores, None).reserve(4).map(|n| n.first());
        assert_eq!(first, expected, "{claimed}");
        assert_eq!(stores.0.state().next != Some(claimed), expected.is_ok());
    }
    let nonces = nonces(&stores(), None);
    nonces.reserve(1).expect("stores work");
    assert_eq!(
        nonces.reserve(u64::MAX).map(|n| n.first()),
        Err(CryptoError::NonceSpaceExhausted)
    );
}

#[test]
fn threads_never_share_a_value() {
    let stores = stores();
    let nonces = nonces(&stores, Some(1000));
    // Steps of a tenth of a reservation make the threads cross its end all the time.
    let step = |thread: u64, i: u64| RESERVATION_BLOCKS / 10 + thread * 7 + i % 5;
    let mut ranges: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|thread| {
                let nonces = &nonces;
                scope.spawn(move || {
                    let take = |i| {
                        let nonce = nonces.reserve(step(thread, i)).expect("stores work");
                        (nonce.first(), nonce.blocks())
                    };
                    (0..2000).map(take).collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no panic"))
            .collect()
    });
    ranges.sort_unstable();
    assert_eq!(ranges.len(), 8000);
    for pair in ranges.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
    }
    let end = ranges.last().map(|(first, blocks)| first + blocks);
    assert!(stores.0.state().next >= end && stores.1.state().next >= end);
}

/// What may happen between two uses of a key.
#[derive(Debug, Clone)]
enum Step {
    /// An object is encrypted.
    Take(u64),
    /// The program ends, or is killed, and is started again; the manifest may have been written
    /// before.
    Restart { manifest_written: bool },
    /// The next write of one of the counters fails.
    Fail { repository: bool, failing: Failing },
    /// The repository is put back to an older state, or its counter is lost. The local one remains.
    RepositoryRolledBack(Option<u64>),
    /// The local counter is lost, the repository's is not.
    LocalLost,
}

fn step() -> impl Strategy<Value = Step> {
    let blocks = prop_oneof![1..100_u64, RESERVATION_BLOCKS / 3..RESERVATION_BLOCKS * 2];
    let failing = prop_oneof![Just(Failing::Before), Just(Failing::After)];
    prop_oneof![
        6 => blocks.prop_map(Step::Take),
        2 => any::<bool>().prop_map(|manifest_written| Step::Restart { manifest_written }),
        1 => (any::<bool>(), failing).prop_map(|(r, failing)| Step::Fail { repository: r, failing }),
        1 => prop::option::of(0..1000_u64).prop_map(Step::RepositoryRolledBack),
        1 => Just(Step::LocalLost),
    ]
}

proptest! {
    /// As long as one of the two counters keeps its value, no other misfortune makes a value come
    /// back.
    #[test]
    fn no_value_comes_back(steps in prop::collection::vec(step(), 1..60)) {
        let stores = stores();
        let mut nonces = nonces(&stores, None);
        let (mut used_end, mut manifest) = (0, None);
        // Whether each counter covers all that is reserved. One that does not, because it was put
        // back, does so again after the next reservation; until then the other must be left alone.
        let mut intact = (true, true);
        for step in steps {
            match step {
                Step::Take(blocks) => {
                    if let Ok(nonce) = nonces.reserve(blocks) {
                        prop_assert!(nonce.first() >= used_end, "values only ever grow");
                        used_end = nonce.first() + nonce.blocks();
                        let end = Some(nonces.end.load(Ordering::SeqCst));
                        intact = (stores.0.state().next >= end, stores.1.state().next >= end);
                        prop_assert!(intact.0 || intact.1);
                    }
                    for store in [&stores.0, &stores.1] {
                        store.set(store.state().next, Failing::No);
                    }
                }
                Step::Restart { manifest_written } => {
                    if manifest_written {
                        manifest = Some(used_end);
                    }
                    nonces = Nonces::new(stores.0.clone(), stores.1.clone(), manifest);
                }
                Step::Fail { repository, failing } => {
                    let store = if repository { &stores.0 } else { &stores.1 };
                    store.set(store.state().next, failing);
                }
                Step::RepositoryRolledBack(next) if intact.1 => {
                    stores.0.set(next, Failing::No);
                    intact.0 = false;
                }
                Step::LocalLost if intact.0 => {
                    stores.1.set(None, Failing::No);
                    intact.1 = false;
                }
                Step::RepositoryRolledBack(_) | Step::LocalLost => {}
            }
        }
    }
}

/// A repository at the other end of a line that breaks before the answer to a reservation comes.
struct LostAnswer {
    store: Arc<MemoryStore>,
    /// How many answers get lost.
    lost: Mutex<u32>,
    /// Whether the reservation was made all the same.
    arrives: bool,
}

impl NonceStore for LostAnswer {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        self.store.next_unreserved()
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        self.store.reserve(next, expected)
    }

    fn try_reserve(
        &self,
        next: u64,
        expected: Option<u64>,
    ) -> Result<Reservation, NonceStoreError> {
        let mut lost = self.lost.lock().expect("no test panics here");
        if *lost == 0 {
            return self.reserve(next, expected).map(|()| Reservation::Made);
        }
        *lost -= 1;
        if self.arrives {
            self.reserve(next, expected)?;
        }
        Ok(Reservation::Unknown)
    }
}

#[test]
fn a_reservation_that_was_not_answered_is_made_anew_behind_it() {
    for (arrives, expected) in [(false, 0), (true, 2 * (RESERVATION_BLOCKS + 5))] {
        let (repository, local) = stores();
        let line = LostAnswer {
            store: Arc::clone(&repository),
            lost: Mutex::new(2),
            arrives,
        };
        let nonces = Nonces::new(Arc::new(line), local.clone(), None);
        assert_eq!(nonces.reserve(5).unwrap().first(), expected);
        let end = Some(expected + 5 + RESERVATION_BLOCKS);
        assert_eq!((repository.state().next, local.state().next), (end, end));
        assert_eq!(local.state().reserve_count, 1);
    }
}

#[test]
fn a_repository_that_never_answers_reservations_is_an_error() {
    let (store, local) = stores();
    let line = LostAnswer {
        store,
        lost: Mutex::new(u32::MAX),
        arrives: true,
    };
    let nonces = Nonces::new(Arc::new(line), local.clone(), None);
    assert!(nonces.reserve(5).is_err());
    assert_eq!(local.state().next, None);
}
