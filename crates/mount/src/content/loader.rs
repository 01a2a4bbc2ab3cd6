//! Threads that fetch chunks ahead, and the shelf they share with those who read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ironborg_types::ChunkId;

use super::chunk::Chunk;
use super::pending::Outcome;
use super::shelf::{Claim, Job, Shelf};
use super::source::{ChunkOpener, ChunkSource};

/// When a thread that has nothing to do gives its buffers back.
const REST_AFTER: Duration = Duration::from_secs(5);

/// What readers and threads share.
pub(super) struct Loader {
    source: Arc<dyn ChunkSource>,
    board: Mutex<Board>,
    /// There is something to do, or all is over.
    work: Condvar,
    /// States and buffers for those who load what they need themselves,
    openers: Mutex<Openers>,
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

struct Openers {
    free: Vec<ChunkOpener>,
    /// How many more may be made.
    to_make: usize,
}

impl Loader {
    pub(super) fn new(source: Arc<dyn ChunkSource>, budget: u64, openers: usize) -> Self {
        Self {
            source,
            board: Mutex::new(Board {
                shelf: Shelf::new(budget),
                expected: Vec::new(),
                threads: 0,
                is_closed: false,
            }),
            work: Condvar::new(),
            openers: Mutex::new(Openers {
                free: Vec::new(),
                to_make: openers,
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
                let mut opener = self.borrow_opener();
                let outcome = attempt.load(&mut opener);
                self.return_opener(opener);
                outcome
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
        let mut openers = self.openers();
        openers.to_make += openers.free.len();
        openers.free.clear();
    }

    fn openers(&self) -> MutexGuard<'_, Openers> {
        self.openers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow_opener(&self) -> ChunkOpener {
        let mut openers = self.openers();
        loop {
            if let Some(opener) = openers.free.pop() {
                return opener;
            }
            if openers.to_make > 0 {
                openers.to_make -= 1;
                return ChunkOpener::default();
            }
            openers = self
                .returned
                .wait(openers)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn return_opener(&self, opener: ChunkOpener) {
        self.openers().free.push(opener);
        self.returned.notify_one();
    }

    /// Fetches what is wanted until all is over.
    fn work(&self) {
        let mut opener = ChunkOpener::default();
        while let Some(job) = self.next_job(&mut opener) {
            // Who needs it is told; nobody else cares.
            let _ = Attempt::new(self, job).load(&mut opener);
        }
    }

    /// Waits for something to do.
    fn next_job(&self, opener: &mut ChunkOpener) -> Option<Job> {
        let mut board = self.board();
        loop {
            if board.is_closed {
                return None;
            }
            if let Some(job) = board.shelf.next_job() {
                return Some(job);
            }
            let (woken, waited) = self
                .work
                .wait_timeout(board, REST_AFTER)
                .unwrap_or_else(PoisonError::into_inner);
            board = woken;
            if waited.timed_out() {
                *opener = ChunkOpener::default();
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

    fn load(mut self, opener: &mut ChunkOpener) -> Outcome {
        let mut plaintext = std::mem::take(&mut self.job.buffer);
        let source = &self.loader.source;
        let read = source.read_chunk(opener, &self.job.id, &mut plaintext);
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
