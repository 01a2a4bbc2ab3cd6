//! Holes in item streams, and things in them that are no items or odd ones.

use std::collections::BTreeMap;

use ironborg_archive::check::CheckMode;
use ironborg_format::Item;
use ironborg_format::msgpack::{push_array_len, push_map_len, push_raw, push_uint};
use ironborg_types::{ChunkId, FindingKind, RepairAction};

use crate::archive_writer::{ArchiveWriter, file};
use crate::laboratory::Laboratory;

/// An item with another entry, or another value for one.
fn with_entry(key: &str, value: &[u8]) -> Vec<u8> {
    let mut entries = BTreeMap::from([
        ("mode", &b"\xcd\x81\xa4"[..]),
        ("mtime", b"\x01"),
        ("path", b"\xa3odd"),
    ]);
    entries.insert(key, value);
    let mut item = Vec::new();
    push_map_len(&mut item, entries.len());
    for (key, value) in entries {
        push_raw(&mut item, key.as_bytes());
        item.extend_from_slice(value);
    }
    item
}

/// An archive of files called by number, with something odd in the middle.
fn with_odd(odd: &[u8]) -> Laboratory {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| {
        files(writer, 0..5);
        writer.add_raw(odd);
        files(writer, 5..10);
    });
    laboratory
}

fn files(writer: &mut ArchiveWriter<'_>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        writer.file(&format!("file {number:03}"), &[&number.to_be_bytes()]);
    }
}

/// The bytes of an archive's item stream.
fn stream_bytes(laboratory: &Laboratory, name: &str) -> Vec<u8> {
    let ids = laboratory.stream(name).into_iter();
    ids.flat_map(|id| laboratory.plaintext(&id).unwrap())
        .collect()
}

#[test]
fn a_hole_loses_only_the_items_in_it() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| files(writer, 0..100));
    let before = laboratory.paths("a");
    let stream = laboratory.stream("a");
    laboratory.lose(&[stream[3], stream[4], stream[7]]);
    let told = laboratory.check(CheckMode::Repair);
    let expected: Vec<String> = [3, 4, 7]
        .map(|n: usize| format!("item metadata chunk missing [chunk: {n:06}_{}]", stream[n]))
        .to_vec();
    let messages: Vec<&str> = told
        .messages()
        .iter()
        .map(|(_, message)| *message)
        .collect();
    // The content of the lost files is nobody's any more.
    assert_eq!(messages[..3], expected);
    assert_eq!(told.findings[0].place.chunk, Some(stream[3]));
    assert_eq!(told.findings[3].kind, FindingKind::ObjectsOrphaned);
    let after = laboratory.paths("a");
    assert!(after.iter().all(|path| before.contains(path)));
    // Each hole of 500 bytes, and the items that reach into it.
    let lost = before.len() - after.len();
    assert!((6..=16).contains(&lost), "{lost} items lost");
    laboratory.assert_sound();
}

#[test]
fn the_first_and_the_last_chunk_may_be_lost() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| files(writer, 0..50));
    let stream = laboratory.stream("a");
    laboratory.lose(&[stream[0], stream[stream.len() - 1]]);
    let told = laboratory.check(CheckMode::Repair);
    // The item that reached into the last chunk goes without a word of stock Borg's.
    assert!(told.actions().contains(&RepairAction::DropItem));
    let paths = laboratory.paths("a");
    assert!(paths.len() > 40 && !paths.contains(&"file 000".to_owned()));
    laboratory.assert_sound();
}

#[test]
fn an_archive_without_any_item_left_is_still_one() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| files(writer, 0..5));
    laboratory.lose(&laboratory.stream("a"));
    laboratory.check(CheckMode::Repair);
    assert_eq!(laboratory.paths("a"), [""; 0]);
    laboratory.assert_sound();
}

#[test]
fn what_is_no_item_is_left_out() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x07", "not a dictionary"),
        (b"\x81\xa4path\xa1x", "missing required keys: mtime"),
        (&with_entry("nonsense", b"\x01"), "invalid keys: nonsense"),
    ];
    for (odd, reason) in cases {
        let laboratory = with_odd(odd);
        let told = laboratory.check(CheckMode::Repair);
        let message = told.messages()[0].1;
        let expected = format!(
            "Did not get expected metadata dict when unpacking item metadata ({reason}) [chunk: "
        );
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(told.findings[0].kind, FindingKind::ItemInvalid);
        assert_eq!(told.actions()[0], RepairAction::DropItem);
        assert_eq!(laboratory.paths("a").len(), 10, "all that are items");
        laboratory.assert_sound();
    }
}

#[test]
fn behind_what_cannot_be_unpacked_the_next_chunk_is_searched() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| {
        files(writer, 0..50);
        writer.add_raw(b"\xc1");
        files(writer, 50..100);
    });
    let told = laboratory.check(CheckMode::Repair);
    let message = told.messages()[0].1;
    assert!(
        message.starts_with(
            "Unpacker crashed while unpacking item metadata, trying to resync... [chunk: "
        ),
        "{message}"
    );
    assert!(laboratory.paths("a").len() > 90);
    laboratory.assert_sound();
}

/// Stock Borg writes a stream anew whenever it repairs: keys sorted, shortest encodings, Attic's key left out.
#[test]
fn items_are_written_as_stock_borg_writes_them() {
    let plain = with_entry("size", b"\x05");
    let mut unsorted = b"\x84\xa4size\x05".to_vec();
    unsorted.extend_from_slice(b"\xa4path\xd9\x03odd\xa5mtime\xcc\x01\xa4mode\xcd\x81\xa4");
    let attic = with_entry("acl", b"\xc0");
    let laboratory = with_odd(&[unsorted, attic].concat());
    laboratory.check(CheckMode::Repair);
    let bytes = stream_bytes(&laboratory, "a");
    let without = b"\x83\xa4mode\xcd\x81\xa4\xa5mtime\x01\xa4path\xa3odd";
    let expected = [plain, without.to_vec()].concat();
    assert!(
        bytes
            .windows(expected.len())
            .any(|window| window == expected)
    );
}

/// Values that nothing in this program could use, and stock Borg keeps.
#[test]
fn odd_values_are_kept() {
    for (key, value) in [
        ("uid", &b"\xa4text"[..]),
        ("mode", b"\x90"),
        ("rdev", b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        ("xattrs", b"\x81\xa1a\x82\xa1b\x01\xa1c\x93\x01\x02\x03"),
        ("user", b"\xd4\x05\x01"),
    ] {
        let item = with_entry(key, value);
        let laboratory = with_odd(&item);
        laboratory.check(CheckMode::Repair);
        let bytes = stream_bytes(&laboratory, "a");
        assert!(
            bytes.windows(item.len()).any(|window| window == item),
            "{key}"
        );
    }
}

/// Lists that stock Borg ends over: the file stays, and nothing that it may refer to is taken for an orphan.
#[test]
fn a_list_that_cannot_be_understood_stays_and_protects_everything() {
    let mut short = Vec::new();
    push_array_len(&mut short, 1);
    push_array_len(&mut short, 2);
    push_raw(&mut short, &[7; 32]);
    push_uint(&mut short, 5);
    let lists: [(&str, &[u8]); 4] = [
        ("chunks", &short),
        ("chunks", b"\xc0"),
        ("chunks", b"\x91\x01"),
        ("chunks", b"\x91\x93\xa1x\x01\x01"),
    ];
    for (key, list) in lists {
        let item = with_entry(key, list);
        let laboratory = with_odd(&item);
        laboratory.put(b"an orphan");
        let objects = laboratory.object_count();
        let told = laboratory.check(CheckMode::Repair);
        assert_eq!(
            told.messages(),
            [(
                FindingKind::ItemInvalid,
                "a: odd: The list of chunks cannot be understood, it is left as it is."
            )]
        );
        assert!(told.has_logged("Orphaned objects check skipped (needs all archives checked)."));
        assert!(laboratory.object_count() >= objects, "nothing was deleted");
        let bytes = stream_bytes(&laboratory, "a");
        assert!(bytes.windows(item.len()).any(|window| window == item));
    }
}

#[test]
fn a_chunk_larger_than_any_is_no_reason_to_end() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| {
        let mut item = file("f", vec![writer.put(b"small")]);
        let mut lost = item.chunks.as_ref().unwrap()[0];
        (lost.id, lost.size) = (ChunkId([9; 32]), u32::MAX);
        item.chunks.as_mut().unwrap().push(lost);
        writer.add(&item);
    });
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(told.findings[0].kind, FindingKind::ChunkMissing);
    assert_eq!(
        told.messages()[1].1,
        "a: f: A chunk of 4294967295 bytes cannot be replaced, the file is left as it is there."
    );
    let items: Vec<Item> = laboratory.items("a");
    assert_eq!(items[0].chunks.as_ref().unwrap()[1].id, ChunkId([9; 32]));
}
