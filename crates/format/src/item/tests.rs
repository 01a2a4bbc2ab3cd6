//! Tests of items and the item stream.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::golden::{ITEMS, bytes_of, hex_entry, shake, unhex, vectors};
use crate::metadata_error::Document;
use crate::msgpack::{Kind, MsgpackError, Value, push_map_len, push_raw, push_uint};

/// The item a vector's `python_fields` describe.
fn item_of(fields: &Json) -> Item {
    let mut item = Item::default();
    for (key, value) in fields.as_object().expect("an object") {
        match key.as_str() {
            "path" => item.path = BytePath(bytes_field(value)),
            "mode" => item.mode = u32::try_from(value.as_u64().expect("a mode")).expect("32 bits"),
            "uid" => item.uid = value.as_i64(),
            "gid" => item.gid = value.as_i64(),
            "user" => item.user = value.as_str().map(bytes_of).into(),
            "group" => item.group = value.as_str().map(bytes_of).into(),
            "mtime" => item.mtime = Some(time_field(&mut item.unknown, key, value)),
            "atime" => item.atime = Some(time_field(&mut item.unknown, key, value)),
            "ctime" => item.ctime = Some(time_field(&mut item.unknown, key, value)),
            "birthtime" => item.birthtime = Some(time_field(&mut item.unknown, key, value)),
            "source" => item.source = Some(bytes_field(value)),
            "hardlink_master" => item.hardlink_master = value.as_bool(),
            "rdev" => item.rdev = value.as_u64(),
            "chunks" => item.chunks = Some(chunks_field(value)),
            "chunks_healthy" => item.chunks_healthy = Some(chunks_field(value)),
            "size" => item.size = value.as_u64(),
            "bsdflags" => item.bsdflags = value.as_u64(),
            "part" => item.part = value.as_u64(),
            "acl_access" => item.acl_access = Some(bytes_field(value)),
            "acl_default" => item.acl_default = Some(bytes_field(value)),
            "xattrs" => {
                let map = value.as_object().expect("an object");
                let xattr =
                    |(name, value): (&String, &Json)| (bytes_of(name), value.as_str().map(unhex));
                item.xattrs = Some(map.iter().map(xattr).collect());
            }
            other => panic!("a vector has the unexpected field {other}"),
        }
    }
    item
}

fn bytes_field(value: &Json) -> Vec<u8> {
    match value {
        Json::String(text) => bytes_of(text),
        bytes => hex_entry(bytes, "bytes"),
    }
}

/// A time; one beyond 64 bits is clamped and its stored form kept, as decoding does.
fn time_field(unknown: &mut Vec<(Vec<u8>, Vec<u8>)>, key: &str, value: &Json) -> i64 {
    if let Some(time) = value.as_i64() {
        return time;
    }
    assert_eq!(
        value.as_f64(),
        Some(18_446_744_073_709_551_616.0),
        "the one vector with 2^64"
    );
    let mut stored = Vec::new();
    push_raw(&mut stored, &unhex("000000000000000001"));
    unknown.push((key.as_bytes().to_vec(), stored));
    i64::MAX
}

fn chunks_field(value: &Json) -> Vec<ChunkEntry> {
    let number = |n: &Json| u32::try_from(n.as_u64().expect("a size")).expect("32 bits");
    let chunk = |c: &Json| ChunkEntry {
        id: c[0].as_str().expect("an id").parse().expect("64 digits"),
        size: number(&c[1]),
        csize: number(&c[2]),
    };
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(chunk)
        .collect()
}

fn golden_items() -> Vec<(String, Item, Vec<u8>)> {
    let vectors = vectors(ITEMS);
    let list = vectors["items"].as_array().expect("a list");
    let golden = |v: &Json| {
        let label = v["label"].as_str().expect("a label").to_owned();
        (label, item_of(&v["python_fields"]), hex_entry(v, "msgpack"))
    };
    list.iter().map(golden).collect()
}

fn encoded(item: &Item) -> Vec<u8> {
    let mut out = Vec::new();
    item.encode(&mut out);
    out
}

#[test]
fn items_are_the_bytes_borg_writes() {
    let golden = golden_items();
    assert_eq!(golden.len(), 16);
    for (label, item, bytes) in golden {
        assert_eq!(encoded(&item), bytes, "{label}");
        let mut reader = Reader::new(&bytes);
        assert_eq!(Item::decode(&mut reader).as_ref(), Ok(&item), "{label}");
        assert!(reader.is_empty(), "{label}");
    }
}

#[test]
fn a_reused_item_keeps_nothing_of_the_last_one() {
    let mut reused = Item::default();
    for (label, item, bytes) in golden_items() {
        reused
            .decode_into(&mut Reader::new(&bytes))
            .expect("a golden item");
        assert_eq!(reused, item, "{label}");
    }
}

#[test]
fn unknown_keys_are_kept_in_their_sorted_place() {
    let map = Value::Map(vec![
        (Value::raw("zzz"), Value::Array(vec![Value::Nil])),
        (Value::raw("path"), Value::raw("p")),
        (Value::raw("nlink"), Value::Int(4)),
        (Value::raw("mode"), Value::Int(0o100_644)),
        (Value::raw("acl"), Value::Map(vec![])),
    ]);
    let bytes = map.to_bytes();
    let item = Item::decode(&mut Reader::new(&bytes)).expect("an item");
    assert_eq!(item.unknown.len(), 3);
    let mut sorted = map;
    sorted.sort_maps();
    assert_eq!(encoded(&item), sorted.to_bytes());
}

#[test]
fn a_time_beyond_64_bits_is_kept_until_it_is_changed() {
    let (_, _, bytes) = golden_items()
        .pop()
        .expect("the last vector has such a time");
    let mut item = Item::decode(&mut Reader::new(&bytes)).expect("a golden item");
    assert_eq!((item.mtime, item.atime), (Some(i64::MAX), Some(i64::MIN)));
    assert_eq!(encoded(&item), bytes);
    item.mtime = Some(7);
    let changed = Item::decode(&mut Reader::new(&encoded(&item))).expect("an item");
    assert_eq!(changed.mtime, Some(7));
    assert!(changed.unknown.is_empty());
}

/// The first of two equal keys had its wide time kept although the second one, which counts, was not wide.
#[test]
fn a_time_that_was_overruled_leaves_nothing_behind() {
    let map = Value::Map(vec![
        (Value::raw("mtime"), Value::Uint(u64::MAX)),
        (Value::raw("mtime"), Value::Int(5)),
        (Value::raw("path"), Value::raw("p")),
        (Value::raw("mode"), Value::Int(0)),
    ]);
    let item = Item::decode(&mut Reader::new(&map.to_bytes())).expect("an item");
    assert_eq!((item.mtime, item.unknown), (Some(5), vec![]));
}

#[test]
fn xattrs_are_written_sorted() {
    let xattr = |name: &str| (name.as_bytes().to_vec(), None);
    let mut item = Item {
        xattrs: Some(vec![xattr("user.b"), xattr("user.a")]),
        ..Item::default()
    };
    let bytes = encoded(&item);
    item.xattrs = Some(vec![xattr("user.a"), xattr("user.b")]);
    assert_eq!(encoded(&item), bytes);
}

#[track_caller]
fn check_invalid(map: Vec<(&str, Value<'static>)>, expected: &ItemError) {
    let pairs = map
        .into_iter()
        .map(|(key, value)| (Value::raw(key), value))
        .collect();
    let bytes = Value::Map(pairs).to_bytes();
    assert_eq!(
        Item::decode(&mut Reader::new(&bytes)).as_ref(),
        Err(expected)
    );
}

/// An item with one more value, after its path and before its mode.
fn decoded(mode: i64, key: &str, value: &Value<'static>) -> Result<Item, ItemError> {
    let entries = [
        ("path", Value::raw("p")),
        (key, value.clone()),
        ("mode", Value::Int(mode)),
    ];
    let entries = entries.map(|(key, value)| (Value::raw(key), value));
    let mut bytes = Vec::new();
    Value::Map(entries.into()).encode(&mut bytes);
    Item::decode(&mut Reader::new(&bytes))
}

#[test]
fn a_truth_is_a_number_and_what_nothing_uses_may_be_anything() {
    let number = |key, value: Value<'static>| {
        let item = decoded(0o100_644, key, &value).expect("stock Borg reads it");
        let times = item.mtime.or(item.atime).or(item.ctime);
        let numbers = item.rdev.or(item.bsdflags).map(u64::cast_signed);
        times.or(item.birthtime).or(numbers)
    };
    for key in ["mtime", "atime", "ctime", "birthtime", "rdev", "bsdflags"] {
        assert_eq!(number(key, Value::Bool(true)), Some(1), "{key}");
        assert_eq!(number(key, Value::Bool(false)), Some(0), "{key}");
        assert_eq!(number(key, Value::Int(7)), Some(7), "{key}");
    }
    for value in [Value::Nil, Value::Array(vec![]), Value::Map(vec![])] {
        for key in ["ctime", "rdev"] {
            assert_eq!(number(key, value.clone()), None, "{key} = {value:?}");
        }
        for (mode, key) in [
            (0o020_644, "rdev"),
            (0o060_644, "rdev"),
            (0, "mtime"),
            (0, "atime"),
            (0, "birthtime"),
            (0, "bsdflags"),
            (0, "uid"),
            (0, "gid"),
        ] {
            let error = decoded(mode, key, &value).expect_err("something uses it");
            assert!(error.to_string().contains(key), "{mode:o} {error}");
        }
    }
    assert_eq!(number("rdev", Value::Int(-1)), None);
    decoded(0o060_644, "rdev", &Value::Int(-1)).expect_err("no number of a device");
    for key in ["uid", "gid"] {
        decoded(0, key, &Value::Bool(true)).expect_err("an owner is not guessed");
    }
}

#[test]
fn values_stock_borg_does_not_look_at_may_be_anything() {
    let decoded =
        |key, value: &Value<'static>| decoded(0, key, value).expect("stock Borg reads it");
    let any = [
        Value::Nil,
        Value::raw("x"),
        Value::Int(-1),
        Value::Map(vec![]),
    ];
    for value in &any {
        assert_eq!(decoded("part", value).part, Some(0), "{value:?}");
    }
    assert_eq!(decoded("part", &Value::Int(7)).part, Some(7));
    let truths = any
        .each_ref()
        .map(|value| decoded("hardlink_master", value).hardlink_master);
    assert_eq!(truths, [false, true, true, false].map(Some));
    for key in ["acl_extended", "acl_nfs4", "acl_access", "acl_default"] {
        let item = decoded(key, &Value::Nil);
        assert_eq!(item.acl_access.or(item.acl_default), None);
    }
    assert_eq!(decoded("acl_nfs4", &Value::Int(5)).acl_nfs4, None);
}

#[test]
fn items_without_path_or_mode_and_with_wrong_values_are_refused() {
    let missing = |key| ItemError::MissingKey {
        document: Document::Item,
        key,
    };
    check_invalid(vec![("mode", Value::Int(0))], &missing("path"));
    check_invalid(vec![("path", Value::raw("p"))], &missing("mode"));
    for (key, value, found) in [
        ("path", Value::Int(5), (Kind::Raw, Kind::Int)),
        ("mode", Value::raw("x"), (Kind::Int, Kind::Raw)),
        ("chunks", Value::Nil, (Kind::Array, Kind::Nil)),
        ("mtime", Value::Nil, (Kind::Int, Kind::Nil)),
        ("acl_access", Value::Int(1), (Kind::Raw, Kind::Int)),
    ] {
        let error = ItemError::InvalidValue {
            document: Document::Item,
            key,
            source: MsgpackError::WrongKind {
                expected: found.0,
                found: found.1,
            },
        };
        check_invalid(vec![(key, value)], &error);
    }
    let out_of_range = |key| ItemError::InvalidValue {
        document: Document::Item,
        key,
        source: MsgpackError::IntegerRange,
    };
    check_invalid(vec![("mode", Value::Int(-1))], &out_of_range("mode"));
    check_invalid(vec![("mode", Value::Int(1 << 32))], &out_of_range("mode"));
    let short_id = Value::Array(vec![Value::raw([0; 31]), Value::Int(1), Value::Int(1)]);
    check_invalid(
        vec![("chunks", Value::Array(vec![short_id]))],
        &out_of_range("chunks"),
    );
    let two = Value::Array(vec![Value::raw([0; 32]), Value::Int(1)]);
    check_invalid(
        vec![("chunks", Value::Array(vec![two]))],
        &out_of_range("chunks"),
    );
    assert_eq!(
        Item::decode(&mut Reader::new(b"\x81\xa1\xff\x00")),
        Err(ItemError::KeyNotText {
            document: Document::Item
        })
    );
}

/// Feeds a stream in pieces of `piece_len` bytes.
fn decode_stream(stream: &[u8], piece_len: usize) -> Result<Vec<Item>, ItemError> {
    let mut decoder = ItemDecoder::new();
    let mut items = Vec::new();
    let mut item = Item::default();
    for piece in stream.chunks(piece_len) {
        decoder.push(piece);
        while decoder.next_into(&mut item)? {
            items.push(item.clone());
        }
    }
    decoder.finish()?;
    Ok(items)
}

#[test]
fn items_may_cross_chunk_borders_anywhere() {
    let golden = golden_items();
    let stream: Vec<u8> = golden
        .iter()
        .flat_map(|(_, _, bytes)| bytes.clone())
        .collect();
    let items: Vec<_> = golden.into_iter().map(|(_, item, _)| item).collect();
    for piece_len in (1..100).chain([stream.len() - 1, stream.len()]) {
        assert_eq!(
            decode_stream(&stream, piece_len).as_ref(),
            Ok(&items),
            "{piece_len}"
        );
    }
}

#[test]
fn a_stream_that_ends_within_an_item_is_noticed() {
    let (_, _, bytes) = golden_items().swap_remove(0);
    let mut decoder = ItemDecoder::new();
    decoder.push(&bytes[..bytes.len() - 1]);
    assert!(decoder.next_view().expect("so far it is an item").is_none());
    assert_eq!(decoder.pending_len(), bytes.len() - 1);
    assert!(decoder.finish().is_err());
    decoder.push(&bytes[bytes.len() - 1..]);
    assert!(decoder.next_view().expect("now it is whole").is_some());
    assert_eq!(decoder.finish(), Ok(()));
}

/// A header may announce gigabytes; nothing is reserved for them, and what exceeds the limit is refused
/// before it has arrived.
#[test]
fn announced_sizes_are_bounded() {
    let announce = |head: &[u8]| {
        let mut decoder = ItemDecoder::new();
        decoder.push(&[b"\x82\xa4path", head].concat());
        let outcome = decoder.next_view().map(|item| item.is_some());
        (outcome, decoder.buffer.capacity())
    };
    let (outcome, capacity) = announce(&[0xdb, 0x7f, 0, 0, 0]);
    assert_eq!(outcome, Ok(false));
    assert!(capacity < 1000);
    let too_large = ItemError::Malformed {
        document: Document::Item,
        source: MsgpackError::TooLarge {
            limit: ITEM_LEN_MAX,
        },
    };
    assert_eq!(announce(&[0xdb, 0xff, 0, 0, 0]).0, Err(too_large));
}

/// Pieces are looked at once: the scan of a long chunk list does not start over with every piece.
#[test]
fn a_long_chunk_list_is_scanned_in_linear_time() {
    let chunk = ChunkEntry {
        id: ChunkId([7; 32]),
        size: 2 << 20,
        csize: 1 << 20,
    };
    let item = Item {
        path: "big".into(),
        mode: 0o100_644,
        chunks: Some(vec![chunk; 300_000]),
        ..Item::default()
    };
    let bytes = encoded(&item);
    assert_eq!(decode_stream(&bytes, 4096), Ok(vec![item]));
}

#[test]
fn an_error_stays() {
    let mut decoder = ItemDecoder::new();
    decoder.push(b"\x05\x80");
    let first = decoder.next_view().map(|_| ()).expect_err("5 is no item");
    decoder.push(b"\x80");
    assert_eq!(decoder.next_view().map(|_| ()), Err(first));
}

#[test]
fn broken_items_never_panic() {
    for (_, _, bytes) in golden_items() {
        shake(&bytes, |bytes| {
            if let Ok(mut item) = Item::decode(&mut Reader::new(bytes)) {
                // Both may come out in another order than they were broken into.
                item.xattrs.iter_mut().for_each(|xattrs| xattrs.sort());
                item.unknown.sort();
                let again = encoded(&item);
                let mut reread = Item::decode(&mut Reader::new(&again)).expect("just written");
                reread.unknown.sort();
                assert_eq!(reread, item);
            }
            let whole = decode_stream(bytes, usize::MAX);
            assert_eq!(decode_stream(bytes, 7).is_ok(), whole.is_ok());
        });
    }
}

#[test]
fn item_keys_are_sorted_as_the_manifest_wants_them() {
    assert!(ITEM_KEYS.is_sorted());
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn chunks() -> impl Strategy<Value = Vec<ChunkEntry>> {
    let chunk =
        (any::<[u8; 32]>(), any::<u32>(), any::<u32>()).prop_map(|(id, size, csize)| ChunkEntry {
            id: ChunkId(id),
            size,
            csize,
        });
    prop::collection::vec(chunk, 0..40)
}

fn owner() -> impl Strategy<Value = OwnerName> {
    prop_oneof![
        Just(OwnerName::Absent),
        Just(OwnerName::Nil),
        bytes().prop_map(OwnerName::Name),
    ]
}

fn unknown() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop::collection::btree_map("[a-z]{4}_new", any::<u64>(), 0..3).prop_map(|map| {
        let entry = |(key, value): (String, u64)| {
            let mut encoded = Vec::new();
            push_map_len(&mut encoded, 1);
            push_uint(&mut encoded, value);
            push_uint(&mut encoded, 0);
            (key.into_bytes(), encoded)
        };
        map.into_iter().map(entry).collect()
    })
}

prop_compose! {
    fn any_item()(
        (path, mode, uid, gid, user, group) in
            (bytes(), any::<u32>(), any::<Option<i64>>(), any::<Option<i64>>(), owner(), owner()),
        times in any::<[Option<i64>; 4]>(),
        (source, hardlink_master, rdev, size, bsdflags, part) in (
            prop::option::of(bytes()),
            any::<Option<bool>>(),
            any::<Option<u64>>(),
            any::<Option<u64>>(),
            any::<Option<u64>>(),
            any::<Option<u64>>(),
        ),
        (chunks, chunks_healthy) in (prop::option::of(chunks()), prop::option::of(chunks())),
        xattrs in prop::option::of(prop::collection::btree_map(bytes(), prop::option::of(bytes()), 0..20)),
        acls in prop::collection::vec(prop::option::of(bytes()), 4),
        unknown in unknown(),
    ) -> Item {
        let [acl_access, acl_default, acl_extended, acl_nfs4] = acls.try_into().expect("four");
        let [mtime, atime, ctime, birthtime] = times;
        Item {
            path: BytePath(path), mode, uid, gid, user, group, mtime, atime, ctime, birthtime, source,
            hardlink_master, rdev, chunks, chunks_healthy, size, bsdflags,
            xattrs: xattrs.map(|map| map.into_iter().collect()),
            acl_access, acl_default, acl_extended, acl_nfs4, part, unknown,
        }
    }
}

proptest! {
    #[test]
    fn items_survive_a_round_trip_with_sorted_keys(item in any_item()) {
        let bytes = encoded(&item);
        let decoded = Item::decode(&mut Reader::new(&bytes));
        prop_assert_eq!(decoded.as_ref(), Ok(&item));
        let tree = Value::decode(&bytes).expect("one value");
        let mut sorted = tree.clone();
        sorted.sort_maps();
        prop_assert_eq!(tree, sorted);
    }

    #[test]
    fn a_stream_of_anything_never_panics(stream in bytes(), piece_len in 1_usize..40) {
        let whole = decode_stream(&stream, 1000);
        prop_assert_eq!(decode_stream(&stream, piece_len).ok(), whole.ok());
    }
}
