//! Where objects are: id to segment and offset.

mod filed;
mod scratch;
mod shared;

use ironborg_format::hashindex::{HEADER_LEN, HashIndex, HashIndexError, Iter};
use ironborg_types::{ChunkId, SegmentId};

pub(crate) use filed::{FiledIndex, NotFiled};
pub(crate) use scratch::ScratchIndex;
pub(crate) use shared::{IndexView, PlacedIds, SharedIndex};

/// Place of a PUT entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryLocation {
    pub(crate) segment: SegmentId,
    /// Bytes from the start of the segment file to the entry's checksum.
    pub(crate) offset: u32,
}

impl EntryLocation {
    fn encode(self) -> [u8; 8] {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&self.segment.0.to_le_bytes());
        value[4..].copy_from_slice(&self.offset.to_le_bytes());
        value
    }

    pub(crate) fn decode(value: [u8; 8]) -> Self {
        let [s0, s1, s2, s3, o0, o1, o2, o3] = value;
        Self {
            segment: SegmentId(u32::from_le_bytes([s0, s1, s2, s3])),
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
        }
    }
}

/// The repository index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index(HashIndex<8>);

impl Index {
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, HashIndexError> {
        HashIndex::from_bytes(bytes).map(Self)
    }

    /// An empty one that takes so many entries without growing.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self(HashIndex::with_capacity(entries))
    }

    /// The file's content: header and buckets.
    pub(crate) fn parts(&self) -> ([u8; HEADER_LEN], &[u8]) {
        self.0.parts()
    }

    /// Bytes the file has.
    pub(crate) fn size(&self) -> u64 {
        self.0.size()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Option<EntryLocation> {
        self.0.get(&id.0).copied().map(EntryLocation::decode)
    }

    fn bucket_count(&self) -> usize {
        self.0.bucket_count()
    }

    fn locate(&self, id: &ChunkId) -> Option<(usize, EntryLocation)> {
        let (bucket, value) = self.0.locate(&id.0)?;
        Some((bucket, EntryLocation::decode(*value)))
    }

    /// The same of several, which takes less time than one by one.
    pub(crate) fn contains_each(&self, ids: &[ChunkId]) -> impl Iterator<Item = bool> {
        self.0.contains_each(ids.iter().map(|id| &id.0))
    }

    pub(crate) fn insert(&mut self, id: &ChunkId, at: EntryLocation) -> Option<EntryLocation> {
        let old = self.0.insert(&id.0, &at.encode());
        old.map(EntryLocation::decode)
    }

    pub(crate) fn remove(&mut self, id: &ChunkId) -> Option<EntryLocation> {
        let old = self.0.remove(&id.0);
        old.map(EntryLocation::decode)
    }

    /// Everything, in bucket order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChunkId, EntryLocation)> + '_ {
        let entries = self.0.iter();
        entries.map(|(id, value)| (ChunkId(*id), EntryLocation::decode(*value)))
    }

    /// Everything with its bucket, in this order.
    fn for_each_place<E>(
        &self,
        look: &mut dyn FnMut(usize, ChunkId) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut entries = self.0.iter();
        while let Some((id, _)) = entries.next() {
            look(entries.bucket() - 1, ChunkId(*id))?;
        }
        Ok(())
    }

    /// Ids behind `marker` in bucket order; none if there is no such id.
    pub(crate) fn ids(&self, limit: Option<usize>, marker: Option<&ChunkId>) -> Vec<ChunkId> {
        let iter: Option<Iter<'_, 8>> = match marker {
            None => Some(self.0.iter()),
            Some(marker) => self.0.iter_after(&marker.0),
        };
        let limit = limit.unwrap_or(usize::MAX);
        let ids = iter.into_iter().flatten().take(limit);
        ids.map(|(id, _)| ChunkId(*id)).collect()
    }
}
