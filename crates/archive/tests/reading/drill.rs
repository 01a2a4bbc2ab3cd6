//! Restoring as a test: what is called equal is, what has changed is no difference, and what differs is found.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink as make_symlink};
use std::path::Path;

use ironborg_archive::ArchiveError;
use ironborg_archive::drill::{Drill, LivePaths, Pieces, Progress, Verdict};
use ironborg_format::item::{ChunkEntry, Item};
use ironborg_source::ScratchDirectory;
use ironborg_testkit::generated;
use ironborg_types::BytePath;

use crate::archive_writer::ArchiveWriter;
use crate::machine::{Machine, bytes};

/// The path in the archive of a live file.
fn archived(live: &Path) -> BytePath {
    BytePath::new(&bytes(live)[1..])
}

/// The item create would make of a live file.
fn of_live(live: &Path, chunks: Option<Vec<ChunkEntry>>) -> Item {
    let found = fs::symlink_metadata(live).expect("it is there");
    let time = |seconds: i64, nanoseconds: i64| Some(seconds * 1_000_000_000 + nanoseconds);
    Item {
        path: archived(live),
        mode: found.mode(),
        uid: Some(found.uid().into()),
        gid: Some(found.gid().into()),
        mtime: time(found.mtime(), found.mtime_nsec()),
        ctime: time(found.ctime(), found.ctime_nsec()),
        size: chunks
            .as_ref()
            .map(|chunks| chunks.iter().map(|chunk| u64::from(chunk.size)).sum()),
        chunks,
        ..Item::default()
    }
}

/// A machine with live files, of which items were made while their chunks were stored.
struct Laboratory {
    machine: Machine,
    items: Vec<Item>,
}

impl Laboratory {
    fn new(make: impl FnOnce(&Path, &mut ArchiveWriter<'_>) -> Vec<Item>) -> Self {
        let machine = Machine::with_sample("empty");
        let live = machine.dir("live");
        let mut session = machine.exclusive();
        let mut writer = ArchiveWriter::new(&mut session);
        let items = make(&live, &mut writer);
        for item in &items {
            writer.add(item);
        }
        writer.finish("a");
        drop(session);
        Self { machine, items }
    }

    /// Files of these contents.
    fn of_files(files: &[(&str, &[&[u8]])]) -> Self {
        Self::new(|live, writer| {
            let file = |(name, pieces): &(&str, &[&[u8]])| {
                let path = live.join(name);
                fs::write(&path, pieces.concat()).expect("room on the disk");
                let chunks = pieces.iter().map(|piece| writer.put(piece)).collect();
                of_live(&path, Some(chunks))
            };
            files.iter().map(file).collect()
        })
    }

    fn live(&self, name: &str) -> std::path::PathBuf {
        self.machine.scratch.join("live").join(name)
    }

    /// Calls `use_it` with a drill; nothing stays behind.
    fn drill<T>(&self, use_it: impl FnOnce(&mut Drill<'_>) -> T) -> T {
        let session = self.machine.session();
        let archive = session.load_archive(b"a").expect("it is there");
        let place = self.machine.scratch.join("restored");
        let scratch = ScratchDirectory::create(&place).expect("it can be made");
        let live = self.machine.scratch.join("live");
        let mut drill = Drill::new(&session, &archive, &scratch, LivePaths::of([bytes(&live)]));
        let result = use_it(&mut drill);
        let left = fs::read_dir(&place).expect("it is there").count();
        assert_eq!(left, 0, "nothing is left of what was restored");
        drop(scratch);
        assert!(!place.exists());
        result
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.drill(|drill| drill.restore(&self.items))
            .expect("it goes on")
    }

    /// Reads the first file in pieces, so many chunks at a time; also tells how often it was stopped.
    fn in_pieces(&self, at_once: usize) -> (Vec<Verdict>, usize) {
        let (mut from, mut stops): (Option<Progress>, usize) = (None, 0);
        loop {
            let mut left = at_once;
            let mut go_on = |_| {
                left -= 1;
                left > 0
            };
            let result = self.drill(|drill| drill.restore_in_pieces(&self.items, from, &mut go_on));
            match result.expect("it goes on") {
                Pieces::Done(verdicts) => return (verdicts, stops),
                Pieces::Stopped(progress) => {
                    assert!(from.is_none_or(|from| from.chunk < progress.chunk));
                    (from, stops) = (Some(progress), stops + 1);
                }
            }
        }
    }
}

#[track_caller]
fn assert_different(verdict: &Verdict, expected: &str) {
    match verdict {
        Verdict::Different(what) => assert!(what.contains(expected), "{what}"),
        other => panic!("{other:?} instead of {expected}"),
    }
}

#[test]
fn every_kind_of_file_is_as_the_live_one() {
    let laboratory = Laboratory::new(|live, writer| {
        let path = |name: &str| live.join(name);
        fs::create_dir(path("d")).expect("room on the disk");
        fs::write(path("d/file"), b"some content").expect("room on the disk");
        fs::write(path("empty"), b"").expect("room on the disk");
        fs::hard_link(path("d/file"), path("link")).expect("room on the disk");
        make_symlink("nowhere", path("symlink")).expect("room on the disk");
        let chunks = vec![writer.put(b"some "), writer.put(b"content")];
        let mut master = of_live(&path("d/file"), Some(chunks));
        master.hardlink_master = Some(true);
        let mut link = of_live(&path("link"), None);
        link.source = Some(archived(&path("d/file")).0);
        let mut symlink = of_live(&path("symlink"), None);
        symlink.source = Some(b"nowhere".to_vec());
        vec![
            of_live(live, None),
            of_live(&path("d"), None),
            master,
            of_live(&path("empty"), Some(Vec::new())),
            link,
            symlink,
        ]
    });
    assert_eq!(laboratory.verdicts(), vec![Verdict::Equal; 6]);
    assert_eq!(laboratory.machine.warnings(), []);
}

#[test]
fn what_has_changed_or_is_gone_is_only_restored() {
    let files: [(&str, &[&[u8]]); 4] = [
        ("content", &[b"one"]),
        ("gone", &[b"two"]),
        ("kind", &[b"three"]),
        ("mode", &[b"four"]),
    ];
    let laboratory = Laboratory::of_files(&files);
    fs::write(laboratory.live("content"), b"eno").expect("room on the disk");
    fs::remove_file(laboratory.live("gone")).expect("it is there");
    fs::remove_file(laboratory.live("kind")).expect("it is there");
    make_symlink("content", laboratory.live("kind")).expect("room on the disk");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(laboratory.live("mode"), permissions).expect("ours");
    assert_eq!(laboratory.verdicts(), vec![Verdict::Restored; 4]);
}

#[test]
fn content_and_attributes_that_are_not_those_of_an_unchanged_file_are_found() {
    let files: [(&str, &[&[u8]]); 3] = [
        ("content", &[b"one"]),
        ("mode", &[b"two"]),
        ("right", &[b"three"]),
    ];
    let mut laboratory = Laboratory::of_files(&files);
    // As if another file's chunks had been stored, and another mode.
    laboratory.items[0].chunks = laboratory.items[1].chunks.clone();
    laboratory.items[1].mode ^= 0o111;
    let verdicts = laboratory.verdicts();
    assert_different(&verdicts[0], "content differs from byte 0 on");
    assert_different(&verdicts[1], "mode");
    assert_eq!(verdicts[2], Verdict::Equal);
    assert_different(&laboratory.in_pieces(1).0[0], "from byte 0 on");
    // One that was changed no earlier than all others may have changed in the same tick.
    let newest = laboratory.items[0].ctime.expect("it has one");
    let verdicts = laboratory.drill(|drill| {
        drill.set_newest(newest);
        drill.restore(&laboratory.items[..1])
    });
    assert_eq!(verdicts.expect("it goes on"), [Verdict::Restored]);
}

#[test]
fn a_lost_chunk_is_named_and_the_other_files_are_whole() {
    let large: Vec<Vec<u8>> = (0..12)
        .map(|number| generated(&format!("piece {number}"), 600_000))
        .collect();
    let large: Vec<&[u8]> = large.iter().map(Vec::as_slice).collect();
    let files: [(&str, &[&[u8]]); 3] = [
        ("large", &large),
        ("small", &[b"one", b"two"]),
        ("whole", &[b"three"]),
    ];
    let laboratory = Laboratory::of_files(&files);
    let lost = |file: usize, chunk: usize| {
        laboratory.items[file].chunks.as_ref().expect("a file")[chunk].id
    };
    let mut session = laboratory.machine.exclusive();
    for id in [lost(0, 3), lost(0, 7), lost(1, 1)] {
        session.repository.delete(&id).expect("it is there");
    }
    session.repository.commit().expect("it commits");
    drop(session);
    let verdicts = laboratory.verdicts();
    assert_different(&verdicts[0], "not found in repository");
    assert_different(&verdicts[1], &lost(1, 1).to_string());
    assert_eq!(verdicts[2], Verdict::Equal);
    let log = laboratory.machine.log();
    assert_eq!(log.len(), 3, "{log:?}");
    let (verdicts, stops) = laboratory.in_pieces(100);
    assert_different(&verdicts[0], "not found in repository");
    assert_eq!(stops, 0);
    let log = laboratory.machine.log().split_off(3);
    assert!(log[0].contains("bytes 1800000-2400000"), "{log:?}");
    assert!(log[1].contains("bytes 4200000-4800000"), "{log:?}");
    assert_eq!(log.len(), 2, "{log:?}");
}

#[test]
fn a_file_is_read_on_where_it_was_left() {
    let pieces: Vec<Vec<u8>> = (0..5)
        .map(|number| generated(&format!("piece {number}"), 1000))
        .collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let laboratory = Laboratory::of_files(&[("large", &pieces)]);
    for (at_once, stops) in [(1, 4), (2, 2), (5, 0)] {
        let (verdicts, stopped) = laboratory.in_pieces(at_once);
        assert_eq!(verdicts, [Verdict::Equal]);
        assert_eq!(stopped, stops);
    }
    // From a place that is none any more it begins anew.
    let from = Progress {
        chunk: 77,
        is_compared: true,
    };
    let count = std::cell::Cell::new(0);
    let result = laboratory.drill(|drill| {
        let mut go_on = |_| {
            count.set(count.get() + 1);
            true
        };
        drill.restore_in_pieces(&laboratory.items, Some(from), &mut go_on)
    });
    let done = result.expect("it goes on");
    assert_eq!(done, Pieces::Done(vec![Verdict::Equal]));
    assert_eq!(count.get(), 5);
    // What was not compared in the beginning is not compared in the end.
    let from = Progress {
        chunk: 2,
        is_compared: false,
    };
    let result = laboratory
        .drill(|drill| drill.restore_in_pieces(&laboratory.items, Some(from), &mut |_| true));
    let done = result.expect("it goes on");
    assert_eq!(done, Pieces::Done(vec![Verdict::Restored]));
}

#[test]
fn sizes_that_are_not_true_are_found() {
    let files: [(&str, &[&[u8]]); 2] = [("one", &[b"one", b"more"]), ("two", &[b"two"])];
    let mut laboratory = Laboratory::of_files(&files);
    laboratory.items[0].chunks.as_mut().expect("a file")[0].size = 2;
    laboratory.items[1].size = Some(4);
    let verdicts = laboratory.verdicts();
    assert_different(
        &verdicts[0],
        "Size inconsistency detected: size 7, chunks size 6",
    );
    assert_different(
        &verdicts[1],
        "Size inconsistency detected: size 4, chunks size 3",
    );
    assert_different(&laboratory.in_pieces(9).0[0], "has 3 bytes, not 2");
    laboratory.items.remove(0);
    assert_different(&laboratory.in_pieces(9).0[0], "Size inconsistency detected");
}

#[test]
fn a_drill_ends_when_it_is_asked_to() {
    let laboratory = Laboratory::of_files(&[("one", &[b"one", b"more"])]);
    let session = laboratory.machine.session();
    session.client.interrupt.request_stop();
    let archive = session.load_archive(b"a").expect("it is there");
    let place = laboratory.machine.scratch.join("restored");
    let scratch = ScratchDirectory::create(&place).expect("it can be made");
    let mut drill = Drill::new(&session, &archive, &scratch, LivePaths::default());
    let items = &laboratory.items;
    let stopped = [
        drill.restore(items).map(drop),
        drill
            .restore_in_pieces(items, None, &mut |_| true)
            .map(drop),
    ];
    for result in stopped {
        let error = result.expect_err("it was asked to end");
        assert!(matches!(error, ArchiveError::Interrupted), "{error}");
    }
}
