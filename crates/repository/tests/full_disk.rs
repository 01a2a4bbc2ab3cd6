//! A disk of every size that is too small: what does not fit is undone and its room given back, what was committed
//! stays readable, and what makes room works in the reserve that everything else has to leave.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_repository::{CompactOptions, LocalRepository, Repository, RepositoryError};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_testkit::{Tried, tally};
use ironborg_types::ChunkId;
use support::{Messages, create_options, id, open, reading, writing};

/// What free space is tried in.
const BLOCK: u64 = 4096;
const OBJECT_LEN: usize = 20_000;
/// Objects of the repository each test begins with, five or so to a segment.
const OBJECTS: usize = 60;

const COMPACT: CompactOptions = CompactOptions {
    threshold: 0.1,
    cleanup_commits: false,
    interrupt: None,
};

type Content = BTreeMap<ChunkId, Vec<u8>>;

fn object(number: usize) -> (ChunkId, Vec<u8>) {
    let byte = u8::try_from(number).unwrap();
    (id(&format!("{number}")), vec![byte; OBJECT_LEN])
}

/// A repository with [`OBJECTS`] objects and a manifest, and what is in it.
fn filled(settings: &[(&str, &str)]) -> (MemoryStorage, Content) {
    let memory = MemoryStorage::new();
    let shared: Arc<dyn Storage> = Arc::new(memory.clone());
    let mut repository = LocalRepository::create_in(shared, &create_options(), writing()).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "100000");
    for (name, value) in settings {
        config.set("repository", name, *value);
    }
    repository.save_config(config).unwrap();
    drop(repository);
    let mut repository = open(&memory, writing());
    let mut content: Content = (0..OBJECTS).map(object).collect();
    content.insert(ChunkId::MANIFEST, b"first".to_vec());
    for number in 0..OBJECTS {
        let (id, object) = object(number);
        repository.put(&id, &object).unwrap();
    }
    repository.put(&ChunkId::MANIFEST, b"first").unwrap();
    repository.commit().unwrap();
    (memory, content)
}

/// The disk with so much room left.
fn with_free(memory: &MemoryStorage, free: u64) -> MemoryStorage {
    let disk = memory.snapshot();
    disk.set_capacity(Some(disk.used() + free));
    disk
}

/// Everything a reader gets, on the disk as it is.
#[track_caller]
fn content(disk: &MemoryStorage) -> Content {
    let repository = open(disk, reading());
    let ids = repository.list(None, None).unwrap();
    let read = |id: ChunkId| {
        let mut object = Vec::new();
        repository.get(&id, &mut object).unwrap();
        (id, object)
    };
    ids.into_iter().map(read).collect()
}

/// Nobody who reads later finds a lock.
#[track_caller]
fn assert_unlocked(disk: &MemoryStorage) {
    let files = disk.files();
    let locks = files.iter().filter(|(name, _)| name.starts_with("lock"));
    assert_eq!(locks.count(), 0);
}

fn is_no_room(error: &RepositoryError) -> bool {
    match error {
        RepositoryError::Storage(error) => error.is_no_space(),
        RepositoryError::InsufficientFreeSpace { .. } => true,
        _ => false,
    }
}

/// Works on a repository that is opened and closed again.
fn work(
    disk: &MemoryStorage,
    action: impl FnOnce(&mut LocalRepository) -> Result<(), RepositoryError>,
) -> Result<(), RepositoryError> {
    let mut repository = LocalRepository::open_in(Arc::new(disk.clone()), writing())?;
    let done = action(&mut repository);
    done.and(repository.close())
}

fn add(repository: &mut LocalRepository) -> Result<(), RepositoryError> {
    for number in OBJECTS..OBJECTS + 20 {
        let (id, object) = object(number);
        repository.put(&id, &object)?;
    }
    repository.put(&ChunkId::MANIFEST, b"second")?;
    repository.commit()
}

fn delete(repository: &mut LocalRepository, numbers: &[usize]) -> Result<(), RepositoryError> {
    for &number in numbers {
        repository.delete(&object(number).0)?;
    }
    repository.put(&ChunkId::MANIFEST, b"shorter")?;
    repository.commit()
}

fn compact(repository: &mut LocalRepository) -> Result<(), RepositoryError> {
    let mut manifest = Vec::new();
    repository.get(&ChunkId::MANIFEST, &mut manifest)?;
    repository.put(&ChunkId::MANIFEST, &manifest)?;
    repository.commit_compact(COMPACT)
}

#[test]
fn what_does_not_fit_is_undone_and_its_room_given_back() {
    let (memory, before) = filled(&[]);
    let mut after = before.clone();
    after.extend((OBJECTS..OBJECTS + 20).map(object));
    after.insert(ChunkId::MANIFEST, b"second".to_vec());
    let (mut refused, mut full, mut done) = (0, 0, 0);
    let mut tried = 0;
    for blocks in 0..220 {
        let disk = with_free(&memory, blocks * BLOCK);
        let used = disk.used();
        let result = work(&disk, add);
        tried += 1;
        let found = content_with_room_for_a_lock(&disk);
        match result {
            Ok(()) => {
                assert!(found == after, "{blocks} blocks");
                done += 1;
            }
            Err(error) => {
                assert!(is_no_room(&error), "{blocks} blocks: {error}");
                assert!(found == before, "{blocks} blocks: {error}");
                assert_eq!(disk.used(), used, "{blocks} blocks: {error}");
                match error {
                    RepositoryError::Storage(_) => full += 1,
                    _ => refused += 1,
                }
            }
        }
        assert_unlocked(&disk);
    }
    assert!(
        refused > 10 && full > 50 && done > 10,
        "{refused} refused, {full} full, {done} done"
    );
    tally(Tried::Faults, tried);
}

/// Readers have to write their lock.
#[track_caller]
fn content_with_room_for_a_lock(disk: &MemoryStorage) -> Content {
    let disk = disk.snapshot();
    disk.set_capacity(Some(disk.used() + BLOCK));
    content(&disk)
}

/// Everything that is free in what stock Borg would keep free is used up to a few blocks.
#[test]
fn deleting_and_compacting_work_in_the_reserve() {
    let (memory, mut after) = filled(&[("additional_free_space", "1T")]);
    // Whole segments and parts of segments.
    let doomed: Vec<usize> = (0..20).chain((20..OBJECTS).step_by(3)).collect();
    for &number in &doomed {
        after.remove(&object(number).0);
    }
    let before = content(&memory);
    after.insert(ChunkId::MANIFEST, b"shorter".to_vec());
    let (mut refused, mut done) = (0, 0);
    for blocks in 0..200 {
        let disk = with_free(&memory, blocks * BLOCK);
        let used = disk.used();
        let added = work(&disk, add).unwrap_err();
        assert!(is_no_room(&added), "{added}");
        if let Err(error) = work(&disk, |repository| delete(repository, &doomed)) {
            assert!(is_no_room(&error), "{blocks} blocks: {error}");
            assert!(content_with_room_for_a_lock(&disk) == before, "{blocks}");
            assert_eq!(disk.used(), used, "{blocks} blocks: {error}");
            refused += 1;
            continue;
        }
        assert!(content(&disk) == after, "{blocks} blocks");
        // What could be deleted can be compacted.
        let compacted = work(&disk, compact);
        assert!(compacted.is_ok(), "{blocks} blocks: {compacted:?}");
        assert!(content(&disk) == after, "{blocks} blocks");
        let freed = used.saturating_sub(disk.used());
        let expected = (doomed.len() * OBJECT_LEN) as u64 * 9 / 10;
        assert!(freed > expected, "{blocks} blocks: {freed} bytes freed");
        assert_unlocked(&disk);
        done += 1;
    }
    assert!(refused > 20 && done > 50, "{refused} refused, {done} done");
    assert!(refused < 110, "{refused} refused");
    tally(Tried::Faults, refused + done);
}

/// With room for what is needed of one segment all are compacted, one after the other; with less as many as fit,
/// and one of which nothing is needed makes room for others.
#[test]
fn compaction_gets_by_with_room_for_one_segment() {
    // Of a dozen objects a segment: all but two; none, half, most; most.
    let even = (0..OBJECTS).filter(|number| number % 12 > 1).collect();
    let last = (0..12)
        .chain((12..24).step_by(2))
        .chain((24..OBJECTS).step_by(5));
    let few: Vec<usize> = (0..OBJECTS).step_by(5).collect();
    let mut tried = 0;
    for (doomed, expect_parts) in [(even, false), (last.collect(), false), (few, true)] {
        let [failed, partly, whole] = compact_at_every_size(&doomed);
        assert!(
            failed > 10 && (partly > 5) == expect_parts && whole > 20,
            "{failed} failed, {partly} partly, {whole} whole"
        );
        tried += failed + partly + whole;
    }
    tally(Tried::Faults, tried);
}

/// How many sizes were too small, enough for a part, and for all.
#[track_caller]
fn compact_at_every_size(doomed: &[usize]) -> [u64; 3] {
    let (memory, mut after) = filled(&[("max_segment_size", "235000")]);
    work(&memory, |it| delete(it, doomed)).unwrap();
    for &number in doomed {
        after.remove(&object(number).0);
    }
    after.insert(ChunkId::MANIFEST, b"shorter".to_vec());
    let unlimited = memory.snapshot();
    work(&unlimited, compact).unwrap();
    // A few blocks more than in one go: each part has its own commit.
    let smallest = unlimited.used() + 30 * BLOCK;
    let [mut failed, mut partly, mut whole] = [0; 3];
    for blocks in (0..130).step_by(2) {
        let disk = with_free(&memory, blocks * BLOCK);
        let used = disk.used();
        let messages = Messages::new();
        let options = ironborg_repository::OpenOptions {
            reporter: messages.clone(),
            ..writing()
        };
        let opened = LocalRepository::open_in(Arc::new(disk.clone()), options);
        let result = opened.and_then(|mut repository| {
            let done = compact(&mut repository);
            done.and(repository.close())
        });
        let said = messages.take();
        let left = said.iter().any(|said| said.contains("left as they are"));
        assert!(content_with_room_for_a_lock(&disk) == after, "{blocks}");
        match result {
            Err(error) => {
                assert!(is_no_room(&error), "{blocks} blocks: {error}");
                assert_eq!(disk.used(), used, "{blocks} blocks: {error}");
                failed += 1;
            }
            Ok(()) if left => partly += 1,
            Ok(()) => {
                assert!(disk.used() <= smallest, "{blocks}");
                whole += 1;
            }
        }
        // What is left is done when there is room.
        disk.set_capacity(None);
        work(&disk, compact).unwrap();
        assert!(content(&disk) == after, "{blocks}");
        assert!(disk.used() <= smallest, "{blocks}");
    }
    [failed, partly, whole]
}

/// A crash has left no index, and there is no room for one: it is rebuilt in memory, by readers and by those who
/// then make room for it.
#[test]
fn an_index_for_which_there_is_no_room_is_rebuilt_in_memory() {
    let (memory, before) = filled(&[]);
    for (name, _) in memory.files() {
        if ["index.", "hints.", "integrity."]
            .iter()
            .any(|start| name.starts_with(start))
        {
            memory.remove(&name).unwrap();
        }
    }
    let disk = with_free(&memory, BLOCK);
    assert!(content(&disk) == before);
    assert_unlocked(&disk);
    let mut tried = 1;
    // Index and hints take fifteen blocks or so.
    for blocks in 1..100 {
        let disk = with_free(&memory, blocks * BLOCK);
        let doomed: Vec<usize> = (0..40).collect();
        let deleted = work(&disk, |repository| delete(repository, &doomed));
        tried += 1;
        let count = content_with_room_for_a_lock(&disk).len();
        match deleted {
            Ok(()) => {
                assert_eq!(count, OBJECTS - 40 + 1, "{blocks} blocks");
                work(&disk, compact).unwrap();
                assert_eq!(content(&disk).len(), OBJECTS - 40 + 1, "{blocks} blocks");
            }
            Err(error) => {
                assert!(is_no_room(&error), "{blocks} blocks: {error}");
                assert_eq!(count, OBJECTS + 1, "{blocks} blocks: {error}");
            }
        }
    }
    tally(Tried::Faults, tried);
}

/// A quota that is used up: nothing more goes in, but deleting and compacting make room.
#[test]
fn deleting_and_compacting_work_with_the_quota_used_up() {
    let (memory, _) = filled(&[]);
    let used = open(&memory, writing()).storage_quota_use().unwrap();
    // As lowered by the administrator, to exactly what there is.
    let limited = || ironborg_repository::OpenOptions {
        storage_quota: Some(used),
        ..writing()
    };
    let mut repository = open(&memory, limited());
    let error = add(&mut repository).unwrap_err();
    assert!(matches!(
        error,
        RepositoryError::StorageQuotaExceeded { .. }
    ));
    // Nothing more comes of that transaction.
    assert!(repository.commit().is_err());
    assert_eq!(repository.storage_quota_use().unwrap(), used);
    let doomed: Vec<usize> = (0..10).collect();
    delete(&mut repository, &doomed).unwrap();
    assert!(repository.storage_quota_use().unwrap() > used);
    compact(&mut repository).unwrap();
    let now = repository.storage_quota_use().unwrap();
    assert!(now < used - 10 * OBJECT_LEN as u64 + 1000, "{now}");
    add(&mut repository).unwrap_err();
    drop(repository);
    tally(Tried::Faults, 4);
}

/// The reserve of the quota is not for keeping things in.
#[test]
fn nobody_gets_past_the_quota_by_replacing() {
    let (memory, _) = filled(&[]);
    let used = open(&memory, writing()).storage_quota_use().unwrap();
    let limited = ironborg_repository::OpenOptions {
        storage_quota: Some(used),
        ..writing()
    };
    let mut repository = open(&memory, limited);
    let mut replaced = 0_u64;
    let error = loop {
        let done = repository.put(&ChunkId::MANIFEST, &[1; 5000]);
        match done.and_then(|()| repository.commit()) {
            Ok(()) => replaced += 1,
            Err(error) => break error,
        }
        assert!(replaced < 10, "no end");
    };
    assert!(matches!(
        error,
        RepositoryError::StorageQuotaExceeded { .. }
    ));
    assert!(replaced > 1);
    repository.rollback().unwrap();
    assert!(repository.storage_quota_use().unwrap() <= used + used / 64);
    drop(repository);
    tally(Tried::Faults, 1);
}

/// What is left of an attempt would be in the way of the next one.
#[test]
fn a_repository_for_which_there_is_no_room_is_not_begun() {
    // README, config and lock take a block each.
    for blocks in 0..3 {
        let memory = MemoryStorage::new();
        memory.set_capacity(Some(blocks * BLOCK));
        let shared = || Arc::new(memory.clone()) as Arc<dyn Storage>;
        let created = LocalRepository::create_in(shared(), &create_options(), writing());
        let error = created.map(drop).unwrap_err();
        assert!(is_no_room(&error), "{error}");
        assert!(memory.files().is_empty(), "{blocks} blocks");
        memory.set_capacity(None);
        LocalRepository::create_in(shared(), &create_options(), writing()).unwrap();
    }
    tally(Tried::Faults, 3);
}
