//! The client's own directories cannot be written to: what has to be remembered is an error, what may be lost is not.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_archive::ArchiveError;
use ironborg_crypto::KeyMode;
use ironborg_storage::MemoryStorage;
use ironborg_testkit::{Tried, tally};

use crate::harness::{Machine, Stage, archives_of, quick_directory};

/// A machine that made an encrypted repository with an archive `a`.
fn stage() -> (tempfile::TempDir, Stage) {
    let scratch = quick_directory();
    let machine = Machine::doomed(scratch.path().join("home"), "/memory");
    let source = scratch.path().join("source");
    let stage = Stage::new(machine, Arc::new(MemoryStorage::new()), source);
    stage.write_source();
    stage.init(KeyMode::Repokey).expect("nothing is in the way");
    stage.create("a").expect("nothing is in the way");
    (scratch, stage)
}

/// The security record's directory.
fn record(stage: &Stage) -> PathBuf {
    let security = stage.machine.borrow().home.join("config/security");
    let mut entries = fs::read_dir(security).expect("it was made");
    entries
        .next()
        .expect("one repository")
        .expect("readable")
        .path()
}

fn names(stage: &Stage) -> Vec<String> {
    let session = stage.session().expect("it opens");
    let archives = archives_of(&session).expect("they read");
    archives.into_keys().collect()
}

/// Puts a directory where the file is to be, does something, and takes it away again.
fn with_obstacle(
    stage: &Stage,
    file: &str,
    act: impl FnOnce() -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let path = record(stage).join(file);
    let content = fs::read(&path).ok();
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.join("in the way")).expect("it is writable");
    let result = act();
    fs::remove_dir_all(&path).expect("it is writable");
    if let Some(content) = content {
        fs::write(&path, content).expect("it is writable");
    }
    result
}

#[test]
fn without_its_record_of_nonces_nothing_is_encrypted() {
    let (_scratch, stage) = stage();
    stage.change_source(1);
    let error = with_obstacle(&stage, "nonce", || stage.create("b")).expect_err("it cannot");
    let text = error.to_string();
    assert!(
        text.contains("Is a directory") && text.contains("/nonce"),
        "{text}"
    );
    assert_eq!(names(&stage), ["a"]);
    stage.create("b").expect("nothing is in the way any more");
    assert_eq!(names(&stage), ["a", "b"]);
    tally(Tried::Faults, 1);
}

#[test]
fn a_record_that_cannot_be_written_is_told_and_loses_nothing() {
    // A key type that cannot be read counts as another one: that is refused before anything is done.
    let refused = "Repository encryption method changed since last access";
    for (file, words) in [
        ("location", "/location"),
        ("key-type", refused),
        ("manifest-timestamp", "/manifest-timestamp"),
    ] {
        let (_scratch, stage) = stage();
        stage.change_source(1);
        let result = with_obstacle(&stage, file, || stage.create("b"));
        let text = result.expect_err("it cannot be remembered").to_string();
        assert!(text.contains(words), "{file}: {text}");
        // Whatever of it was committed is whole, and nobody is asked anything.
        assert!(names(&stage).starts_with(&["a".to_owned()]), "{file}");
        stage.create("c").expect("nothing is in the way any more");
        assert!(names(&stage).contains(&"c".to_owned()), "{file}");
        let notes = Arc::clone(&stage.machine.borrow().notes);
        assert_eq!(notes.questions(), [""; 0], "{file}");
        tally(Tried::Faults, 1);
    }
}

#[test]
fn without_caches_a_backup_is_made_all_the_same() {
    let (_scratch, stage) = stage();
    stage.change_source(1);
    let cache = stage.machine.borrow().home.join("cache");
    fs::remove_dir_all(&cache).expect("it was made");
    fs::write(&cache, b"a file in the way").expect("it is writable");
    stage.create("b").expect("caches may be lost at any time");
    assert_eq!(names(&stage), ["a", "b"]);
    let log = stage.machine.borrow().notes.log();
    let told = log
        .iter()
        .any(|line| line.contains("Not a directory") && line.contains("cache"));
    assert!(told, "{log:?}");
    tally(Tried::Faults, 1);
}
