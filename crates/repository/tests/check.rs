//! A check finds what is wrong and says so in Borg's words; a repair leaves what can be read, whenever it
//! is cut short.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, LocalRepository, LockMode, OpenOptions, Repository,
    RepositoryError, process_identity,
};
use ironborg_storage::{
    Fault, FaultyStorage, MemoryStorage, Operation, RecordingStorage, ScratchSpace, Storage,
    Unsynced, state_after,
};
use ironborg_types::{ChunkId, Interrupt};
use support::{Messages, create, id, open, options, reading, tight, writing};

const LOOK: CheckOptions = CheckOptions {
    mode: CheckMode::Look,
    save_space: false,
    max_duration_s: 0,
    threads: 1,
    interrupt: None,
};
const REPAIR: CheckOptions = CheckOptions {
    mode: CheckMode::Repair,
    ..LOOK
};
/// Ends behind each segment.
const ONE_SEGMENT: CheckOptions = CheckOptions {
    max_duration_s: -1,
    ..LOOK
};

type Content = BTreeMap<ChunkId, Vec<u8>>;

/// Small segments, so that there are many: objects `0` to `9` in segments 0 to 4, two each, then the
/// manifest; in a second transaction `3` is replaced, `4` deleted and `new` put. The last segment is 10.
fn repository() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "150");
    config.set("repository", "segments_per_dir", "4");
    repository.save_config(config).unwrap();
    repository.close().unwrap();
    let mut repository = open(&storage, writing());
    for i in 0..10_u8 {
        repository.put(&id(&i.to_string()), &[i; 70]).unwrap();
    }
    repository.put(&ChunkId::MANIFEST, b"one").unwrap();
    repository.commit().unwrap();
    repository.put(&id("3"), b"anew").unwrap();
    repository.delete(&id("4")).unwrap();
    repository.put(&id("new"), &[1; 100]).unwrap();
    repository.put(&ChunkId::MANIFEST, b"two").unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    storage
}

fn content(storage: &MemoryStorage) -> Content {
    let repository = open(storage, reading());
    let mut object = Vec::new();
    let mut read = |id: ChunkId| {
        repository.get(&id, &mut object).unwrap();
        (id, object.clone())
    };
    let ids = repository.list(None, None).unwrap();
    ids.into_iter().map(&mut read).collect()
}

/// Flips a byte of a file.
fn damage(storage: &MemoryStorage, name: &str, at: usize) {
    let mut content = storage.read(name).unwrap();
    content[at] ^= 0xff;
    storage.set(name, content);
}

/// Runs a check; what it says at WARNING or above, and whether the repository is sound. With hardly any memory the same is
/// said and done.
fn check(storage: &MemoryStorage, check: &CheckOptions) -> (Vec<String>, bool) {
    let other = storage.snapshot();
    let directory = tempfile::tempdir().unwrap();
    let space = tight(directory.path());
    let (tight_messages, tight_sound) = check_within(&other, check, Some(space));
    let (messages, sound) = check_within(storage, check, None);
    assert_eq!(tight_messages.everything(), messages.everything());
    assert_eq!(tight_sound, sound);
    assert_eq!(comparable(&other), comparable(storage));
    (messages.take(), sound)
}

/// All files; of those that list something in an order that is chance, how long they are.
fn comparable(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(storage);
    for (name, content) in &mut files {
        if name.starts_with("hints.") || name.starts_with("integrity.") {
            *content = content.len().to_le_bytes().to_vec();
        }
    }
    files
}

fn check_within(
    storage: &MemoryStorage,
    check: &CheckOptions,
    space: Option<ScratchSpace>,
) -> (Arc<Messages>, bool) {
    let messages = Messages::new();
    let options = OpenOptions {
        reporter: messages.clone(),
        ..writing()
    };
    let mut repository = open(storage, options);
    repository.keep_index_within(space);
    let sound = repository.check(check).unwrap();
    repository.close().unwrap();
    (messages, sound)
}

fn files(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    storage.files().into_iter().collect()
}

#[test]
fn a_sound_repository_is_left_as_it_is_and_read_once() {
    let storage = repository();
    let before = files(&storage);
    assert_eq!(check(&storage, &LOOK), (vec![], true));
    assert_eq!(files(&storage), before);

    let recording = RecordingStorage::new(Arc::new(storage.clone()));
    let mut repository = LocalRepository::open_in(Arc::new(recording.clone()), writing()).unwrap();
    recording.take_operations();
    let options = CheckOptions { threads: 3, ..LOOK };
    assert!(repository.check(&options).unwrap());
    let mut whole_reads: BTreeMap<String, usize> = BTreeMap::new();
    for operation in recording.operations() {
        assert!(!operation.is_change(), "{operation:?}");
        // Opening and looking for the last commit read the start of the last segment too.
        if let Operation::ReadAt(name, 0, _) = operation
            && name != "data/2/10"
        {
            *whole_reads.entry(name).or_default() += 1;
        }
    }
    assert_eq!(whole_reads.len(), 10);
    assert!(
        whole_reads.values().all(|&count| count == 1),
        "{whole_reads:?}"
    );
}

#[test]
fn damage_is_told_with_what_it_costs_whatever_the_number_of_threads() {
    let storage = repository();
    damage(&storage, "data/0/1", 30);
    damage(&storage, "data/1/7", 3);
    let before = files(&storage);
    let (said, sound) = check(&storage, &LOOK);
    assert!(!sound);
    assert_eq!(
        said[..5],
        [
            "Data integrity error: Segment entry checksum mismatch [segment 1, offset 8]",
            "Data integrity error: Invalid segment magic [segment 7, offset 0]",
            "Index object count mismatch.",
            "committed index: 11 objects",
            "rebuilt index:   9 objects",
        ]
    );
    let two = id("2");
    assert!(said.contains(&format!(
        "ID: {two} rebuilt index: <not found>      committed index: (1, 8)          "
    )));
    assert_eq!(
        said.last().unwrap(),
        "Finished full repository check, errors found."
    );
    assert_eq!(files(&storage), before);
    for threads in [2, 5, 100] {
        let options = CheckOptions { threads, ..LOOK };
        assert_eq!(check(&storage, &options).0, said);
    }
}

#[test]
fn a_repair_keeps_every_whole_entry() {
    let storage = repository();
    let mut expected = content(&storage);
    // The first entry of segment 1; the second stays.
    damage(&storage, "data/0/1", 30);
    let (said, sound) = check(&storage, &REPAIR);
    assert!(sound);
    assert_eq!(
        said,
        ["Data integrity error: Segment entry checksum mismatch [segment 1, offset 8]"]
    );
    expected.remove(&id("2"));
    assert_eq!(content(&storage), expected);
    assert_eq!(check(&storage, &LOOK), (vec![], true));
    assert!(
        storage
            .files()
            .iter()
            .all(|(name, _)| !name.contains(".tmp"))
    );
}

#[test]
fn without_any_commit_one_is_added() {
    let storage = repository();
    let expected = content(&storage);
    for (name, bytes) in storage.files() {
        if name.starts_with("data/") && bytes.len() == 17 {
            damage(&storage, &name, 12);
        }
    }
    let (said, sound) = check(&storage, &LOOK);
    assert!(!sound);
    assert_eq!(said.len(), 3, "{said:?}");
    let (said, sound) = check(&storage, &REPAIR);
    assert!(sound);
    assert_eq!(said.last().unwrap(), "Adding commit tag to segment 10");
    assert_eq!(content(&storage), expected);
    assert_eq!(check(&storage, &LOOK), (vec![], true));
}

#[test]
fn nothing_at_all_is_no_repository_worth_a_repair() {
    let storage = repository();
    for (name, _) in storage.files() {
        if name.starts_with("data/") || name.starts_with("index.") {
            storage.remove(&name).unwrap();
        }
    }
    let said = vec!["This repository contains no valid data.".to_owned()];
    assert_eq!(check(&storage, &LOOK), (said.clone(), false));
    assert_eq!(check(&storage, &REPAIR), (said, false));
}

#[test]
fn a_check_of_limited_duration_goes_on_where_the_last_one_stopped() {
    let storage = repository();
    damage(&storage, "data/1/4", 30);
    let last_checked = || {
        let repository = open(&storage, reading());
        let last = repository
            .config()
            .get("repository", "last_segment_checked");
        last.map(str::to_owned)
    };
    for segment in 0..11_u32 {
        let (said, sound) = check(&storage, &ONE_SEGMENT);
        assert_eq!(sound, segment != 4, "{said:?}");
        assert_eq!(last_checked(), Some(segment.to_string()));
    }
    assert_eq!(check(&storage, &ONE_SEGMENT), (vec![], true));
    assert_eq!(last_checked(), None);
    check(&storage, &ONE_SEGMENT);
    assert!(!check(&storage, &LOOK).1);
    assert_eq!(last_checked(), None, "a whole check begins and ends anew");
}

#[test]
fn what_makes_no_sense_or_would_harm_is_refused() {
    let storage = repository();
    let refused = |options: OpenOptions, check: &CheckOptions| {
        let mut repository = open(&storage, options);
        let before = files(&storage);
        let error = repository.check(check).unwrap_err();
        assert_eq!(files(&storage), before);
        error
    };
    let append_only = OpenOptions {
        append_only: true,
        ..writing()
    };
    let error = refused(append_only, &REPAIR);
    assert!(
        matches!(error, RepositoryError::AppendOnly { .. }),
        "{error}"
    );
    let limited = CheckOptions {
        max_duration_s: 1,
        ..REPAIR
    };
    let error = refused(writing(), &limited);
    assert!(
        matches!(error, RepositoryError::CheckRefused { .. }),
        "{error}"
    );
    let error = refused(options(LockMode::None), &REPAIR);
    assert!(
        matches!(error, RepositoryError::NotExclusive { .. }),
        "{error}"
    );

    let mut repository = open(&storage, writing());
    repository.put(&id("unfinished"), b"x").unwrap();
    let error = repository.check(&LOOK).unwrap_err();
    assert!(
        matches!(error, RepositoryError::CheckRefused { .. }),
        "{error}"
    );
    // The transaction is none the worse for it.
    repository.commit().unwrap();
    drop(repository);

    assert!(
        open(&storage, options(LockMode::None))
            .check(&LOOK)
            .unwrap()
    );
    // Somebody who has it open for reading gets it for himself, if nobody else reads.
    assert!(open(&storage, reading()).check(&REPAIR).unwrap());
    let elsewhere = OpenOptions {
        owner: process_identity("elsewhere.example.org@2"),
        ..reading()
    };
    let other = open(&storage, elsewhere);
    let error = open(&storage, reading()).check(&LOOK).unwrap_err();
    assert!(
        matches!(error, RepositoryError::LockTimeout { .. }),
        "{error}"
    );
    drop(other);
}

#[test]
fn an_interrupt_ends_it_behind_a_segment() {
    static INTERRUPT: Interrupt = Interrupt::new();
    let storage = repository();
    damage(&storage, "data/0/0", 30);
    damage(&storage, "data/1/4", 30);
    let options = CheckOptions {
        interrupt: Some(&INTERRUPT),
        ..REPAIR
    };
    INTERRUPT.request_stop();
    let mut repository = open(&storage, writing());
    let error = repository.check(&options).unwrap_err();
    assert!(matches!(error, RepositoryError::Interrupted), "{error}");
    drop(repository);
    INTERRUPT.forget_stop();
    // The first segment is mended, the other one is not.
    let (said, sound) = check(&storage, &options);
    assert!(sound);
    assert_eq!(
        said,
        ["Data integrity error: Segment entry checksum mismatch [segment 4, offset 8]"]
    );
}

/// Damage in two segments, and what is to be left of it. In the first one a deleted object is damaged, so
/// what moves up in its place lies in a segment that is worth a compaction.
fn doubly_damaged() -> (MemoryStorage, Content, BTreeMap<String, Vec<u8>>) {
    let storage = repository();
    let mut expected = content(&storage);
    damage(&storage, "data/0/2", 30);
    damage(&storage, "data/1/4", 30);
    expected.remove(&id("8"));
    let repaired = storage.snapshot();
    assert!(check(&repaired, &REPAIR).1);
    assert_eq!(content(&repaired), expected);
    (storage, expected, files(&repaired))
}

/// What a repair that was cut short left: what is read is right; what is written harms nothing; and the
/// next repair ends with what the first one would have.
#[track_caller]
fn assert_harmless(
    storage: &MemoryStorage,
    expected: &Content,
    repaired: &BTreeMap<String, Vec<u8>>,
    context: &str,
) {
    ironborg_repository::Lock::break_lock(storage, "lock").unwrap();
    let reader = open(&storage.snapshot(), reading());
    let mut object = Vec::new();
    for (id, known) in expected {
        // What is damaged, or has moved, is told.
        if reader.get(id, &mut object).is_ok() {
            assert_eq!(&object, known, "{context}");
        }
    }
    drop(reader);

    // Compaction must not take what has moved for superseded.
    let compacted = storage.snapshot();
    let mut writer = open(&compacted, writing());
    let everything = CompactOptions {
        threshold: 0.0,
        cleanup_commits: false,
        interrupt: None,
    };
    // It may fail at what is still damaged.
    let _ = writer.commit_compact(everything);
    drop(writer);
    assert!(check(&compacted, &REPAIR).1);
    assert_content(&compacted, expected, &format!("{context}, compacted"));

    let (_, sound) = check(storage, &REPAIR);
    assert!(sound, "{context}");
    assert_content(storage, expected, &format!("{context}, repaired again"));
    let segments = |files: &BTreeMap<String, Vec<u8>>| {
        let mut files = files.clone();
        files.retain(|name, _| name.starts_with("data/") && !name.contains(".tmp"));
        files
    };
    assert!(segments(&files(storage)) == segments(repaired), "{context}");
}

#[track_caller]
fn assert_content(storage: &MemoryStorage, expected: &Content, context: &str) {
    let found = content(storage);
    let missing: Vec<_> = expected
        .keys()
        .filter(|id| !found.contains_key(id))
        .collect();
    assert!(missing.is_empty(), "{context}: {missing:?} are missing");
    assert!(&found == expected, "{context}: other content");
}

#[test]
fn power_may_fail_at_any_moment_of_a_repair() {
    let (storage, expected, repaired) = doubly_damaged();
    // A journal that begins with an empty root has the files as they were.
    let recording = RecordingStorage::new(Arc::new({
        let empty = MemoryStorage::new();
        empty.create_dir_all("").unwrap();
        empty
    }));
    for dir in ["data", "data/0", "data/1", "data/2"] {
        recording.create_dir_all(dir).unwrap();
    }
    for (name, bytes) in storage.files() {
        recording.replace(&name, &[&bytes]).unwrap();
    }
    let begun = recording.operations().len();
    let shared: Arc<dyn Storage> = Arc::new(recording.clone());
    let mut repository = LocalRepository::open_in(shared, writing()).unwrap();
    assert!(repository.check(&REPAIR).unwrap());
    drop(repository);
    let operations = recording.operations();
    let mut tried = 0;
    for done in begun..=operations.len() {
        if !operations[done - 1].is_change() {
            continue;
        }
        for unsynced in [
            Unsynced::Kept,
            Unsynced::Dropped,
            Unsynced::Torn,
            Unsynced::Zeroed,
        ] {
            let after = state_after(&operations[..done], unsynced);
            let context = format!("power failed after operation {done}, {unsynced:?}");
            assert_harmless(&after, &expected, &repaired, &context);
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn a_failed_call_costs_a_repair_nothing() {
    let (storage, expected, repaired) = doubly_damaged();
    let mut at = 0;
    loop {
        let after = storage.snapshot();
        let fault = Fault {
            at,
            forever: false,
            errno: libc::ENOSPC,
        };
        let faulty = FaultyStorage::new(Arc::new(after.clone()), fault);
        let shared: Arc<dyn Storage> = Arc::new(faulty.clone());
        if let Ok(mut repository) = LocalRepository::open_in(shared, writing()) {
            // An error or not: what counts is what it leaves.
            let _ = repository.check(&REPAIR);
        }
        assert_harmless(&after, &expected, &repaired, &format!("call {at} failed"));
        if faulty.calls() <= at {
            break;
        }
        at += 1;
    }
    assert!(at > 60, "{at}");
}
