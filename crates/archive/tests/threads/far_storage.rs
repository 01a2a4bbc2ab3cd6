//! A repository on slow storage: what will be read is announced before, so that a file server is not waited for object by
//! object, and in the order in which it is stored, so that a disk does not go to and fro.
//!
//! Nothing is really slow here. What was asked of the storage is written down, and a clock that is only a number goes on as
//! it would with a certain kind of storage: the same figures on any machine, whatever else it does.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_archive::check::{CheckOptions, check};
use ironborg_archive::extract::{Destination, ExtractOptions, extract};
use ironborg_archive::items::PartFiles;
use ironborg_archive::selection::ArchiveSelection;
use ironborg_crypto::KeyMode;
use ironborg_repository::CheckMode;
use ironborg_source::PatternMatcher;
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage};
use ironborg_testkit::generated;

use crate::machine::{Machine, quick_directory};
use crate::stage::{Stage, close, create_options};

const FILES: usize = 1200;
const FILE_LEN: usize = 2000;
/// Bytes of a segment, about.
const SEGMENT_SIZE: &str = "262144";
/// So much more than what was asked for a kernel reads of a file that is read in sequence.
const READ_ON: u64 = 128 << 10;

/// Storage that takes its time, in units of one answer.
#[derive(Default)]
struct SlowStorage {
    now: f64,
    /// What has been fetched or is on its way, and when it is there.
    fetched: HashMap<String, Vec<(Range<u64>, f64)>>,
    /// Where a disk's head is.
    head: Option<(String, u64)>,
    seeks: usize,
}

impl SlowStorage {
    fn of(operations: &[Operation]) -> Self {
        let mut storage = Self::default();
        for operation in operations {
            match operation {
                Operation::WillNeed(name, offset, len) if name.starts_with("data/") => {
                    storage.fetch(name, *offset..offset + len);
                }
                Operation::ReadAt(name, offset, len) if name.starts_with("data/") => {
                    storage.read(name, *offset..offset + *len as u64);
                }
                _ => {}
            }
        }
        storage
    }

    fn known(&self, name: &str, range: &Range<u64>) -> Option<f64> {
        let fetched = self.fetched.get(name)?.iter();
        let holds =
            |known: &&(Range<u64>, f64)| known.0.start <= range.start && range.end <= known.0.end;
        fetched.filter(holds).map(|known| known.1).reduce(f64::min)
    }

    /// Begins to bring something; others may be on their way.
    fn fetch(&mut self, name: &str, range: Range<u64>) {
        if self.known(name, &range).is_some() {
            return;
        }
        let goes_on = self.head.as_ref().is_some_and(|(at, offset)| {
            at == name && (*offset..offset + READ_ON).contains(&range.start)
        });
        self.seeks += usize::from(!goes_on);
        self.head = Some((name.to_owned(), range.end));
        let fetched = self.fetched.entry(name.to_owned()).or_default();
        fetched.push((range, self.now + 1.0));
    }

    /// Waits for something.
    fn read(&mut self, name: &str, range: Range<u64>) {
        if self.known(name, &range).is_none() {
            self.fetch(name, range.start..range.end.max(range.start + READ_ON));
        }
        if let Some(ready) = self.known(name, &range) {
            self.now = self.now.max(ready);
        }
    }
}

struct Scene {
    _dir: tempfile::TempDir,
    recording: RecordingStorage,
    stage: Stage,
}

/// A repository of many small objects in several segments.
fn scene() -> Scene {
    let dir = quick_directory();
    let recording = RecordingStorage::new(Arc::new(MemoryStorage::new())).with_hints();
    let machine = Machine::doomed(dir.path().join("home"), "memory");
    let source: PathBuf = dir.path().join("source");
    fs::create_dir(&source).expect("there is room");
    let stage = Stage::new(machine, Arc::new(recording.clone()), source.clone());
    stage.init(KeyMode::None).expect("a repository is made");
    let mut repository = stage.repository().expect("it opens");
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", SEGMENT_SIZE);
    repository.save_config(config).expect("there is room");
    repository.close().expect("it closes");
    for file in 0..FILES {
        let name = format!("file{file}");
        fs::write(source.join(&name), generated(&name, FILE_LEN)).expect("there is room");
    }
    let mut options = create_options("a", &source);
    options.checkpoints.volume = 0;
    options.chunker = "19,23,21,4095".parse().expect("parameters");
    stage
        .with_session(|session| ironborg_archive::create::create(session, &options).map(drop))
        .expect("it is made");
    recording.take_operations();
    Scene {
        _dir: dir,
        recording,
        stage,
    }
}

#[test]
fn an_extraction_waits_for_a_far_storage_a_few_times() {
    let scene = scene();
    let session = scene.stage.session().expect("it opens");
    let archive = session.load_archive(b"a").expect("it is there");
    let everything = ExtractOptions {
        matcher: PatternMatcher::new([], true),
        strip_components: 0,
        parts: PartFiles::Skip,
        list: false,
    };
    extract(&session, &archive, Destination::Nowhere, everything).expect("it is read");
    close(session).expect("it closes");
    assert_quick("extract", &scene.recording.take_operations());
}

#[test]
fn a_check_of_all_data_waits_for_a_far_storage_a_few_times() {
    let scene = scene();
    let repository = scene.stage.repository().expect("it opens");
    let options = CheckOptions {
        repository: true,
        archives: true,
        verify_data: true,
        mode: CheckMode::Look,
        save_space: false,
        max_duration_s: 0,
        archive: None,
        selection: ArchiveSelection::default(),
        glob: None,
    };
    let client = scene.stage.machine.borrow().client();
    assert!(check(client, Box::new(repository), &options).expect("it is checked"));
    assert_quick("check", &scene.recording.take_operations());
}

/// However many objects there are, they come in a few pieces, one behind the other.
#[track_caller]
#[allow(clippy::print_stdout, reason = "`--no-capture` shows the figures")]
fn assert_quick(what: &str, operations: &[Operation]) {
    let reads = |operation: &&Operation| matches!(operation, Operation::ReadAt(name, ..) if name.starts_with("data/"));
    let reads = operations.iter().filter(reads).count();
    let segments = FILES * FILE_LEN / (256 << 10);
    let slow = SlowStorage::of(operations);
    println!(
        "{what}: {reads} reads of {FILES} objects in {segments} segments: waited {} times, {} seeks",
        slow.now, slow.seeks
    );
    assert!(slow.now >= 1.0, "{what} has read nothing");
    assert!(
        slow.now <= 3.0 * segments as f64,
        "{what}: waited {} times for {reads} reads",
        slow.now
    );
    assert!(
        slow.seeks <= 4 * segments,
        "{what}: {} seeks for {reads} reads",
        slow.seeks
    );
}
