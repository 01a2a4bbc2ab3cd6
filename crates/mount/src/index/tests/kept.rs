//! Index files that are kept: used again, found to be damaged, forged or outdated.

use std::sync::Arc;

use ironborg_storage::{Fault, FaultyStorage, LocalStorage, Storage};
use ironborg_testkit::Random;
use ironborg_types::{ArchiveId, ChunkId, Level};

use super::properties::of_archive;
use super::streams::{TestOrigin, directory, file, link};
use crate::index::{PathIndex, Shape};
use crate::node::NodeId;

/// Enough for several blocks.
const FILES: i64 = 800;
const NAME: &str = "paths/0101010101010101010101010101010101010101010101010101010101010101";

/// An archive whose index has blocks of every kind.
fn stored() -> (Arc<TestOrigin>, Vec<ChunkId>) {
    let origin = TestOrigin::new();
    let mut items = Vec::new();
    for number in 0..FILES {
        if number % 100 == 0 {
            items.push(directory(&format!("dir-{}", number / 100), number));
        }
        let path = format!("dir-{}/a-name-that-is-rather-long-{number}", number / 100);
        items.push(file(&path, 5, number));
        if number % 10 == 0 {
            items.push(link(&format!("linked/{number}"), &path, number));
        }
    }
    let chunks = origin.store(&items, 1, &mut Random::new(1));
    (origin, chunks)
}

/// All nodes: number, time, name.
fn everything(index: &PathIndex) -> Vec<(u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![NodeId::ROOT];
    while let Some(id) = left.pop() {
        for (child, name) in index.children(id, 0, usize::MAX).unwrap() {
            assert_eq!(index.find(id, &name).unwrap(), Some(child));
            found.push((child.0, index.node(child).unwrap().mtime, name.0));
            left.push(child);
        }
    }
    found
}

/// How often the index says that something is wrong with it.
fn complaints(origin: &TestOrigin) -> usize {
    let log = origin.log.lock().unwrap();
    let about = |text: &str| text.contains("built anew");
    log.iter().filter(|(_, text)| about(text)).count()
}

#[test]
fn damage_in_any_block_is_mended_and_numbers_stay() {
    let (origin, chunks) = stored();
    let expected = everything(&of_archive(&origin, &chunks, &Shape::whole()));
    assert_eq!(expected.len(), 800 + 8 + 80 + 1);
    let good = origin.storage.read(NAME).unwrap();
    let mut tried = 0;
    for at in (0..good.len()).step_by(24 * 1024).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        // Before it is opened.
        origin.storage.set(NAME, &bad[..]);
        let before = complaints(&origin);
        let index = of_archive(&origin, &chunks, &Shape::whole());
        assert_eq!(everything(&index), expected, "byte {at}");
        assert_eq!(complaints(&origin), before + 1, "byte {at}");
        // While it is open; blocks that are in memory are good.
        let index = of_archive(&origin, &chunks, &Shape::whole());
        origin.storage.set(NAME, &bad[..]);
        assert_eq!(everything(&index), expected, "byte {at}");
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
    // Gone, or cut, while it is open.
    for len in [0, 64, 5000, good.len() / 2] {
        let index = of_archive(&origin, &chunks, &Shape::whole());
        match len {
            0 => origin.storage.remove(NAME).unwrap(),
            len => origin.storage.set(NAME, &good[..len]),
        }
        assert_eq!(everything(&index), expected);
        let index = of_archive(&origin, &chunks, &Shape::whole());
        assert_eq!(everything(&index), expected);
    }
}

#[test]
fn an_index_of_a_deleted_archive_that_is_damaged_is_an_error() {
    let (origin, chunks) = stored();
    let index = of_archive(&origin, &chunks, &Shape::whole());
    origin.archives.lock().unwrap().clear();
    let good = origin.storage.read(NAME).unwrap();
    origin.storage.set(NAME, &good[..1000]);
    let error = index.children(NodeId::ROOT, 0, 1).unwrap_err();
    assert!(error.to_string().contains("deleted"), "{error}");
}

#[test]
fn what_belongs_to_another_archive_repository_or_version_is_not_used() {
    let (origin, chunks) = stored();
    let expected = everything(&of_archive(&origin, &chunks, &Shape::whole()));
    let good = origin.storage.read(NAME).unwrap();
    // The index of another archive under this name.
    let name = NAME.replace("01", "02");
    origin.storage.set(&name, &good[..]);
    let others = origin.store(&[file("other", 1, 7)], 2, &mut Random::new(2));
    let id = ArchiveId([2; 32]);
    let shared = Arc::clone(&origin) as Arc<dyn crate::index::origin::Origin>;
    let index =
        PathIndex::of_archive(shared, &"other".into(), id, &others, &Shape::whole()).unwrap();
    assert_eq!(everything(&index).len(), 1);
    // Another repository's, so another key.
    let (foreign, foreign_chunks) = stored();
    foreign.storage.set(NAME, &good[..]);
    let index = of_archive(&foreign, &foreign_chunks, &Shape::whole());
    assert_eq!(everything(&index), expected);
    assert_eq!(complaints(&foreign), 1);
    // Another version, which is not worth a word.
    let mut newer = good;
    newer[12] += 1;
    origin.storage.set(NAME, newer);
    let before = complaints(&origin);
    let index = of_archive(&origin, &chunks, &Shape::whole());
    assert_eq!(everything(&index), expected);
    assert_eq!(complaints(&origin), before);
}

#[test]
fn indexes_of_archives_that_are_gone_are_removed() {
    let (origin, chunks) = stored();
    for name in ["paths/kept-by-somebody", "paths/0303", "other/file"] {
        origin.storage.set(name, *b"not ours");
    }
    let gone = NAME.replace("01", "04");
    origin.storage.set(&gone, *b"old");
    of_archive(&origin, &chunks, &Shape::whole());
    assert!(origin.storage.status(&gone).unwrap().is_none());
    let mut names: Vec<String> = origin
        .storage
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    let expected = ["other/file", NAME, "paths/0303", "paths/kept-by-somebody"];
    assert_eq!(names, expected);
}

#[test]
fn a_cache_that_cannot_be_written_costs_the_reuse_only() {
    let (origin, chunks) = stored();
    let expected = everything(&of_archive(&origin, &chunks, &Shape::whole()));
    origin.storage.remove(NAME).unwrap();
    // Somebody else is writing it.
    origin.storage.set(&format!("{NAME}.tmp"), *b"half of it");
    let index = of_archive(&origin, &chunks, &Shape::whole());
    assert_eq!(everything(&index), expected);
    origin.storage.remove(&format!("{NAME}.tmp")).unwrap();
    let nowhere = LocalStorage::new("/dev/null/nowhere");
    *origin.elsewhere.lock().unwrap() = Some(Arc::new(nowhere));
    let index = of_archive(&origin, &chunks, &Shape::whole());
    assert_eq!(everything(&index), expected);
    // The disk fails or fills up at any call.
    let mut calls = 0;
    for at in 0.. {
        let inner = Arc::clone(&origin.storage) as Arc<dyn Storage>;
        let fault = Fault {
            at,
            forever: at % 2 == 0,
            errno: 28,
        };
        let faulty = FaultyStorage::new(inner, fault);
        *origin.elsewhere.lock().unwrap() = Some(Arc::new(faulty.clone()));
        let index = of_archive(&origin, &chunks, &Shape::whole());
        assert_eq!(everything(&index), expected, "call {at}");
        if faulty.failures() == 0 {
            break;
        }
        calls += 1;
        let _ = origin.storage.remove(NAME);
        let _ = origin.storage.remove(&format!("{NAME}.tmp"));
    }
    assert!(calls > 10, "{calls} calls");
    let log = origin.log.lock().unwrap();
    let loud = log.iter().filter(|(level, _)| *level == Level::Warning);
    let about_reading = |text: &str| text.contains("cannot be read, it is built anew");
    assert!(
        loud.clone().all(|(_, text)| about_reading(text)),
        "{:?}",
        loud.collect::<Vec<_>>()
    );
}
