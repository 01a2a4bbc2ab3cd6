//! An index that is large is not written with every commit: what is behind it is found in segments, or in tables of them
//! that this machine has kept.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use ironborg_format::segment::{MAGIC, delete_entry};
use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, LockMode, OpenOptions, Repository, SnapshotRepository,
    process_identity,
};

use crate::{World, dead, has, put, support, writing};

const CHECK: CheckOptions = CheckOptions {
    mode: CheckMode::Look,
    save_space: false,
    max_duration_s: 0,
    threads: 1,
    interrupt: None,
};

/// A world with three commits, the last two behind the index.
fn behind(machine: Option<&Path>) -> World {
    let mut world = World::of_large_indexes();
    world.machine = machine.map(Path::to_owned);
    world.create();
    let indexed = world.indexed();
    for (name, gone) in [("a", None), ("b", Some("a"))] {
        let mut repository = world.open(writing("a")).unwrap();
        put(&mut repository, name);
        put(&mut repository, "again");
        if let Some(gone) = gone {
            repository.delete(&support::id(gone)).unwrap();
        }
        repository.commit().unwrap();
        repository.close().unwrap();
    }
    assert_eq!(world.indexed(), indexed);
    world
}

fn reading() -> OpenOptions {
    support::options(LockMode::None)
}

fn is_as_it_should_be(world: &World) {
    let mut repository = world.open(writing("b")).unwrap();
    for (name, is_there) in [("first", true), ("a", false), ("b", true), ("again", true)] {
        assert_eq!(has(&repository, name), is_there, "{name}");
    }
    assert!(repository.check(&CHECK).unwrap());
    repository.close().unwrap();
    let reader =
        SnapshotRepository::open_in(&world.storage(world.store.clone()), &reading()).unwrap();
    let mut object = Vec::new();
    for (name, is_there) in [("first", true), ("a", false), ("b", true)] {
        let got = reader.get(&support::id(name), &mut object);
        assert_eq!(got.is_ok(), is_there, "{name}");
    }
}

#[test]
fn what_is_behind_the_index_is_seen_by_everybody() {
    is_as_it_should_be(&behind(None));
    let dir = tempfile::tempdir().unwrap();
    let mut world = behind(Some(dir.path()));
    is_as_it_should_be(&world);
    // Another machine.
    world.machine = None;
    is_as_it_should_be(&world);
}

#[test]
fn a_session_goes_on_behind_its_own_commits() {
    let world = World::of_large_indexes();
    world.create();
    let indexed = world.indexed();
    let mut repository = world.open(writing("a")).unwrap();
    for name in ["a", "b", "c"] {
        put(&mut repository, name);
        repository.commit().unwrap();
    }
    repository.delete(&support::id("b")).unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    assert_eq!(world.indexed(), indexed);
    let repository = world.open(writing("b")).unwrap();
    assert!(has(&repository, "a") && !has(&repository, "b") && has(&repository, "c"));
}

#[test]
fn a_table_says_what_its_segment_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = behind(Some(dir.path()));
    let with_tables = world.open(writing("a")).unwrap().hints().unwrap();
    world.machine = None;
    let of_segments = world.open(writing("a")).unwrap().hints().unwrap();
    assert_eq!(format!("{with_tables:?}"), format!("{of_segments:?}"));
}

#[test]
fn the_index_is_written_when_the_segments_behind_it_are_larger() {
    let world = World::of_large_indexes();
    world.create();
    let indexed = world.indexed();
    let mut count = 0;
    loop {
        let mut repository = world.open(writing("a")).unwrap();
        repository
            .put(&support::id(&count.to_string()), &[0; 9_000])
            .unwrap();
        repository.commit().unwrap();
        repository.close().unwrap();
        count += 1;
        if world.indexed() != indexed {
            break;
        }
    }
    // 1,031 buckets of 40 bytes.
    assert_eq!(count, 5);
    assert_eq!(world.indexed().len(), 1);
    let repository = world.open(writing("a")).unwrap();
    assert_eq!(repository.len().unwrap(), 6);
}

#[test]
fn a_compaction_writes_the_index_before_anything_goes() {
    let dir = tempfile::tempdir().unwrap();
    let world = behind(Some(dir.path()));
    let mut repository = world.open(writing("a")).unwrap();
    let segments = |world: &World| {
        let names = world.names();
        names
            .iter()
            .filter(|name| name.starts_with("data/"))
            .count()
    };
    let before = (world.indexed(), segments(&world));
    put(&mut repository, "c");
    let options = CompactOptions {
        threshold: 0.1,
        cleanup_commits: false,
        interrupt: None,
    };
    repository.commit_compact(options).unwrap();
    repository.close().unwrap();
    assert_ne!(world.indexed(), before.0);
    assert_eq!(world.indexed().len(), 1);
    assert!(segments(&world) < before.1, "{:?}", world.names());
    is_as_it_should_be(&world);
}

#[test]
fn a_reader_notices_commits_without_an_index() {
    let world = behind(None);
    let storage = world.storage(world.store.clone());
    let reader = SnapshotRepository::open_in(&storage, &reading()).unwrap();
    assert!(!reader.has_moved_on().unwrap());
    let mut writer = world.open(writing("a")).unwrap();
    put(&mut writer, "c");
    assert!(!reader.has_moved_on().unwrap());
    writer.commit().unwrap();
    assert!(reader.has_moved_on().unwrap());
    reader.refresh().unwrap();
    let mut object = Vec::new();
    reader.get(&support::id("c"), &mut object).unwrap();
}

#[test]
fn what_was_kept_and_is_damaged_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = behind(Some(dir.path()));
    let files = |dir: &Path| -> Vec<_> {
        let entries = fs::read_dir(dir.join("files")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    // The state, and a table for each segment behind it.
    assert!(files(dir.path()).len() > 5);
    for path in files(dir.path()) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    is_as_it_should_be(&world);
    for path in files(dir.path()) {
        fs::write(&path, b"nothing of the kind").unwrap();
    }
    is_as_it_should_be(&world);
}

#[test]
fn what_two_machines_have_kept_does_not_mislead_them() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut world = behind(None);
    for round in 0..6 {
        world.machine = Some(dirs[round % 2].path().to_owned());
        let mut repository = world.open(writing("a")).unwrap();
        for earlier in 0..round {
            let is_there = earlier % 3 != 0 || earlier + 1 == round;
            assert_eq!(has(&repository, &format!("of {earlier}")), is_there);
        }
        put(&mut repository, &format!("of {round}"));
        if round > 0 && (round - 1) % 3 == 0 {
            let gone = format!("of {}", round - 1);
            repository.delete(&support::id(&gone)).unwrap();
        }
        repository.commit().unwrap();
        if round == 3 {
            // A transaction that comes to nothing: its numbers are used again.
            put(&mut repository, "never");
            drop(repository);
        } else {
            repository.close().unwrap();
        }
    }
    is_as_it_should_be(&world);
}

#[test]
fn in_append_only_mode_every_commit_is_noted() {
    let world = World::of_large_indexes();
    world.create();
    let indexed = world.indexed();
    let options = OpenOptions {
        append_only: true,
        ..writing("a")
    };
    for name in ["a", "b"] {
        let mut repository = world.open(options.clone()).unwrap();
        put(&mut repository, name);
        repository.commit().unwrap();
        repository.close().unwrap();
    }
    assert_eq!(world.indexed(), indexed);
    let storage = world.storage(world.store.clone());
    let noted = String::from_utf8(storage.read("transactions").unwrap()).unwrap();
    assert_eq!(noted.lines().count(), 2, "{noted}");
}

#[test]
fn objects_that_are_kept_are_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let world = behind(Some(dir.path()));
    let gate = world.gate();
    let asked = || gate.requests.load(Ordering::SeqCst);
    let mut repository = world.open_through(&gate, writing("a")).unwrap();
    let (id, content) = (support::id("metadata"), b"metadata");
    repository.put_metadata(&id, content).unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    let repository = world.open_through(&gate, writing("a")).unwrap();
    let mut object = Vec::new();
    assert!(repository.contains(&id).unwrap());
    let before = asked();
    repository.get_metadata(&id, &mut object).unwrap();
    assert_eq!(repository.stored_size(&id).unwrap(), Some(8));
    assert_eq!((object.as_slice(), asked()), (&content[..], before));
    assert!(repository.reject_metadata(&id) && !repository.reject_metadata(&id));
    repository.get_metadata(&id, &mut object).unwrap();
    assert_eq!((object.as_slice(), asked()), (&content[..], before + 1));
    repository.get_metadata(&id, &mut object).unwrap();
    assert_eq!(asked(), before + 1);
}

/// What a writer that has lost the lease has sent may arrive at any time, behind the index that is stored.
#[test]
fn what_arrives_late_is_never_replayed() {
    let world = behind(None);
    // It does nothing, and has the lease when it is gone.
    std::mem::forget(world.open(dead()).unwrap());
    let last = world
        .names()
        .iter()
        .filter_map(|name| name.strip_prefix("data/0/")?.parse().ok())
        .max();
    let last: u32 = last.unwrap();
    let next = OpenOptions {
        owner: process_identity(support::HOST),
        ..writing("")
    };
    let indexed = world.indexed();
    let mut repository = world.open(next).unwrap();
    put(&mut repository, "c");
    repository.commit().unwrap();
    // Whoever reads begins behind the numbers it could use.
    assert_ne!(world.indexed(), indexed);
    let mut late = MAGIC.to_vec();
    late.extend_from_slice(&delete_entry(&support::id("first")));
    late.extend_from_slice(&delete_entry(&support::id("b")));
    let storage = world.storage(world.store.clone());
    storage
        .write(&format!("data/0/{}", last + 1), &late)
        .unwrap();
    put(&mut repository, "d");
    repository.commit().unwrap();
    repository.close().unwrap();
    let repository = world.open(writing("c")).unwrap();
    for name in ["first", "b", "c", "d"] {
        assert!(has(&repository, name), "{name}");
    }
    drop(repository);
    is_as_it_should_be(&world);
}
