//! Repositories stock Borg wrote, of all ages and in all states, open and give back their objects.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ironborg_repository::{LocalRepository, LockMode, OpenOptions, Repository};
use ironborg_testkit::{Home, Scratch, sample, sample_names};
use ironborg_types::ChunkId;
use support::{Messages, options, writing};

struct Unpacked {
    _scratch: Scratch,
    path: std::path::PathBuf,
}

fn unpack(name: &str) -> Unpacked {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    let path = sample(name).unpack(&scratch, &home).repository;
    Unpacked {
        _scratch: scratch,
        path,
    }
}

fn open(path: &Path, options: OpenOptions) -> (LocalRepository, Arc<Messages>) {
    let messages = Messages::new();
    let options = OpenOptions {
        reporter: Arc::clone(&messages) as _,
        ..options
    };
    (LocalRepository::open(path, options).unwrap(), messages)
}

/// Reads every object and checks what can be checked without a key; returns how many there are.
#[track_caller]
fn read_all(repository: &LocalRepository) -> usize {
    let ids = repository.list(None, None).unwrap();
    assert_eq!(ids.len(), repository.len().unwrap());
    let mut object = Vec::new();
    for id in &ids {
        repository.get(id, &mut object).unwrap();
        assert!(!object.is_empty());
        let size = repository.stored_size(id).unwrap().unwrap();
        assert_eq!(size as usize, object.len());
        assert!(repository.storage_order(id).is_some());
    }
    repository.will_need(&ids);
    // In pieces the list is the same.
    let mut pieces: Vec<ChunkId> = Vec::new();
    while pieces.len() < ids.len() {
        let piece = repository.list(Some(7), pieces.last()).unwrap();
        assert!(!piece.is_empty() && piece.len() <= 7);
        pieces.extend(piece);
    }
    assert_eq!(pieces, ids);
    ids.len()
}

#[test]
fn every_sample_opens_without_a_lock_and_is_left_alone() {
    for name in sample_names() {
        let unpacked = unpack(name);
        let before = fingerprint(&unpacked.path);
        let (repository, _) = open(&unpacked.path, options(LockMode::None));
        let count = read_all(&repository);
        assert!(count > 0, "{name}");
        assert!(repository.contains(&ChunkId::MANIFEST).unwrap(), "{name}");
        drop(repository);
        assert_eq!(fingerprint(&unpacked.path), before, "{name}");
    }
}

#[test]
fn every_sample_takes_a_transaction_and_can_be_rebuilt_from_its_segments() {
    for name in sample_names() {
        let unpacked = unpack(name);
        LocalRepository::break_lock(&unpacked.path).unwrap();
        let (mut repository, _) = open(&unpacked.path, writing());
        let before = read_all(&repository);
        repository.put(&support::id("new"), b"new").unwrap();
        repository.commit().unwrap();
        assert_eq!(read_all(&repository), before + 1, "{name}");
        repository.close().unwrap();

        // The same objects must be found without the index.
        for entry in fs::read_dir(&unpacked.path).unwrap() {
            let entry = entry.unwrap();
            let file_name = entry.file_name().into_string().unwrap();
            if file_name.starts_with("index.") || file_name.starts_with("hints.") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        let (repository, messages) = open(&unpacked.path, support::reading());
        assert_eq!(read_all(&repository), before + 1, "{name}");
        assert_eq!(
            messages.take(),
            ["Replaying segments. Please wait, this can take a while..."]
        );
    }
}

#[test]
fn a_missing_index_is_rebuilt_and_kept() {
    let unpacked = unpack("no-index");
    let (repository, messages) = open(&unpacked.path, support::reading());
    let count = read_all(&repository);
    assert_eq!(
        messages.take(),
        ["Replaying segments. Please wait, this can take a while..."]
    );
    drop(repository);
    let (repository, messages) = open(&unpacked.path, support::reading());
    assert_eq!(read_all(&repository), count);
    assert_eq!(messages.take(), Vec::<String>::new());
}

#[test]
fn a_damaged_index_is_noticed_and_rebuilt() {
    let unpacked = unpack("bad-integrity");
    let (repository, messages) = open(&unpacked.path, support::reading());
    read_all(&repository);
    let logged = messages.take();
    assert_eq!(logged.len(), 2, "{logged:?}");
    let index = repository.transaction_id().unwrap().unwrap();
    let path = unpacked.path.join(format!("index.{index}"));
    assert_eq!(
        logged[0],
        format!(
            "Repository index missing or corrupted, trying to recover from: \
             File failed integrity check: {}",
            path.display()
        )
    );
    drop(repository);
    let (repository, messages) = open(&unpacked.path, support::reading());
    read_all(&repository);
    assert_eq!(messages.take(), Vec::<String>::new());
}

#[test]
fn what_an_interrupted_run_left_is_removed_by_the_next_writer() {
    let unpacked = unpack("interrupted");
    LocalRepository::break_lock(&unpacked.path).unwrap();
    assert!(unpacked.path.join("data/0/6").exists());
    let (mut repository, messages) = open(&unpacked.path, writing());
    assert_eq!(repository.transaction_id().unwrap().unwrap().0, 5);
    read_all(&repository);
    repository.put(&support::id("new"), b"new").unwrap();
    repository.commit().unwrap();
    assert_eq!(repository.transaction_id().unwrap().unwrap().0, 7);
    assert_eq!(messages.take(), Vec::<String>::new());
}

/// Names, sizes and contents of everything below a directory.
fn fingerprint(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
