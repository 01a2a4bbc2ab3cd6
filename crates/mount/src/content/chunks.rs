//! The chunks of one file, and where in it they are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironborg_format::item::ChunkEntry;
use ironborg_types::ChunkId;

use super::streams::Streams;

/// One chunk of a file: 48 bytes, so that a file of 1 TB (500,000 chunks) is 24 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: ChunkId,
    /// Offset of the first byte behind it, in the file.
    pub(super) end: u64,
    /// Bytes of the stored object, or 0.
    pub(super) stored: u32,
}

/// The chunks of one file, and who is reading it where. Shared by all that have the file open.
#[derive(Debug)]
pub struct FileChunks {
    pieces: Box<[Piece]>,
    streams: Mutex<Streams>,
}

impl FileChunks {
    /// The chunks an item lists, in order.
    pub fn new(chunks: &[ChunkEntry]) -> Self {
        let mut end = 0_u64;
        let pieces = chunks.iter().map(|chunk| {
            // Not even 2^32 chunks of 4 GiB each are more than that.
            end = end.saturating_add(chunk.size.into());
            Piece {
                id: chunk.id,
                end,
                stored: chunk.csize,
            }
        });
        Self {
            pieces: pieces.collect(),
            streams: Mutex::default(),
        }
    }

    /// Bytes of content, as the chunks add up.
    pub fn size(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.end)
    }

    /// How many chunks there are.
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// The chunks, as an item lists them.
    pub fn entries(&self) -> impl Iterator<Item = ChunkEntry> + '_ {
        (0..self.count()).map(|at| ChunkEntry {
            id: self.pieces[at].id,
            size: u32::try_from(self.len(at)).unwrap_or(u32::MAX),
            csize: self.pieces[at].stored,
        })
    }

    /// Bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.pieces.len() * size_of::<Piece>()
    }

    pub(super) fn piece(&self, at: usize) -> &Piece {
        &self.pieces[at]
    }

    /// Where in the file a chunk begins.
    pub(super) fn start(&self, at: usize) -> u64 {
        match at.checked_sub(1) {
            Some(before) => self.pieces[before].end,
            None => 0,
        }
    }

    /// Bytes of plaintext a chunk should have.
    pub(super) fn len(&self, at: usize) -> u64 {
        self.pieces[at].end - self.start(at)
    }

    /// The chunk that holds the byte at `offset`; behind the end, the number of chunks.
    pub(super) fn at(&self, offset: u64) -> usize {
        self.pieces.partition_point(|piece| piece.end <= offset)
    }

    pub(super) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sizes: &[u32]) -> FileChunks {
        let chunks: Vec<ChunkEntry> = (0_u8..)
            .zip(sizes)
            .map(|(n, size)| ChunkEntry {
                id: ChunkId([n; 32]),
                size: *size,
                csize: 1,
            })
            .collect();
        FileChunks::new(&chunks)
    }

    #[test]
    fn a_byte_is_in_one_chunk() {
        let file = file(&[3, 0, 2, 0, 0, 1]);
        let at: Vec<usize> = (0..8).map(|offset| file.at(offset)).collect();
        assert_eq!(at, [0, 0, 0, 2, 2, 5, 6, 6]);
        assert_eq!((file.start(2), file.len(2), file.len(1)), (3, 2, 0));
        assert_eq!((file.size(), file.count()), (6, 6));
    }

    #[test]
    fn no_chunks_are_no_bytes() {
        let file = file(&[]);
        assert_eq!((file.size(), file.at(0), file.at(9)), (0, 0, 0));
    }

    #[test]
    fn a_chunk_takes_little_memory() {
        assert_eq!(size_of::<Piece>(), 48);
    }
}
