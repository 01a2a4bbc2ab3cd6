//! Reading without a lock while somebody writes: at every moment everything that is committed can be read, by readers
//! that were there before and by those that come, and nothing is ever written by them.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

#[path = "../support/mod.rs"]
mod support;

mod reading;
mod story;
mod threads;

use std::sync::Arc;

use ironborg_repository::{
    CheckMode, LocalRepository, LockMode, Repository, RepositoryError, SnapshotRepository,
};
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage, Storage};
use ironborg_testkit::{Tried, tally};
use ironborg_types::ChunkId;

use reading::Reading;
use story::{Content, OBJECTS, Random, apply, check_options, end_of, tell};
use support::{id, options, writing};

/// Runs of random transactions; each is looked at after every single change of a file.
const RUNS: u64 = 3;
/// The same where there is time.
const FULL_RUNS: u64 = 60;
/// Chooses one run.
const SEED: &str = "IRONBORG_SNAPSHOT_SEED";

fn open(disk: &MemoryStorage) -> Result<SnapshotRepository, RepositoryError> {
    SnapshotRepository::open_in(&Reading::of(disk), &options(LockMode::Exclusive))
}

/// What a reader finds of all objects there ever were.
fn read_all(reader: &SnapshotRepository) -> Result<Content, RepositoryError> {
    let numbered = (0..OBJECTS).map(|number| id(&number.to_string()));
    let mut found = Content::new();
    for id in numbered.chain([ChunkId::MANIFEST]) {
        let mut object = Vec::new();
        match reader.get(&id, &mut object) {
            Ok(()) => drop(found.insert(id, object)),
            Err(RepositoryError::ObjectNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Readers at one moment: some that have been there for a while, and one that comes.
struct Readers {
    disk: MemoryStorage,
    old: Vec<SnapshotRepository>,
    random: Random,
    looks: u64,
}

impl Readers {
    fn look(&mut self, acknowledged: &Content, in_flight: &Content, moment: &str) {
        self.looks += 1;
        let new = open(&self.disk).unwrap_or_else(|error| panic!("{moment}: {error}"));
        let found = read_all(&new).unwrap_or_else(|error| panic!("{moment}: {error}"));
        assert!(
            &found == acknowledged || &found == in_flight,
            "{moment}: a new reader finds {} objects, {} are committed, {} will be",
            found.len(),
            acknowledged.len(),
            in_flight.len()
        );
        for reader in &self.old {
            let found = read_all(reader).unwrap_or_else(|error| panic!("{moment}: {error}"));
            for (id, object) in acknowledged {
                if *id != ChunkId::MANIFEST && in_flight.contains_key(id) {
                    assert_eq!(found.get(id), Some(object), "{moment}: an old reader, {id}");
                }
            }
        }
        // Some stay for long, some only for a few operations.
        if self.old.len() < 3 {
            self.old.push(new);
        } else if self.random.below(7) == 0 {
            let at = usize::try_from(self.random.below(3)).unwrap();
            self.old[at] = new;
        } else if self.random.below(9) == 0 {
            self.old[0].rest();
        }
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var(SEED) {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() => (1..=FULL_RUNS).collect(),
        Err(_) => (1..=RUNS).collect(),
    }
}

#[test]
fn everything_committed_can_be_read_between_any_two_changes() {
    let mut looks = 0;
    for seed in seeds() {
        let story = tell(seed);
        let mut readers = Readers {
            disk: story.begin.clone(),
            old: Vec::new(),
            random: Random(seed),
            looks: 0,
        };
        let mut chapter = 0;
        for (at, operation) in story.operations.iter().enumerate() {
            while story
                .chapters
                .get(chapter + 1)
                .is_some_and(|next| next.0 <= at)
            {
                chapter += 1;
            }
            let (_, acknowledged, in_flight) = &story.chapters[chapter];
            let moment = format!("{SEED}={seed}, operation {at}: {operation:?}");
            apply(&story.begin, operation, || {
                readers.look(acknowledged, in_flight, &format!("{moment}, half way"));
            });
            if operation.is_change() {
                readers.look(acknowledged, in_flight, &moment);
            }
        }
        looks += readers.looks;
    }
    assert!(looks > 500 || std::env::var_os(SEED).is_some(), "{looks}");
    tally(Tried::CrashPoints, looks);
}

/// What is not in a damaged segment can be read all the while that is mended; the rest is right or an error.
#[test]
fn a_repair_can_be_read_beside() {
    let mut looks = 0;
    for seed in 20..24 {
        let (disk, content) = end_of(seed);
        let whole = open(&disk).unwrap();
        let mut objects = content.keys().filter(|id| **id != ChunkId::MANIFEST);
        let (segment, offset) = whole.place(objects.next().unwrap()).unwrap();
        drop(whole);
        let name = format!("data/{}/{segment}", segment.0 / 4);
        let mut bytes = disk.read(&name).unwrap();
        bytes[usize::try_from(offset).unwrap() + 45] ^= 4;
        disk.set(&name, bytes);

        let begin = disk.snapshot();
        let old = open(&begin).unwrap();
        let safe: Vec<ChunkId> = content
            .keys()
            .copied()
            .filter(|id| old.place(id).unwrap().0 != segment)
            .collect();
        let recording = RecordingStorage::new(Arc::new(disk));
        let mut repository =
            LocalRepository::open_in(Arc::new(recording.clone()), writing()).unwrap();
        assert!(repository.check(&check_options(CheckMode::Repair)).unwrap());
        repository.close().unwrap();
        for (at, operation) in recording.operations().iter().enumerate() {
            if !operation.is_change() {
                continue;
            }
            apply(&begin, operation, || {});
            let moment = format!("seed {seed}, operation {at}: {operation:?}");
            let new = open(&begin).unwrap_or_else(|error| panic!("{moment}: {error}"));
            for reader in [&old, &new] {
                for (id, expected) in &content {
                    let mut object = Vec::new();
                    match reader.get(id, &mut object) {
                        Ok(()) => assert_eq!(&object, expected, "{moment}: {id}"),
                        Err(error) => assert!(!safe.contains(id), "{moment}: {id}: {error}"),
                    }
                }
                looks += 1;
            }
        }
    }
    assert!(looks > 50, "{looks}");
    tally(Tried::CrashPoints, looks);
}

fn only(disk: &MemoryStorage, prefix: &str) -> String {
    let mut files = disk.files().into_iter();
    files.find(|(name, _)| name.starts_with(prefix)).unwrap().0
}

#[test]
fn a_damaged_index_hides_nothing_and_invents_nothing() {
    let (disk, content) = end_of(5);
    let (index, integrity) = (only(&disk, "index."), only(&disk, "integrity."));
    let whole = disk.read(&index).unwrap();
    // Only the buckets in use matter to who looks into the file as it is.
    let used = (0..whole.len()).filter(|at| whole[*at] != 0 && whole[*at] != 0xff);
    let mut tried = 0;
    for at in used.chain([18 + 33, whole.len() - 1]) {
        let damaged = disk.snapshot();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        damaged.set(&index, bytes);
        let found = read_all(&open(&damaged).unwrap()).unwrap();
        assert!(found == content, "byte {at} of {index}");
        tried += 1;
    }
    for len in [0, 10, 18, 4000, whole.len() - 1] {
        let damaged = disk.snapshot();
        damaged.truncate(&index, len);
        let found = read_all(&open(&damaged).unwrap()).unwrap();
        assert!(found == content, "{index} of {len} bytes");
        tried += 1;
    }
    for lost in [vec![&index], vec![&integrity], vec![&index, &integrity]] {
        let damaged = disk.snapshot();
        for name in &lost {
            damaged.remove(name).unwrap();
        }
        let found = read_all(&open(&damaged).unwrap()).unwrap();
        assert!(found == content, "without {lost:?}");
        tried += 1;
    }
    tally(Tried::Damages, tried);
}

/// What a reader finds who has the lock for a moment, and what one finds who has none.
#[test]
fn a_repository_whose_commit_is_damaged_is_read_as_under_a_lock() {
    let (disk, _) = end_of(6);
    let index = only(&disk, "index.");
    let number: u32 = index.rsplit('.').next().unwrap().parse().unwrap();
    let segment = format!("data/{}/{number}", number / 4);
    let len = disk.read(&segment).unwrap().len();
    disk.truncate(&segment, len - 1);
    let reader = open(&disk).unwrap();
    let found = read_all(&reader).unwrap();
    let locked = support::open(&disk.snapshot(), support::reading());
    for (id, object) in &found {
        let mut expected = Vec::new();
        locked.get(id, &mut expected).unwrap();
        assert_eq!(object, &expected);
    }
    assert_eq!(found.len(), locked.len().unwrap());
}

#[test]
fn a_reader_changes_nothing_and_tells_of_commits() {
    let (disk, content) = end_of(7);
    let before = disk.files();
    let mut reader = open(&disk).unwrap();
    assert!(!reader.holds_lock() && reader.is_local());
    assert_eq!(reader.len().unwrap(), content.len());
    assert_eq!(reader.list(None, None).unwrap().len(), content.len());
    assert_eq!(reader.scan(100, None).unwrap().len(), content.len());
    let (known, unknown) = (*content.keys().next().unwrap(), id("never"));
    assert!(reader.contains(&known).unwrap() && !reader.contains(&unknown).unwrap());
    assert!(reader.place(&known).is_some() && reader.storage_order(&unknown).is_none());
    reader.will_need(&[known, unknown]);
    let refused = |result: Result<(), RepositoryError>| {
        matches!(result, Err(RepositoryError::NotExclusive { .. }))
    };
    assert!(refused(reader.put(&known, b"x")));
    assert!(refused(reader.delete(&known)));
    assert!(refused(reader.save_key(b"key")));
    assert!(refused(reader.destroy()) && refused(reader.break_lock()));
    assert!(refused(
        reader.check(&check_options(CheckMode::Repair)).map(drop)
    ));
    assert!(reader.nonce_store().reserve(5, None).is_err());
    reader.commit().unwrap();
    reader.rollback().unwrap();
    assert_eq!(disk.files(), before);

    let mut writer = support::open(&disk, writing());
    writer.put(&unknown, b"new").unwrap();
    assert!(!reader.has_moved_on().unwrap());
    writer.commit().unwrap();
    assert!(reader.has_moved_on().unwrap());
    let mut object = Vec::new();
    reader.get(&unknown, &mut object).unwrap();
    assert_eq!(object, b"new");
    // That was read in the new state, but what the reader knows of archives is from the old one.
    assert!(reader.has_moved_on().unwrap());
    reader.refresh().unwrap();
    reader.get(&ChunkId::MANIFEST, &mut object).unwrap();
    assert!(!reader.has_moved_on().unwrap());
    reader.rest();
    assert!(!reader.has_moved_on().unwrap());
    writer.delete(&unknown).unwrap();
    writer.commit().unwrap();
    assert!(reader.has_moved_on().unwrap());
    let gone = reader.get(&unknown, &mut object);
    assert!(matches!(gone, Err(RepositoryError::ObjectNotFound { .. })));
    // The writer is not kept from writing, and not told of anything.
    drop(writer);
    Box::new(reader).close().unwrap();
}

/// The index is looked into where it lies: opening a repository and reading from it costs the same for any size.
#[test]
fn opening_and_reading_cost_few_calls() {
    let (disk, content) = end_of(8);
    let recording = RecordingStorage::new(Reading::of(&disk));
    let storage: Arc<dyn Storage> = Arc::new(recording.clone());
    let reader = SnapshotRepository::open_in(&storage, &options(LockMode::None)).unwrap();
    let opening = recording.take_operations();
    assert!(opening.len() <= 22, "{opening:?}");
    let is_index = |name: &str| name.starts_with("index.");
    for operation in &opening {
        match operation {
            Operation::Read(name) => assert!(!is_index(name), "{name} is read whole"),
            Operation::ReadAt(name, _, len) if is_index(name) => assert!(*len <= 18),
            operation => assert!(!operation.is_change(), "{operation:?}"),
        }
    }
    let mut object = Vec::new();
    reader
        .get(content.keys().next().unwrap(), &mut object)
        .unwrap();
    let reading = recording.take_operations();
    assert_eq!(reading.len(), 2, "{reading:?}");
}
