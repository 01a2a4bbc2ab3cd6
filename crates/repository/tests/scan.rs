//! Looking at the segments as they lie there finds everything, in order, up to damage.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::sync::Arc;

use ironborg_format::segment::Entry;
use ironborg_repository::{LocalRepository, Repository, RepositoryError};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{ChunkId, SegmentId};
use support::{create, id, open, reading, writing};

/// Three transactions: large and small objects, one superseded, one deleted.
fn with_history() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    for (name, len) in [("a", 10), ("large", 100_000), ("b", 0), ("c", 5000)] {
        repository.put(&id(name), &vec![7; len]).unwrap();
    }
    repository.commit().unwrap();
    repository.put(&id("a"), b"anew").unwrap();
    repository.commit().unwrap();
    repository.delete(&id("c")).unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    storage
}

/// What the entries of a segment do, and what ended the scan.
fn entries(
    repository: &LocalRepository,
    segment: SegmentId,
    offset: u64,
) -> (Vec<String>, Option<RepositoryError>) {
    let mut scan = repository.scan_segment(segment, offset);
    let mut found = Vec::new();
    loop {
        match scan.next_entry() {
            Ok(Some(entry)) => found.push(match entry.entry {
                Entry::Put { object, .. } => format!("{} put {}", entry.offset, object.len()),
                Entry::Delete { .. } => format!("{} delete", entry.offset),
                Entry::Commit => format!("{} commit", entry.offset),
            }),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

fn all(repository: &LocalRepository) -> Vec<ChunkId> {
    repository.scan(100, None).unwrap()
}

#[test]
fn ids_come_in_storage_order_page_by_page() {
    let repository = open(&with_history(), reading());
    let expected = ["large", "b", "a"].map(id);
    assert_eq!(all(&repository), expected);
    let mut paged = Vec::new();
    while let [next] = repository.scan(1, paged.last()).unwrap()[..] {
        paged.push(next);
    }
    assert_eq!(paged, expected);
    let unknown = repository.scan(1, Some(&id("unknown")));
    assert!(matches!(
        unknown,
        Err(RepositoryError::ObjectNotFound { .. })
    ));
}

#[test]
fn entries_are_found_whether_they_still_count_or_not() {
    let repository = open(&with_history(), reading());
    let first = repository.segments().unwrap()[0];
    let (found, error) = entries(&repository, first, 0);
    assert!(error.is_none());
    assert_eq!(
        found,
        [
            "8 put 10",
            "59 put 100000",
            "100100 put 0",
            "100141 put 5000"
        ]
    );
    let (found, error) = entries(&repository, first, 100_100);
    assert!(error.is_none());
    assert_eq!(found, ["100100 put 0", "100141 put 5000"]);
    let everything: Vec<String> = repository
        .segments()
        .unwrap()
        .into_iter()
        .flat_map(|segment| entries(&repository, segment, 0).0)
        .collect();
    assert_eq!(
        everything.iter().filter(|e| e.ends_with("commit")).count(),
        3
    );
    assert_eq!(
        everything.iter().filter(|e| e.ends_with("delete")).count(),
        2
    );
}

#[test]
fn damage_ends_a_segment_and_nothing_else() {
    let storage = with_history();
    let name = "data/0/0";
    let sound = storage.read(name).unwrap();
    // In the content of the large object: only a reader of contents minds.
    let mut damaged = sound.clone();
    damaged[50_000] ^= 1;
    storage.replace(name, &[&damaged]).unwrap();
    let repository = open(&storage, reading());
    assert_eq!(all(&repository), ["large", "b", "a"].map(id));
    let (found, error) = entries(&repository, SegmentId(0), 0);
    assert_eq!(found, ["8 put 10"]);
    assert_eq!(
        error.unwrap().to_string(),
        "Data integrity error: Segment entry checksum mismatch [segment 0, offset 59]"
    );
    repository.close().unwrap();
    // In the size of an entry: what follows it cannot be found.
    damaged.clone_from(&sound);
    damaged[59 + 7] = 0xff;
    storage.replace(name, &[&damaged]).unwrap();
    let repository = open(&storage, reading());
    assert_eq!(all(&repository), [id("a")]);
    repository.close().unwrap();
    // A removal that was cut short leaves a file of no length.
    storage.replace(name, &[b""]).unwrap();
    let repository = open(&storage, reading());
    assert_eq!(all(&repository), [id("a")]);
    let (_, error) = entries(&repository, SegmentId(0), 0);
    assert!(error.unwrap().to_string().contains("Invalid segment magic"));
}

#[test]
fn hints_are_listed_as_they_are_kept() {
    let mut repository = open(&with_history(), writing());
    let hints = repository.hints().unwrap();
    assert_eq!(hints.segments.iter().map(|(_, used)| used).sum::<i64>(), 3);
    let shadowed: Vec<ChunkId> = hints.shadow_index.iter().map(|(id, _)| *id).collect();
    assert!(shadowed.contains(&id("a")) && shadowed.contains(&id("c")));
    assert!(hints.storage_quota_use > 105_000);
}
