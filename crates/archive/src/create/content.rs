//! Reading the content of large files, pipes and devices: buffer by buffer, cut, identified and stored.
//!
//! Memory: one buffer of the longest chunk and [`READ_AHEAD`] more for each worker, and one more for each
//! worker whose last buffer others still work on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ironborg_chunker::{Chunker, ChunkerParams, Extent, fixed_blocks};
use ironborg_format::{ChunkEntry, Item};
use ironborg_source::{SourceError, SourceFile};
use ironborg_types::ChunkId;

use super::outcome::{Done, FilePart};
use super::shared::{Over, Sealing, Shared};
use super::split::{FileChunks, Share};

/// Bytes read beyond the longest chunk, so that the leftover moved to the front of the next buffer is small
/// compared to what is read.
const READ_AHEAD: usize = 2 << 20;
/// Bytes asked for in one read: what is cut next is still in the cache.
const READ_LEN: usize = 1 << 20;
/// A file is dropped from the page cache behind the reader in steps of this size.
const FORGET_LEN: u64 = 16 << 20;
/// How often somebody who waits for a pipe looks around.
const POLL_MS: u32 = 100;

/// Reads contents; one for each worker, for its buffers are used again.
pub(super) struct ContentReader {
    chunker: Chunker,
    buffer: Arc<Vec<u8>>,
    buffer_len: usize,
    ids: Vec<ChunkId>,
    part_requests_seen: u64,
}

/// Why reading ended early.
pub(super) enum ContentError {
    /// The file cannot be read; the chunks up to there are stored.
    Source(SourceError, Vec<ChunkEntry>),
    /// The operation is over.
    Over,
}

impl From<Over> for ContentError {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

/// The chunks of a file that was read to its end.
pub(super) struct Content {
    /// All of them. A `csize` of 0 is known to the collector only.
    pub(super) chunks: Vec<ChunkEntry>,
    /// How many of them parts have brought into the archive already.
    pub(super) chunks_in_parts: usize,
}

/// Where content comes from.
pub(crate) trait ContentInput {
    /// Reads what comes next; 0 at the end.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Waits until there is something to read, or the end, for at most `timeout_ms`; says whether there is.
    fn wait_ready(&self, timeout_ms: u32) -> bool;

    /// The file it is, if it is one.
    fn file(&self) -> Option<&SourceFile> {
        None
    }
}

impl ContentInput for SourceFile {
    fn read(&self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        SourceFile::read(self, buffer)
    }

    fn wait_ready(&self, timeout_ms: u32) -> bool {
        SourceFile::wait_ready(self, timeout_ms)
    }

    fn file(&self) -> Option<&SourceFile> {
        Some(self)
    }
}

/// The file being read, as its parts are to be archived.
pub(super) struct Reading<'i> {
    /// Number of the batch it is in.
    pub(super) batch: u64,
    /// Its item so far.
    pub(super) item: &'i Item,
    /// The file system it is in; `None`: reading may have to wait for somebody, as with pipes and devices.
    pub(super) device: Option<u64>,
}

impl ContentReader {
    /// A reader that cuts with `chunker`, made from `params`.
    pub(super) fn new(chunker: Chunker, params: &ChunkerParams) -> Self {
        let buffer_len = chunker.buffer_len().max(params.chunk_len_max()) + READ_AHEAD;
        Self {
            chunker,
            buffer: Arc::default(),
            buffer_len,
            ids: Vec::new(),
            part_requests_seen: 0,
        }
    }

    /// Cuts a file that lies in memory as a whole.
    pub(super) fn cut_whole(&mut self, content: &[u8], cuts: &mut Vec<Range<usize>>) {
        cuts.clear();
        self.chunker.restart();
        let mut start = 0;
        while let Some(len) = self.chunker.next_cut(&content[start..], true) {
            cuts.push(start..start + len);
            start += len;
        }
    }

    /// Reads `input` to its end and stores its chunks.
    pub(super) fn read(
        &mut self,
        shared: &Shared<'_>,
        sealing: &mut Sealing,
        input: &dyn ContentInput,
        reading: &Reading<'_>,
    ) -> Result<Content, ContentError> {
        if let (true, ChunkerParams::Fixed { block, header }) =
            (shared.options.sparse, shared.options.chunker)
            && let Some(file) = input.file()
            && let Some(extents) = extents_of(file)
        {
            let blocks = fixed_blocks(block, header, &extents);
            return self.read_blocks(shared, sealing, file, blocks);
        }
        if let Some(file) = input.file() {
            file.advise_sequential();
        }
        self.chunker.restart();
        let chunks = Arc::new(FileChunks::default());
        let mut in_parts = 0;
        let mut filled = 0;
        let mut offset = 0;
        let mut forgotten = 0;
        loop {
            let eof = match self.fill(shared, input, reading, &mut filled, &mut offset) {
                Ok(eof) => eof,
                Err(FillError::Over) => return Err(Over.into()),
                Err(FillError::Source(error)) => {
                    self.finish(shared, sealing, &chunks)?;
                    return Err(ContentError::Source(error, chunks.entries_from(in_parts)));
                }
            };
            let used = self.store_buffer(shared, sealing, &chunks, filled, eof)?;
            if eof {
                break;
            }
            self.keep_rest(used, filled);
            filled -= used;
            if offset - forgotten >= FORGET_LEN {
                if let Some(file) = input.file() {
                    file.advise_done(forgotten, offset - forgotten);
                }
                forgotten = offset;
            }
            in_parts = self.part(shared, sealing, &chunks, in_parts, reading)?;
            if shared.stopping.load(Ordering::Acquire)
                && shared.head_batch.load(Ordering::Acquire) == reading.batch
            {
                return Err(Over.into());
            }
        }
        if let Some(file) = input.file() {
            file.advise_done(0, 0);
        }
        self.finish(shared, sealing, &chunks)?;
        Ok(Content {
            chunks: chunks.entries_from(0),
            chunks_in_parts: in_parts,
        })
    }

    /// Reads until the buffer is full, the file ends, or a part of it is asked for; says whether it ended.
    fn fill(
        &mut self,
        shared: &Shared<'_>,
        input: &dyn ContentInput,
        reading: &Reading<'_>,
        filled: &mut usize,
        offset: &mut u64,
    ) -> Result<bool, FillError> {
        let seen = self.part_requests_seen;
        let buffer =
            Arc::get_mut(&mut self.buffer).expect("the rest was moved out of a shared buffer");
        buffer.resize(self.buffer_len, 0);
        // Where one may read at a time: who reads from a pipe waits for somebody, not for a disk.
        let _turn = reading.device.and_then(|_| shared.pace.turn());
        let (started, before) = (Instant::now(), *offset);
        while *filled < buffer.len() {
            // Who writes into a pipe may take hours; who wants to stop must not wait for that.
            while reading.device.is_none() && !input.wait_ready(POLL_MS) {
                if shared.is_over() {
                    return Err(FillError::Over);
                }
                if part_is_wanted(shared, seen, reading) {
                    return Ok(false);
                }
            }
            let end = buffer.len().min(*filled + READ_LEN);
            match input
                .read(&mut buffer[*filled..end])
                .map_err(FillError::Source)?
            {
                0 => return Ok(true),
                count => {
                    *filled += count;
                    *offset += count as u64;
                }
            }
            if part_is_wanted(shared, seen, reading) {
                return Ok(false);
            }
        }
        if let Some(device) = reading.device {
            let count = *offset - before;
            shared.pace.streamed(count, started.elapsed(), device);
        }
        Ok(false)
    }

    /// Cuts the filled part of the buffer and stores the chunks, or has them stored; gives the bytes used.
    fn store_buffer(
        &mut self,
        shared: &Shared<'_>,
        sealing: &mut Sealing,
        chunks: &Arc<FileChunks>,
        filled: usize,
        eof: bool,
    ) -> Result<usize, Over> {
        let mut ranges = Vec::new();
        let mut start = 0;
        while let Some(len) = self.chunker.next_cut(&self.buffer[start..filled], eof) {
            ranges.push(start..start + len);
            start += len;
        }
        assert!(
            start > 0 || eof || filled < self.buffer.len(),
            "a full buffer holds at least one chunk"
        );
        let first = chunks.expect(ranges.len());
        let own = self.hand_out(shared, &ranges, first, chunks);
        store_ranges(
            shared,
            sealing,
            &mut self.ids,
            &self.buffer,
            &ranges[..own],
            first,
            chunks,
        )?;
        Ok(start)
    }

    /// Offers chunks to workers that have nothing to do; gives how many are left to do here.
    fn hand_out(
        &self,
        shared: &Shared<'_>,
        ranges: &[Range<usize>],
        first: usize,
        chunks: &Arc<FileChunks>,
    ) -> usize {
        let idle = shared.idle.load(Ordering::Relaxed);
        if idle == 0 || ranges.len() < 2 {
            return ranges.len();
        }
        let share_len = ranges.len().div_ceil(idle + 1);
        let mut own = ranges.len();
        for _ in 0..idle {
            let from = own.saturating_sub(share_len).max(1);
            if from == own {
                break;
            }
            let share = Share {
                buffer: Arc::clone(&self.buffer),
                ranges: ranges[from..own].to_vec(),
                first: first + from,
                file: Arc::clone(chunks),
            };
            if shared.shares.0.try_send(share).is_err() {
                break;
            }
            own = from;
        }
        own
    }

    /// Moves the bytes behind the last cut to the front; into a new buffer if others still read this one.
    fn keep_rest(&mut self, used: usize, filled: usize) {
        if let Some(buffer) = Arc::get_mut(&mut self.buffer) {
            buffer.copy_within(used..filled, 0);
        } else {
            let mut buffer = Vec::with_capacity(self.buffer_len);
            buffer.extend_from_slice(&self.buffer[used..filled]);
            self.buffer = Arc::new(buffer);
        }
    }

    /// Gives the collector what there is for a checkpoint, if it asks for it and waits for this file.
    fn part(
        &mut self,
        shared: &Shared<'_>,
        sealing: &mut Sealing,
        chunks: &Arc<FileChunks>,
        in_parts: usize,
        reading: &Reading<'_>,
    ) -> Result<usize, Over> {
        if shared.is_over() {
            return Err(Over);
        }
        if !part_is_wanted(shared, self.part_requests_seen, reading) {
            return Ok(in_parts);
        }
        self.finish(shared, sealing, chunks)?;
        let entries = chunks.entries_from(in_parts);
        if entries.is_empty() {
            return Ok(in_parts);
        }
        self.part_requests_seen = shared.part_requests.load(Ordering::Acquire);
        let part = FilePart {
            item: reading.item.clone(),
            chunks: entries,
        };
        shared.send(Done::Part(Box::new(part)))?;
        Ok(chunks.count())
    }

    /// Waits until all chunks of the file are stored, doing those nobody has taken.
    fn finish(
        &mut self,
        shared: &Shared<'_>,
        sealing: &mut Sealing,
        chunks: &Arc<FileChunks>,
    ) -> Result<(), Over> {
        while chunks.is_missing() {
            let Ok(share) = shared.shares.1.try_recv() else {
                break;
            };
            store_share(shared, sealing, &mut self.ids, &share)?;
        }
        chunks.wait().map_err(|_| Over)?;
        if Arc::get_mut(&mut self.buffer).is_none() {
            // Whoever still holds it is about to let go.
            self.buffer = Arc::default();
        }
        Ok(())
    }

    /// Reads a file block by block, making up its holes.
    fn read_blocks(
        &mut self,
        shared: &Shared<'_>,
        sealing: &mut Sealing,
        file: &SourceFile,
        blocks: impl IntoIterator<Item = ironborg_chunker::Block>,
    ) -> Result<Content, ContentError> {
        let mut chunks = Vec::new();
        let mut buffer = Vec::new();
        for block in blocks {
            buffer.clear();
            buffer.resize(block.len, 0);
            if block.is_data {
                let mut filled = 0;
                while filled < buffer.len() {
                    match file.read_at(&mut buffer[filled..], block.offset + filled as u64) {
                        Ok(0) => break,
                        Ok(count) => filled += count,
                        Err(error) => return Err(ContentError::Source(error, chunks)),
                    }
                }
                buffer.truncate(filled);
            }
            if buffer.is_empty() {
                break; // The file has become shorter.
            }
            shared.identify(&[&buffer], &mut self.ids);
            chunks.push(shared.store(sealing, self.ids[0], &buffer)?);
            // Holes take long to get through; nobody should wait for a chunk that is ready.
            shared.send_objects(sealing)?;
        }
        Ok(Content {
            chunks,
            chunks_in_parts: 0,
        })
    }
}

/// Whether the collector waits for this file and wants what there is of it.
fn part_is_wanted(shared: &Shared<'_>, seen: u64, reading: &Reading<'_>) -> bool {
    shared.part_requests.load(Ordering::Acquire) != seen
        && shared.head_batch.load(Ordering::Acquire) == reading.batch
}

/// Why a buffer could not be filled.
enum FillError {
    Source(SourceError),
    Over,
}

/// Does a share of another worker's file.
pub(super) fn store_share(
    shared: &Shared<'_>,
    sealing: &mut Sealing,
    ids: &mut Vec<ChunkId>,
    share: &Share,
) -> Result<(), Over> {
    let result = store_ranges(
        shared,
        sealing,
        ids,
        &share.buffer,
        &share.ranges,
        share.first,
        &share.file,
    );
    if result.is_err() {
        share.file.fail();
    }
    result
}

fn store_ranges(
    shared: &Shared<'_>,
    sealing: &mut Sealing,
    ids: &mut Vec<ChunkId>,
    buffer: &[u8],
    ranges: &[Range<usize>],
    first: usize,
    file: &FileChunks,
) -> Result<(), Over> {
    let pieces: Vec<&[u8]> = ranges.iter().map(|range| &buffer[range.clone()]).collect();
    shared.identify(&pieces, ids);
    let mut entries = Vec::with_capacity(pieces.len());
    for (piece, id) in pieces.iter().zip(ids.iter()) {
        entries.push(shared.store(sealing, *id, piece)?);
    }
    // Whoever waits for the file's chunks may rely on their objects being on their way.
    shared.send_objects(sealing)?;
    for (number, entry) in entries.into_iter().enumerate() {
        file.fill(first + number, entry);
    }
    Ok(())
}

/// Where a file has data and where holes; `None` if it cannot tell.
fn extents_of(file: &SourceFile) -> Option<Vec<Extent>> {
    let mut extents = Vec::new();
    let mut offset = 0;
    while let Some(extent) = file.extent_at(offset).ok()? {
        extents.push(Extent {
            offset: extent.offset,
            len: extent.len,
            is_data: !extent.hole,
        });
        offset = extent.offset.checked_add(extent.len)?;
    }
    Some(extents)
}
