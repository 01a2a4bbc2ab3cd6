//! Large indexes stay in their files: what is read and written then, and what happens to damage.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::sync::Arc;

use ironborg_repository::{IndexPolicy, LocalRepository, Repository};
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage, Storage};
use ironborg_types::ChunkId;
use support::{IN_FILES, Messages, create, id, open, options, writing};

const OBJECTS: usize = 3000;

fn name(n: usize) -> ChunkId {
    id(&format!("object {n}"))
}

fn filled() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    for n in 0..OBJECTS {
        repository.put(&name(n), &[7; 10]).unwrap();
    }
    repository.commit().unwrap();
    repository.close().unwrap();
    storage
}

fn index_of(storage: &MemoryStorage) -> (String, Vec<u8>) {
    let files = storage.files();
    let mut indexes = files
        .into_iter()
        .filter(|(name, _)| name.starts_with("index."));
    let index = indexes.next().unwrap();
    assert_eq!(indexes.next(), None);
    index
}

#[test]
fn few_questions_read_little_of_a_table_and_a_commit_writes_it_once() {
    let storage = filled();
    let size = index_of(&storage).1.len();
    let recording = RecordingStorage::new(Arc::new(storage.clone()));
    let shared: Arc<dyn Storage> = Arc::new(recording.clone());
    let mut repository = LocalRepository::open_in(shared, writing()).unwrap();
    repository.set_index_policy(IN_FILES);
    assert_eq!(repository.len().unwrap(), OBJECTS);
    let ids = repository.stored_ids().unwrap().unwrap();
    let before = recording.operations().len();
    for n in 0..100 {
        assert!(ids.contains(&name(n)).unwrap());
        assert!(!ids.contains(&name(OBJECTS + n)).unwrap());
    }
    let asked = recording.operations().len() - before;
    assert!(asked <= 250, "{asked} calls for 200 questions");

    repository.put(&name(OBJECTS), b"another").unwrap();
    repository.delete(&name(5)).unwrap();
    let before = recording.operations().len();
    repository.commit().unwrap();
    let operations = recording.operations();
    let staged: Vec<(&str, usize)> = operations[before..]
        .iter()
        .filter_map(|operation| match operation {
            Operation::Stage(name, content) => Some((name.as_str(), content.len())),
            _ => None,
        })
        .filter(|(name, _)| name.starts_with("index."))
        .collect();
    assert_eq!(staged.len(), 1);
    assert_eq!(staged[0].1, size);
    assert!(ids.contains(&name(OBJECTS)).unwrap() && !ids.contains(&name(5)).unwrap());
    drop(repository);
    // What was written is whole, and is what one in memory would have become.
    let repository = open(&storage, writing());
    assert_eq!(repository.len().unwrap(), OBJECTS);
    assert!(repository.contains(&name(OBJECTS)).unwrap());
}

#[test]
fn a_table_much_is_asked_of_is_loaded() {
    let storage = filled();
    let recording = RecordingStorage::new(Arc::new(storage));
    let shared: Arc<dyn Storage> = Arc::new(recording.clone());
    let mut repository = LocalRepository::open_in(shared, writing()).unwrap();
    repository.set_index_policy(IndexPolicy {
        in_memory_max: 0,
        is_loaded_when_asked: true,
    });
    repository
        .put(&name(OBJECTS), b"kept while it is loaded")
        .unwrap();
    let ids = repository.stored_ids().unwrap().unwrap();
    for n in 0..=OBJECTS {
        assert!(ids.contains(&name(n)).unwrap(), "{n}");
    }
    let before = recording.operations().len();
    for n in 0..=OBJECTS {
        assert!(ids.contains(&name(n)).unwrap(), "{n}");
    }
    assert_eq!(recording.operations().len(), before);
    repository.commit().unwrap();
    assert_eq!(repository.list(None, None).unwrap().len(), OBJECTS + 1);
}

#[test]
fn ids_are_listed_in_the_same_order_page_by_page() {
    let storage = filled();
    let loaded = open(&storage, writing());
    let expected = loaded.list(None, None).unwrap();
    drop(loaded);
    let mut repository = open(&storage, writing());
    repository.set_index_policy(IN_FILES);
    let mut listed = Vec::new();
    loop {
        let page = repository.list(Some(77), listed.last()).unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    assert_eq!(repository.list(None, None).unwrap(), expected);
    assert_eq!(repository.list(None, Some(&name(OBJECTS))).unwrap(), []);
}

#[test]
fn a_damaged_table_is_made_anew_with_the_same_words() {
    let storage = filled();
    let (file, good) = index_of(&storage);
    for at in [0, 9, 13, 20, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let told = [IN_FILES, IndexPolicy::default()].map(|policy| {
            let storage = storage.snapshot();
            storage.set(&file, bad.clone());
            let messages = Messages::new();
            let mut open = options(ironborg_repository::LockMode::Exclusive);
            open.reporter = messages.clone();
            let mut repository = LocalRepository::open_in(Arc::new(storage.clone()), open).unwrap();
            repository.set_index_policy(policy);
            let ids = repository.stored_ids().unwrap().unwrap();
            for n in 0..OBJECTS {
                assert!(ids.contains(&name(n)).unwrap(), "byte {at}, object {n}");
            }
            messages.take()
        });
        assert!(!told[0].is_empty());
        assert_eq!(told[0], told[1], "byte {at}");
    }
}

#[test]
fn a_table_that_becomes_damaged_meanwhile_gets_no_new_digest() {
    let storage = filled();
    let (file, good) = index_of(&storage);
    let mut repository = open(&storage, writing());
    repository.set_index_policy(IN_FILES);
    repository.put(&name(OBJECTS), b"another").unwrap();
    let mut bad = good.clone();
    // A key, so that the table still fits together.
    let used = good[18..]
        .chunks_exact(40)
        .position(|bucket| bucket[35] == 0);
    bad[18 + used.unwrap() * 40 + 20] ^= 1;
    storage.set(&file, bad);
    let error = repository.commit().unwrap_err().to_string();
    assert!(error.contains("the index has changed"), "{error}");
    // Nothing was lost: the index is made anew from the segments.
    let ids = repository.stored_ids().unwrap().unwrap();
    assert!((0..OBJECTS).all(|n| ids.contains(&name(n)).unwrap()));
}

#[test]
fn nothing_is_taken_for_stored_behind_a_transaction_that_failed() {
    let storage = filled();
    let mut repository = open(&storage, writing());
    let ids = repository.stored_ids().unwrap().unwrap();
    repository.put(&name(OBJECTS), b"another").unwrap();
    assert!(ids.contains(&name(OBJECTS)).unwrap());
    repository.rollback().unwrap();
    assert!(!ids.contains(&name(OBJECTS)).unwrap());
    // Once the repository was looked at again it answers again.
    assert!(repository.contains(&name(1)).unwrap());
    assert!(ids.contains(&name(1)).unwrap() && !ids.contains(&name(OBJECTS)).unwrap());
}
