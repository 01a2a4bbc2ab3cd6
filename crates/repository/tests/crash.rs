//! Whatever fails and whenever power goes, the repository holds the last acknowledged commit or the
//! one in flight, whole.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ironborg_repository::{CompactOptions, LocalRepository, Lock, Repository, RepositoryError};
use ironborg_storage::{
    DiskModel, Fault, FaultyStorage, MemoryStorage, Operation, Partial, RecordingStorage, Storage,
    Unsynced,
};
use ironborg_testkit::{Tried, tally};
use ironborg_types::ChunkId;
use support::{IN_FILES, create_options, id, open, reading, writing};

/// Rewrites every segment of which anything at all can be freed.
const EVERYTHING: CompactOptions = CompactOptions {
    threshold: 0.0,
    cleanup_commits: false,
    interrupt: None,
};

type Content = BTreeMap<ChunkId, Vec<u8>>;

/// What a run has achieved: the content at each acknowledged commit, and what was being committed.
#[derive(Default)]
struct Progress {
    acknowledged: Content,
    in_flight: Option<Content>,
    /// Whether the repository was created completely.
    created: bool,
}

struct Run {
    /// Whether the index is looked up and changed in its file.
    filed: bool,
    content: Content,
    progress: Progress,
}

impl Run {
    fn new(filed: bool) -> Self {
        Self {
            filed,
            content: Content::new(),
            progress: Progress::default(),
        }
    }

    fn put(
        &mut self,
        repository: &mut LocalRepository,
        name: &str,
        object: &[u8],
    ) -> Result<(), RepositoryError> {
        let id = if name == "manifest" {
            ChunkId::MANIFEST
        } else {
            id(name)
        };
        repository.put(&id, object)?;
        self.content.insert(id, object.to_vec());
        Ok(())
    }

    fn delete(
        &mut self,
        repository: &mut LocalRepository,
        name: &str,
    ) -> Result<(), RepositoryError> {
        repository.delete(&id(name))?;
        self.content.remove(&id(name));
        Ok(())
    }

    fn commit(
        &mut self,
        repository: &mut LocalRepository,
        compact: Option<CompactOptions>,
    ) -> Result<(), RepositoryError> {
        self.progress.in_flight = Some(self.content.clone());
        match compact {
            Some(options) => repository.commit_compact(options)?,
            None => repository.commit()?,
        }
        self.progress.acknowledged = self.content.clone();
        self.progress.in_flight = None;
        Ok(())
    }

    /// Creates a repository with tiny segments, fills, changes and compacts it.
    fn go(&mut self, storage: &Arc<dyn Storage>) -> Result<(), RepositoryError> {
        let shared = Arc::clone(storage);
        let mut repository = LocalRepository::create_in(shared, &create_options(), writing())?;
        let mut config = repository.config().clone();
        config.set("repository", "max_segment_size", "150");
        config.set("repository", "segments_per_dir", "3");
        repository.save_config(config)?;
        repository.close()?;
        self.progress.created = true;

        let mut repository = LocalRepository::open_in(Arc::clone(storage), writing())?;
        for i in 0..6 {
            self.put(&mut repository, &format!("{i}"), &[i; 70])?;
        }
        self.put(&mut repository, "manifest", b"one")?;
        self.commit(&mut repository, None)?;

        if self.filed {
            repository.close()?;
            repository = LocalRepository::open_in(Arc::clone(storage), writing())?;
            repository.set_index_policy(IN_FILES);
        }
        self.delete(&mut repository, "0")?;
        self.put(&mut repository, "1", b"changed")?;
        self.put(&mut repository, "manifest", b"two")?;
        self.commit(&mut repository, None)?;

        self.delete(&mut repository, "4")?;
        self.put(&mut repository, "0", b"back again")?;
        self.put(&mut repository, "manifest", b"three")?;
        self.commit(&mut repository, Some(EVERYTHING))?;

        // Some segments are worth it, some are not, and those with nothing but a COMMIT go too.
        self.delete(&mut repository, "2")?;
        self.put(&mut repository, "manifest", b"four")?;
        let options = CompactOptions {
            threshold: 0.5,
            cleanup_commits: true,
            interrupt: None,
        };
        self.commit(&mut repository, Some(options))?;

        self.put(&mut repository, "never committed", b"x")?;
        repository.close()
    }
}

/// Runs until something fails; the content as of the last acknowledged commit, and the one in flight.
fn run(storage: &Arc<dyn Storage>, filed: bool) -> (Progress, Result<(), RepositoryError>) {
    let mut run = Run::new(filed);
    let result = run.go(storage);
    (run.progress, result)
}

fn read_all(repository: &LocalRepository) -> Content {
    let mut object = Vec::new();
    let ids = repository.list(None, None).unwrap();
    ids.into_iter()
        .map(|id| {
            repository.get(&id, &mut object).unwrap();
            (id, object.clone())
        })
        .collect()
}

/// Opens what a crash left behind, reads it, writes to it, rebuilds it, and compares.
#[track_caller]
fn check(storage: &MemoryStorage, progress: &Progress, context: &str) {
    if !progress.created {
        // What is not complete is refused, not misread: there is nothing in it yet.
        return;
    }
    Lock::break_lock(storage, "lock").unwrap();
    let repository = open(storage, reading());
    let found = read_all(&repository);
    drop(repository);
    assert!(
        found == progress.acknowledged || Some(&found) == progress.in_flight.as_ref(),
        "{context}: found {} objects, acknowledged {}, in flight {:?}",
        found.len(),
        progress.acknowledged.len(),
        progress.in_flight.as_ref().map(Content::len)
    );

    if found.is_empty() {
        // Without any commit a repository is not written to: what lies around may be precious.
        return;
    }

    // Life goes on: a compaction right away must neither lose nor resurrect anything.
    let mut expected = found;
    let mut repository = open(storage, writing());
    repository.put(&id("after"), b"the crash").unwrap();
    expected.insert(id("after"), b"the crash".to_vec());
    if let Some(gone) = expected.keys().nth(2).copied() {
        repository.delete(&gone).unwrap();
        expected.remove(&gone);
    }
    repository.commit_compact(EVERYTHING).unwrap();
    assert_eq!(read_all(&repository), expected, "{context}, compacted");
    drop(repository);

    // The log alone says the same as the index.
    for (name, _) in storage.files() {
        if ["index.", "hints.", "integrity."]
            .iter()
            .any(|p| name.starts_with(p))
        {
            storage.remove(&name).unwrap();
        }
    }
    let repository = open(storage, reading());
    assert_eq!(read_all(&repository), expected, "{context}, replayed");
}

fn new_memory() -> MemoryStorage {
    let memory = MemoryStorage::new();
    memory.create_dir_all("").unwrap();
    memory
}

/// A way in which a call fails.
#[derive(Debug, Clone, Copy)]
struct Failure {
    forever: bool,
    errno: i32,
    partial: Option<Partial>,
    /// What a failed sync was to make safe is lost.
    forgetting: bool,
}

const fn failure(forever: bool, errno: i32, partial: Option<Partial>) -> Failure {
    Failure {
        forever,
        errno,
        partial,
        forgetting: false,
    }
}

const FAILURES: [Failure; 10] = [
    failure(true, libc::EIO, None),
    failure(false, libc::EIO, None),
    failure(false, libc::ENOSPC, None),
    failure(true, libc::ENOSPC, Some(Partial::OneByte)),
    failure(false, libc::EDQUOT, Some(Partial::AllButOne)),
    failure(true, libc::EROFS, Some(Partial::Nothing)),
    failure(false, libc::EIO, Some(Partial::Everything)),
    failure(true, libc::EIO, Some(Partial::Everything)),
    Failure {
        forgetting: true,
        ..failure(false, libc::EIO, None)
    },
    Failure {
        forgetting: true,
        ..failure(true, libc::EIO, None)
    },
];

impl Failure {
    fn storage(self, memory: &MemoryStorage, at: u64) -> FaultyStorage {
        let fault = Fault {
            at,
            forever: self.forever,
            errno: self.errno,
        };
        match self.partial {
            _ if self.forgetting => FaultyStorage::forgetting(memory.clone(), fault),
            Some(partial) => FaultyStorage::doing(partial, Arc::new(memory.clone()), fault),
            None => FaultyStorage::new(Arc::new(memory.clone()), fault),
        }
    }

    /// What the operating system calls it.
    fn text(self) -> String {
        let text = std::io::Error::from_raw_os_error(self.errno).to_string();
        text.split(" (os error")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

#[test]
fn a_failed_call_never_costs_an_acknowledged_commit() {
    let mut at = 0;
    let mut faults = 0;
    loop {
        let mut finished = true;
        // Otherwise every second of them: a call is made many times.
        let wanted = |&(number, _): &(usize, Failure)| is_full_run() || number as u64 % 2 == at % 2;
        for (number, failure) in FAILURES.into_iter().enumerate().filter(wanted) {
            let memory = new_memory();
            let faulty = failure.storage(&memory, at);
            let shared: Arc<dyn Storage> = Arc::new(faulty.clone());
            // Every failure is met in both ways, at every second call each.
            let filed = (at + number as u64 / 2) % 2 == 1;
            let (progress, result) = run(&shared, filed);
            finished &= faulty.calls() <= at;
            let context = format!("call {at}, {failure:?}, filed {filed}");
            match result {
                Err(error) if faulty.failures() > 0 => {
                    let (error, text) = (error.to_string(), failure.text());
                    assert!(
                        error.contains(&text) && error.contains("/memory"),
                        "{context}: {error}"
                    );
                }
                other => other.unwrap(),
            }
            faults += faulty.failures().min(1);
            check(&memory, &progress, &context);
        }
        if finished {
            break;
        }
        at += 1;
    }
    assert!(faults > 1000, "only {faults} faults");
    tally(Tried::Faults, faults);
}

/// Content at each point of a recorded run, as a reopened repository may show it.
struct Recorded {
    operations: Vec<Operation>,
    /// For each number of operations done: what was acknowledged and what was in flight by then.
    commits: Vec<(usize, Content)>,
    created_at: usize,
}

impl Recorded {
    /// What may be found when power fails in operation number `done`.
    fn progress(&self, done: usize) -> Progress {
        let acknowledged = self.commits.iter().rev().find(|(end, _)| *end < done);
        let in_flight = self.commits.iter().find(|(end, _)| *end >= done);
        Progress {
            acknowledged: acknowledged.map(|(_, c)| c.clone()).unwrap_or_default(),
            in_flight: in_flight.map(|(_, c)| c.clone()),
            created: true,
        }
    }
}

fn record(filed: bool) -> Recorded {
    let recording = RecordingStorage::new(Arc::new(new_memory()));
    let shared: Arc<dyn Storage> = Arc::new(recording.clone());
    let mut run = Run::new(filed);
    run.go(&shared).unwrap();
    let operations = recording.operations();
    // An index is published at the very end of each commit: that is when it is acknowledged at the
    // earliest; its COMMIT entry is written long after the one before was acknowledged.
    let published = |operation: &Operation| matches!(operation, Operation::Publish(names) if names.iter().any(|n| n.starts_with("index.")));
    let mut contents = vec![expected_after(
        &[
            ("0", Some(&[0; 70][..])),
            ("1", Some(&[1; 70])),
            ("2", Some(&[2; 70])),
            ("3", Some(&[3; 70])),
            ("4", Some(&[4; 70])),
            ("5", Some(&[5; 70])),
            ("manifest", Some(b"one")),
        ],
        &Content::new(),
    )];
    contents.push(expected_after(
        &[
            ("0", None),
            ("1", Some(b"changed")),
            ("manifest", Some(b"two")),
        ],
        &contents[0],
    ));
    contents.push(expected_after(
        &[
            ("4", None),
            ("0", Some(b"back again")),
            ("manifest", Some(b"three")),
        ],
        &contents[1],
    ));
    contents.push(expected_after(
        &[("2", None), ("manifest", Some(b"four"))],
        &contents[2],
    ));
    let ends = (1..=operations.len()).filter(|&i| published(&operations[i - 1]));
    let commits: Vec<(usize, Content)> = ends.zip(contents).collect();
    assert_eq!(commits.len(), 4);
    // The last removal of a lock directory before the first segment ends the creation.
    let first_segment = operations
        .iter()
        .position(|o| matches!(o, Operation::Create(_)));
    Recorded {
        created_at: first_segment.unwrap(),
        operations,
        commits,
    }
}

fn expected_after(changes: &[(&str, Option<&[u8]>)], before: &Content) -> Content {
    let mut content = before.clone();
    for (name, object) in changes {
        let id = if *name == "manifest" {
            ChunkId::MANIFEST
        } else {
            id(name)
        };
        match object {
            Some(object) => content.insert(id, object.to_vec()),
            None => content.remove(&id),
        };
    }
    content
}

/// Whether there is time for everything.
fn is_full_run() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// In how many ways by chance what was not synced is lost at each point.
fn orders() -> u64 {
    if is_full_run() { 100 } else { 4 }
}

#[test]
fn power_may_fail_between_any_two_system_calls() {
    look_after_power_failures(&record(false), orders());
}

#[test]
fn power_may_fail_while_an_index_is_changed_in_its_file() {
    // Only the last of the steps of a commit are others.
    look_after_power_failures(&record(true), orders() / 4);
}

fn look_after_power_failures(recorded: &Recorded, orders: u64) {
    let mut checked = 0;
    let mut disk = DiskModel::new();
    for (before, operation) in recorded.operations.iter().enumerate() {
        let done = before + 1;
        let progress = recorded.progress(done);
        let mut look = |disk: &DiskModel| {
            let four = [
                Unsynced::Kept,
                Unsynced::Dropped,
                Unsynced::Torn,
                Unsynced::Zeroed,
            ];
            let base = checked * 1000;
            let seeds = (base..base + orders).map(Unsynced::Reordered);
            for unsynced in four.into_iter().chain(seeds) {
                let storage = disk.after_power_failure(unsynced);
                let context = format!("power failed at operation {done}, unsynced {unsynced:?}");
                check(&storage, &progress, &context);
                checked += 1;
            }
        };
        if !operation.is_change() || done <= recorded.created_at {
            disk.apply(operation);
            continue;
        }
        disk.apply_stepwise(operation, &mut look);
        look(&disk);
    }
    assert!(checked > 1000, "only {checked} states");
    tally(Tried::CrashPoints, checked);
}

#[test]
fn the_order_of_a_commit_is_the_documented_one() {
    let recorded = record(false);
    let end = recorded.commits[0].0;
    let changes: Vec<&Operation> = recorded.operations[..end]
        .iter()
        .skip(recorded.created_at)
        .filter(|operation| operation.is_change())
        .collect();
    let sealed = changes
        .iter()
        .rposition(|o| matches!(o, Operation::Seal(_)))
        .unwrap();
    let commit = changes[sealed - 1];
    let is_commit = |bytes: &[u8]| bytes.ends_with(&ironborg_format::segment::COMMIT);
    assert!(
        matches!(commit, Operation::AppendTo(_, bytes) if is_commit(bytes)),
        "{commit:?}"
    );
    // Every earlier segment was sealed before that of the COMMIT was begun.
    let created = changes
        .iter()
        .rposition(|o| matches!(o, Operation::Create(_)))
        .unwrap();
    let unsealed = changes[..created]
        .iter()
        .fold(0, |open, operation| match operation {
            Operation::Create(_) => open + 1,
            Operation::Seal(_) => open - 1,
            _ => open,
        });
    assert_eq!(unsealed, 0);
    let rest: Vec<String> = changes[sealed + 1..]
        .iter()
        .map(|operation| match operation {
            Operation::Stage(name, _) => format!("stage {name}"),
            Operation::Publish(names) => format!("publish {}", names.join(" ")),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        rest,
        [
            "stage hints.4",
            "stage index.4",
            "stage integrity.4",
            "publish integrity.4",
            "publish hints.4 index.4",
        ]
    );
}

#[test]
fn after_a_failed_write_a_transaction_cannot_be_committed() {
    let memory = new_memory();
    drop(
        LocalRepository::create_in(Arc::new(memory.clone()), &create_options(), writing()).unwrap(),
    );
    let mut repository = open(&memory, writing());
    repository.put(&id("kept"), b"kept").unwrap();
    repository.commit().unwrap();
    drop(repository);

    let mut failures = 0;
    for at in 0..60 {
        let fault = Fault {
            at,
            forever: false,
            errno: libc::ENOSPC,
        };
        let snapshot = memory.snapshot();
        let faulty: Arc<dyn Storage> =
            Arc::new(FaultyStorage::new(Arc::new(snapshot.clone()), fault));
        let Ok(mut repository) = LocalRepository::open_in(faulty, writing()) else {
            continue;
        };
        let large = vec![7; 2 << 20];
        let Err(error) = repository.put(&id("large"), &large) else {
            continue;
        };
        let RepositoryError::Storage(error) = error else {
            panic!("{error}");
        };
        assert!(error.is_no_space());
        if repository.put(&id("more"), b"more").is_err() {
            failures += 1;
            assert!(repository.commit().is_err());
            // What the transaction had written is gone, as the disk is full.
            let segments = snapshot
                .files()
                .into_iter()
                .filter(|(n, _)| n.starts_with("data/"));
            assert_eq!(segments.count(), 2);
        }
        // And the next transaction works.
        repository.put(&id("more"), b"more").unwrap();
        repository.commit().unwrap();
        assert_eq!(repository.len().unwrap(), 2);
    }
    assert!(failures >= 3, "{failures}");
}
