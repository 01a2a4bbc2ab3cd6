//! The hints file: how much of each segment is in use, and where deleted objects still lie.
//!
//! Layout: docs/format.md, "Hints". Whether the content is right is for `repository` to find out.

mod listing;

use std::collections::{BTreeMap, HashMap};

use ironborg_types::ChunkId;

use crate::msgpack::{self, MsgpackError, Reader};

pub use listing::HintsListing;

/// The version written.
const VERSION: i64 = 2;

/// Why bytes are not a hints file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HintsError {
    /// Not the MessagePack it should be.
    #[error(transparent)]
    Msgpack(#[from] MsgpackError),
    /// A key every hints file has is not there.
    #[error("hints lack {0}")]
    Missing(&'static str),
    /// A version from the future.
    #[error("Unknown hints file version: {0}")]
    Version(i64),
}

/// Segments that hold superseded PUTs of one id, oldest first. Mostly none or one.
#[derive(Debug, Clone, Default)]
pub struct Shadowed(ShadowedList);

#[derive(Debug, Clone, Default)]
enum ShadowedList {
    #[default]
    None,
    One(u32),
    #[allow(clippy::box_collection)] // Keeps the common cases at 16 bytes.
    Many(Box<Vec<u32>>),
}

impl Shadowed {
    /// The segments.
    pub fn segments(&self) -> &[u32] {
        match &self.0 {
            ShadowedList::None => &[],
            ShadowedList::One(segment) => std::slice::from_ref(segment),
            ShadowedList::Many(segments) => segments,
        }
    }

    /// Whether there are none (which says that there were some).
    pub fn is_empty(&self) -> bool {
        self.segments().is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, segment: u32) {
        match &mut self.0 {
            ShadowedList::None => self.0 = ShadowedList::One(segment),
            ShadowedList::One(first) => {
                self.0 = ShadowedList::Many(Box::new(vec![*first, segment]));
            }
            ShadowedList::Many(segments) => segments.push(segment),
        }
    }

    /// Removes the first occurrence of a segment, if there is one.
    pub fn remove_first(&mut self, segment: u32) {
        let mut first = true;
        self.retain(|&one| one != segment || !std::mem::replace(&mut first, false));
    }

    /// Removes all that do not pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&u32) -> bool) {
        match &mut self.0 {
            ShadowedList::None => {}
            ShadowedList::One(segment) => {
                if !keep(segment) {
                    self.0 = ShadowedList::None;
                }
            }
            ShadowedList::Many(segments) => segments.retain(keep),
        }
    }
}

impl PartialEq for Shadowed {
    fn eq(&self, other: &Self) -> bool {
        self.segments() == other.segments()
    }
}

impl Eq for Shadowed {}

impl FromIterator<u32> for Shadowed {
    fn from_iter<I: IntoIterator<Item = u32>>(segments: I) -> Self {
        let mut shadowed = Self::default();
        segments
            .into_iter()
            .for_each(|segment| shadowed.push(segment));
        shadowed
    }
}

/// Where superseded PUTs of an id lie that only a DELETE keeps from coming back.
pub type ShadowIndex = HashMap<ChunkId, Shadowed>;

/// The bookkeeping of a transaction, as kept between transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Live PUTs in each segment.
    pub segments: BTreeMap<u32, i64>,
    /// Bytes that compacting a segment would free.
    pub compact: BTreeMap<u32, i64>,
    /// Bytes counted against the quota: all PUT entries not yet compacted away.
    pub storage_quota_use: i64,
    /// Segments with superseded PUTs, by id.
    pub shadow_index: ShadowIndex,
}

/// A decoded hints file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HintsFile {
    /// Written by Borg 1.0: the freeable bytes of the sparse segments must be found out.
    Version1 {
        /// Live PUTs in each segment.
        segments: BTreeMap<u32, i64>,
        /// Segments that can be compacted.
        sparse: Vec<u32>,
    },
    /// Complete.
    Version2(Hints),
}

impl Hints {
    /// The file's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            128 + 12 * (self.segments.len() + self.compact.len()) + 41 * self.shadow_index.len(),
        );
        msgpack::push_map_len(&mut out, 5);
        msgpack::push_raw(&mut out, b"version");
        msgpack::push_int(&mut out, VERSION);
        for (key, map) in [("segments", &self.segments), ("compact", &self.compact)] {
            msgpack::push_raw(&mut out, key.as_bytes());
            msgpack::push_map_len(&mut out, map.len());
            for (&segment, &number) in map {
                msgpack::push_uint(&mut out, segment.into());
                msgpack::push_int(&mut out, number);
            }
        }
        msgpack::push_raw(&mut out, b"storage_quota_use");
        msgpack::push_int(&mut out, self.storage_quota_use);
        msgpack::push_raw(&mut out, b"shadow_index");
        msgpack::push_map_len(&mut out, self.shadow_index.len());
        for (id, shadowed) in &self.shadow_index {
            msgpack::push_raw(&mut out, &id.0);
            msgpack::push_array_len(&mut out, shadowed.segments().len());
            for &segment in shadowed.segments() {
                msgpack::push_uint(&mut out, segment.into());
            }
        }
        out
    }
}

impl HintsFile {
    /// Decodes the whole file. Keys nobody knows are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, HintsError> {
        let mut reader = Reader::new(bytes);
        let (mut version, mut segments, mut compact) = (None, None, None);
        let mut hints = Hints::default();
        for _ in 0..reader.read_map_len()? {
            match reader.read_raw()? {
                b"version" => version = Some(reader.read_i64()?),
                b"segments" => segments = Some(read_counts(&mut reader)?),
                // A list in version 1, a map in version 2: kept until the version is known.
                b"compact" => compact = Some(reader.skip_value()?),
                b"storage_quota_use" => hints.storage_quota_use = reader.read_i64()?,
                b"shadow_index" => hints.shadow_index = read_shadow_index(&mut reader)?,
                _ => {
                    reader.skip_value()?;
                }
            }
        }
        reader.finish()?;
        let version = version.ok_or(HintsError::Missing("version"))?;
        if version != 1 && version != VERSION {
            return Err(HintsError::Version(version));
        }
        let segments = segments.ok_or(HintsError::Missing("segments"))?;
        let mut reader = Reader::new(compact.ok_or(HintsError::Missing("compact"))?);
        if version == 1 {
            let len = reader.read_array_len()?;
            let sparse = (0..len)
                .map(|_| reader.read_u32())
                .collect::<Result<_, _>>()?;
            return Ok(Self::Version1 { segments, sparse });
        }
        hints.segments = segments;
        hints.compact = read_counts(&mut reader)?;
        Ok(Self::Version2(hints))
    }
}

fn read_counts(reader: &mut Reader<'_>) -> Result<BTreeMap<u32, i64>, MsgpackError> {
    let len = reader.read_map_len()?;
    (0..len)
        .map(|_| Ok((reader.read_u32()?, reader.read_i64()?)))
        .collect()
}

fn read_shadow_index(reader: &mut Reader<'_>) -> Result<ShadowIndex, MsgpackError> {
    let len = reader.read_map_len()?;
    let mut index = ShadowIndex::with_capacity(len);
    for _ in 0..len {
        let id = ChunkId(*reader.read_raw_array()?);
        let segments = reader.read_array_len()?;
        let shadowed = (0..segments)
            .map(|_| reader.read_u32())
            .collect::<Result<_, _>>()?;
        index.insert(id, shadowed);
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn hints_of_stock_borg_survive_a_round_trip() {
        let text = include_str!("../../../testdata/vectors/repository.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut count = 0;
        for repository in vectors["repos"].as_array().unwrap() {
            for (name, file) in repository["files"].as_object().unwrap() {
                if !name.starts_with("hints.") {
                    continue;
                }
                let bytes = hex(file["hex"].as_str().unwrap());
                let HintsFile::Version2(hints) = HintsFile::decode(&bytes).unwrap() else {
                    panic!("version 1 in {name}");
                };
                let encoded = hints.encode();
                assert_eq!(encoded.len(), bytes.len());
                assert_eq!(
                    HintsFile::decode(&encoded),
                    Ok(HintsFile::Version2(hints.clone()))
                );
                let decoded = &file["decoded"];
                assert_eq!(
                    serde_json::to_value(&hints.segments).unwrap(),
                    decoded["segments"]
                );
                assert_eq!(
                    serde_json::to_value(&hints.compact).unwrap(),
                    decoded["compact"]
                );
                assert_eq!(hints.storage_quota_use, decoded["storage_quota_use"]);
                let shadows = decoded["shadow_index"].as_object().unwrap();
                assert_eq!(hints.shadow_index.len(), shadows.len());
                for (id, segments) in shadows {
                    let shadowed = &hints.shadow_index[&id.parse().unwrap()];
                    assert_eq!(
                        &serde_json::to_value(shadowed.segments()).unwrap(),
                        segments
                    );
                }
                count += 1;
            }
        }
        assert!(count > 5);
    }

    #[test]
    fn version_1_has_a_list_of_sparse_segments() {
        // {version: 1, segments: {0: 3}, compact: [4, 5]}
        let bytes = b"\x83\xa7version\x01\xa8segments\x81\x00\x03\xa7compact\x92\x04\x05";
        assert_eq!(
            HintsFile::decode(bytes),
            Ok(HintsFile::Version1 {
                segments: BTreeMap::from([(0, 3)]),
                sparse: vec![4, 5],
            })
        );
        let future = b"\x83\xa7version\x03\xa8segments\x80\xa7compact\x80";
        assert_eq!(HintsFile::decode(future), Err(HintsError::Version(3)));
        assert_eq!(
            HintsFile::decode(b"\x80"),
            Err(HintsError::Missing("version"))
        );
    }

    #[test]
    fn shadowed_segments_come_and_go() {
        let mut shadowed: Shadowed = [3, 5, 3].into_iter().collect();
        shadowed.remove_first(3);
        assert_eq!(shadowed.segments(), [5, 3]);
        shadowed.retain(|&segment| segment < 5);
        assert_eq!(shadowed.segments(), [3]);
        shadowed.remove_first(7);
        shadowed.remove_first(3);
        assert!(shadowed.is_empty());
        let mut one = Shadowed::default();
        one.push(9);
        one.remove_first(9);
        assert!(one.is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_hints_survive_a_round_trip(
            segments: BTreeMap<u32, i64>,
            compact: BTreeMap<u32, i64>,
            storage_quota_use: i64,
            shadows in proptest::collection::hash_map(
                any::<[u8; 32]>(), proptest::collection::vec(any::<u32>(), 0..4), 0..4),
        ) {
            let shadow_index = shadows
                .into_iter()
                .map(|(id, segments)| (ChunkId(id), segments.into_iter().collect()))
                .collect();
            let hints = Hints { segments, compact, storage_quota_use, shadow_index };
            let decoded = HintsFile::decode(&hints.encode());
            // Equal whatever representation a list of segments has.
            prop_assert_eq!(decoded, Ok(HintsFile::Version2(hints)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = HintsFile::decode(&bytes);
        }
    }
}
