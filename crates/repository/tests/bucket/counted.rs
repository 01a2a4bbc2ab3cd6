//! How many requests things cost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ironborg_repository::{LocalRepository, LockMode, Repository, SnapshotRepository};

use crate::gate::Gate;
use crate::{World, put, support, writing};

/// How many requests `work` makes; `expected` names them.
fn check(gate: &Arc<Gate>, expected: usize, work: impl FnOnce()) {
    gate.asked.lock().unwrap().clear();
    work();
    let asked = gate.asked.lock().unwrap();
    assert_eq!(asked.len(), expected, "{asked:#?}");
}

fn world(machine: &Path, is_index_large: bool) -> World {
    let mut world = World::new(Duration::from_mins(1));
    world.machine = Some(machine.to_owned());
    world.index_always_max = is_index_large.then_some(0);
    world.create();
    world
}

fn commit_one(repository: &mut LocalRepository, name: &str) {
    put(repository, name);
    repository.commit().unwrap();
}

#[test]
fn a_writer_asks_for_what_it_cannot_know() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), false);
    let gate = world.gate();
    let mut opened = None;
    // Lists of the root, of data and of data/0; the lease read and taken; config; the last segment.
    check(&gate, 7, || {
        opened = Some(world.open_through(&gate, writing("a")).unwrap());
    });
    let mut repository = opened.unwrap();
    // A list of the root under the lease; state and hints are here.
    check(&gate, 1, || assert_eq!(repository.len().unwrap(), 1));
    // Data, the lease, COMMIT; integrity, hints, index, and the old ones go.
    check(&gate, 7, || commit_one(&mut repository, "a"));
    check(&gate, 7, || commit_one(&mut repository, "b"));
    // The lease.
    check(&gate, 1, || repository.close().unwrap());
}

#[test]
fn a_commit_without_an_index_is_three_requests() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), true);
    let gate = world.gate();
    let mut repository = world.open_through(&gate, writing("a")).unwrap();
    commit_one(&mut repository, "a");
    check(&gate, 3, || commit_one(&mut repository, "b"));
    repository.close().unwrap();
    // As above: the segments behind the index are not asked for.
    check(&gate, 8, || {
        let repository = world.open_through(&gate, writing("a")).unwrap();
        assert_eq!(repository.len().unwrap(), 3);
        std::mem::forget(repository);
    });
}

#[test]
fn a_reader_asks_for_what_it_cannot_know() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), true);
    let mut repository = world.open(writing("a")).unwrap();
    commit_one(&mut repository, "a");
    repository.close().unwrap();
    let gate = world.gate();
    let open = |world: &World| {
        let storage = world.storage(gate.clone());
        let options = support::options(LockMode::None);
        let reader = SnapshotRepository::open_in(&storage, &options).unwrap();
        let mut object = Vec::new();
        reader.get(&support::id("first"), &mut object).unwrap();
    };
    // Lists of the root, of data and of data/0, each twice as there is something behind the index, and of data once more;
    // config, the last segment, the object.
    check(&gate, 11, || open(&world));
    let other = tempfile::tempdir().unwrap();
    let mut elsewhere = world;
    elsewhere.machine = Some(other.path().to_owned());
    // The index, and the segment behind it.
    check(&gate, 13, || open(&elsewhere));
    check(&gate, 11, || open(&elsewhere));
}

#[test]
fn what_deletions_need_to_know_is_asked_for_together() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), false);
    let mut repository = world.open(writing("a")).unwrap();
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for name in &names {
        put(&mut repository, name);
    }
    repository.commit().unwrap();
    repository.close().unwrap();
    let gate = world.gate();
    let mut repository = world.open_through(&gate, writing("a")).unwrap();
    put(&mut repository, "begun");
    let mut ids: Vec<_> = names.iter().map(|name| support::id(name)).collect();
    ids.push(support::id("never"));
    check(&gate, 1, || {
        assert_eq!(
            repository.delete_many(&ids).unwrap(),
            [support::id("never")]
        );
    });
    repository.commit().unwrap();
    assert_eq!(repository.len().unwrap(), 2);
}
