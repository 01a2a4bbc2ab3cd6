//! Random operations agree with a map, through reopening, compaction and loss of the index.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ironborg_repository::{CompactOptions, LocalRepository, Repository, RepositoryError};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::limits::OBJECT_SIZE_MAX;
use ironborg_types::{ChunkId, Interrupt};
use proptest::prelude::*;
use support::{IN_FILES, create, id, open, reading, writing};

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>),
    Delete(u8),
    Commit,
    Rollback,
    Reopen,
    Compact(f64),
    /// Removes some of the files beside the segments.
    Lose(&'static [&'static str]),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let object = proptest::collection::vec(any::<u8>(), 0..120);
    let step = prop_oneof![
        12 => (0..12_u8, object).prop_map(|(key, object)| Step::Put(key, object)),
        6 => (0..12_u8).prop_map(Step::Delete),
        4 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        2 => Just(Step::Reopen),
        2 => prop_oneof![Just(0.0), Just(0.1), Just(0.5), Just(0.99)].prop_map(Step::Compact),
        1 => prop_oneof![
            Just(&["index."][..]),
            Just(&["hints."][..]),
            Just(&["integrity."][..]),
            Just(&["index.", "hints.", "integrity."][..]),
        ].prop_map(Step::Lose),
    ];
    proptest::collection::vec(step, 0..80)
}

type Map = BTreeMap<ChunkId, Vec<u8>>;

/// Key 0 is the manifest, which gets segments of its own.
fn key(number: u8) -> ChunkId {
    if number == 0 {
        ChunkId::MANIFEST
    } else {
        id(&number.to_string())
    }
}

fn content(repository: &LocalRepository) -> Map {
    let mut object = Vec::new();
    let ids = repository.list(None, None).unwrap();
    assert_eq!(repository.len().unwrap(), ids.len());
    ids.into_iter()
        .map(|id| {
            repository.get(&id, &mut object).unwrap();
            (id, object.clone())
        })
        .collect()
}

fn small_segments(segment_size: u32) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", segment_size.to_string());
    config.set("repository", "segments_per_dir", "4");
    repository.save_config(config).unwrap();
    storage
}

/// The first file that differs. Hints list what was superseded in no particular order, so that they and their digests do.
fn differing(one: &MemoryStorage, other: &MemoryStorage) -> Option<String> {
    let (one, other) = (one.files(), other.files());
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    if names(&one) != names(&other) {
        return Some(format!("{:?}, {:?}", names(&one), names(&other)));
    }
    let mut pairs = one.into_iter().zip(other);
    let found = pairs.find(|((name, one), (_, other))| {
        let hints = |content| ironborg_format::hints::HintsFile::decode(content).unwrap();
        match name.split('.').next() {
            Some("hints") => hints(one) != hints(other),
            Some("integrity") => false,
            _ => one != other,
        }
    });
    found.map(|((name, _), _)| name)
}

struct Model {
    /// Whether indexes are looked up in their files, however small they are.
    filed: bool,
    storage: MemoryStorage,
    repository: Option<LocalRepository>,
    committed: Map,
    current: Map,
    /// Everything that was ever put.
    history: BTreeSet<(ChunkId, Vec<u8>)>,
}

impl Model {
    fn new(segment_size: u32, filed: bool) -> Self {
        Self {
            filed,
            storage: small_segments(segment_size),
            repository: None,
            committed: Map::new(),
            current: Map::new(),
            history: BTreeSet::new(),
        }
    }

    fn repository(&mut self) -> &mut LocalRepository {
        let (storage, filed) = (&self.storage, self.filed);
        self.repository.get_or_insert_with(|| {
            let mut repository = open(storage, writing());
            if filed {
                repository.set_index_policy(IN_FILES);
            }
            repository
        })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Put(number, object) => {
                self.repository().put(&key(*number), object).unwrap();
                self.current.insert(key(*number), object.clone());
                self.history.insert((key(*number), object.clone()));
            }
            Step::Delete(number) => {
                let result = self.repository().delete(&key(*number));
                match self.current.remove(&key(*number)) {
                    Some(_) => result.unwrap(),
                    None => assert!(matches!(
                        result,
                        Err(RepositoryError::ObjectNotFound { .. })
                    )),
                }
            }
            Step::Commit => {
                self.repository().commit().unwrap();
                self.committed = self.current.clone();
            }
            Step::Compact(threshold) => {
                let options = CompactOptions {
                    threshold: *threshold,
                    cleanup_commits: *threshold > 0.4,
                    interrupt: None,
                };
                self.repository().commit_compact(options).unwrap();
                self.committed = self.current.clone();
            }
            Step::Rollback => {
                self.repository().rollback().unwrap();
                self.current = self.committed.clone();
            }
            Step::Reopen => self.close(),
            Step::Lose(prefixes) => {
                self.close();
                for (name, _) in self.storage.files() {
                    if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                        self.storage.remove(&name).unwrap();
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        self.repository = None;
        self.current = self.committed.clone();
    }
}

/// What the segments hold and the bookkeeping says about them.
#[track_caller]
fn check_bookkeeping(storage: &MemoryStorage, hints_were_lost: bool) {
    use ironborg_format::hints::HintsFile;
    use ironborg_format::segment::{Entry, MAGIC_LEN, decode_entry};
    let files = storage.files();
    let found = files.iter().find_map(|(name, content)| {
        let transaction = name.strip_prefix("hints.")?.parse::<u32>().ok()?;
        Some((transaction, content))
    });
    let Some((transaction, hints)) = found else {
        return;
    };
    let HintsFile::Version2(hints) = HintsFile::decode(hints).unwrap() else {
        panic!("we write version 2");
    };
    let mut puts = 0;
    for (name, content) in &files {
        let Some(number) = name.strip_prefix("data/") else {
            continue;
        };
        let segment: u32 = number.split_once('/').unwrap().1.parse().unwrap();
        if segment > transaction {
            continue;
        }
        let mut rest = &content[MAGIC_LEN..];
        while !rest.is_empty() {
            let (entry, size) = decode_entry(rest).unwrap();
            if matches!(entry, Entry::Put { .. }) {
                puts += i64::try_from(size).unwrap();
            }
            rest = &rest[size..];
        }
        let freeable = hints.compact.get(&segment).copied().unwrap_or(0);
        // Made anew of segments whose DELETEs a compaction has dropped, they count a superseded PUT with the size of the
        // new one, as stock Borg's: too much, if that is larger.
        assert!(
            hints_were_lost || freeable <= i64::try_from(content.len()).unwrap(),
            "{name}: {freeable}"
        );
        assert!(
            hints.segments.get(&segment).is_some_and(|&used| used >= 0),
            "{name}"
        );
    }
    assert_eq!(hints.storage_quota_use, puts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_repository_is_a_transactional_map(steps in steps(), segment_size in 60_u32..400) {
        let mut model = Model::new(segment_size, false);
        let mut filed = Model { storage: model.storage.snapshot(), ..Model::new(segment_size, true) };
        for step in &steps {
            for model in [&mut model, &mut filed] {
                model.step(step);
                let current = model.current.clone();
                prop_assert_eq!(content(model.repository()), current, "{:?}", step);
            }
            // Wherever the index is, the same is written.
            prop_assert_eq!(differing(&model.storage, &filed.storage), None, "{:?}", step);
        }
        model.close();
        let lost = steps.iter().any(|step| matches!(step, Step::Lose(_)));
        check_bookkeeping(&model.storage, lost);
        let repository = open(&model.storage, reading());
        prop_assert_eq!(content(&repository), model.committed);
    }

    #[test]
    fn damaged_files_are_errors_never_panics_or_wrong_objects(
        steps in steps(),
        damage in proptest::collection::vec((any::<u32>(), any::<u32>(), 1_u8..), 1..4),
    ) {
        let mut model = Model::new(200, damage.len() % 2 == 0);
        for step in &steps {
            model.step(step);
        }
        model.close();
        let files = model.storage.files();
        for (file, at, flip) in damage {
            let (name, mut content) = files[file as usize % files.len()].clone();
            if let Some(byte) = (!content.is_empty()).then(|| at as usize % content.len()) {
                content[byte] ^= flip;
            }
            model.storage.set(&name, content);
        }
        let shared = Arc::new(model.storage.clone());
        let Ok(repository) = LocalRepository::open_in(shared, reading()) else {
            return Ok(());
        };
        let Ok(ids) = repository.list(None, None) else {
            return Ok(());
        };
        let mut object = Vec::new();
        for id in ids {
            if repository.get(&id, &mut object).is_ok() {
                // Perhaps an older one, as a transaction whose COMMIT is damaged never was; but never
                // one that nobody put there.
                prop_assert!(model.history.contains(&(id, object.clone())));
            }
        }
    }
}

#[test]
fn objects_of_all_sizes_come_back() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let sizes = [
        0,
        1,
        8 << 10,
        (8 << 10) + 1,
        (1 << 20) - 41 - 8,
        (1 << 20) - 41,
        1 << 20,
        3 << 20,
        OBJECT_SIZE_MAX,
    ];
    let object = |size: usize| -> Vec<u8> {
        (0..size)
            .map(|i| (i.wrapping_mul(size | 1) >> 3).to_le_bytes()[0])
            .collect()
    };
    let mut found = Vec::new();
    for size in sizes {
        repository
            .put(&id(&size.to_string()), &object(size))
            .unwrap();
        // From the segment being written, buffered or not.
        for size in sizes.iter().take_while(|&&other| other <= size) {
            let id = id(&size.to_string());
            repository.get(&id, &mut found).unwrap();
            assert!(found == object(*size), "{size}");
            assert_eq!(
                repository.stored_size(&id).unwrap(),
                u32::try_from(*size).ok()
            );
        }
    }
    let error = repository
        .put(&id("large"), &object(OBJECT_SIZE_MAX + 1))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Data integrity error: More than allowed put data [20971480 > 20971479]"
    );
    // That one was refused before anything was written: the rest can be committed.
    repository.commit().unwrap();
    drop(repository);
    let repository = open(&storage, reading());
    std::thread::scope(|scope| {
        for size in sizes {
            let repository = &repository;
            scope.spawn(move || {
                let mut found = vec![7; 100];
                for _ in 0..3 {
                    repository.get(&id(&size.to_string()), &mut found).unwrap();
                    assert!(found == object(size), "{size}");
                }
            });
        }
    });
    let missing = repository.get(&id("missing"), &mut found).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!(
            "Object with key {} not found in repository /memory.",
            id("missing")
        )
    );
    assert_eq!(repository.stored_size(&id("missing")).unwrap(), None);
}

#[test]
fn a_quota_dooms_the_transaction_that_exceeds_it() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    let limited = || {
        let mut options = writing();
        options.storage_quota = Some(1000);
        options
    };
    let mut repository = open(&storage, limited());
    repository.put(&id("a"), &[1; 400]).unwrap();
    repository.commit().unwrap();
    assert_eq!(repository.storage_quota_use().unwrap(), 441);
    let text =
        "The storage quota (1.00 kB) has been exceeded (1.02 kB). Try deleting some archives.";
    let error = repository.put(&id("b"), &[2; 540]).unwrap_err();
    assert_eq!(error.to_string(), text);
    assert_eq!(repository.commit().unwrap_err().to_string(), text);
    // The commit has rolled back; a smaller transaction is fine.
    repository.put(&id("b"), &[2; 500]).unwrap();
    repository.commit().unwrap();
    // Deleting alone gives nothing back, compacting does.
    repository.delete(&id("a")).unwrap();
    repository.commit().unwrap();
    assert_eq!(repository.storage_quota_use().unwrap(), 982);
    repository
        .commit_compact(CompactOptions {
            threshold: 0.0,
            cleanup_commits: false,
            interrupt: None,
        })
        .unwrap();
    assert_eq!(repository.storage_quota_use().unwrap(), 541);
    assert_eq!(repository.storage_quota(), 1000);
}

#[test]
fn a_commit_that_could_fill_the_disk_is_refused() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    repository.put(&id("a"), b"a").unwrap();
    repository.commit().unwrap();
    drop(repository);
    storage.set_free_space(100_000);
    let mut repository = open(&storage, writing());
    repository.put(&id("b"), b"b").unwrap();
    let error = repository.commit().unwrap_err();
    // 4 * 41258 for the index, 10 for each of two segments and the one in compact, 4096 for the hints,
    // 8 for what compaction of the COMMIT's segment would copy.
    assert_eq!(
        error.to_string(),
        "Insufficient free space to complete transaction (required: 169.18 kB, available: 100.00 kB)."
    );
    let segments = storage
        .files()
        .into_iter()
        .filter(|(n, _)| n.starts_with("data/"));
    assert_eq!(segments.count(), 2, "what was not committed is removed");
    drop(repository);
    assert_eq!(open(&storage, reading()).len().unwrap(), 1);

    // A repository that never had a commit is not worth keeping.
    let storage = MemoryStorage::new();
    storage.set_free_space(100_000);
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    repository.put(&id("a"), b"a").unwrap();
    assert!(repository.commit().is_err());
    drop(repository);
    assert_eq!(storage.status("").unwrap(), None);
}

#[test]
fn a_reader_without_a_lock_finds_objects_that_were_moved_meanwhile() {
    let storage = small_segments(100);
    let mut writer = open(&storage, writing());
    for i in 0..6 {
        writer.put(&id(&i.to_string()), &[i; 60]).unwrap();
    }
    writer.commit().unwrap();
    let reader = open(
        &storage,
        support::options(ironborg_repository::LockMode::None),
    );
    assert_eq!(reader.len().unwrap(), 6);
    for i in [0, 2, 4] {
        writer.delete(&id(&i.to_string())).unwrap();
    }
    let everything = CompactOptions {
        threshold: 0.0,
        cleanup_commits: false,
        interrupt: None,
    };
    writer.commit_compact(everything).unwrap();
    let mut object = Vec::new();
    for i in [1, 3, 5] {
        reader.get(&id(&i.to_string()), &mut object).unwrap();
        assert_eq!(object, [i; 60]);
    }
    let gone = reader.get(&id("0"), &mut object).unwrap_err();
    assert!(matches!(gone, RepositoryError::ObjectNotFound { .. }));
}

/// Told to stop, a compaction commits what it has done; the rest is still there to be done.
#[test]
fn a_compaction_can_be_stopped_and_finished_later() {
    static STOP: Interrupt = Interrupt::new();
    STOP.request_stop();
    let storage = small_segments(100);
    let mut repository = open(&storage, writing());
    for i in 0..6 {
        repository.put(&id(&i.to_string()), &[i; 60]).unwrap();
    }
    repository.commit().unwrap();
    for i in [0, 2, 4] {
        repository.delete(&id(&i.to_string())).unwrap();
    }
    let mut options = CompactOptions {
        threshold: 0.0,
        cleanup_commits: false,
        interrupt: Some(&STOP),
    };
    let size = || -> u64 {
        storage
            .files()
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum()
    };
    repository.commit_compact(options).unwrap();
    let stopped = size();
    for finish in [false, true] {
        if finish {
            options.interrupt = None;
            repository.put(&id("1"), &[1; 60]).unwrap();
            repository.commit_compact(options).unwrap();
        }
        drop(repository);
        repository = open(&storage, writing());
        assert_eq!(repository.len().unwrap(), 3);
        let mut object = Vec::new();
        for i in [1, 3, 5] {
            repository.get(&id(&i.to_string()), &mut object).unwrap();
            assert_eq!(object, [i; 60]);
        }
    }
    assert!(size() < stopped);
}

#[test]
fn opening_and_one_look_up_cost_few_calls() {
    use ironborg_storage::{Operation, RecordingStorage};
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    for i in 0..100 {
        repository.put(&id(&i.to_string()), &[i; 1000]).unwrap();
    }
    repository.commit().unwrap();
    drop(repository);
    let recording = RecordingStorage::new(Arc::new(storage));
    let shared: Arc<dyn Storage> = Arc::new(recording.clone());
    let repository = LocalRepository::open_in(shared, reading()).unwrap();
    repository.len().unwrap();
    recording.take_operations();
    let mut object = Vec::new();
    for i in 0..100 {
        repository.get(&id(&i.to_string()), &mut object).unwrap();
        assert!(repository.contains(&id(&i.to_string())).unwrap());
        assert!(repository.storage_order(&id(&i.to_string())).is_some());
    }
    let operations = recording.take_operations();
    assert_eq!(operations.len(), 100);
    assert!(
        operations
            .iter()
            .all(|o| matches!(o, Operation::ReadAt(..)))
    );
}
