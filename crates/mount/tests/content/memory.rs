//! What reading costs in memory.
//!
//! One test: the counters belong to the process.

use ironborg_crypto::KeyMode;
use ironborg_mount::content::FileChunks;
use ironborg_testkit::{Allocated, CountingAllocator, Random};

use crate::repository::Repository;

const BUDGET: u64 = 6 << 20;
const REQUEST: usize = 128 * 1024;

#[test]
fn reading_a_large_file_takes_few_allocations_and_no_more_than_the_budget() {
    let repository = Repository::new(KeyMode::Authenticated);
    let mut random = Random::new(5);
    let lens: Vec<usize> = (0..64).map(|_| 300_000 + random.below(400_000)).collect();
    let stored = repository.store(&mut random, &[lens]).remove(0);
    let file = FileChunks::new(&stored.chunks);
    let content = repository.content(BUDGET);
    let mut out = Vec::with_capacity(REQUEST);
    let before = CountingAllocator::start();
    let mut requests = 0;
    for offset in (0..stored.content.len()).step_by(REQUEST) {
        out.clear();
        content
            .read(&file, offset as u64, REQUEST, &"f", &mut out)
            .unwrap();
        let end = stored.content.len().min(offset + REQUEST);
        assert!(out == stored.content[offset..end]);
        requests += 1;
    }
    let Allocated { calls, peak, .. } = CountingAllocator::counted();
    // A chunk is two allocations of its own, of which its buffer mostly is another one's; the rest is for starting
    // threads and for buffers to reach their size.
    assert!(
        calls < requests * 4,
        "{calls} allocations for {requests} reads"
    );
    // Each of three threads and the reader have an object of up to 700 KB in hand.
    let limit = BUDGET + 4 * 2 * 700_000;
    assert!(peak - before < limit, "{} bytes", peak - before);
    assert_eq!(out.capacity(), REQUEST);
    drop(content);
}
