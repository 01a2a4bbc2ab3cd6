//! The same operations leave the same files as with stock Borg.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_format::hashindex::HashIndex;
use ironborg_format::hints::HintsFile;
use ironborg_format::integrity::{IntegrityFile, verify};
use ironborg_repository::{CompactOptions, CreateOptions, LocalRepository, Repository};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::ChunkId;
use serde_json::Value;
use support::{create, id, open, reading, writing};

fn vectors() -> Vec<Value> {
    let text = include_str!("../../../testdata/vectors/repository.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    vectors["repos"].as_array().unwrap().clone()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// Compares all files with those stock Borg left after the scenario that begins like this.
#[track_caller]
fn check(storage: &MemoryStorage, scenario: usize, begins: &str) {
    let vector = vectors().swap_remove(scenario);
    let text = vector["scenario"].as_str().unwrap();
    assert!(text.starts_with(begins), "{text}");
    let expected = vector["files"].as_object().unwrap();
    let files: BTreeMap<String, Vec<u8>> = storage
        .files()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("lock."))
        .collect();
    let expected_names: Vec<&String> = expected
        .keys()
        .filter(|name| !name.starts_with("lock."))
        .collect();
    let mut names: Vec<&String> = files.keys().collect();
    names.sort();
    let mut sorted = expected_names.clone();
    sorted.sort();
    assert_eq!(names, sorted, "{text}");
    for (name, content) in &files {
        let expected = &expected[name];
        let context = format!("{name} after {text}");
        match name.split(['.', '/']).next().unwrap() {
            "data" => assert_eq!(content, &hex(expected.as_str().unwrap()), "{context}"),
            "README" | "nonce" => {
                assert_eq!(content, expected.as_str().unwrap().as_bytes(), "{context}");
            }
            "config" => {
                let without_id = |text: &str| {
                    let lines = text.lines().filter(|line| !line.starts_with("id = "));
                    lines.collect::<Vec<_>>().join("\n")
                };
                let found = std::str::from_utf8(content).unwrap();
                let expected = expected.as_str().unwrap();
                assert_eq!(without_id(found), without_id(expected), "{context}");
            }
            "hints" => check_hints(content, expected, &context),
            "index" => check_index(content, expected, &context),
            "integrity" => check_integrity(content, name, &files),
            "transactions" => check_transactions(content, expected, &context),
            other => panic!("unexpected file {other}"),
        }
    }
}

fn check_hints(content: &[u8], expected: &Value, context: &str) {
    let ours = HintsFile::decode(content).unwrap();
    let stocks = HintsFile::decode(&hex(expected["hex"].as_str().unwrap())).unwrap();
    assert_eq!(ours, stocks, "{context}");
    assert_eq!(content.len() * 2, expected["hex"].as_str().unwrap().len());
}

fn check_index(content: &[u8], expected: &Value, context: &str) {
    let index = HashIndex::<8>::from_bytes(content.to_vec()).unwrap();
    let ours: BTreeMap<Vec<u8>, Vec<u8>> = index
        .iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    let buckets = expected["non_empty_buckets"].as_array().unwrap();
    let stocks: BTreeMap<Vec<u8>, Vec<u8>> = buckets
        .iter()
        .filter(|bucket| bucket[2] == "used")
        .map(|bucket| {
            let mut key = hex(bucket[1].as_str().unwrap());
            let value = key.split_off(32);
            (key, value)
        })
        .collect();
    assert_eq!(ours, stocks, "{context}");
    assert_eq!(
        index.bucket_count() as u64,
        expected["num_buckets"].as_u64().unwrap()
    );
}

fn check_integrity(content: &[u8], name: &str, files: &BTreeMap<String, Vec<u8>>) {
    let file = IntegrityFile::decode(content).unwrap();
    let transaction = name.strip_prefix("integrity.").unwrap();
    let (hints, index) = (
        format!("hints.{transaction}"),
        format!("index.{transaction}"),
    );
    assert_eq!(verify(&hints, &files[&hints], None, &file.hints), Ok(None));
    assert_eq!(
        verify(&index, &files[&index], Some(18), &file.index),
        Ok(None)
    );
}

fn check_transactions(content: &[u8], expected: &Value, context: &str) {
    let expected = expected.as_str().unwrap();
    let found = std::str::from_utf8(content).unwrap();
    assert_eq!(found.lines().count(), expected.lines().count(), "{context}");
    for (found, expected) in found.lines().zip(expected.lines()) {
        let begin = expected.strip_suffix("<UTC ISO>").unwrap();
        let time = found.strip_prefix(begin).expect(context);
        assert!(time.parse::<ironborg_types::Timestamp>().is_ok(), "{time}");
    }
}

fn compact(repository: &mut LocalRepository, threshold: f64) {
    let options = CompactOptions {
        threshold,
        cleanup_commits: false,
        interrupt: None,
    };
    repository.commit_compact(options).unwrap();
}

#[test]
fn puts_deletes_and_compactions_leave_stock_borg_s_files() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    repository.put(&id("id1"), b"data1").unwrap();
    repository.put(&id("id2"), b"data two").unwrap();
    repository.put(&ChunkId::MANIFEST, b"manifest v1").unwrap();
    repository.commit().unwrap();
    drop(repository);
    check(&storage, 0, "create; put id1");

    let mut repository = open(&storage, writing());
    repository.put(&id("id3"), b"third").unwrap();
    repository.delete(&id("id1")).unwrap();
    repository.put(&id("id2"), b"data two changed").unwrap();
    repository.put(&ChunkId::MANIFEST, b"manifest v2").unwrap();
    repository.commit().unwrap();
    drop(repository);
    check(&storage, 1, "... then reopen; put id3");

    let mut repository = open(&storage, writing());
    repository.put(&ChunkId::MANIFEST, b"manifest v2").unwrap();
    compact(&mut repository, 0.1);
    drop(repository);
    check(&storage, 2, "... then reopen; put MANIFEST");

    let mut repository = open(&storage, writing());
    repository.put(&ChunkId::MANIFEST, b"manifest v2").unwrap();
    compact(&mut repository, 0.0);
    drop(repository);
    check(&storage, 3, "... again, threshold=0.0");

    let mut repository = open(&storage, writing());
    let nonces = repository.nonce_store();
    nonces.reserve(0x1000_0020, None).unwrap();
    repository.put(&id("id9"), b"uncommitted").unwrap();
    // What was written stays in the buffer; like a killed process, this leaves an unfinished segment.
    repository.get(&id("id9"), &mut Vec::new()).unwrap();
    drop(repository);
    check_unfinished(&storage);
}

/// An unfinished segment holds nothing that counts.
fn check_unfinished(storage: &MemoryStorage) {
    assert!(storage.status("data/0/16").unwrap().is_some());
    let repository = open(storage, reading());
    assert_eq!(repository.len().unwrap(), 3);
    assert!(!repository.contains(&id("id9")).unwrap());
    let stocks = hex(vectors()[4]["files"]["data/0/16"].as_str().unwrap());
    storage.set("data/0/16", stocks);
    check(storage, 4, "... then nonce reservation");
}

#[test]
fn append_only_repositories_keep_everything_and_log_transactions() {
    let storage = MemoryStorage::new();
    let options = CreateOptions {
        append_only: true,
        storage_quota: Some(10_000_000),
        make_parent_dirs: false,
    };
    let shared = Arc::new(storage.clone());
    let mut repository = LocalRepository::create_in(shared, &options, writing()).unwrap();
    for (object, manifest) in [(b"xxxxxxxxxx", &b"m"[..]), (b"yyyyyyyyyy", b"m2")] {
        repository.put(&id("id1"), object).unwrap();
        repository.put(&ChunkId::MANIFEST, manifest).unwrap();
        compact(&mut repository, 0.1);
    }
    assert!(repository.destroy().is_err());
    drop(repository);
    check(&storage, 5, "append_only=True");
}

#[test]
fn small_segments_spread_over_directories_as_with_stock_borg() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "100");
    config.set("repository", "segments_per_dir", "2");
    repository.save_config(config).unwrap();
    drop(repository);

    let mut repository = open(&storage, writing());
    for i in 0..6 {
        let object = format!("v{i}").repeat(20);
        repository
            .put(&id(&format!("id{i}")), object.as_bytes())
            .unwrap();
    }
    repository.commit().unwrap();
    for i in [0, 2, 4] {
        repository.delete(&id(&format!("id{i}"))).unwrap();
    }
    repository.put(&ChunkId::MANIFEST, b"mm").unwrap();
    repository.commit().unwrap();
    check(&storage, 6, "config max_segment_size=100");

    repository.put(&ChunkId::MANIFEST, b"mm").unwrap();
    compact(&mut repository, 0.1);
    check(&storage, 7, "... then put MANIFEST; commit(compact=True)");
}
