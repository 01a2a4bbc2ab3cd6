//! Nothing works any more from some request or operation on: the mirror is what it was or what it was to be, and the next
//! run makes it that.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ironborg_storage::{Fault, FaultyStorage, MemoryStorage, Storage};

use crate::gate::{Gate, Loss};
use crate::{Origin, Store, assert_same, check, files, made, memory, run, run_and_die, state_of};

struct Story {
    origin: Origin,
    /// The repository when the mirror was made first.
    early: MemoryStorage,
    /// The same later.
    late: MemoryStorage,
    early_states: usize,
}

fn story() -> Story {
    let (memory, mut origin) = made();
    let early = memory.snapshot();
    let early_states = origin.states.len();
    origin.second_part();
    let late = memory.snapshot();
    Story {
        origin,
        early,
        late,
        early_states,
    }
}

fn as_storage(memory: &MemoryStorage) -> Arc<dyn Storage> {
    Arc::new(memory.clone())
}

/// The second part of the story compacts within its transactions, with COMMITs at the end of segments that hold more.
#[test]
fn the_story_has_intermediate_commits_and_gaps() {
    let story = story();
    let segments = files(&as_storage(&story.late));
    let commit = ironborg_format::segment::COMMIT;
    let mixed = segments.iter().filter(|(name, content)| {
        name.starts_with("data/") && content.len() > 17 && content.ends_with(&commit)
    });
    assert!(mixed.count() > 1);
}

#[test]
fn a_mirror_is_the_same_and_a_second_run_does_nothing() {
    let story = story();
    let store = Store::new();
    for target in [store.plain("mirror"), memory().1] {
        for source in [&story.early, &story.late, &story.late] {
            let figures = run(&as_storage(source), &target).unwrap();
            assert_same(&target, &as_storage(source), "made");
            assert_eq!(figures.files_size > 0, figures.sent > 0);
        }
        let again = run(&as_storage(&story.late), &target).unwrap();
        assert_eq!((again.sent, again.removed, again.files_size), (0, 0, 0));
        assert!(again.kept > 5);
        check(&target);
    }
}

#[test]
fn after_any_request_a_mirror_in_a_bucket_is_whole() {
    let story = story();
    for is_first in [true, false] {
        let requests = {
            let store = Store::new();
            prepare(&store, &story, is_first);
            let gate = Gate::new(store.memory.clone());
            let target = store.place(gate.clone(), "mirror");
            run(&as_storage(&story.late), &target).unwrap();
            gate.requests.load(Ordering::SeqCst)
        };
        assert!(requests > 20, "{requests}");
        for loss in [Loss::Requests, Loss::Answer] {
            for lost_from in 0..requests {
                let what =
                    format!("first: {is_first}, request {lost_from} of {requests}, {loss:?}");
                let store = Store::new();
                prepare(&store, &story, is_first);
                let gate = Gate::losing(store.memory.clone(), lost_from, loss);
                let broken = store.place(gate, "mirror");
                run_and_die(&as_storage(&story.late), &broken);
                drop(broken);
                let target = store.plain("mirror");
                let old = (!is_first).then(|| story.early_states - 1);
                let new = Some(story.origin.states.len() - 1);
                let found = state_of(&target, &story.origin.states, &what);
                assert!(found == old || found == new, "{what}: {found:?}");
                let done = run(&as_storage(&story.late), &target);
                done.unwrap_or_else(|error| panic!("{what}: again: {error}"));
                assert_same(&target, &as_storage(&story.late), &what);
            }
        }
    }
}

fn prepare(store: &Store, story: &Story, is_first: bool) {
    if !is_first {
        run(&as_storage(&story.early), &store.plain("mirror")).unwrap();
    }
}

#[test]
fn after_any_operation_a_mirror_on_a_disk_is_whole() {
    let story = story();
    let made = {
        let (made, target) = memory();
        run(&as_storage(&story.early), &target).unwrap();
        made
    };
    for start in [None, Some(&made)] {
        let mut at = 0;
        loop {
            let what = format!("first: {}, operation {at}", start.is_none());
            let disk = start.map_or_else(|| memory().0, MemoryStorage::snapshot);
            let fault = Fault {
                at,
                forever: true,
                errno: 5,
            };
            let broken = FaultyStorage::new(as_storage(&disk), fault);
            let broken: Arc<dyn Storage> = Arc::new(broken);
            let is_done = run_and_die(&as_storage(&story.late), &broken);
            let target = as_storage(&disk);
            let old = start.map(|_| story.early_states - 1);
            let new = Some(story.origin.states.len() - 1);
            let found = state_of(&target, &story.origin.states, &what);
            assert!(found == old || found == new, "{what}: {found:?}");
            let again = run(&as_storage(&story.late), &target);
            again.unwrap_or_else(|error| panic!("{what}: again: {error}"));
            assert_same(&target, &as_storage(&story.late), &what);
            if is_done {
                break;
            }
            at += 1;
        }
        assert!(at > 20, "{at}");
    }
}

/// What has arrived of one state is there when the next run is to bring a later one.
#[test]
fn an_interrupted_run_is_followed_by_one_towards_a_later_commit() {
    let (memory, mut origin) = made();
    let mut versions = vec![memory.snapshot()];
    for _ in 0..2 {
        origin.second_part_again(versions.len());
        versions.push(memory.snapshot());
    }
    for lost_from in 0..60 {
        let store = Store::new();
        run(&as_storage(&versions[0]), &store.plain("mirror")).unwrap();
        let gate = Gate::losing(store.memory.clone(), lost_from, Loss::Requests);
        run_and_die(&as_storage(&versions[1]), &store.place(gate, "mirror"));
        let what = format!("request {lost_from}");
        let target = store.plain("mirror");
        run(&as_storage(&versions[2]), &target).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_same(&target, &as_storage(&versions[2]), &what);
        let found = state_of(&target, &origin.states, &what);
        assert_eq!(found, Some(origin.states.len() - 1), "{what}");
    }
}
