//! The table against stock Borg's files and against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|n| char::from_digit(n.into(), 16).unwrap());
    bytes.iter().flat_map(digits).collect()
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

fn location(segment: u32, offset: u32) -> [u8; 8] {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&segment.to_le_bytes());
    value[4..].copy_from_slice(&offset.to_le_bytes());
    value
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../testdata/vectors/hashindex.json")).unwrap()
}

fn vector(label: &str) -> Value {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    let case = cases
        .iter()
        .find(|case| case["label"].as_str().unwrap().starts_with(label));
    case.unwrap().clone()
}

#[track_caller]
fn check<const V: usize>(label: &str, index: &mut HashIndex<V>) {
    let expected = vector(label);
    let bytes = index.as_bytes().to_vec();
    assert_eq!(sha256(&bytes), expected["sha256"].as_str().unwrap());
    if let Some(size) = expected["size"].as_u64() {
        assert_eq!(size, index.size());
    }
    if let Some(order) = expected["iteration_order"].as_array() {
        let found: Vec<String> = index.iter().map(|(key, _)| to_hex(key)).collect();
        assert_eq!(
            serde_json::to_value(found).unwrap(),
            Value::from(order.clone())
        );
    }
    assert_eq!(&HashIndex::<V>::from_bytes(bytes).unwrap(), index);
}

fn key(number: u32, rest: u8) -> [u8; 32] {
    let mut key = [rest; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    key
}

#[test]
fn tables_are_the_files_stock_borg_writes() {
    check("NSIndex empty", &mut HashIndex::<8>::new());

    let mut index = HashIndex::<8>::new();
    index.insert(&key(5, 0), &location(1, 8));
    index.insert(&key(6, 0), &location(2, 100));
    index.insert(&key(1030, 0), &location(3, u32::MAX));
    check("3 entries", &mut index);

    let mut index = HashIndex::<8>::new();
    index.insert(&key(5, 1), &location(1, 1));
    index.insert(&key(5, 2), &location(2, 2));
    index.insert(&key(1036, 3), &location(3, 3));
    index.remove(&key(5, 1));
    check("collision chain", &mut index);
}

#[test]
fn probing_wraps_around_at_the_end() {
    let mut index = HashIndex::<8>::new();
    index.insert(&key(1030, 1), &location(1, 1));
    index.insert(&key(1030, 2), &location(2, 2));
    check("collision at the last bucket", &mut index);
}

#[test]
fn the_table_grows_when_stock_borg_s_does() {
    let mut index = HashIndex::<8>::new();
    for i in 0..775_u32 {
        assert_eq!(index.bucket_count(), 1031);
        let key = Sha256::digest(format!("n{i}")).into();
        assert_eq!(index.insert(&key, &location(i, i + 8)), None);
    }
    assert_eq!(index.bucket_count(), 2053);
    let expected = vector("growth");
    assert_eq!(
        index.len() as u64,
        expected["num_entries"].as_u64().unwrap()
    );
    assert_eq!(
        sha256(index.as_bytes()),
        expected["sha256"].as_str().unwrap()
    );
}

#[test]
fn a_compacted_chunk_index_can_be_looked_up() {
    let file = hex(vector("same ChunkIndex")["hex"].as_str().unwrap());
    let index = HashIndex::<12>::from_bytes(file).unwrap();
    assert_eq!(index.len(), 2);
    let key = Sha256::digest("c0").into();
    let value = index.get(&key).unwrap();
    assert_eq!(to_hex(value), "030000006400000033000000");

    let empty = hex(vector("empty ChunkIndex")["hex"].as_str().unwrap());
    assert!(HashIndex::<12>::from_bytes(empty).unwrap().is_empty());
}

#[test]
fn removing_shrinks_and_never_loses_an_entry() {
    let mut index = HashIndex::<8>::with_capacity(5000);
    for i in 0..5000 {
        index.insert(&key(i, 9), &location(i, 0));
    }
    let large = index.bucket_count();
    for i in 0..4990 {
        assert_eq!(index.remove(&key(i, 9)), Some(location(i, 0)));
    }
    assert!(index.bucket_count() < large);
    for i in 4990..5000 {
        assert_eq!(index.get(&key(i, 9)), Some(&location(i, 0)));
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let good = HashIndex::<8>::new().as_bytes().to_vec();
    let damage = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        HashIndex::<8>::from_bytes(bytes).unwrap_err()
    };
    assert_eq!(
        HashIndex::<8>::from_bytes(vec![0; 17]).unwrap_err(),
        HashIndexError::TruncatedHeader(17)
    );
    assert_eq!(damage(&|b| b[0] = b'X'), HashIndexError::Magic);
    assert_eq!(damage(&|b| b[12..16].fill(0)), HashIndexError::NoBuckets(0));
    assert_eq!(
        damage(&|b| b[12..16].fill(0xff)),
        HashIndexError::NoBuckets(-1)
    );
    assert!(matches!(
        damage(&|b| b[8..12].fill(0xff)),
        HashIndexError::EntryCount { entries: -1, .. }
    ));
    assert!(matches!(
        damage(&|b| b[17] = 12),
        HashIndexError::ItemSize { .. }
    ));
    assert!(matches!(
        damage(&|b| {
            b.pop();
        }),
        HashIndexError::Length { .. }
    ));
    assert_eq!(damage(&|b| b[8] = 1), HashIndexError::Inconsistent(0, 1));
    assert!(matches!(
        damage(&|b| b[14] = 0x7f),
        HashIndexError::Length { .. }
    ));
}

/// Two entries in each other's places: no search finds the second, until growing rebuilds the table
/// in the middle of inserting it.
#[test]
fn an_entry_that_turns_up_while_the_table_is_rebuilt_is_replaced() {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([2, 0, 0, 0, 3, 0, 0, 0, 32, 8]);
    for (number, mark) in [(1, 0), (0, 0), (0, u32::MAX)] {
        bytes.extend(key(number, 0));
        bytes.extend(location(mark, 0));
    }
    let mut index = HashIndex::<8>::from_bytes(bytes).unwrap();
    index.insert(&key(0, 0), &location(5, 5));
    index.insert(&key(1, 0), &location(6, 6));
    assert_eq!(index.get(&key(0, 0)), Some(&location(5, 5)));
    assert_eq!(index.get(&key(1, 0)), Some(&location(6, 6)));
    assert_eq!(index.len(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u16, u32),
    Remove(u16),
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..600_u16, 0..VALUE_MAX).prop_map(|(key, value)| Step::Insert(key, value)),
        5 => (0..600_u16).prop_map(Step::Remove),
        1 => Just(Step::Reload),
    ];
    proptest::collection::vec(step, 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_table_is_a_map(steps in steps()) {
        let mut map = BTreeMap::new();
        let mut index = HashIndex::<8>::new();
        for step in steps {
            match step {
                // A quarter of the keys collide in one bucket.
                Step::Insert(n, value) => {
                    let (key, value) = (key(u32::from(n / 4), n.to_le_bytes()[0]), location(value, 1));
                    prop_assert_eq!(index.insert(&key, &value), map.insert(key, value));
                }
                Step::Remove(n) => {
                    let key = key(u32::from(n / 4), n.to_le_bytes()[0]);
                    prop_assert_eq!(index.remove(&key), map.remove(&key));
                }
                Step::Reload => {
                    index = HashIndex::from_bytes(index.as_bytes().to_vec()).unwrap();
                }
            }
            prop_assert_eq!(index.len(), map.len());
        }
        let keys: Vec<_> = (0..256).map(|n| key(n / 4, n.to_le_bytes()[0])).chain(map.keys().copied()).collect();
        for (key, is_there) in keys.iter().zip(index.contains_each(keys.iter())) {
            prop_assert_eq!(is_there, map.contains_key(key));
        }
        let found: BTreeMap<_, _> = index.iter().map(|(k, v)| (*k, *v)).collect();
        prop_assert_eq!(found, map);
    }

    #[test]
    fn arbitrary_tables_never_hang_or_panic(
        entries in 0_u8..6,
        buckets in proptest::collection::vec((0_u8..3, prop_oneof![
            Just(u32::MAX), Just(u32::MAX - 1), any::<u32>(),
        ]), 1..5),
    ) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::from(entries).to_le_bytes());
        bytes.extend(u32::try_from(buckets.len()).unwrap().to_le_bytes());
        bytes.extend([32, 8]);
        for (n, mark) in &buckets {
            bytes.extend(key(u32::from(*n), 0));
            bytes.extend(location(*mark, 0));
        }
        if let Ok(mut index) = HashIndex::<8>::from_bytes(bytes) {
            for n in 0..4 {
                index.get(&key(n, 0));
                index.insert(&key(n, 0), &location(n, n));
                prop_assert_eq!(index.get(&key(n, 0)), Some(&location(n, n)));
                index.remove(&key(n, 0));
            }
        }
    }
}

/// A file may have a table of two buckets. Filling it up left no empty bucket, and the next lookup of
/// a key that is not there never came back.
#[test]
fn a_tiny_table_grows_before_its_last_empty_bucket_is_taken() {
    let mut bytes = b"BORG_IDX\x01\0\0\0\x02\0\0\0\x20\x08".to_vec();
    bytes.extend_from_slice(&[5; 40]);
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(&[0xff; 8]);
    let mut index = HashIndex::<8>::from_bytes(bytes).expect("consistent");
    for key in 1..5 {
        assert_eq!(index.insert(&[key + 5; 32], &[0; 8]), None);
    }
    assert_eq!(index.get(&[0x42; 32]), None);
    assert_eq!(index.len(), 5);
}
