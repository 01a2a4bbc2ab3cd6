//! Who has the repository: one at a time, whatever becomes of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_repository::{Lock, LockOptions, OpenOptions, Repository, RepositoryError};
use ironborg_types::NullReporter;

use crate::{World, dead, has, put, try_put, writing};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(300);

fn waiting(host: &str) -> OpenOptions {
    OpenOptions {
        lock_wait: Some(Duration::from_secs(20)),
        ..writing(host)
    }
}

#[test]
fn the_second_writer_is_kept_out_until_the_first_is_done() {
    let world = World::new(LONG);
    world.create();
    let first = world.open(writing("a")).unwrap();
    let refused = world.open(writing("b")).err().unwrap();
    assert!(
        matches!(refused, RepositoryError::LockTimeout { .. }),
        "{refused}"
    );
    first.close().unwrap();
    let second = world.open(writing("b")).unwrap();
    assert!(has(&second, "first"));
}

#[test]
fn the_lease_of_a_process_that_is_no_more_is_taken_over_at_once() {
    let world = World::new(LONG);
    world.create();
    // Neither given back nor renewed any more.
    std::mem::forget(world.open(dead()).unwrap());
    let next = OpenOptions {
        owner: ironborg_repository::process_identity(crate::support::HOST),
        ..writing("")
    };
    let mut repository = world.open(next).unwrap();
    put(&mut repository, "second");
    repository.commit().unwrap();
    assert!(has(&repository, "first") && has(&repository, "second"));
}

#[test]
fn a_lease_that_is_renewed_stays_and_one_that_is_not_runs_out() {
    let world = World::new(SHORT);
    world.create();
    let gate = world.gate();
    let mut silent = world.open_through(&gate, writing("a")).unwrap();
    put(&mut silent, "lost");
    let begun = Instant::now();
    let options = OpenOptions {
        lock_wait: Some(SHORT * 3),
        ..writing("b")
    };
    assert!(world.open(options).is_err(), "it is renewed");
    assert!(begun.elapsed() >= SHORT * 3);
    gate.close();
    let mut next = world.open(waiting("b")).unwrap();
    put(&mut next, "next");
    next.commit().unwrap();
    next.close().unwrap();
    gate.open();
    let refused = silent.commit().unwrap_err();
    assert!(
        matches!(refused, RepositoryError::LockFailed { .. }),
        "{refused}"
    );
    drop(silent);
    let after = world.open(waiting("c")).unwrap();
    assert!(has(&after, "first") && has(&after, "next") && !has(&after, "lost"));
}

/// The request that carries the COMMIT is on its way while another writer takes over: whichever comes first wins, and
/// nobody is told what is not true.
#[test]
fn a_commit_that_comes_late_is_refused() {
    for requests_before in 0..8 {
        let world = World::new(SHORT);
        world.create();
        let gate = world.gate();
        let mut late = world.open_through(&gate, writing("a")).unwrap();
        put(&mut late, "late");
        let seen = gate.requests.load(Ordering::SeqCst);
        let closing = Arc::clone(&gate);
        let committing = thread::spawn(move || {
            let committed = late.commit();
            (late, committed)
        });
        while closing.requests.load(Ordering::SeqCst) < seen + requests_before
            && !committing.is_finished()
        {
            thread::yield_now();
        }
        closing.close();
        let mut next = world.open(waiting("b")).unwrap();
        put(&mut next, "next");
        next.commit().unwrap();
        let late_is_there = has(&next, "late");
        next.close().unwrap();
        closing.open();
        let (late, committed) = committing.join().unwrap();
        drop(late);
        if committed.is_ok() {
            assert!(late_is_there, "{requests_before}: told to be committed");
        }
        let mut after = world.open(waiting("c")).unwrap();
        assert!(has(&after, "next"), "{requests_before}");
        assert_eq!(has(&after, "late"), late_is_there, "{requests_before}");
        put(&mut after, "after");
        after.commit().unwrap();
        let options = ironborg_repository::CheckOptions {
            mode: ironborg_repository::CheckMode::Look,
            save_space: false,
            max_duration_s: 0,
            threads: 1,
            interrupt: None,
        };
        assert!(after.check(&options).unwrap(), "{requests_before}");
    }
}

#[test]
fn of_many_who_want_it_one_has_it_a_thousand_times() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 250;
    let world = World::new(LONG);
    world.create();
    let inside = AtomicUsize::new(0);
    let storage = || world.storage(world.store.clone());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (inside, storage) = (&inside, storage());
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let options = LockOptions {
                        exclusive: true,
                        wait: None,
                        owner: writing(&format!("host{writer}")).owner,
                    };
                    let lock = Lock::acquire(
                        Arc::clone(&storage),
                        "lock",
                        options,
                        Arc::new(NullReporter),
                    );
                    let lock = lock.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    lock.check_held().unwrap();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    lock.release().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_broken_lease_is_lost_to_its_holder() {
    let world = World::new(LONG);
    world.create();
    let mut broken = world.open(writing("a")).unwrap();
    put(&mut broken, "lost");
    Lock::break_lock(&*world.storage(world.store.clone()), "lock").unwrap();
    let mut next = world.open(writing("b")).unwrap();
    put(&mut next, "next");
    next.commit().unwrap();
    assert!(broken.commit().is_err());
    assert!(try_put(&mut broken, "more").is_err());
    assert!(has(&next, "next") && !has(&next, "lost"));
}
