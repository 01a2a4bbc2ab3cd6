//! Hints as lists, in the order of their file: for showing them as they are.

use ironborg_types::ChunkId;

use super::{Hints, HintsFile};
use crate::msgpack::Value;

/// The bookkeeping of a transaction; stock Borg keeps its tables in the order in which they were filled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HintsListing {
    /// Live PUTs in each segment.
    pub segments: Vec<(u32, i64)>,
    /// Bytes that compacting a segment would free.
    pub compact: Vec<(u32, i64)>,
    /// Bytes counted against the quota.
    pub storage_quota_use: i64,
    /// Segments with superseded PUTs, by id.
    pub shadow_index: Vec<(ChunkId, Vec<u32>)>,
}

impl HintsListing {
    /// Hints in ascending order.
    pub fn sorted(hints: &Hints) -> Self {
        let pairs = hints.shadow_index.iter();
        let mut shadow_index: Vec<_> = pairs
            .map(|(id, shadowed)| (*id, shadowed.segments().to_vec()))
            .collect();
        shadow_index.sort_unstable();
        Self {
            segments: hints.segments.iter().map(|(&k, &v)| (k, v)).collect(),
            compact: hints.compact.iter().map(|(&k, &v)| (k, v)).collect(),
            storage_quota_use: hints.storage_quota_use,
            shadow_index,
        }
    }

    /// The same hints in the order of the keys of the file they came from; what the file does not have
    /// comes last. Bytes that are no hints file change nothing.
    #[must_use]
    pub fn in_order_of(self, file: &[u8]) -> Self {
        let Ok(HintsFile::Version2(_)) = HintsFile::decode(file) else {
            return self;
        };
        let Ok(file) = Value::decode(file) else {
            return self;
        };
        Self {
            segments: in_order(self.segments, &segments_of(&file, b"segments")),
            compact: in_order(self.compact, &segments_of(&file, b"compact")),
            shadow_index: in_order(self.shadow_index, &shadowed_of(&file)),
            ..self
        }
    }
}

fn segments_of(file: &Value<'_>, name: &[u8]) -> Vec<u32> {
    let pairs = file.get(name).and_then(Value::as_map).unwrap_or_default();
    let number = |key: &Value<'_>| u32::try_from(key.as_u64()?).ok();
    pairs.iter().filter_map(|(key, _)| number(key)).collect()
}

fn shadowed_of(file: &Value<'_>) -> Vec<ChunkId> {
    let pairs = file.get(b"shadow_index").and_then(Value::as_map);
    let id = |key: &Value<'_>| Some(ChunkId(key.as_raw()?.try_into().ok()?));
    let pairs = pairs.unwrap_or_default().iter();
    pairs.filter_map(|(key, _)| id(key)).collect()
}

/// Sorts by the first place of each key in `order`; a stable sort, so the rest keeps its order.
fn in_order<K: Copy + Eq + std::hash::Hash, V>(mut pairs: Vec<(K, V)>, order: &[K]) -> Vec<(K, V)> {
    let mut places = std::collections::HashMap::with_capacity(order.len());
    for (place, key) in order.iter().enumerate() {
        places.entry(*key).or_insert(place);
    }
    pairs.sort_by_key(|(key, _)| places.get(key).copied().unwrap_or(usize::MAX));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_file() {
        // {version: 2, segments: {3: 1, 1: 2}, compact: {9: 5, 4: 6}, storage_quota_use: 7, shadow_index: {}}
        let file =
            b"\x85\xa7version\x02\xa8segments\x82\x03\x01\x01\x02\xa7compact\x82\x09\x05\x04\x06\
            \xb1storage_quota_use\x07\xacshadow_index\x80";
        let Ok(HintsFile::Version2(mut hints)) = HintsFile::decode(file) else {
            panic!("hints of version 2");
        };
        hints.segments.insert(2, 0);
        let listing = HintsListing::sorted(&hints);
        assert_eq!(listing.segments, [(1, 2), (2, 0), (3, 1)]);
        assert_eq!(listing.clone().in_order_of(b"\x80"), listing);
        let listing = listing.in_order_of(file);
        assert_eq!(listing.segments, [(3, 1), (1, 2), (2, 0)]);
        assert_eq!(listing.compact, [(9, 5), (4, 6)]);
        assert_eq!(listing.storage_quota_use, 7);
    }
}
