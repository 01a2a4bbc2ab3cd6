//! What a commit writes, and how often it waits for the disk.

use std::fs;
use std::sync::Arc;

use ironborg_crypto::KeyMode;
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage};

use crate::machine::{Machine, quick_directory};
use crate::stage::Stage;

/// What was done to the repository's files.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    /// Segments begun.
    segments: usize,
    /// Bytes added to them.
    segment_bytes: usize,
    /// How often something was to be on the disk before it went on: files and directories.
    syncs: usize,
    indexes: usize,
    /// Other files replaced whole.
    replaced: usize,
    removed: usize,
}

impl Written {
    fn of(operations: &[Operation]) -> Self {
        let mut written = Self::default();
        for operation in operations {
            match operation {
                Operation::Create(_) => written.segments += 1,
                Operation::AppendTo(_, bytes) => written.segment_bytes += bytes.len(),
                Operation::Sync(_) | Operation::SyncDir(_) => written.syncs += 1,
                // The file, and its name.
                Operation::Seal(_) => written.syncs += 2,
                Operation::Stage(name, _) if name.starts_with("index.") => {
                    written.indexes += 1;
                    written.syncs += 1;
                }
                Operation::Stage(..) => {
                    written.replaced += 1;
                    written.syncs += 1;
                }
                Operation::Replace(..) => {
                    written.replaced += 1;
                    written.syncs += 2;
                }
                Operation::Publish(_) => written.syncs += 1,
                Operation::Remove(_) => written.removed += 1,
                _ => {}
            }
        }
        written
    }
}

/// A backup of one new file on top of a few: what is new is written, and the index once.
#[test]
fn a_commit_writes_what_is_new_and_the_index_once() {
    let dir = quick_directory();
    let recording = RecordingStorage::new(Arc::new(MemoryStorage::new()));
    let machine = Machine::doomed(dir.path().join("home"), "memory");
    let source = dir.path().join("source");
    let stage = Stage::new(machine, Arc::new(recording.clone()), source.clone());
    stage.init(KeyMode::None).expect("a repository is made");
    stage.write_source();
    stage.create("first").expect("it is made");
    fs::write(source.join("one"), [1; 500]).expect("there is room");
    recording.take_operations();
    stage.create("second").expect("it is made");
    let written = Written::of(&recording.take_operations());
    println!("a commit of one new chunk: {written:?}");
    // A segment for what is new, one for the manifest, one for the commit entry; and another as these here are small.
    assert!(written.segments <= 4, "{written:?}");
    assert!(written.segment_bytes <= 3_000, "{written:?}");
    assert_eq!(written.indexes, 1, "{written:?}");
    // Hints and integrity file.
    assert_eq!(written.replaced, 2, "{written:?}");
    // Each segment and its name, each of those three, and their names; the new directory of segments.
    assert!(written.syncs <= 14, "{written:?}");
}
