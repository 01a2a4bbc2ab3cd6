//! Archives made to harm: nothing is ever written outside of the target directory.

use std::fs;
use std::path::Path;

use ironborg_format::item::Item;
use ironborg_testkit::Snapshot;
use ironborg_types::ErrorKind;

use crate::archive_writer::{ArchiveWriter, directory, hard_link, item, symlink};
use crate::extract::{into, machine_with, options};
use crate::machine::Machine;

/// Extracts into a directory with precious things beside it, which must not change.
fn extract_beside_precious(write: impl FnOnce(&mut ArchiveWriter<'_>)) -> Machine {
    let machine = machine_with(write);
    let area = machine.dir("area");
    let root = area.join("out");
    fs::create_dir(&root).expect("new");
    fs::write(area.join("precious"), "precious").expect("new");
    fs::create_dir(area.join("dir")).expect("new");
    fs::write(area.join("dir/inner"), "inner").expect("new");
    let snapshot = || {
        let snapshot = Snapshot::of(&area);
        snapshot.without(|path, _| path.is_empty() || path.starts_with(b"out"))
    };
    let before = snapshot();
    let result = into(&machine, "a", &root, options(&[]));
    assert_eq!(snapshot(), before, "something outside was changed");
    let fine = fs::read(root.join("fine")).expect("what is fine is restored");
    assert_eq!(fine, b"fine");
    assert!(
        !machine.warnings().is_empty() || result.is_err(),
        "it was noticed"
    );
    machine
}

fn kinds(machine: &Machine) -> Vec<ErrorKind> {
    machine
        .warnings()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect()
}

#[test]
fn paths_that_lead_out_are_refused() {
    let machine = extract_beside_precious(|writer| {
        writer.file("x/../../precious", &[b"gone"]);
        writer.add(&directory("x/../../dir"));
        writer.add(&symlink("a/../../link", "x"));
        writer.file("fine", &[b"fine"]);
    });
    // The directory is refused twice, the second time when its attributes are due.
    assert_eq!(kinds(&machine), [ErrorKind::BackupPathTraversalError; 4]);
}

#[test]
fn paths_that_start_outside_are_refused() {
    let machine = extract_beside_precious(|writer| {
        writer.file("../precious", &[b"gone"]);
        writer.file("/etc/ironborg-test", &[b"gone"]);
        writer.add(&directory("../dir"));
        writer.file("fine", &[b"fine"]);
    });
    assert!(!Path::new("/etc/ironborg-test").exists());
    assert!(
        machine
            .log()
            .iter()
            .any(|line| line.contains("Path should be relative and local"))
    );
}

#[test]
fn a_symlink_made_by_the_archive_is_not_followed() {
    let machine = extract_beside_precious(|writer| {
        writer.add(&symlink("sub", ".."));
        writer.file("sub/precious", &[b"gone"]);
        writer.add(&directory("sub/new"));
        writer.add(&symlink("sub/link", "x"));
        writer.add(&item("sub/fifo", 0o010_644));
        writer.file("fine", &[b"fine"]);
    });
    assert!(
        kinds(&machine)
            .iter()
            .all(|kind| *kind == ErrorKind::BackupSymlinkParentError)
    );
}

#[test]
fn a_file_turned_symlink_while_files_are_in_flight_is_not_followed() {
    let machine = extract_beside_precious(|writer| {
        for round in 0..20 {
            writer.file(&format!("d{round}/file"), &[b"data"]);
            writer.add(&symlink("s", ".."));
            writer.file("s/precious", &[b"gone"]);
        }
        writer.file("fine", &[b"fine"]);
    });
    assert_eq!(kinds(&machine), [ErrorKind::BackupSymlinkParentError; 20]);
}

#[test]
fn hard_links_to_what_is_outside_are_refused() {
    let machine = extract_beside_precious(|writer| {
        writer.add(&hard_link("a", "../precious"));
        writer.add(&hard_link("b", "/etc/passwd"));
        writer.add(&symlink("up", ".."));
        writer.add(&hard_link("c", "up/precious"));
        writer.file("fine", &[b"fine"]);
    });
    let root = machine.scratch.join("area/out");
    for name in ["a", "b", "c"] {
        assert!(!root.join(name).exists(), "{name}");
    }
}

#[test]
fn types_no_file_has_are_refused() {
    let machine = extract_beside_precious(|writer| {
        for mode in [0o140_644, 0, 0o170_000, u32::MAX] {
            writer.add(&item("strange", mode));
        }
        writer.file("fine", &[b"fine"]);
    });
    assert_eq!(machine.log().len(), 4);
}

#[test]
fn numbers_out_of_any_range_do_no_harm() {
    let machine = extract_beside_precious(|writer| {
        let extreme = |path: &str, number: i64| Item {
            uid: Some(number),
            gid: Some(number),
            mtime: Some(number),
            atime: Some(number),
            bsdflags: Some(u64::MAX),
            rdev: Some(u64::MAX),
            ..item(path, 0o100_644)
        };
        for (name, number) in [("max", i64::MAX), ("min", i64::MIN), ("minus", -1)] {
            writer.add(&Item {
                chunks: Some(Vec::new()),
                size: Some(u64::MAX),
                ..extreme(name, number)
            });
        }
        writer.file("fine", &[b"fine"]);
    });
    assert!(
        kinds(&machine)
            .iter()
            .all(|kind| *kind == ErrorKind::BackupError),
        "{:?}",
        machine.warnings()
    );
}
