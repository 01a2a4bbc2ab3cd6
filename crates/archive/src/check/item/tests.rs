//! Items that stock Borg would write the same way again, and such that it would not.

use ironborg_format::Item;
use ironborg_format::item::ITEM_KEYS;
use ironborg_testkit::Random;
use ironborg_types::BytePath;

use super::*;

fn known() -> Vec<Vec<u8>> {
    ITEM_KEYS
        .iter()
        .map(|key| key.as_bytes().to_vec())
        .collect()
}

fn read(item: &[u8]) -> Result<ItemForm, String> {
    let mut form = ItemForm::default();
    match form.read(item, &known()) {
        Ok(()) => Ok(form),
        Err(NoItem(reason)) => Err(reason),
    }
}

/// Checks how an item is written again.
fn check(item: &[u8], expected: &[u8]) {
    let form = read(item).unwrap();
    assert_eq!(form.is_canonical(), item == expected, "{item:02x?}");
    let mut written = Vec::new();
    form.write_canonical(item, &mut written);
    assert_eq!(written, expected, "{item:02x?}");
    let followed = [item, b"\x81\xa1"].concat();
    let plain = ItemForm::default().read_plain(&followed, &known());
    assert_eq!(plain, (item == expected).then_some(item.len()));
    assert_eq!(
        ItemForm::default().read_plain(&item[..item.len() - 1], &known()),
        None
    );
    // What is written is written the same way for ever.
    let mut again = Vec::new();
    read(&written)
        .unwrap()
        .write_canonical(&written, &mut again);
    assert_eq!(again, written);
}

/// An item of `mtime` and `path`, and one more entry before them.
fn with_entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut item = vec![0x83];
    push_raw(&mut item, key);
    item.extend_from_slice(value);
    item.extend_from_slice(b"\xa5mtime\x01\xa4path\xa1x");
    item
}

#[test]
fn what_we_write_is_canonical() {
    let item = Item {
        path: BytePath::from("a/b"),
        mode: 0o100_644,
        uid: Some(-1),
        gid: Some(70_000),
        mtime: Some(i64::MAX),
        size: Some(300),
        xattrs: Some(vec![
            (b"user.b".to_vec(), None),
            (b"user.a".to_vec(), Some(vec![0; 70_000])),
        ]),
        ..Item::default()
    };
    let mut packed = Vec::new();
    item.encode(&mut packed);
    check(&packed, &packed);
}

#[test]
fn other_encodings_and_orders_become_those_of_stock_borg() {
    let pairs: &[(&[u8], &[u8])] = &[
        (b"\xcc\x7f", b"\x7f"),
        (b"\xcd\x00\xff", b"\xcc\xff"),
        (b"\xd0\xe0", b"\xe0"),
        (b"\xd1\xff\x7f", b"\xd1\xff\x7f"),
        (b"\xd1\xff\x80", b"\xd0\x80"),
        (b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", b"\x05"),
        (
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        (b"\xd9\x01x", b"\xa1x"),
        (b"\xc4\x01x", b"\xa1x"),
        (
            b"\xca\x3f\x80\x00\x00",
            b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        ),
        (b"\xdc\x00\x01\xc0", b"\x91\xc0"),
        (b"\x82\xa1b\x01\xa1a\x02", b"\x82\xa1a\x02\xa1b\x01"),
        (b"\x82\xa1a\x01\xa1a\x02", b"\x81\xa1a\x02"),
        (b"\xde\x00\x01\xa1a\x02", b"\x81\xa1a\x02"),
        (b"\xd4\x05\x01", b"\xd4\x05\x01"),
    ];
    for (stored, written) in pairs {
        let (stored, written) = (with_entry(b"ctime", stored), with_entry(b"ctime", written));
        let form = read(&stored).unwrap();
        let mut out = Vec::new();
        form.write_canonical(&stored, &mut out);
        assert_eq!(out, written, "{stored:02x?}");
    }
    check(
        b"\x82\xa4path\xa1x\xa5mtime\x01",
        b"\x82\xa5mtime\x01\xa4path\xa1x",
    );
    check(
        b"\x83\xa5mtime\x01\xa4path\xa1x\xa4path\xa1y",
        b"\x82\xa5mtime\x01\xa4path\xa1y",
    );
    // Attic's meaningless key goes.
    check(
        &with_entry(b"acl", b"\xc0"),
        b"\x82\xa5mtime\x01\xa4path\xa1x",
    );
}

/// Stock Borg would end over these; nothing is lost here.
#[test]
fn what_stock_borg_cannot_write_stays_as_it_is() {
    let deep = [vec![0x91; 600], vec![0xd9, 1, b'x']].concat();
    for value in [&b"\x82\x02\xcc\x01\xa1a\x02"[..], &deep] {
        let item = with_entry(b"ctime", value);
        let mut out = Vec::new();
        read(&item).unwrap().write_canonical(&item, &mut out);
        assert_eq!(out, item);
    }
}

#[test]
fn what_is_no_item_is_named_as_stock_borg_names_it() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x01", "not a dictionary"),
        (b"\x90", "not a dictionary"),
        (b"\x80", "missing required keys: mtime, path"),
        (b"\x81\xa4path\xa1x", "missing required keys: mtime"),
        (b"\x81\xa5mtime\x01", "missing required keys: path"),
        (
            b"\x83\xa5mtime\x01\xa4path\xa1x\xa3foo\x01",
            "invalid keys: foo",
        ),
        (
            b"\x83\xa5mtime\x01\xa4path\xa1x\xa2\xff!\x01",
            "invalid keys: \u{fffd}!",
        ),
        (b"\x83\xa5mtime\x01\xa4path\xa1x\x05\x01", "invalid keys: 5"),
        (
            b"\x83\xa5mtime\x01\xa4path\xa1x\xc0\x01",
            "invalid keys: None",
        ),
    ];
    for (item, reason) in cases {
        assert_eq!(read(item).err().as_deref(), Some(*reason), "{item:02x?}");
    }
}

#[test]
fn entries_are_changed_and_left_out() {
    let item = with_entry(b"chunks", b"\x90");
    let form = read(&item).unwrap();
    assert_eq!(form.value(&item, b"chunks"), Some(&b"\x90"[..]));
    assert_eq!(form.value(&item, b"size"), None);
    let mut out = Vec::new();
    let changes: [(&[u8], Option<&[u8]>); 2] = [
        (b"chunks", Some(b"\x91\x01")),
        (b"chunks_healthy", Some(b"\x90")),
    ];
    form.write_with(&item, &changes, &mut out);
    let both = b"\x84\xa6chunks\x91\x01\xaechunks_healthy\x90\xa5mtime\x01\xa4path\xa1x";
    assert_eq!(out, both);
    let mut back = Vec::new();
    let changes: [(&[u8], Option<&[u8]>); 2] =
        [(b"chunks", Some(b"\x90")), (b"chunks_healthy", None)];
    read(both).unwrap().write_with(both, &changes, &mut back);
    assert_eq!(back, item);
}

/// One value, in any of its encodings.
fn random_value(random: &mut Random, out: &mut Vec<u8>, depth: usize) {
    let len = random.below(3);
    let small = u8::try_from(random.below(256)).unwrap();
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => out.push(small & 0x7f),
        1 => out.extend_from_slice(&[0xcc, small]),
        2 => out.extend_from_slice(&[0xd1, [0, 0xff][random.below(2)], small]),
        3 => out.extend_from_slice(&[0xce, 0, 0, [0, 1][random.below(2)], small]),
        4 => out.extend_from_slice(&[0xa1, small]),
        5 => out.extend_from_slice(&[0xda, 0, 1, small]),
        6 => out.push([0xc0, 0xc3, 0xff][random.below(3)]),
        7 => {
            out.push(0x90 | u8::try_from(len).unwrap());
            (0..len).for_each(|_| random_value(random, out, depth - 1));
        }
        _ => {
            out.push(0x80 | u8::try_from(len).unwrap());
            for _ in 0..len {
                push_raw(out, &[b'a' + u8::try_from(random.below(4)).unwrap()]);
                random_value(random, out, depth - 1);
            }
        }
    }
}

/// The quick way of seeing that an item need not be written anew, against writing it anew.
#[test]
fn an_item_is_canonical_if_it_is_written_as_it_is() {
    let mut canonical = 0;
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let mut value = Vec::new();
        random_value(&mut random, &mut value, 3);
        let item = with_entry(b"ctime", &value);
        let mut tree = Value::decode(&item).unwrap();
        tree.sort_maps();
        check(&item, &tree.to_bytes());
        canonical += usize::from(tree.to_bytes() == item);
    }
    assert!(canonical > 500 && canonical < 2500, "{canonical}");
}

#[test]
fn what_is_plain_is_an_item_to_everyone() {
    use crate::check::chunk_list::Chunks;
    use crate::check::walk::Walk;
    use ironborg_format::ChunkEntry;
    use ironborg_types::ChunkId;

    let seed = 20_261_122;
    let mut random = Random::new(seed);
    let chunk = |n: u32| ChunkEntry {
        id: ChunkId([n.to_le_bytes()[0]; 32]),
        size: n,
        csize: n / 2,
    };
    let mut original = Vec::new();
    Item {
        path: BytePath::from("some/where"),
        mode: 0o100_644,
        uid: Some(-1),
        mtime: Some(i64::MAX),
        size: Some(300),
        chunks: Some(
            [0, 127, 128, 255, 256, 65_535, 65_536, u32::MAX]
                .map(chunk)
                .to_vec(),
        ),
        ..Item::default()
    }
    .encode(&mut original);
    let (mut plain_count, known) = (0, known());
    for round in 0..30_000 {
        let mut bytes = original.clone();
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        bytes.extend_from_slice(&[0; 300]);
        let mut form = ItemForm::default();
        let Some(len) = form.read_plain(&bytes, &known) else {
            continue;
        };
        plain_count += 1;
        let told = format!("seed {seed}, round {round}");
        assert_eq!(Walk::default().advance(&bytes), Ok(Some(len)), "{told}");
        let same = read(&bytes[..len]).expect(&told);
        assert!(same.is_canonical(), "{told}");
        for key in &known {
            assert_eq!(
                form.value(&bytes, key),
                same.value(&bytes[..len], key),
                "{told}"
            );
        }
        // Chunks are read as by the reader that knows every encoding.
        let Some(Ok(chunks)) = form.value(&bytes, b"chunks").map(Chunks::read) else {
            continue;
        };
        for chunk in chunks.map_while(Result::ok) {
            let mut reader = Reader::new(chunk.encoded);
            assert_eq!(reader.read_array_len(), Ok(3), "{told}");
            assert_eq!(
                reader.read_raw(),
                Ok(chunk.id.as_bytes().as_slice()),
                "{told}"
            );
            assert_eq!(reader.read_bigint(), Ok(chunk.size), "{told}");
            assert!(reader.skip_value().is_ok() && reader.is_empty(), "{told}");
        }
    }
    assert!(plain_count > 10_000, "{plain_count}");
}
