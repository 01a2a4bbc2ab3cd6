//! Going through many summaries at once, range of ids by range of ids: what is known of the chunks in a range fits into
//! the processor's cache, or into what memory there may be, however many chunks there are.

use ironborg_types::ChunkId;

use super::source::id_prefix;
use super::{RECORD_LEN, SummarySource, records};
use crate::CacheError;
use crate::chunk_table::ChunkSizes;

/// Ids begin with 32 bits below this.
const PREFIX_END: u64 = 1 << 32;
/// Ranges at most: there is something in each.
const RANGES_MAX: u64 = 1 << 20;
/// Bytes read at once at most.
const PIECE_LEN_MAX: usize = 64 << 10;

/// Ranges that have all ids in them, each about as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRanges {
    count: u64,
}

impl IdRanges {
    /// Ranges of so many of all `ids` at most, as far as chance has it.
    pub fn of_len(ids: u64, len_max: u64) -> Self {
        let count = ids.div_ceil(len_max.max(1));
        Self {
            count: count.clamp(1, RANGES_MAX),
        }
    }

    /// How many there are.
    pub fn count(self) -> u64 {
        self.count
    }

    /// The prefix of an id that range `number` begins with.
    fn start(self, number: u64) -> u64 {
        number * PREFIX_END / self.count
    }
}

/// What an archive refers to a chunk for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Content of files.
    Content,
    /// The archive itself and its items.
    Metadata,
}

const SECTIONS: [Section; 2] = [Section::Content, Section::Metadata];

/// An archive's references to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// What for.
    pub section: Section,
    /// The chunk.
    pub id: ChunkId,
    /// How many.
    pub refs: u32,
    /// Lengths, as far as the archive tells.
    pub sizes: ChunkSizes,
}

/// How far one summary was read.
#[derive(Debug, Clone)]
pub struct SummaryCursor<'a> {
    source: &'a SummarySource,
    ranges: IdRanges,
    /// The range that is next, and the records it begins with.
    range: u64,
    next: [u64; 2],
}

impl<'a> SummaryCursor<'a> {
    /// At the beginning of range `number`.
    ///
    /// # Errors
    /// The summary cannot be read.
    pub fn new(
        source: &'a SummarySource,
        ranges: IdRanges,
        number: u64,
    ) -> Result<Self, CacheError> {
        let prefix = ranges.start(number);
        Ok(Self {
            source,
            ranges,
            range: number,
            next: [source.seek(0, prefix)?, source.seek(1, prefix)?],
        })
    }

    /// Hands what is in the next range to `take`, content first, each by ascending id. `buffer` is used again.
    ///
    /// # Errors
    /// The summary cannot be read.
    pub fn next_range(
        &mut self,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(&Reference),
    ) -> Result<(), CacheError> {
        let (begin, end) = (
            self.ranges.start(self.range),
            self.ranges.start(self.range + 1),
        );
        self.range += 1;
        for (number, section) in SECTIONS.into_iter().enumerate() {
            let count = self.source.counts()[number];
            while self.next[number] < count {
                let left = count - self.next[number];
                // About as many as there should be, and some more.
                let share = left.saturating_mul(end - begin) / (PREFIX_END - begin);
                let wanted = (share + share / 16 + 8).min(left);
                let len = usize::try_from(wanted)
                    .unwrap_or(usize::MAX)
                    .min(PIECE_LEN_MAX / RECORD_LEN);
                buffer.resize(len * RECORD_LEN, 0);
                self.source.read(number, self.next[number], buffer)?;
                let mut taken = 0;
                for (id, refs, sizes) in records(buffer) {
                    if id_prefix(&id) >= end {
                        break;
                    }
                    taken += 1;
                    if id == ChunkId::MANIFEST {
                        continue; // It is no chunk, and no summary of ours has it.
                    }
                    take(&Reference {
                        section,
                        id,
                        refs,
                        sizes,
                    });
                }
                self.next[number] += taken as u64;
                if taken < len {
                    break;
                }
            }
        }
        Ok(())
    }
}
