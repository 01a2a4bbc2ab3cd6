//! The chunks one worker is going to write, fetched a few at a time.

use std::ops::Range;

use ironborg_format::item::ChunkEntry;
use ironborg_types::ChunkId;

use crate::ArchiveError;
use crate::items::ObjectReader;

/// Chunks opened together: MACs and ids of several are verified faster side by side.
const GROUP_COUNT: usize = 16;
/// Bytes of content that all threads together open at a time: four chunks for each of two threads,
const GROUPS_LEN: usize = 16 << 20;
/// but no thread more than there is a use for,
const GROUP_LEN_MAX: usize = 8 << 20;
/// nor less than many small files need.
const GROUP_LEN_MIN: usize = 1 << 20;
/// Room that is made at once for one chunk that says it is longer: ordinary ones are not.
const ROOM_MAX: usize = 32 << 20;

/// Bytes of content that one of so many threads opens together, unless one chunk has more.
pub(crate) fn group_len(threads: usize) -> usize {
    (GROUPS_LEN / threads.max(1)).clamp(GROUP_LEN_MIN, GROUP_LEN_MAX)
}

/// Hands out plaintexts in order. Memory: [`group_len`] bytes of plaintext and their objects; with
/// entries that lie about their lengths, [`GROUP_COUNT`] of the largest objects.
pub(crate) struct ChunkQueue<'a> {
    reader: ObjectReader<'a>,
    group_len: usize,
    queue: Vec<ChunkEntry>,
    next: usize,
    /// Chunks that were opened, the first `open` of these. Sparse files repeat one many times.
    ids: Vec<ChunkId>,
    lens: Vec<usize>,
    results: Vec<Result<Range<usize>, ArchiveError>>,
    /// Their plaintexts, one behind the other.
    plaintexts: Vec<u8>,
}

impl<'a> ChunkQueue<'a> {
    /// For one of so many threads.
    pub(crate) fn new(reader: ObjectReader<'a>, threads: usize) -> Self {
        Self {
            reader,
            group_len: group_len(threads),
            queue: Vec::new(),
            next: 0,
            ids: Vec::new(),
            lens: Vec::new(),
            results: Vec::new(),
            plaintexts: Vec::new(),
        }
    }

    /// Replaces what is going to be taken.
    pub(crate) fn set<'c>(&mut self, chunks: impl Iterator<Item = &'c ChunkEntry>) {
        self.queue.clear();
        self.queue.extend(chunks);
        self.next = 0;
    }

    /// How many chunks were taken or passed over.
    pub(crate) fn position(&self) -> usize {
        self.next
    }

    /// Passes over chunks that nobody wants any more.
    pub(crate) fn skip_to(&mut self, position: usize) {
        self.next = position;
    }

    /// The plaintext of the next chunk.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn take(&mut self) -> Result<&[u8], ArchiveError> {
        let id = self.queue[self.next].id;
        let known = self.ids.iter().position(|known| *known == id);
        let slot = known.unwrap_or_else(|| {
            self.open_group();
            0 // It is the first of the group.
        });
        self.next += 1;
        match std::mem::replace(&mut self.results[slot], Ok(0..0)) {
            Ok(range) => {
                self.results[slot] = Ok(range.clone());
                Ok(&self.plaintexts[range])
            }
            Err(error) => {
                // Should it come again, it is tried again.
                self.ids.truncate(slot);
                Err(error)
            }
        }
    }

    /// Opens the next chunk and some that follow.
    fn open_group(&mut self) {
        self.ids.clear();
        self.lens.clear();
        let mut len = 0_usize;
        for chunk in &self.queue[self.next..] {
            if self.ids.contains(&chunk.id) {
                continue;
            }
            let with_it = len.saturating_add(chunk.size as usize);
            let is_full = with_it > self.group_len || self.ids.len() == GROUP_COUNT;
            if !self.ids.is_empty() && is_full {
                break;
            }
            len = with_it;
            self.ids.push(chunk.id);
            self.lens.push(chunk.size as usize);
        }
        // Room for any group at once: what grew bit by bit would leave holes in memory. What is not used costs nothing.
        if self.plaintexts.capacity() < len.min(ROOM_MAX) {
            self.plaintexts = Vec::new();
            self.plaintexts = Vec::with_capacity(len.max(self.group_len).min(ROOM_MAX));
        }
        self.results = self
            .reader
            .read_group(&self.ids, &self.lens, &mut self.plaintexts);
    }
}
