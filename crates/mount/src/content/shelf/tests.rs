//! The shelf keeps its budget, and lets go in the right order.

use super::*;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn id(n: u8) -> ChunkId {
    ChunkId([n; 32])
}

fn plaintext(len: u64) -> Arc<Chunk> {
    Arc::new(Chunk::new(vec![1; usize::try_from(len).unwrap()]))
}

fn load(shelf: &mut Shelf, n: u8, len: u64) {
    match shelf.claim(&id(n), len) {
        Claim::Load(job) => shelf.arrived(&job.id, &Ok(plaintext(len))),
        other => panic!("{n}: {other:?}"),
    }
}

fn here(shelf: &Shelf) -> Vec<u8> {
    let mut ids: Vec<u8> = shelf.entries.keys().map(|id| id.0[0]).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn what_was_read_to_its_end_goes_first() {
    let mut shelf = Shelf::new(10 * KIB);
    for n in 1..=3 {
        load(&mut shelf, n, 3 * KIB - 256);
    }
    shelf.handed_out(&id(2), 100, true);
    load(&mut shelf, 4, 3 * KIB - 256);
    assert_eq!(here(&shelf), [1, 3, 4]);
    assert!(
        matches!(shelf.claim(&id(1), KIB), Claim::Ready(_)),
        "it is younger now"
    );
    load(&mut shelf, 5, 3 * KIB - 256);
    assert_eq!(here(&shelf), [1, 4, 5]);
    assert_eq!(shelf.fill().used, 9 * KIB);
}

#[test]
fn what_was_read_to_its_end_is_kept_for_a_while_only() {
    let mut shelf = Shelf::new(64 * KIB);
    for n in 0..50 {
        load(&mut shelf, n, KIB - 256);
        shelf.handed_out(&id(n), KIB, true);
    }
    assert_eq!(here(&shelf), [41, 42, 43, 44, 45, 46, 47, 48, 49]);
}

#[test]
fn fetching_ahead_does_not_drive_out_what_is_read() {
    let mut shelf = Shelf::new(8 * KIB);
    for n in 1..=4 {
        load(&mut shelf, n, 2 * KIB - 256);
    }
    assert!(!shelf.want(id(5), KIB));
    shelf.handed_out(&id(2), 100, true);
    assert!(shelf.want(id(5), KIB), "one was read to its end");
    assert_eq!(here(&shelf), [1, 3, 4, 5]);
    assert!(!shelf.want(id(6), KIB));
    // The other three were left alone for long.
    shelf.handed_out(&id(4), 8 * KIB + 1, false);
    assert!(shelf.want(id(6), KIB) && shelf.want(id(7), KIB));
    assert_eq!(here(&shelf), [3, 4, 5, 6, 7]);
}

#[test]
fn who_needs_a_chunk_comes_before_who_may_need_one() {
    let mut shelf = Shelf::new(8 * KIB);
    for n in 1..=4 {
        assert!(shelf.want(id(n), 2 * KIB - 256));
    }
    shelf.enqueue([1, 2, 3, 4].map(id));
    let job = shelf.next_job().expect("there are four");
    assert_eq!(job.id, id(1));
    load(&mut shelf, 9, 2 * KIB - 256);
    assert_eq!(
        here(&shelf),
        [1, 2, 3, 9],
        "the last of those wanted is given up"
    );
    assert!(
        matches!(shelf.claim(&id(2), 2 * KIB), Claim::Load(_)),
        "before its turn"
    );
    assert!(matches!(shelf.claim(&id(2), 2 * KIB), Claim::Wait(_)));
    assert_eq!(shelf.next_job().map(|job| job.id), Some(id(3)));
    assert!(shelf.next_job().is_none());
    assert!(shelf.has_nothing_wanted());
}

#[test]
fn a_chunk_that_is_larger_than_all_of_the_shelf_is_alone_on_it() {
    let mut shelf = Shelf::new(8 * KIB);
    load(&mut shelf, 1, KIB);
    load(&mut shelf, 2, 100 * KIB);
    assert_eq!(here(&shelf), [2]);
    load(&mut shelf, 3, KIB);
    assert_eq!(here(&shelf), [3]);
    assert!(!shelf.want(id(4), u64::MAX));
    assert!(
        matches!(shelf.claim(&id(4), u64::MAX), Claim::Load(_)),
        "sizes may lie"
    );
}

#[test]
fn zeros_take_no_room() {
    let mut shelf = Shelf::new(8 * KIB);
    load(&mut shelf, 1, 4 * KIB);
    for n in 2..10 {
        let Claim::Load(job) = shelf.claim(&id(n), KIB) else {
            panic!("{n} was never there");
        };
        let zeros = Arc::new(Chunk::new(vec![0; 1 << 20]));
        shelf.arrived(&job.id, &Ok(zeros));
    }
    assert_eq!(here(&shelf).len(), 9);
}

#[test]
fn large_buffers_are_used_again() {
    for (unit, expected) in [(KIB, 4 * KIB), (MIB, 5 * MIB)] {
        let mut shelf = Shelf::new(20 * unit);
        load(&mut shelf, 1, 5 * unit);
        shelf.handed_out(&id(1), 5 * unit, true);
        let Claim::Load(job) = shelf.claim(&id(2), 4 * unit) else {
            panic!("it was never there");
        };
        let room = u64::try_from(job.buffer.capacity()).unwrap();
        assert_eq!((room, job.buffer.len()), (expected, 0));
    }
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    let mut shelf = Shelf::new(8 * KIB);
    let Claim::Load(job) = shelf.claim(&id(1), KIB) else {
        panic!("it was never there");
    };
    shelf.arrived(&job.id, &Err(Arc::from("broken")));
    match shelf.claim(&id(1), KIB) {
        Claim::Failed(reason) => assert_eq!(&*reason, "broken"),
        other => panic!("{other:?}"),
    }
    assert!(shelf.knows(&id(1)), "nobody fetches it ahead");
    shelf.clear();
    assert!(matches!(shelf.claim(&id(1), KIB), Claim::Load(_)));
    shelf.arrived(&id(1), &Ok(plaintext(KIB)));
    assert_eq!(shelf.fill().used, KIB + ENTRY_WEIGHT);
}

#[test]
fn forgotten_wishes_do_not_pile_up() {
    let mut shelf = Shelf::new(8 * KIB);
    for _ in 0..10 * STALE_MAX {
        assert!(shelf.want(id(1), KIB));
        shelf.enqueue([id(1)]);
        shelf.unwant(&id(1));
    }
    assert!(shelf.queue.len() <= STALE_MAX + 1, "{}", shelf.queue.len());
    assert_eq!(shelf.fill().used, 0);
}

/// Chunks come and go in the order they are read, and no page is asked of the system for the later ones.
#[test]
fn a_later_chunk_gets_the_buffer_of_one_that_went() {
    let mut shelf = Shelf::new(8 * MIB);
    let mut buffers = std::collections::HashSet::new();
    for n in 0..100_u8 {
        let id = ChunkId([n; 32]);
        assert!(shelf.want(id, MIB), "{n}");
        shelf.enqueue([id]);
        let mut job = shelf.next_job().unwrap();
        job.buffer.resize(usize::try_from(MIB).unwrap(), n + 1);
        buffers.insert(job.buffer.as_ptr());
        shelf.arrived(&id, &Ok(Arc::new(Chunk::new(job.buffer))));
        shelf.handed_out(&id, MIB, true);
        assert!(shelf.used + shelf.spare_len <= shelf.budget, "{n}");
    }
    assert!(buffers.len() <= 4, "{}", buffers.len());
    shelf.clear();
    assert_eq!((shelf.used, shelf.spare_len), (0, 0));
}
