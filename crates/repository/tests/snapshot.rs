//! Reading without a lock while somebody writes: at every moment everything that is committed can be read, by readers
//! that were there before and by those that come, and nothing is ever written by them.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, LocalRepository, LockMode, Repository,
    RepositoryError, SnapshotRepository,
};
use ironborg_storage::{
    AppendFile, MemoryStorage, Operation, RecordingStorage, Status, Storage, StorageEntry,
    StorageError,
};
use ironborg_testkit::{Tried, tally};
use ironborg_types::ChunkId;
use support::{create_options, id, options, writing};

/// Runs of random transactions; each is looked at after every single change of a file.
const RUNS: u64 = 3;
/// The same where there is time.
const FULL_RUNS: u64 = 60;
/// Transactions of one run.
const TRANSACTIONS: u64 = 9;
/// Objects there may be.
const OBJECTS: u64 = 14;
/// Chooses one run.
const SEED: &str = "IRONBORG_SNAPSHOT_SEED";

type Content = BTreeMap<ChunkId, Vec<u8>>;

/// What a process that reads sees of a storage: a file it has open stays what it was when somebody replaces or removes
/// it, and is cut off when somebody cuts it off. It cannot write.
struct Reading {
    disk: MemoryStorage,
    open: Mutex<HashMap<String, Arc<Vec<u8>>>>,
}

impl Reading {
    fn of(disk: &MemoryStorage) -> Arc<dyn Storage> {
        Arc::new(Self {
            disk: disk.clone(),
            open: Mutex::default(),
        })
    }

    fn content(&self, name: &str) -> Result<Arc<Vec<u8>>, StorageError> {
        let mut open = self.open.lock().unwrap();
        let found = self.disk.read(name);
        let Some(seen) = open.get(name) else {
            let found = Arc::new(found?);
            open.insert(name.to_owned(), Arc::clone(&found));
            return Ok(found);
        };
        if let Ok(found) = found
            && (found.is_empty() || found.starts_with(seen))
        {
            open.insert(name.to_owned(), Arc::new(found));
        }
        Ok(Arc::clone(&open[name]))
    }
}

impl Storage for Reading {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        self.disk.status(name)
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        self.disk.modified(name)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.disk.list(dir)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.disk.read(name)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        let content = self.content(name)?;
        let offset = usize::try_from(offset).unwrap().min(content.len());
        let (mut rest, mut done) = (&content[offset..], 0);
        for buffer in buffers {
            let count = buffer.len().min(rest.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            done += count;
        }
        Ok(done)
    }

    fn forget_open(&self) {
        self.open.lock().unwrap().clear();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        panic!("a reader makes {name}")
    }

    fn write(&self, name: &str, _: &[u8]) -> Result<(), StorageError> {
        panic!("a reader writes {name}")
    }

    fn append(&self, name: &str, _: &[u8]) -> Result<(), StorageError> {
        panic!("a reader appends to {name}")
    }

    fn replace(&self, name: &str, _: &[&[u8]]) -> Result<(), StorageError> {
        panic!("a reader replaces {name}")
    }

    fn stage(&self, name: &str, _: &[&[u8]]) -> Result<(), StorageError> {
        panic!("a reader prepares {name}")
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        panic!("a reader renames {names:?}")
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        panic!("a reader removes {name}")
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        panic!("a reader erases {name}")
    }

    fn link(&self, name: &str, _: &str) -> Result<bool, StorageError> {
        panic!("a reader links {name}")
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        panic!("a reader makes {dir}")
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader makes {dir}")
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        panic!("a reader removes {dir}")
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader removes {dir}")
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader syncs {dir}")
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        self.disk.free_space()
    }

    fn claim_dir(&self, dir: &str, _: &str) -> Result<bool, StorageError> {
        panic!("a reader locks {dir}")
    }
}

/// Numbers that look random (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What the files go through, and what is stored meanwhile.
struct Story {
    begin: MemoryStorage,
    operations: Vec<Operation>,
    /// From which operation on which contents are what may be found: the one that was acknowledged, and the one
    /// that is being committed.
    chapters: Vec<(usize, Content, Content)>,
}

/// A repository with tiny segments.
fn new_repository() -> MemoryStorage {
    let disk = MemoryStorage::new();
    let shared: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut repository = LocalRepository::create_in(shared, &create_options(), writing()).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "300");
    config.set("repository", "segments_per_dir", "4");
    repository.save_config(config).unwrap();
    repository.close().unwrap();
    disk
}

fn object(number: u64, random: &mut Random) -> Vec<u8> {
    let len = 10 + random.below(150);
    (0..len)
        .map(|at| u8::try_from((number * 31 + at) % 256).unwrap())
        .collect()
}

/// Some transactions; what an object of a number is never changes, but for the manifest.
fn tell(seed: u64) -> Story {
    let random = &mut Random(seed);
    let objects: Vec<Vec<u8>> = (0..OBJECTS).map(|n| object(n, random)).collect();
    let disk = new_repository();
    let begin = disk.snapshot();
    let recording = RecordingStorage::new(Arc::new(disk));
    let storage: Arc<dyn Storage> = Arc::new(recording.clone());
    let mut chapters = vec![(0, Content::new(), Content::new())];
    let mut content = Content::new();
    for transaction in 0..TRANSACTIONS {
        let acknowledged = content.clone();
        let mut repository = LocalRepository::open_in(Arc::clone(&storage), writing()).unwrap();
        for _ in 0..random.below(9) {
            let number = random.below(OBJECTS);
            let id = id(&number.to_string());
            if content.contains_key(&id) && random.below(5) > 1 {
                repository.delete(&id).unwrap();
                content.remove(&id);
            } else {
                let object = &objects[usize::try_from(number).unwrap()];
                repository.put(&id, object).unwrap();
                content.insert(id, object.clone());
            }
        }
        let manifest = format!("manifest {transaction}").into_bytes();
        repository.put(&ChunkId::MANIFEST, &manifest).unwrap();
        content.insert(ChunkId::MANIFEST, manifest);
        chapters.push((
            recording.operations().len(),
            acknowledged.clone(),
            content.clone(),
        ));
        match random.below(4) {
            0 => repository.commit().unwrap(),
            choice => repository
                .commit_compact(CompactOptions {
                    threshold: if choice == 1 { 0.4 } else { 0.0 },
                    cleanup_commits: choice == 3,
                    interrupt: None,
                })
                .unwrap(),
        }
        chapters.push((
            recording.operations().len(),
            content.clone(),
            content.clone(),
        ));
        if random.below(5) == 0 {
            let mode = CheckMode::Repair;
            assert!(repository.check(&check_options(mode)).unwrap());
        }
        repository.close().unwrap();
    }
    Story {
        begin,
        operations: recording.operations(),
        chapters,
    }
}

fn check_options(mode: CheckMode) -> CheckOptions {
    CheckOptions {
        mode,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    }
}

/// Does what was recorded. `half_way` is called where a file that is removed was cut off before.
fn apply(disk: &MemoryStorage, operation: &Operation, half_way: impl FnOnce()) {
    match operation {
        Operation::Create(name) => drop(disk.create(name).unwrap()),
        Operation::Append(name, bytes) | Operation::AppendTo(name, bytes) => {
            disk.append(name, bytes).unwrap();
        }
        Operation::Write(name, bytes) => disk.write(name, bytes).unwrap(),
        Operation::Replace(name, bytes) => disk.replace(name, &[bytes]).unwrap(),
        Operation::Stage(name, bytes) => disk.stage(name, &[bytes]).unwrap(),
        Operation::Publish(names) => {
            for name in names {
                disk.publish(&[name]).unwrap();
            }
        }
        Operation::Remove(name) => {
            if name.starts_with("data/") {
                // Stock Borg did that where there is no room for removing; very old versions always.
                disk.truncate(name, 0);
                half_way();
            }
            // What was not there was not there then either.
            let _ = disk.remove(name);
        }
        Operation::Erase(name) => disk.erase(name).unwrap(),
        Operation::Link(name, second) => drop(disk.link(name, second).unwrap()),
        Operation::CreateDir(dir) => drop(disk.create_dir(dir).unwrap()),
        Operation::CreateDirAll(dir) => disk.create_dir_all(dir).unwrap(),
        Operation::RemoveDir(dir) => drop(disk.remove_dir(dir).unwrap()),
        Operation::RemoveTree(dir) => disk.remove_tree(dir).unwrap(),
        Operation::ClaimDir(dir, file) => drop(disk.claim_dir(dir, file).unwrap()),
        _ => {}
    }
}

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

/// What is committed, and stays so until the writer's next transaction takes it away.
#[derive(Default)]
struct Promised {
    /// Counts how often something was taken away.
    removals: u64,
    content: Content,
}

/// Transactions of the writer that several threads read beside.
fn transactions_beside() -> u64 {
    if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        3000
    } else {
        40
    }
}

/// On real files, with nothing to keep the writer and the readers apart.
#[test]
fn threads_find_everything_while_another_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let disk = new_repository();
    for (name, content) in disk.files() {
        let path = dir.path().join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::fs::create_dir_all(dir.path().join("data")).unwrap();
    let promised = Mutex::new(Promised::default());
    write_some(dir.path(), 0, &promised);
    let readers: Vec<SnapshotRepository> = (0..2)
        .map(|_| SnapshotRepository::open(dir.path(), &options(LockMode::None)).unwrap())
        .collect();
    let is_done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (readers, promised, is_done, reads) = (&readers, &promised, &is_done, &reads);
            scope.spawn(move || {
                let mut random = Random(thread);
                while !is_done.load(Ordering::SeqCst) {
                    let reader = &readers[usize::try_from(thread % 2).unwrap()];
                    read_one(reader, promised, &mut random);
                    reads.fetch_add(1, Ordering::SeqCst);
                    if random.below(200) == 0 {
                        reader.rest();
                    }
                }
            });
        }
        let _done = Done(&is_done);
        for transaction in 1..transactions_beside() {
            write_some(dir.path(), transaction, &promised);
        }
    });
    tally(Tried::RandomOperations, reads.into_inner());
}

/// Ends the readers, also when the writer fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One transaction, compacted mostly.
fn write_some(path: &Path, transaction: u64, promised: &Mutex<Promised>) {
    let random = &mut Random(transaction + 1);
    let mut repository = LocalRepository::open(path, writing()).unwrap();
    let mut content = promised.lock().unwrap().content.clone();
    let mut removed = Vec::new();
    for _ in 0..6 {
        let number = random.below(OBJECTS);
        let id = id(&number.to_string());
        if content.remove(&id).is_some() {
            repository.delete(&id).unwrap();
            removed.push(id);
        } else {
            let object = vec![u8::try_from(number).unwrap(); 100];
            repository.put(&id, &object).unwrap();
            content.insert(id, object);
        }
    }
    {
        let mut promised = promised.lock().unwrap();
        promised.removals += 1;
        for id in removed {
            promised.content.remove(&id);
        }
    }
    if random.below(4) == 0 {
        repository.commit().unwrap();
    } else {
        let options = CompactOptions {
            threshold: 0.0,
            cleanup_commits: false,
            interrupt: None,
        };
        repository.commit_compact(options).unwrap();
    }
    repository.close().unwrap();
    promised.lock().unwrap().content = content;
}

fn read_one(reader: &SnapshotRepository, promised: &Mutex<Promised>, random: &mut Random) {
    let (id, expected, removals) = {
        let promised = promised.lock().unwrap();
        let count = u64::try_from(promised.content.len()).unwrap();
        if count == 0 {
            return;
        }
        let at = usize::try_from(random.below(count)).unwrap();
        let (id, expected) = promised.content.iter().nth(at).unwrap();
        (*id, expected.clone(), promised.removals)
    };
    let mut object = Vec::new();
    let found = reader.get(&id, &mut object);
    if found.is_err() && promised.lock().unwrap().removals != removals {
        // It may have been taken away in the meantime.
        return;
    }
    found.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(object, expected);
}

/// The end of a story, and what is stored then.
fn end_of(seed: u64) -> (MemoryStorage, Content) {
    let story = tell(seed);
    for operation in &story.operations {
        apply(&story.begin, operation, || {});
    }
    let (_, content, _) = story.chapters.last().unwrap();
    (story.begin.clone(), content.clone())
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
