//! Bytes of files.
//!
//! ```text
//! read ──► streams   who reads this file from front to back? how much ahead of it?
//!     └──► shelf     which chunks are here, on their way, wanted; within a budget
//!           └ loader threads that fetch what is wanted; who needs a chunk nobody has in hand loads it itself
//! ```
//!
//! Memory: the budget, and for each thread an object, its plaintext and what is read together with it (a small share of the
//! budget). No lock is held while anything is read or decoded, and a chunk several need is read once.

mod chunk;
mod chunks;
mod loader;
mod pending;
mod shelf;
mod slices;
mod source;
mod streams;
mod sys;

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_format::item::ChunkEntry;
use ironborg_types::ChunkId;

use crate::MountError;

pub use chunks::FileChunks;
pub use shelf::Fill;
pub use slices::Slices;
pub use source::{ChunkSource, WantedChunk};

use loader::Loader;

/// More threads than this fetch no faster, and each takes memory.
const THREADS_MAX: usize = 8;
/// How far one thread more takes reading ahead: a few ordinary chunks in hand, which are verified faster together.
const THREAD_WINDOW: u64 = 8 << 20;
/// Files that are expected, beyond which more are of no use.
const EXPECTED_MAX: usize = 512;
/// Damaged chunks that are remembered as known.
const KNOWN_MAX: usize = 65_536;

/// How much memory chunks may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(u64);

impl Budget {
    /// Enough for all cores and a few readers.
    pub const DEFAULT: Self = Self(32 << 20);
    /// Below this, chunks would be read again and again.
    const MIN: u64 = 4 << 20;
    /// What a chunk is counted as: their mean length, unless asked for otherwise.
    const CHUNK: u64 = 2 << 20;

    /// So many bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self(bytes.max(Self::MIN))
    }

    /// As much as this, but not more than so many bytes if that can be.
    pub(crate) fn within(self, bytes: u64) -> Self {
        Self::bytes(self.0.min(bytes))
    }

    /// The bytes.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// As many bytes as so many chunks of ordinary length have (`BORG_MOUNT_DATA_CACHE_ENTRIES`).
    pub fn chunks(count: u64) -> Self {
        Self::bytes(count.saturating_mul(Self::CHUNK))
    }
}

/// Reads the content of files, for all of a mount at once.
pub struct ContentStore {
    loader: Arc<Loader>,
    threads: usize,
    budget: u64,
    hasher: RandomState,
    /// Hashes of paths and chunks whose damage was told.
    known: Mutex<HashSet<u64>>,
}

impl ContentStore {
    /// Reads from `source`; fetches ahead on `threads` threads, which are started when they are first needed.
    pub fn new(source: Arc<dyn ChunkSource>, threads: usize, budget: Budget) -> Self {
        sys::return_large_buffers();
        let threads = threads.clamp(1, THREADS_MAX);
        Self {
            loader: Arc::new(Loader::new(source, budget.0, threads.max(2))),
            threads,
            budget: budget.0,
            hasher: RandomState::new(),
            known: Mutex::default(),
        }
    }

    /// Appends `size` bytes of a file from `offset` on to `out`; less at its end. `path` is for the error.
    ///
    /// # Errors
    /// As [`ContentStore::slices`].
    pub fn read(
        &self,
        file: &FileChunks,
        offset: u64,
        size: usize,
        path: &dyn Display,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        self.slices(file, offset, size, path)?.copy_to(out);
        Ok(())
    }

    /// Up to `size` bytes of a file from `offset` on, without copying them. `path` is for the error.
    ///
    /// # Errors
    /// [`MountError::Content`] if a chunk it touches cannot be read, or has another length than the file says.
    pub fn slices(
        &self,
        file: &FileChunks,
        offset: u64,
        size: usize,
        path: &dyn Display,
    ) -> Result<Slices, MountError> {
        let mut slices = Slices::default();
        let end = offset.saturating_add(size as u64).min(file.size());
        if offset >= end {
            return Ok(slices);
        }
        let touched = file.at(offset)..file.at(end - 1) + 1;
        self.read_ahead(file, &touched, offset..end);
        for at in touched {
            let (start, len) = (file.start(at), file.len(at));
            if len == 0 {
                continue; // Nothing of it is asked for.
            }
            let id = file.piece(at).id;
            let failed = |reason: String| MountError::Content {
                path: path.to_string(),
                id,
                offset: start,
                reason,
            };
            let chunk = self
                .loader
                .chunk(&id, len)
                .map_err(|reason| failed(reason.to_string()))?;
            if chunk.len() as u64 != len {
                let reason = format!("{} bytes instead of {len}", chunk.len());
                return Err(failed(reason));
            }
            let part = offset.max(start) - start..end.min(start + len) - start;
            let (from, to) = (narrow(part.start), narrow(part.end));
            // Zeros take no memory: reading many of them makes nothing else older.
            let served = if chunk.weight() == 0 {
                0
            } else {
                part.end - part.start
            };
            let is_finished = part.end == len && served > 0;
            let mut board = self.loader.board();
            board.shelf.handed_out(&id, served, is_finished);
            drop(board);
            slices.push(chunk, from..to);
        }
        Ok(slices)
    }

    /// Has chunks fetched that will probably be read next, in this order: of the files that follow the one that is
    /// read. What was expected before, is not now and was not begun yet is given up.
    pub fn expect(&self, chunks: impl IntoIterator<Item = ChunkEntry>) {
        let mut left = self.budget / 8;
        let mut expected = Vec::new();
        let mut objects = Vec::new();
        let mut seen = HashSet::new();
        let mut board = self.loader.board();
        for chunk in chunks.into_iter().take(EXPECTED_MAX) {
            let Some(rest) = left.checked_sub(chunk.size.into()) else {
                break;
            };
            left = rest;
            if !seen.insert(chunk.id) {
                continue;
            }
            expected.push(chunk.id);
            let is_new = !board.shelf.knows(&chunk.id);
            if is_new && board.shelf.want(chunk.id, chunk.size.into()) {
                objects.push((chunk.id, chunk.csize));
            }
        }
        for id in std::mem::replace(&mut board.expected, expected) {
            if !seen.contains(&id) {
                board.shelf.unwant(&id);
            }
        }
        drop(board);
        self.loader.fetch(&objects, self.threads);
    }

    /// Whether this is the first time that this chunk of this file could not be read: it is worth a line in the log.
    /// The kernel asks for each page of it, again and again.
    pub fn is_news(&self, error: &MountError) -> bool {
        let MountError::Content { path, id, .. } = error else {
            return true;
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(self.hasher.hash_one((path, id)))
    }

    /// Gives memory back; for when nothing has been read for a while.
    pub fn rest(&self) {
        self.loader.rest();
    }

    /// How much is in memory.
    pub fn fill(&self) -> Fill {
        self.loader.board().shelf.fill()
    }

    /// Has fetched what the readers of this file will need next, and all but the first of the chunks that are read now.
    fn read_ahead(&self, file: &FileChunks, touched: &Range<usize>, bytes: Range<u64>) {
        let window_max = (THREAD_WINDOW * (self.threads as u64 + 1)).min(self.budget / 4 * 3);
        let len = bytes.end - bytes.start;
        let ahead = file.streams().note(bytes.start, len, window_max);
        let planned_to = match ahead.planned {
            // A quarter of a window at a time: what is wanted waits for threads, not they for it, and hints across a wire are few.
            planned if planned > touched.end => file.start(planned),
            _ => ahead.position,
        };
        let is_due = ahead.window > 0 && planned_to < ahead.position + ahead.window / 4 * 3 + 1;
        if !is_due && touched.len() == 1 {
            return;
        }
        let mut objects: Vec<(ChunkId, u32)> = Vec::new();
        let mut board = self.loader.board();
        let mut want = |at: usize| {
            let piece = file.piece(at);
            let len = file.len(at);
            if len == 0 || board.shelf.knows(&piece.id) {
                return true;
            }
            let has_room = board.shelf.want(piece.id, len);
            if has_room {
                objects.push((piece.id, piece.stored));
            }
            has_room
        };
        for at in touched.clone().skip(1) {
            want(at);
        }
        if is_due {
            let until = ahead.position.saturating_add(ahead.window);
            let mut at = ahead.planned.max(touched.end);
            while at < file.count() && file.start(at) < until && want(at) {
                at += 1;
            }
            drop(board);
            file.streams().planned(ahead.position, at);
        } else {
            drop(board);
        }
        self.loader.fetch(&objects, self.threads);
    }
}

impl Drop for ContentStore {
    fn drop(&mut self) {
        self.loader.close();
    }
}

/// A place within a chunk that is in memory.
fn narrow(within: u64) -> usize {
    usize::try_from(within).expect("a place within a chunk in memory")
}

#[cfg(test)]
mod tests;
