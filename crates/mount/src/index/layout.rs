//! Where things are in the stream of an index file. Layout: docs/format.md, "Path index".

use ironborg_cache::{SealedKind, TRAILER_LEN};

use super::record::RECORD_LEN;

/// What an index file is.
pub(super) const KIND: SealedKind = SealedKind {
    tag: *b"path",
    version: 1,
};
/// Bytes of an entry of each section that has entries.
pub(super) const LISTED_LEN: usize = 4;
pub(super) const SORTED_LEN: usize = 8;
pub(super) const CONTENT_LEN: usize = 12;
pub(super) const CHUNK_LEN: usize = 32;
const SECTION_COUNT: usize = 7;
/// Where in the trailer the bits that some record has are: behind the sections.
const FLAGS_AT: usize = 8 + 16 * SECTION_COUNT;

/// A range of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Section {
    /// How many entries of this length it has; `None`: no whole number of them.
    fn count(self, entry_len: usize) -> Option<u32> {
        let entry_len = entry_len as u64;
        let is_whole = self.len.is_multiple_of(entry_len);
        u32::try_from(self.len / entry_len)
            .ok()
            .filter(|_| is_whole)
    }

    /// Where an entry begins; `None`: there is no such entry.
    pub(super) fn entry(self, number: u64, entry_len: usize) -> Option<u64> {
        let begin = number.checked_mul(entry_len as u64)?;
        let end = begin.checked_add(entry_len as u64)?;
        (end <= self.len).then(|| self.offset + begin)
    }
}

/// The sections of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Layout {
    /// Seeds the hashes of names.
    pub(super) seed: u64,
    /// A record for each number.
    pub(super) records: Section,
    /// Names, one behind the other.
    pub(super) names: Section,
    /// For each directory the numbers of its names, in the order they are listed in.
    pub(super) listed: Section,
    /// The same by their hashes: hash and number.
    pub(super) sorted: Section,
    /// Nodes whose content is that of another item: number and place.
    pub(super) contents: Section,
    /// Ids of the chunks of the item streams.
    pub(super) chunks: Section,
    /// Owners.
    pub(super) owners: Section,
    /// Bits that some record has.
    pub(super) flags: u16,
}

impl Layout {
    fn sections(&self) -> [Section; SECTION_COUNT] {
        [
            self.records,
            self.names,
            self.listed,
            self.sorted,
            self.contents,
            self.chunks,
            self.owners,
        ]
    }

    pub(super) fn to_bytes(self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        for (slot, section) in bytes[8..].chunks_exact_mut(16).zip(self.sections()) {
            slot[..8].copy_from_slice(&section.offset.to_le_bytes());
            slot[8..].copy_from_slice(&section.len.to_le_bytes());
        }
        bytes[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// Reads the sections of a stream of `len` bytes; `None`: they cannot be those of an index.
    pub(super) fn from_bytes(bytes: &[u8; TRAILER_LEN], len: u64) -> Option<Self> {
        let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("inside"));
        let mut sections = [Section::default(); SECTION_COUNT];
        for (at, section) in sections.iter_mut().enumerate() {
            section.offset = number(8 + 16 * at);
            section.len = number(16 + 16 * at);
            section
                .offset
                .checked_add(section.len)
                .filter(|&end| end <= len)?;
        }
        let [records, names, listed, sorted, contents, chunks, owners] = sections;
        let layout = Self {
            seed: number(0),
            records,
            names,
            listed,
            sorted,
            contents,
            chunks,
            owners,
            flags: u16::from_le_bytes(*bytes[FLAGS_AT..].first_chunk().expect("inside")),
        };
        let is_consistent = records.count(RECORD_LEN)? > 0
            && listed.count(LISTED_LEN)? == sorted.count(SORTED_LEN)?;
        contents.count(CONTENT_LEN)?;
        chunks.count(CHUNK_LEN)?;
        is_consistent.then_some(layout)
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u32 {
        self.records
            .count(RECORD_LEN)
            .expect("checked when it was read or written")
    }
}
