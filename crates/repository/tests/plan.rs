//! A plan tells exactly what a repair does, changes nothing, and reads what a repair would leave; and a repair keeps
//! what it replaces until it has succeeded.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_repository::{
    CheckMode, CheckOptions, LocalRepository, OpenOptions, Repository, RepositoryError,
};
use ironborg_storage::{
    Fault, FaultyStorage, MemoryStorage, RecordingStorage, ScratchSpace, Storage, Unsynced,
    state_after,
};
use ironborg_types::{ChunkId, FindingKind, RepairAction, RepairChange};
use support::{Messages, create, id, open, reading, tight, writing};

type Content = BTreeMap<ChunkId, Vec<u8>>;

fn options(mode: CheckMode) -> CheckOptions {
    CheckOptions {
        mode,
        save_space: false,
        max_duration_s: 0,
        threads: 2,
        interrupt: None,
    }
}

/// Three objects a segment in segments 0 to 3, then the manifest, then the commit: 5.
fn repository() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "300");
    config.set("repository", "segments_per_dir", "4");
    repository.save_config(config).unwrap();
    repository.close().unwrap();
    let mut repository = open(&storage, writing());
    for i in 0..12_u8 {
        repository.put(&id(&i.to_string()), &[i; 80]).unwrap();
    }
    repository.put(&ChunkId::MANIFEST, b"manifest").unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    storage
}

fn damage(storage: &MemoryStorage, name: &str, at: usize) {
    let mut content = storage.read(name).unwrap();
    content[at] ^= 0xff;
    storage.set(name, content);
}

fn files(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<_, _> = storage.files().into_iter().collect();
    files.retain(|name, _| !name.starts_with("lock"));
    files
}

fn read_all(repository: &dyn Repository) -> Content {
    let mut object = Vec::new();
    let mut read = |id: ChunkId| {
        repository.get(&id, &mut object).unwrap();
        (id, object.clone())
    };
    let ids = repository.list(None, None).unwrap();
    ids.into_iter().map(&mut read).collect()
}

type Ran = (Vec<RepairChange>, Content, [Vec<ChunkId>; 2]);

/// What is changed, or would be, and what is read afterwards by the same opened repository, in listing and storage
/// order. With hardly any memory that is the same.
fn run(storage: &MemoryStorage, mode: CheckMode) -> Ran {
    let other = storage.snapshot();
    let directory = tempfile::tempdir().unwrap();
    let tight = run_within(&other, mode, Some(tight(directory.path())));
    let ran = run_within(storage, mode, None);
    assert_eq!(tight, ran);
    ran
}

fn run_within(storage: &MemoryStorage, mode: CheckMode, space: Option<ScratchSpace>) -> Ran {
    let messages = Messages::new();
    let reporting = OpenOptions {
        reporter: messages.clone(),
        ..writing()
    };
    let mut repository = open(storage, reporting);
    repository.keep_index_within(space);
    repository.check(&options(mode)).unwrap();
    let content = read_all(&repository);
    let listed = repository.list(None, None).unwrap();
    let mut scanned = Vec::new();
    loop {
        // In pages, as a client does.
        let page = repository.scan(5, scanned.last()).unwrap();
        if page.is_empty() {
            break;
        }
        scanned.extend(page);
    }
    let changes = messages.changes.lock().unwrap().clone();
    (changes, content, [listed, scanned])
}

#[track_caller]
fn assert_plan_is_what_a_repair_does(storage: &MemoryStorage) -> Vec<RepairChange> {
    let before = files(storage);
    let (planned, as_planned, order_planned) = run(storage, CheckMode::Plan);
    assert!(files(storage) == before, "a plan changes nothing");
    let repaired = storage.snapshot();
    let (done, as_repaired, order_repaired) = run(&repaired, CheckMode::Repair);
    assert_eq!(planned, done);
    assert_eq!(as_planned, as_repaired);
    assert_eq!(order_planned, order_repaired);
    planned
}

fn actions(changes: &[RepairChange]) -> Vec<RepairAction> {
    changes.iter().map(|change| change.action).collect()
}

#[test]
fn of_a_sound_repository_nothing_would_be_changed() {
    assert_eq!(assert_plan_is_what_a_repair_does(&repository()), []);
}

#[test]
fn a_plan_names_what_is_kept_and_what_is_lost() {
    let storage = repository();
    // Data of the second object of segment 1, and the header of the first one of segment 2.
    damage(&storage, "data/0/1", 8 + 121 + 60);
    damage(&storage, "data/0/2", 8 + 5);
    let changes = assert_plan_is_what_a_repair_does(&storage);
    use RepairAction::{DeleteObject, RebuildIndex, RecoverSegment};
    assert_eq!(
        actions(&changes),
        [
            RecoverSegment,
            RecoverSegment,
            DeleteObject,
            DeleteObject,
            RebuildIndex
        ]
    );
    assert_eq!(
        changes[0].detail,
        "recover segment 1: keep 2 entries, lose 121 of 371 bytes, 129-250"
    );
    assert_eq!(
        changes[1].detail,
        "recover segment 2: keep 2 entries, lose 121 of 371 bytes, 8-129"
    );
    let mut lost: Vec<_> = changes[2..4]
        .iter()
        .map(|change| change.place.chunk)
        .collect();
    lost.sort();
    let mut expected = [Some(id("4")), Some(id("6"))];
    expected.sort();
    assert_eq!(lost, expected);
    assert_eq!(
        changes[4].detail,
        "write the index anew with 11 objects: there are 13 in the one there is"
    );
}

#[test]
fn what_is_not_committed_is_told_before_it_goes() {
    let storage = repository();
    let mut repository = open(&storage, writing());
    repository.put(&id("unfinished"), &[7; 90]).unwrap();
    repository.put(&ChunkId::MANIFEST, b"new").unwrap();
    // A crash: what is on disk stays, no commit.
    std::mem::forget(repository);
    ironborg_repository::Lock::break_lock(&storage, "lock").unwrap();
    let changes = assert_plan_is_what_a_repair_does(&storage);
    assert!(!changes.is_empty());
    assert!(
        changes
            .iter()
            .all(|change| change.action == RepairAction::RemoveSegment),
        "{changes:?}"
    );
}

#[test]
fn a_commit_that_is_missing_would_be_added_and_an_index_made() {
    let storage = repository();
    damage(&storage, "data/1/5", 12);
    let changes = assert_plan_is_what_a_repair_does(&storage);
    use RepairAction::{AddCommit, RebuildIndex, RecoverSegment};
    assert_eq!(actions(&changes), [RecoverSegment, AddCommit, RebuildIndex]);

    let storage = repository();
    damage(&storage, "index.5", 40);
    assert_eq!(
        actions(&assert_plan_is_what_a_repair_does(&storage)),
        [RebuildIndex]
    );
}

#[test]
fn nothing_is_written_into_what_is_only_planned() {
    let storage = repository();
    damage(&storage, "data/0/1", 40);
    let mut repository = open(&storage, writing());
    assert!(!repository.check(&options(CheckMode::Plan)).unwrap());
    let before = files(&storage);
    let error = repository.put(&id("x"), b"x").unwrap_err();
    assert!(
        matches!(error, RepositoryError::CheckRefused { .. }),
        "{error}"
    );
    let error = repository.delete(&id("9")).unwrap_err();
    assert!(
        matches!(error, RepositoryError::CheckRefused { .. }),
        "{error}"
    );
    drop(repository);
    assert!(files(&storage) == before);
}

#[test]
fn findings_say_where_they_are() {
    let storage = repository();
    damage(&storage, "data/0/1", 8 + 121 + 60);
    let messages = Messages::new();
    let reporting = OpenOptions {
        reporter: messages.clone(),
        ..writing()
    };
    let mut repository = open(&storage, reporting);
    assert!(!repository.check(&options(CheckMode::Look)).unwrap());
    let findings = messages.findings.lock().unwrap().clone();
    let (kind, place) = &findings[0];
    assert_eq!(*kind, FindingKind::SegmentDamaged);
    assert_eq!((place.segment.unwrap().0, place.offset), (1, Some(129)));
    let lost = findings
        .iter()
        .find(|(kind, place)| *kind == FindingKind::IndexMismatch && place.chunk == Some(id("4")));
    let (_, place) = lost.unwrap();
    assert_eq!((place.segment.unwrap().0, place.offset), (1, Some(129)));
}

/// The files of a repository that is being repaired still hold what was damaged, unless it is repaired for good.
#[track_caller]
fn assert_original_is_there(storage: &MemoryStorage, originals: &[(&str, Vec<u8>)], context: &str) {
    let files = files(storage);
    let is_there = |(name, bytes): &(&str, Vec<u8>)| {
        files.get(*name) == Some(bytes)
            || files.get(&format!("{name}.beforerecover")) == Some(bytes)
    };
    if originals.iter().all(is_there) {
        return;
    }
    let snapshot = storage.snapshot();
    ironborg_repository::Lock::break_lock(&snapshot, "lock").unwrap();
    let before = self::files(&snapshot);
    let mut repository = open(&snapshot, reading());
    let messages = Messages::new();
    assert!(
        repository.check(&options(CheckMode::Look)).unwrap(),
        "{context}"
    );
    drop(repository);
    assert_eq!(messages.take(), [""; 0], "{context}");
    assert!(
        self::files(&snapshot) == before,
        "{context}: nothing is left to be done"
    );
}

#[test]
fn a_repair_keeps_what_it_replaces_until_it_has_succeeded() {
    let storage = repository();
    damage(&storage, "data/0/1", 40);
    damage(&storage, "data/0/3", 40);
    let originals = ["data/0/1", "data/0/3"].map(|name| (name, storage.read(name).unwrap()));
    let recording = RecordingStorage::new(Arc::new({
        let empty = MemoryStorage::new();
        empty.create_dir_all("").unwrap();
        empty
    }));
    for dir in ["data", "data/0", "data/1"] {
        recording.create_dir_all(dir).unwrap();
    }
    for (name, bytes) in storage.files() {
        recording.replace(&name, &[&bytes]).unwrap();
    }
    let begun = recording.operations().len();
    let mut repository = LocalRepository::open_in(Arc::new(recording.clone()), writing()).unwrap();
    assert!(repository.check(&options(CheckMode::Repair)).unwrap());
    drop(repository);
    let operations = recording.operations();
    let mut tried = 0;
    for done in begun..=operations.len() {
        for unsynced in [Unsynced::Kept, Unsynced::Dropped, Unsynced::Torn] {
            let after = state_after(&operations[..done], unsynced);
            let context = format!("power failed after operation {done}, {unsynced:?}");
            assert_original_is_there(&after, &originals, &context);
            tried += 1;
        }
    }
    ironborg_testkit::tally(ironborg_testkit::Tried::CrashPoints, tried);
    assert!(tried > 100, "{tried}");
    let after = state_after(&operations, Unsynced::Dropped);
    assert!(
        files(&after)
            .keys()
            .all(|name| !name.contains("beforerecover")),
        "when all is done nothing is left behind"
    );

    // The same with a call that fails, and the next repair removes what was left.
    let mut at = 0;
    loop {
        let after = storage.snapshot();
        let fault = Fault {
            at,
            forever: true,
            errno: libc::EIO,
        };
        let faulty = FaultyStorage::new(Arc::new(after.clone()), fault);
        if let Ok(mut repository) = LocalRepository::open_in(Arc::new(faulty.clone()), writing()) {
            let _ = repository.check(&options(CheckMode::Repair));
        }
        assert_original_is_there(&after, &originals, &format!("call {at} failed"));
        ironborg_repository::Lock::break_lock(&after, "lock").unwrap();
        run(&after, CheckMode::Repair);
        assert!(
            files(&after)
                .keys()
                .all(|name| !name.contains("beforerecover"))
        );
        if faulty.calls() <= at {
            break;
        }
        at += 1;
    }
    ironborg_testkit::tally(ironborg_testkit::Tried::Faults, at);
}
