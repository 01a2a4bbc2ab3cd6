//! Damage: every lost chunk is named with archive and file, and everything else is restored.

use std::fs;

use ironborg_archive::extract::{Destination, ExtractOptions, extract};
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::item::{ChunkEntry, Item};
use ironborg_testkit::generated;
use ironborg_types::ErrorKind;

use crate::archive_writer::{ArchiveWriter, MTIME, directory, file};
use crate::extract::{into, machine_with, options};
use crate::machine::Machine;

const PIECE: usize = 900_000;

/// A small and a large file that lose a chunk, among others that do not.
fn damaged(threads: usize) -> (Machine, [ChunkEntry; 2]) {
    let mut lost = Vec::new();
    let mut machine = machine_with(|writer| {
        writer.add(&directory("d"));
        writer.file("d/before", &[b"before"]);
        let chunks = ["one", "two", "three"].map(|piece| writer.put(piece.as_bytes()));
        lost.push(chunks[1]);
        writer.add(&file("d/small", chunks.to_vec()));
        writer.file("d/between", &[b"between"]);
        let chunks: Vec<ChunkEntry> = (0..12).map(|n| writer.put(&piece(n))).collect();
        lost.push(chunks[7]);
        writer.add(&file("d/large", chunks));
        writer.file("d/after", &[b"after"]);
    });
    let lost: [ChunkEntry; 2] = lost.try_into().expect("two");
    let mut session = machine.exclusive();
    for chunk in &lost {
        session.repository.delete(&chunk.id).expect("it is there");
    }
    session.repository.commit().expect("it commits");
    drop(session);
    machine.threads = threads;
    (machine, lost)
}

fn piece(number: usize) -> Vec<u8> {
    generated(&format!("piece {number}"), PIECE)
}

fn message(machine: &Machine, path: &str, from: usize, to: usize, chunk: &ChunkEntry) -> String {
    let id = chunk.id;
    let repository = machine.repository.display();
    format!(
        "a::{path}: bytes {from}-{to} (chunk {id}) are lost: \
         Object with key {id} not found in repository {repository}."
    )
}

#[test]
fn files_with_missing_chunks_keep_the_rest_and_others_are_whole() {
    for threads in [1, 4] {
        let (machine, lost) = damaged(threads);
        let root = machine.dir("out");
        let error = into(&machine, "a", &root, options(&[])).expect_err("chunks are missing");
        // As stock Borg, which ends at the first one in the archive's order.
        assert_eq!(error.kind(), ErrorKind::RepositoryObjectNotFound);
        assert!(error.to_string().contains(&lost[0].id.to_string()));
        let mut log = machine.log();
        log.sort();
        let large = message(&machine, "d/large", 7 * PIECE, 8 * PIECE, &lost[1]);
        assert_eq!(log, [large, message(&machine, "d/small", 3, 6, &lost[0])]);
        assert_eq!(machine.warnings(), []);
        for name in ["before", "between", "after"] {
            let path = root.join("d").join(name);
            assert_eq!(fs::read(&path).expect("there"), name.as_bytes());
        }
        assert_eq!(
            fs::read(root.join("d/small")).expect("there"),
            b"one\0\0\0three"
        );
        let large = fs::read(root.join("d/large")).expect("there");
        assert_eq!(large.len(), 12 * PIECE);
        for (number, found) in large.chunks(PIECE).enumerate() {
            let expected = if number == 7 {
                vec![0; PIECE]
            } else {
                piece(number)
            };
            assert!(found == expected, "piece {number}");
        }
        // Nothing takes a damaged file for the original.
        let modified = |name: &str| {
            fs::metadata(root.join(name))
                .expect("there")
                .modified()
                .expect("known")
        };
        assert_eq!(modified("d/before"), modified("d/after"));
        assert_ne!(modified("d/small"), modified("d/after"));
        assert_ne!(modified("d/large"), modified("d/after"));
        assert_eq!(modified("d"), modified("d/after"), "{MTIME}");
    }
}

#[test]
fn a_dry_run_finds_the_same_damage() {
    let (machine, lost) = damaged(3);
    let session = machine.session();
    let archive = session.load_archive(b"a").expect("it is there");
    let error =
        extract(&session, &archive, Destination::Nowhere, options(&[])).expect_err("damage");
    assert!(error.to_string().contains(&lost[0].id.to_string()));
    assert_eq!(machine.log().len(), 2);
    let fine = options(&["d/before", "d/after"]);
    extract(&session, &archive, Destination::Nowhere, fine).expect("these are whole");
}

#[test]
fn a_stream_ends_at_the_damage() {
    let (machine, lost) = damaged(2);
    let session = machine.session();
    let archive = session.load_archive(b"a").expect("it is there");
    let mut out = Vec::new();
    let error = extract(
        &session,
        &archive,
        Destination::Stream(&mut out),
        options(&[]),
    );
    assert_eq!(
        error.expect_err("damage").kind(),
        ErrorKind::RepositoryObjectNotFound
    );
    assert_eq!(out, b"beforeone");
    let log = machine.log();
    assert_eq!(log.len(), 1);
    assert!(
        log[0].starts_with("a::d/small: ") && log[0].contains(&lost[0].id.to_string()),
        "{log:?}"
    );
}

/// Flips a bit in the middle of the object's entry in its segment, and mends the checksum if asked to.
fn flip(machine: &Machine, needle: &ChunkEntry) {
    let mut hits = 0;
    for segment in fs::read_dir(machine.repository.join("data/0")).expect("there") {
        let path = segment.expect("readable").path();
        let mut content = fs::read(&path).expect("readable");
        let id = needle.id.as_bytes();
        if let Some(at) = content.windows(32).position(|window| window == id) {
            content[at + 32 + needle.csize as usize / 2] ^= 4;
            fs::write(&path, content).expect("writable");
            hits += 1;
        }
    }
    assert_eq!(hits, 1);
}

#[test]
fn a_flipped_bit_is_named_and_the_other_files_are_whole() {
    let mut chunk = None;
    let machine = machine_with(|writer| {
        writer.file("first", &[b"first"]);
        let broken = writer.put(&piece(1));
        chunk = Some(broken);
        writer.add(&file("broken", vec![broken]));
        writer.file("last", &[b"last"]);
    });
    flip(&machine, &chunk.expect("it was stored"));
    let root = machine.dir("out");
    let error = into(&machine, "a", &root, options(&[])).expect_err("it is damaged");
    assert_eq!(error.kind(), ErrorKind::IntegrityError);
    let log = machine.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(
        log[0].starts_with(&format!("a::broken: bytes 0-{PIECE} (chunk ")),
        "{log:?}"
    );
    assert!(
        log[0].contains("Segment entry checksum mismatch"),
        "{log:?}"
    );
    assert_eq!(fs::read(root.join("first")).expect("there"), b"first");
    assert_eq!(fs::read(root.join("last")).expect("there"), b"last");
}

#[test]
fn chunks_under_a_wrong_id_are_refused() {
    // Objects of authenticated or encrypted repositories could be swapped by a server: the MAC does
    // not bind the id.
    let mut swapped = None;
    let mut machine = machine_with(|writer| {
        let (a, b) = (writer.put(b"content a"), writer.put(b"content b"));
        swapped = Some((a, b));
        writer.add(&file("a", vec![a])).add(&file("b", vec![b]));
        writer.file("c", &[b"content c"]);
    });
    let (a, b) = swapped.expect("they were stored");
    let mut session = machine.exclusive();
    let mut object = Vec::new();
    session
        .repository
        .get(&b.id, &mut object)
        .expect("it is there");
    session
        .repository
        .put(&a.id, &object)
        .expect("it is stored");
    session.repository.commit().expect("it commits");
    drop(session);
    machine.threads = 1;
    let root = machine.dir("out");
    let error = into(&machine, "a", &root, options(&[])).expect_err("a is not a");
    assert_eq!(error.kind(), ErrorKind::IntegrityError, "{error}");
    assert_eq!(fs::read(root.join("a")).expect("there"), vec![0; 9]);
    assert_eq!(fs::read(root.join("b")).expect("there"), b"content b");
    assert_eq!(fs::read(root.join("c")).expect("there"), b"content c");
}

#[test]
fn lengths_that_do_not_fit_are_warned_about_and_content_is_complete() {
    let machine = machine_with(|writer| {
        let chunks: Vec<ChunkEntry> = (0..12).map(|n| writer.put(&piece(n))).collect();
        // The entry of one chunk lies about its length, by a lot.
        let mut lying = chunks.clone();
        lying[3].size = u32::MAX;
        let size = Some(12 * PIECE as u64);
        writer.add(&Item {
            size,
            ..file("lying", lying)
        });
        writer.add(&Item {
            size: Some(5),
            ..file("wrong-size", chunks)
        });
        let small = writer.put(b"small");
        writer.add(&Item {
            size: Some(4),
            ..file("small", vec![ChunkEntry { size: 2, ..small }])
        });
    });
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect("only warnings");
    for name in ["lying", "wrong-size"] {
        let found = fs::read(root.join(name)).expect("there");
        assert!(
            found == (0..12).flat_map(piece).collect::<Vec<u8>>(),
            "{name}"
        );
    }
    assert_eq!(fs::read(root.join("small")).expect("there"), b"small");
    let mut warnings = machine.warnings();
    warnings.sort_by(|a, b| a.1.cmp(&b.1));
    let warning = |path: &str| (ErrorKind::BackupError, format!("{path}: backup error"));
    assert_eq!(warnings, [warning("small"), warning("wrong-size")]);
}

fn count(session: &Session) -> (usize, Result<(), ArchiveError>) {
    let archive = session.load_archive(b"a").expect("it is there");
    let mut count = 0;
    let result = with_items(session, &archive, PartFiles::Skip, |items| {
        let mut item = Item::default();
        while items.next_into(&mut item)? {
            count += 1;
        }
        Ok(())
    });
    (count, result)
}

fn many(writer: &mut ArchiveWriter<'_>) {
    writer.add(&directory("d"));
    for number in 0..40 {
        writer.file(
            &format!("d/{number}"),
            &[format!("file {number}").as_bytes()],
        );
    }
}

#[test]
fn a_torn_item_stream_is_an_error_and_what_came_before_is_restored() {
    let machine = machine_with(|writer| {
        many(writer);
        writer.add_raw(b"\x84\xa4path\xa1x");
    });
    let (items, result) = count(&machine.session());
    assert_eq!(items, 41);
    let error = result.expect_err("the last item is torn").to_string();
    assert!(
        error.starts_with("item stream of a is damaged: "),
        "{error}"
    );
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect_err("it is torn");
    for number in 0..40 {
        let found = fs::read(root.join(format!("d/{number}"))).expect("there");
        assert_eq!(found, format!("file {number}").as_bytes());
    }
}

#[test]
fn what_is_no_item_ends_the_stream() {
    for junk in [
        &b"\xc1"[..],
        b"\xc0",
        b"\x01",
        b"\x80",
        b"\x81\xa4path\xc0",
        b"\xdf\xff\xff\xff\xff",
    ] {
        let machine = machine_with(|writer| {
            many(writer);
            writer.add_raw(junk);
        });
        let (items, result) = count(&machine.session());
        assert_eq!(items, 41);
        assert_eq!(result.expect_err("junk").kind(), ErrorKind::IntegrityError);
    }
}

#[test]
fn a_missing_piece_of_the_item_stream_ends_it() {
    let machine = machine_with(many);
    let mut session = machine.exclusive();
    let archive = session.load_archive(b"a").expect("it is there");
    session
        .repository
        .delete(&archive.metadata.items[5])
        .expect("it is there");
    session.repository.commit().expect("it commits");
    let (items, result) = count(&session);
    assert!(items > 5 && items < 41);
    assert_eq!(
        result.expect_err("missing").kind(),
        ErrorKind::RepositoryObjectNotFound
    );
}

#[test]
fn a_regular_file_without_content_is_an_error_of_its_own() {
    let machine = machine_with(|writer| {
        writer.add(&Item {
            chunks: None,
            ..file("none", Vec::new())
        });
        writer.file("fine", &[b"fine"]);
    });
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect_err("an item is unusable");
    assert_eq!(
        machine.log(),
        ["a::none: item of none is damaged: a regular file without a chunk list"]
    );
    assert_eq!(fs::read(root.join("fine")).expect("there"), b"fine");
    let only_fine = ExtractOptions {
        ..options(&["fine"])
    };
    into(&machine, "a", &root, only_fine).expect("the other was not asked for");
}
