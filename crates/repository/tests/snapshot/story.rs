//! What the files of a repository go through while it is written to.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_repository::{CheckMode, CheckOptions, CompactOptions, LocalRepository, Repository};
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage, Storage};
use ironborg_types::ChunkId;

use crate::support::{create_options, id, writing};

/// Transactions of one story.
const TRANSACTIONS: u64 = 9;
/// Objects there may be.
pub(crate) const OBJECTS: u64 = 14;

pub(crate) type Content = BTreeMap<ChunkId, Vec<u8>>;

/// Numbers that look random (Knuth's MMIX generator).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What the files go through, and what is stored meanwhile.
pub(crate) struct Story {
    pub(crate) begin: MemoryStorage,
    pub(crate) operations: Vec<Operation>,
    /// From which operation on which contents are what may be found: the one that was acknowledged, and the one
    /// that is being committed.
    pub(crate) chapters: Vec<(usize, Content, Content)>,
}

/// A repository with tiny segments.
pub(crate) fn new_repository() -> MemoryStorage {
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

pub(crate) fn object(number: u64, random: &mut Random) -> Vec<u8> {
    let len = 10 + random.below(150);
    (0..len)
        .map(|at| u8::try_from((number * 31 + at) % 256).unwrap())
        .collect()
}

/// Some transactions; what an object of a number is never changes, but for the manifest.
pub(crate) fn tell(seed: u64) -> Story {
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

pub(crate) fn check_options(mode: CheckMode) -> CheckOptions {
    CheckOptions {
        mode,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    }
}

/// Does what was recorded. `half_way` is called where a file that is removed was cut off before.
pub(crate) fn apply(disk: &MemoryStorage, operation: &Operation, half_way: impl FnOnce()) {
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

/// The end of a story, and what is stored then.
pub(crate) fn end_of(seed: u64) -> (MemoryStorage, Content) {
    let story = tell(seed);
    for operation in &story.operations {
        apply(&story.begin, operation, || {});
    }
    let (_, content, _) = story.chapters.last().unwrap();
    (story.begin.clone(), content.clone())
}
