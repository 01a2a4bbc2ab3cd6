//! Threads that fetch chunks ahead, and the shelf they share with those who read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ironborg_types::ChunkId;

use super::chunk::Chunk;
use super::pending::Outcome;
use super::shelf::{Claim, Job, Shelf};
use super::source::{ChunkSource, WantedChunk};
use crate::MountError;
use crate::follow::ChunkReader;

/// When a thread that has nothing to do gives its buffers back.
const REST_AFTER: Duration = Duration::from_secs(5);

/// What a thread keeps of each of its buffers: chunks are 2 MiB on average, and some are four times as long.
const READER_BUFFER: usize = 2 << 20;

/// Most chunks that are read together.
const GROUP: usize = 4;
/// With so many bytes there are enough of them,
const GROUP_LEN: u64 = 6 << 20;
/// or with this share of the budget: while they are opened, a thread has their objects in hand as well.
const GROUP_BUDGET_SHARE: u64 = 32;
/// Of what is wanted, a thread takes so many times what would be left for each of them: more together are faster.
const GROUP_SHARE: usize = 2;

/// What readers and threads share.
pub(super) struct Loader {
    source: Arc<dyn ChunkSource>,
    /// What is read together has about so many bytes at most.
    group_len: u64,
    board: Mutex<Board>,
    /// There is something to do, or all is over.
    work: Condvar,
    /// States and buffers for those who load what they need themselves,
    readers: Mutex<Readers>,
    /// which wait for one another: more at a time than there are cores only take memory.
    returned: Condvar,
}

/// What is changed under the one mutex, which nobody holds while reading or decoding.
pub(super) struct Board {
    pub(super) shelf: Shelf,
    /// What was expected last.
    pub(super) expected: Vec<ChunkId>,
    /// Threads that were started.
    threads: usize,
    is_closed: bool,
}

struct Readers {
    free: Vec<ChunkReader>,
    /// How many more may be made.
    to_make: usize,
}

impl Loader {
    pub(super) fn new(source: Arc<dyn ChunkSource>, budget: u64, readers: usize) -> Self {
        Self {
            source,
            group_len: GROUP_LEN.min(budget / GROUP_BUDGET_SHARE).max(1),
            board: Mutex::new(Board {
                shelf: Shelf::new(budget),
                expected: Vec::new(),
                threads: 0,
                is_closed: false,
            }),
            work: Condvar::new(),
            readers: Mutex::new(Readers {
                free: Vec::new(),
                to_make: readers,
            }),
            returned: Condvar::new(),
        }
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plaintext of a chunk that should have `len` bytes: what is here, what another thread has in hand, or else read on
    /// this thread.
    pub(super) fn chunk(&self, id: &ChunkId, len: u64) -> Outcome {
        let claim = self.board().shelf.claim(id, len);
        match claim {
            Claim::Ready(chunk) => Ok(chunk),
            Claim::Wait(pending) => pending.wait(),
            Claim::Failed(reason) => Err(reason),
            Claim::Load(job) => {
                let attempt = Attempt::new(self, job);
                let mut lent = self.lend();
                attempt.load(&mut lent.reader)
            }
        }
    }

    /// Has chunks that were marked as wanted fetched by the threads, in this order.
    pub(super) fn fetch(self: &Arc<Self>, objects: &[(ChunkId, u32)], threads: usize) {
        if objects.is_empty() {
            return;
        }
        // Across a wire the line is full before the first of them is asked for.
        self.source.will_need(objects);
        let mut board = self.board();
        board.shelf.enqueue(objects.iter().map(|(id, _)| *id));
        // Not before they are needed: a program that goes to the background loses its threads.
        while board.threads < threads && !board.is_closed {
            let loader = Arc::clone(self);
            let name = String::from("read ahead");
            let started = thread::Builder::new()
                .name(name)
                .spawn(move || loader.work());
            if started.is_err() {
                break; // Whoever reads loads what is not there.
            }
            board.threads += 1;
        }
        drop(board);
        if objects.len() == 1 {
            self.work.notify_one();
        } else {
            self.work.notify_all();
        }
    }

    /// Ends all threads as soon as they are done with what they have in hand.
    pub(super) fn close(&self) {
        let mut board = self.board();
        board.is_closed = true;
        board.shelf.clear();
        drop(board);
        self.work.notify_all();
    }

    /// Gives memory back: what is here and what is not in use.
    pub(super) fn rest(&self) {
        self.board().shelf.clear();
        let mut readers = self.readers();
        readers.to_make += readers.free.len();
        readers.free.clear();
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend(&self) -> Lent<'_> {
        let mut readers = self.readers();
        loop {
            if let Some(reader) = readers.free.pop() {
                return Lent {
                    loader: self,
                    reader,
                };
            }
            if readers.to_make > 0 {
                readers.to_make -= 1;
                return Lent {
                    loader: self,
                    reader: ChunkReader::default(),
                };
            }
            readers = self
                .returned
                .wait(readers)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Fetches what is wanted until all is over.
    fn work(&self) {
        let mut reader = ChunkReader::default();
        while let Some(jobs) = self.next_jobs(&mut reader) {
            let mut attempts: Vec<Attempt<'_>> = jobs
                .into_iter()
                .map(|job| Attempt::new(self, job))
                .collect();
            let mut wanted: Vec<WantedChunk> = attempts.iter_mut().map(Attempt::wanted).collect();
            let read = self.source.read_chunks(&mut reader, &mut wanted);
            reader.trim(READER_BUFFER);
            for ((attempt, chunk), read) in attempts.into_iter().zip(wanted).zip(read) {
                // Who needs it is told; nobody else cares.
                let _ = attempt.end(read, chunk.plaintext);
            }
        }
    }

    /// Waits for something to do: of what is wanted the share of one thread, in order, to be read together.
    fn next_jobs(&self, reader: &mut ChunkReader) -> Option<Vec<Job>> {
        let mut board = self.board();
        loop {
            if board.is_closed {
                return None;
            }
            let share = (GROUP_SHARE * board.shelf.wanted() / board.threads.max(1)).clamp(1, GROUP);
            let (mut jobs, mut len) = (Vec::new(), 0);
            while jobs.len() < share
                && len < self.group_len
                && let Some(job) = board.shelf.next_job()
            {
                len += job.len as u64;
                jobs.push(job);
            }
            if !jobs.is_empty() {
                return Some(jobs);
            }
            let (woken, waited) = self
                .work
                .wait_timeout(board, REST_AFTER)
                .unwrap_or_else(PoisonError::into_inner);
            board = woken;
            if waited.timed_out() {
                *reader = ChunkReader::default();
                while board.shelf.has_nothing_wanted() && !board.is_closed {
                    board = self
                        .work
                        .wait(board)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// A reader that goes back where it came from, also when who used it panics.
struct Lent<'a> {
    loader: &'a Loader,
    reader: ChunkReader,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let reader = std::mem::take(&mut self.reader);
        let mut readers = self.loader.readers();
        // One is enough for who reads here and there; what is read in order is loaded by the threads.
        if readers.free.is_empty() {
            readers.free.push(reader);
        } else {
            readers.to_make += 1;
        }
        drop(readers);
        self.loader.returned.notify_one();
    }
}

/// One chunk in hand. Whatever becomes of it, those who wait are told.
struct Attempt<'a> {
    loader: &'a Loader,
    job: Job,
    is_done: bool,
}

impl<'a> Attempt<'a> {
    fn new(loader: &'a Loader, job: Job) -> Self {
        Self {
            loader,
            job,
            is_done: false,
        }
    }

    fn load(mut self, reader: &mut ChunkReader) -> Outcome {
        let mut plaintext = std::mem::take(&mut self.job.buffer);
        let source = &self.loader.source;
        let read = source.read_chunk(reader, &self.job.id, self.job.len, &mut plaintext);
        reader.trim(READER_BUFFER);
        self.end(read, plaintext)
    }

    /// What is to be read.
    fn wanted(&mut self) -> WantedChunk {
        WantedChunk {
            id: self.job.id,
            len: self.job.len,
            plaintext: std::mem::take(&mut self.job.buffer),
        }
    }

    fn end(mut self, read: Result<(), MountError>, plaintext: Vec<u8>) -> Outcome {
        let outcome = match read {
            Ok(()) => Ok(Arc::new(Chunk::new(plaintext))),
            Err(error) => Err(Arc::from(error.to_string())),
        };
        self.finish(outcome.clone());
        outcome
    }

    fn finish(&mut self, outcome: Outcome) {
        self.is_done = true;
        self.loader.board().shelf.arrived(&self.job.id, &outcome);
        self.job.pending.complete(outcome);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.finish(Err(Arc::from("a thread that reads chunks panicked")));
        }
    }
}
