//! Sharing the chunks of one large file between workers.
//!
//! The worker that reads a file cuts it, a buffer at a time. If others have nothing to do it hands them
//! part of the buffer's chunks; what nobody takes it does itself.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ironborg_format::ChunkEntry;

/// Chunks of a buffer that another worker may identify and store.
pub(super) struct Share {
    /// The bytes.
    pub(super) buffer: Arc<Vec<u8>>,
    /// Where the chunks are in the buffer.
    pub(super) ranges: Vec<Range<usize>>,
    /// Number of the first of them in the file.
    pub(super) first: usize,
    /// Where the results go.
    pub(super) file: Arc<FileChunks>,
}

/// The chunks of one file, filled in in any order.
#[derive(Debug, Default)]
pub(super) struct FileChunks {
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Option<ChunkEntry>>,
    missing: usize,
    failed: bool,
}

/// A worker that had a share of the file failed.
#[derive(Debug)]
pub(super) struct ShareFailed;

impl FileChunks {
    /// Makes room for `count` more chunks; gives the number of the first.
    pub(super) fn expect(&self, count: usize) -> usize {
        let mut state = self.lock();
        let first = state.entries.len();
        state.entries.resize(first + count, None);
        state.missing += count;
        first
    }

    /// Fills in one chunk.
    pub(super) fn fill(&self, number: usize, entry: ChunkEntry) {
        let mut state = self.lock();
        assert!(
            state.entries[number].replace(entry).is_none(),
            "each chunk is stored once"
        );
        state.missing -= 1;
        if state.missing == 0 {
            self.finished.notify_all();
        }
    }

    /// Says that some chunks will never be filled in.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.finished.notify_all();
    }

    /// Whether chunks are still missing.
    pub(super) fn is_missing(&self) -> bool {
        let state = self.lock();
        state.missing > 0 && !state.failed
    }

    /// Waits until all chunks are there.
    pub(super) fn wait(&self) -> Result<(), ShareFailed> {
        let mut state = self.lock();
        while state.missing > 0 && !state.failed {
            state = self
                .finished
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.failed {
            Err(ShareFailed)
        } else {
            Ok(())
        }
    }

    /// The chunks from number `from` on; all of them must be there.
    pub(super) fn entries_from(&self, from: usize) -> Vec<ChunkEntry> {
        let state = self.lock();
        let entry = |entry: &Option<ChunkEntry>| entry.expect("waited for all chunks");
        state.entries[from..].iter().map(entry).collect()
    }

    /// How many chunks there are, filled in or not.
    pub(super) fn count(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
