//! Nothing works any more from some request on: the last commit is there, and work goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, LocalRepository, OpenOptions, Repository,
    RepositoryError, process_identity,
};

use tempfile::TempDir;

use crate::gate::{Gate, Loss};
use crate::{World, dead, has, support, try_put, writing};

/// What is done: three commits, the last with a compaction. Returns how many were.
fn work(repository: &mut LocalRepository, committed: &mut usize) -> Result<(), RepositoryError> {
    for name in ["a", "b", "c"] {
        try_put(repository, name)?;
    }
    repository.commit()?;
    *committed = 1;
    repository.delete(&support::id("a"))?;
    try_put(repository, "d")?;
    repository.commit()?;
    *committed = 2;
    repository.delete(&support::id("b"))?;
    let options = CompactOptions {
        threshold: 0.1,
        cleanup_commits: false,
        interrupt: None,
    };
    repository.commit_compact(options)?;
    *committed = 3;
    Ok(())
}

/// What is there after so many commits.
fn expected(committed: usize) -> &'static [&'static str] {
    [
        &["first"][..],
        &["first", "a", "b", "c"],
        &["first", "b", "c", "d"],
        &["first", "c", "d"],
    ][committed]
}

fn is_state(repository: &LocalRepository, committed: usize) -> bool {
    let names = ["first", "a", "b", "c", "d"];
    names
        .iter()
        .all(|name| has(repository, name) == expected(committed).contains(name))
}

#[test]
fn after_any_request_the_last_commit_is_there() {
    after_any_request(30, || (World::new(Duration::from_mins(1)), None));
}

#[test]
fn after_any_request_it_is_there_where_the_index_comes_later() {
    after_any_request(20, || (World::of_large_indexes(), None));
}

/// Copies of what came to nothing lead nowhere.
#[test]
fn after_any_request_it_is_there_whatever_the_machine_has_kept() {
    after_any_request(15, || {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::of_large_indexes();
        world.machine = Some(dir.path().to_owned());
        (world, Some(dir))
    });
}

type Place = (World, Option<TempDir>);

fn after_any_request(least: u64, place: impl Fn() -> Place) {
    let (world, _dir) = place();
    world.create();
    let gate = world.gate();
    let mut repository = world.open_through(&gate, dead()).unwrap();
    let mut committed = 0;
    work(&mut repository, &mut committed).unwrap();
    repository.close().unwrap();
    let requests = gate.requests.load(Ordering::SeqCst);
    assert!(requests > least, "{requests}");
    for loss in [Loss::Requests, Loss::Answer] {
        for lost_from in 0..requests {
            one_crash(place(), lost_from, loss);
        }
    }
}

fn one_crash((world, _dir): Place, lost_from: u64, loss: Loss) {
    let what = format!("request {lost_from}, {loss:?}");
    world.create();
    let gate = Gate::losing(world.store.clone(), lost_from, loss);
    let mut committed = 0;
    if let Ok(mut repository) = world.open_through(&gate, dead()) {
        let worked = work(&mut repository, &mut committed);
        drop(worked);
        // A process that dies gives nothing back.
        std::mem::forget(repository);
    }
    let next = OpenOptions {
        owner: process_identity(support::HOST),
        ..writing("")
    };
    let mut repository = world
        .open(next)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    // A commit whose answer was lost may have been made.
    let now = (committed..=3).find(|&state| is_state(&repository, state));
    let now = now.unwrap_or_else(|| panic!("{what}: not what {committed} commits leave"));
    assert!(now <= committed + 1, "{what}");
    try_put(&mut repository, "after").unwrap_or_else(|error| panic!("{what}: {error}"));
    repository
        .commit()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        has(&repository, "after") && is_state(&repository, now),
        "{what}"
    );
    let options = CheckOptions {
        mode: CheckMode::Look,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    assert!(repository.check(&options).unwrap(), "{what}: check");
    repository
        .close()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}
