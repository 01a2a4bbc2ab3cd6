//! Tests of the MessagePack reader and writer.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::read::{Head, bigint_from_raw};
use super::*;
use crate::golden::{ITEMS, shake, unhex, vectors};

fn encoded(push: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out);
    out
}

/// What the label of a primitive vector says was packed.
fn value_of_label(label: &str) -> Option<Value<'static>> {
    Some(match label {
        "short raw" => Value::raw(vec![b'x'; 31]),
        "raw16" => Value::raw(vec![b'x'; 32]),
        "str is encoded as raw too" => Value::raw(*b"a"),
        "int 0" => Value::Int(0),
        "int 127" => Value::Int(127),
        "int 128" => Value::Int(128),
        "int -1" => Value::Int(-1),
        "int -32" => Value::Int(-32),
        "int -33" => Value::Int(-33),
        "2**32" => Value::Int(1 << 32),
        "2**63" => Value::Uint(1 << 63),
        "nil" => Value::Nil,
        "true" => Value::Bool(true),
        "tuple" => Value::Array(vec![Value::Int(1), Value::Int(2)]),
        "map sorted" => Value::Map(vec![
            (Value::raw(*b"a"), Value::Int(2)),
            (Value::raw(*b"b"), Value::Int(1)),
        ]),
        "float" => Value::Float(1.5),
        _ => return None,
    })
}

#[test]
fn primitives_are_packed_as_borg_packs_them() {
    let mut checked = 0;
    for vector in vectors(ITEMS)["msgpack_primitives"]
        .as_array()
        .expect("a list")
    {
        let label = vector["label"].as_str().expect("a label");
        let digits = vector["hex"].as_str().expect("hexadecimal");
        let bytes = unhex(digits.trim_end_matches('.'));
        let Some(value) = value_of_label(label) else {
            assert!(label.starts_with("65536 bytes"), "no value for {label}");
            assert!(Value::raw(vec![b'y'; 65536]).to_bytes().starts_with(&bytes));
            continue;
        };
        assert_eq!(value.to_bytes(), bytes, "{label}");
        assert_eq!(Value::decode(&bytes), Ok(value), "{label}");
        checked += 1;
    }
    assert_eq!(checked, 16);
}

#[test]
fn big_integers_are_stored_as_borg_stores_them() {
    let vectors = vectors(ITEMS);
    let list = vectors["bigint"].as_array().expect("a list");
    for vector in list {
        let value: i128 = vector["int"]
            .as_str()
            .expect("text")
            .parse()
            .expect("an integer");
        let expected = match &vector["stored"] {
            Json::Number(n) => encoded(|out| push_int(out, n.as_i64().expect("small"))),
            stored => {
                let raw = unhex(stored["bytes"].as_str().expect("hexadecimal"));
                assert_eq!(bigint_from_raw(&raw), Some(value));
                encoded(|out| push_raw(out, &raw))
            }
        };
        assert_eq!(encoded(|out| push_bigint(out, value)), expected, "{value}");
        assert_eq!(Reader::new(&expected).read_bigint(), Ok(value));
    }
    assert!(list.len() > 8);
}

#[test]
fn raws_that_are_no_128_bit_integer_are_refused() {
    assert_eq!(bigint_from_raw(&[]), Some(0));
    assert_eq!(bigint_from_raw(&[0xff; 40]), Some(-1));
    let mut wide = [0; 17];
    wide[15] = 0x80;
    assert_eq!(bigint_from_raw(&wide), None);
    wide[16] = 0x01;
    assert_eq!(bigint_from_raw(&wide), None);
    assert_eq!(bigint_from_raw(&wide[..16]), Some(i128::MIN));
}

#[test]
fn newer_str_and_bin_are_read_as_raw() {
    for header in [
        &[0xd9, 2][..],
        &[0xc4, 2],
        &[0xc5, 0, 2],
        &[0xc6, 0, 0, 0, 2],
        &[0xda, 0, 2],
        &[0xdb, 0, 0, 0, 2],
    ] {
        let bytes = [header, b"ab"].concat();
        assert_eq!(
            Reader::new(&bytes).read_raw(),
            Ok(&b"ab"[..]),
            "{header:x?}"
        );
        assert_eq!(
            Value::decode(&bytes).map(|v| v.to_bytes()),
            Ok(b"\xa2ab".to_vec())
        );
    }
}

#[test]
fn lengths_beyond_the_input_are_truncation() {
    for bytes in [
        &[0xdb, 0xff, 0xff, 0xff, 0xff, 1][..],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xdf, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xcf, 1],
        &[0x81, 1],
        &[],
    ] {
        assert_eq!(
            Value::decode(bytes),
            Err(MsgpackError::Truncated),
            "{bytes:x?}"
        );
        assert_eq!(
            Reader::new(bytes).skip_value(),
            Err(MsgpackError::Truncated)
        );
    }
}

#[test]
fn deep_nesting_is_refused_in_a_tree_but_can_be_skipped() {
    let mut bytes = vec![0x91; 100_000];
    bytes.push(0xc0);
    assert_eq!(Value::decode(&bytes), Err(MsgpackError::TooDeep));
    assert_eq!(Reader::new(&bytes).skip_value(), Ok(&bytes[..]));
}

#[test]
fn reserved_marker_and_trailing_bytes_are_refused() {
    assert_eq!(Value::decode(&[0xc1]), Err(MsgpackError::ReservedMarker));
    assert_eq!(
        Reader::new(&[0x91, 0xc1]).skip_value(),
        Err(MsgpackError::ReservedMarker)
    );
    assert_eq!(
        Value::decode(&[0xc0, 0xc0]),
        Err(MsgpackError::TrailingBytes)
    );
}

#[test]
fn sorting_keeps_the_last_of_equal_keys() {
    let entry = |key: &str, value| (Value::raw(key), Value::Int(value));
    let mut map = Value::Map(vec![entry("b", 1), entry("a", 2), entry("b", 3)]);
    assert_eq!(map.get(b"b"), Some(&Value::Int(3)));
    map.sort_maps();
    assert_eq!(map, Value::Map(vec![entry("a", 2), entry("b", 3)]));
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200_i64..200).prop_map(Value::Int),
        (1_u64 << 63..=u64::MAX).prop_map(Value::Uint),
        (-1e9_f64..1e9).prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::raw),
        (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(t, bytes)| Value::Ext(t, bytes.into())),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn values_survive_a_round_trip(value in any_value()) {
        let bytes = value.to_bytes();
        prop_assert_eq!(Value::decode(&bytes), Ok(value));
        prop_assert_eq!(Reader::new(&bytes).skip_value(), Ok(&bytes[..]));
    }

    #[test]
    fn integers_survive_a_round_trip(value in any::<i64>(), bits in 0_u32..64) {
        let value = value >> bits;
        let bytes = encoded(|out| push_int(out, value));
        prop_assert_eq!(Reader::new(&bytes).read_i64(), Ok(value));
        let bytes = encoded(|out| push_bigint(out, i128::from(value)));
        prop_assert_eq!(Reader::new(&bytes).read_bigint(), Ok(i128::from(value)));
    }

    #[test]
    fn wide_integers_survive_a_round_trip(value in any::<i128>(), bits in 0_u32..128) {
        let value = value >> bits;
        let bytes = encoded(|out| push_bigint(out, value));
        prop_assert_eq!(Reader::new(&bytes).read_bigint(), Ok(value));
    }

    /// Two ways to find the end of a value, the second for scanners that see it in pieces.
    #[test]
    fn skipping_agrees_with_the_scan_of_heads(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let skipped = Reader::new(&bytes).skip_value().map(<[u8]>::len);
        let (mut offset, mut pending) = (0, 1_u64);
        let scanned = loop {
            if pending == 0 {
                break if offset <= bytes.len() { Ok(offset) } else { Err(MsgpackError::Truncated) };
            }
            match Head::read(bytes.get(offset..).unwrap_or_default()) {
                Ok(head) => {
                    pending = pending - 1 + head.child_count;
                    offset += head.len + usize::try_from(head.payload_len).expect("64 bit");
                }
                Err(error) => break Err(error),
            }
        };
        match (skipped, scanned) {
            // A reader gives up on a collection that cannot fit before it looks at what it holds.
            (Err(_), Err(_)) => {}
            (skipped, scanned) => prop_assert_eq!(skipped, scanned),
        }
    }
}

#[test]
fn broken_values_never_panic() {
    let value = Value::Map(vec![
        (
            Value::raw(*b"key"),
            Value::Array(vec![Value::Int(-40_000), Value::Float(0.5)]),
        ),
        (Value::raw(vec![7; 40]), Value::Ext(3, vec![1, 2, 3].into())),
        (Value::Uint(u64::MAX), Value::Bool(false)),
    ]);
    shake(&value.to_bytes(), |bytes| {
        if let Ok(value) = Value::decode(bytes) {
            let again = value.to_bytes();
            // Compared as bytes: a changed float may be no number, which equals nothing.
            let reread = Value::decode(&again).expect("what was written can be read");
            assert_eq!(reread.to_bytes(), again);
        }
    });
}
