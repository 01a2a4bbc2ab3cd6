//! A transaction whose commit entry was damaged: nothing throws it away, and a repair brings it back.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::sync::Arc;

use ironborg_repository::{
    CheckOptions, CompactOptions, LocalRepository, Repository, RepositoryError,
};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::ErrorKind;
use support::{Messages, create, id, open, reading, writing};

/// Two transactions, `old` and `new`; gives the name of the segment that holds the last commit.
fn two_transactions() -> (MemoryStorage, String) {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    for name in ["old", "new"] {
        repository.put(&id(name), name.as_bytes()).unwrap();
        repository.commit().unwrap();
    }
    let last = repository.transaction_id().unwrap().unwrap();
    (storage, format!("data/0/{last}"))
}

fn get(repository: &LocalRepository, name: &str) -> Result<Vec<u8>, RepositoryError> {
    let mut object = Vec::new();
    repository.get(&id(name), &mut object)?;
    Ok(object)
}

type Change = fn(&mut LocalRepository) -> Result<(), RepositoryError>;

/// As found by damaging every bit of a repository: compacting, which asks neither manifest nor security records,
/// removed the segments of a transaction because of one flipped bit in its commit.
#[test]
fn writing_is_refused_until_a_repair_is_asked_for() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |segment| segment[8] ^= 1,
        |segment| segment.truncate(9),
        Vec::clear,
        |segment| segment.push(0),
    ];
    let changes: [Change; 4] = [
        |repository| repository.put(&id("x"), b"x"),
        |repository| repository.delete(&id("old")),
        |repository| {
            repository.commit_compact(CompactOptions {
                threshold: 0.0,
                cleanup_commits: true,
                interrupt: None,
            })
        },
        // A reader with the right to write mends what it finds; not this.
        |repository| get(repository, "old").map(drop),
    ];
    for damage in damages {
        for change in changes {
            let (storage, commit) = two_transactions();
            let whole = storage.read(&commit).unwrap();
            let mut segment = whole.clone();
            damage(&mut segment);
            storage.set(&commit, segment);
            let mut repository = open(&storage, writing());
            let result = change(&mut repository);
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::RepositoryCheckNeeded, "{error}");
                assert!(error.to_string().contains("--repair"), "{error}");
            }
            drop(repository);
            // Whoever has the segment's bytes, from the disk's own redundancy or a copy, has everything back.
            storage.set(&commit, whole);
            let repository = open(&storage, reading());
            assert_eq!(get(&repository, "new").unwrap(), b"new");
            assert_eq!(get(&repository, "old").unwrap(), b"old");
        }
    }
}

#[test]
fn readers_see_the_transaction_before_and_are_told() {
    let (storage, commit) = two_transactions();
    storage.truncate(&commit, 9);
    let messages = Messages::new();
    let mut options = reading();
    options.reporter = messages.clone();
    let repository = open(&storage, options);
    assert_eq!(get(&repository, "old").unwrap(), b"old");
    get(&repository, "new").expect_err("it is not committed any more");
    let said = messages.take();
    assert!(
        said.iter().any(
            |line| line.contains("segment 3 is damaged") && line.contains("last one seen is 1")
        ),
        "{said:?}"
    );
}

#[test]
fn a_repair_brings_it_back_and_then_all_is_well() {
    let (storage, commit) = two_transactions();
    storage.truncate(&commit, 9);
    let mut repository = open(&storage, writing());
    let options = CheckOptions {
        mode: ironborg_repository::CheckMode::Repair,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    assert!(Repository::check(&mut repository, &options).unwrap());
    drop(repository);
    let mut repository = open(&storage, writing());
    repository.put(&id("newer"), b"newer").unwrap();
    repository.commit().unwrap();
    for name in ["old", "new", "newer"] {
        assert_eq!(get(&repository, name).unwrap(), name.as_bytes());
    }
}

/// Going back on purpose is done by removing segments; indexes may stay behind.
#[test]
fn without_the_segment_there_is_nothing_to_lose() {
    let (storage, commit) = two_transactions();
    storage.remove(&commit).unwrap();
    let mut repository = open(&storage, writing());
    repository.put(&id("other"), b"other").unwrap();
    repository.commit().unwrap();
    assert_eq!(get(&repository, "other").unwrap(), b"other");
    assert_eq!(get(&repository, "old").unwrap(), b"old");
}
