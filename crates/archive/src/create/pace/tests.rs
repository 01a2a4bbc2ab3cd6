//! What is made of what was measured.

use super::*;

fn seen(files: u32, elapsed_us: u64, cpu_us: u64, sleeps: u64) -> Verdict {
    Seen {
        files,
        elapsed: Duration::from_micros(elapsed_us),
        used: ThreadUsage {
            cpu: Duration::from_micros(cpu_us),
            sleeps,
        },
    }
    .verdict()
}

#[test]
fn only_who_sleeps_for_most_of_the_time_waits() {
    // A server's answer after 5 ms, twice for each file.
    assert_eq!(seen(8, 80_000, 800, 16), Verdict::Later { times: 100 });
    // The same, and another program that has both cores: what takes long is not the files.
    assert_eq!(seen(128, 80_000, 4_000, 1), Verdict::AtOnce);
    // Large small files of a build that is not optimised.
    assert_eq!(seen(8, 200_000, 180_000, 8), Verdict::AtOnce);
    // In memory.
    assert_eq!(seen(128, 3_000, 2_900, 0), Verdict::AtOnce);
    // One file alone may just have met somebody else's lock.
    assert_eq!(seen(1, 9_000, 20, 2), Verdict::AtOnce);
}

fn reading(files: u32) -> Reading<'static> {
    Reading {
        started: Instant::now(),
        files,
        device: None,
        before: None,
        _turn: None,
    }
}

#[test]
fn workers_come_where_files_are_waited_for_and_go_when_they_are_not() {
    let pace = Pace::new(2);
    assert_eq!(pace.batch_steps(128), SMALL_BATCH, "nothing is known");
    let seconds = Duration::from_secs(1);
    pace.decide(Verdict::AtOnce, seconds, &reading(8));
    assert_eq!(pace.batch_steps(128), 128);
    assert!(!pace.wants_more(5));

    pace.decide(Verdict::Later { times: 4 }, seconds, &reading(8));
    assert_eq!(pace.batch_steps(128), SMALL_BATCH);
    assert!(!pace.wants_more(0), "there is nothing to do for them");
    let more = (0..100).filter(|_| pace.wants_more(5)).count();
    assert_eq!(more, 6, "eight in all");
    pace.decide(Verdict::Later { times: u32::MAX }, seconds, &reading(8));
    let more = (0..100).filter(|_| pace.wants_more(5)).count();
    assert_eq!(more, READERS_MAX - 8);

    for _ in 0..QUICK_BATCHES {
        pace.decide(Verdict::AtOnce, seconds, &reading(8));
        assert!(!pace.wants_fewer(), "it may just have been a few");
    }
    pace.decide(Verdict::AtOnce, seconds, &reading(8));
    assert!(pace.wants_fewer());
    assert_eq!(pace.batch_steps(128), 128);
}

#[test]
fn more_threads_than_would_wait_stay_as_they_are() {
    let pace = Pace::new(32);
    let seconds = Duration::from_secs(1);
    pace.decide(Verdict::Later { times: 50 }, seconds, &reading(8));
    assert!(!pace.wants_more(5) && pace.wants_fewer());
}

#[test]
fn turns_are_taken_in_the_order_they_were_asked_for() {
    let turns = Turns::default();
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let first = turns.take();
        for number in 0..4_u64 {
            let (turns, order) = (&turns, &order);
            scope.spawn(move || {
                let turn = turns.take();
                order.lock().expect("not poisoned").push(number);
                drop(turn);
            });
            // The next one asks when this one waits.
            while turns.state.lock().expect("not poisoned").next < number + 2 {
                std::thread::yield_now();
            }
        }
        drop(first);
    });
    assert_eq!(order.into_inner().expect("not poisoned"), [0, 1, 2, 3]);
}
