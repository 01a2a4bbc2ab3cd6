//! How files come: at once, after a while, or one at a time; and who reads them therefore.
//!
//! What is in memory, or on a disk that answers at once, is read by as many threads as there are cores: whoever reads a
//! file also cuts and seals it, and no core waits. Over a network each file has to be waited for, and the cores would
//! wait with it: more workers are started then, up to [`READERS_MAX`], and get smaller batches. On a disk that turns,
//! two who read make it go to and fro between them: they take turns then, in walk order.
//!
//! Which of these it is, is measured. As long as files come at once that costs a look at a clock for each batch: no
//! call to the system, no thread. Memory, at most: for each additional worker the small files of a batch (1.5 MiB) and
//! a compressor; large files are read by [`LONG_EXTRA_MAX`] of them at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ironborg_source::{FileKind, ThreadUsage, device};

use super::step::{Entry, Step};
use super::work::{Batch, SMALL_FILE_SIZE_MAX};
use crate::gate::Gate;

/// Workers at most, where files have to be waited for. What a file server can do at once for one client is rarely more.
pub(super) const READERS_MAX: usize = 16;
/// So many additional workers may read large files at once.
const LONG_EXTRA_MAX: usize = 4;
/// Steps in a batch while it is not known how files come, and where they have to be waited for: there should be work
/// for everyone.
const SMALL_BATCH: usize = 8;
/// A file that takes longer than this makes one look closer: in memory it takes some 30 µs.
const SUSPICIOUS: Duration = Duration::from_micros(300);
/// Files are waited for if that takes so many times what they take of the processor.
const WAITING_RATIO: u32 = 3;
/// So few files say nothing about those to come.
const FILES_MIN: u32 = 4;
/// After so many batches that came at once additional workers are sent home.
const QUICK_BATCHES: usize = 16;
/// A file that is waited for so long, on a disk that turns, was searched for.
const SEEK: Duration = Duration::from_millis(3);
/// Large files that come more slowly, on a disk that turns, are searched for too.
const STREAM_RATE_MIN: u64 = 200 << 20;

/// What is known of how files come; shared by the walk and the workers.
pub(super) struct Pace {
    /// Workers there are anyway.
    threads: usize,
    /// Workers there should be.
    wanted: AtomicUsize,
    /// Additional workers there are.
    extra: AtomicUsize,
    /// Batches that came at once since one did not.
    quick: AtomicUsize,
    /// Whether a batch has been read.
    is_known: AtomicBool,
    /// Whether only one may read at a time.
    one_by_one: AtomicBool,
    turns: Turns,
    pub(super) long: Gate,
}

/// What one worker has measured itself.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// The last batch took so long that this one is looked at closely. So is the first one of a thread, whose use of the
    /// processor begins with nothing.
    began: bool,
    is_suspicious: bool,
}

/// A batch that is being read.
pub(super) struct Reading<'p> {
    started: Instant,
    files: u32,
    device: Option<u64>,
    before: Option<ThreadUsage>,
    /// Held until all of it is read.
    _turn: Option<Turn<'p>>,
}

/// What was seen of a batch that took long.
#[derive(Debug, Clone, Copy)]
struct Seen {
    files: u32,
    elapsed: Duration,
    used: ThreadUsage,
}

/// How files come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As fast as they can be worked on.
    AtOnce,
    /// After so many times what working on them takes.
    Later { times: u32 },
}

impl Seen {
    fn verdict(self) -> Verdict {
        // A thread that has to wait for a processor, because others want it too, does not go to sleep.
        let slept = self.files >= FILES_MIN && self.used.sleeps >= u64::from(self.files);
        let times = self.elapsed.as_micros() / self.used.cpu.as_micros().max(1);
        if slept && times >= u128::from(WAITING_RATIO) && self.elapsed > SUSPICIOUS * self.files {
            let times = u32::try_from(times).unwrap_or(u32::MAX);
            Verdict::Later { times }
        } else {
            Verdict::AtOnce
        }
    }
}

impl Pace {
    /// Nothing is known; there are `threads` workers.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            wanted: AtomicUsize::new(threads),
            extra: AtomicUsize::new(0),
            quick: AtomicUsize::new(0),
            is_known: AtomicBool::new(false),
            one_by_one: AtomicBool::new(false),
            turns: Turns::default(),
            long: Gate::new(LONG_EXTRA_MAX),
        }
    }

    /// How many steps make a batch, where `usual` is how many do if nobody waits.
    pub(super) fn batch_steps(&self, usual: usize) -> usize {
        let is_waiting = self.wanted.load(Ordering::Relaxed) > self.threads;
        if is_waiting || !self.is_known.load(Ordering::Relaxed) {
            SMALL_BATCH
        } else {
            usual
        }
    }

    /// A batch is about to be read; `None` if that says nothing about how files come.
    pub(super) fn begin(&self, watch: &mut Stopwatch, batch: &Batch) -> Option<Reading<'_>> {
        if is_long(&batch.steps) {
            return None;
        }
        let mut entries = batch.steps.iter().filter_map(entry);
        let device = entries.next().map(|first| first.stat.dev);
        let entries = device.map_or(0, |_| 1 + entries.count());
        let device = device.or_else(|| batch.plain.device());
        let files = entries + batch.plain.len();
        let turn = device.and_then(|_| self.turn());
        let before = if std::mem::replace(&mut watch.began, true) {
            watch.is_suspicious.then(ThreadUsage::now)
        } else {
            Some(ThreadUsage::default())
        };
        Some(Reading {
            started: Instant::now(),
            files: u32::try_from(files).unwrap_or(u32::MAX),
            device,
            before,
            _turn: turn,
        })
    }

    /// It was read.
    pub(super) fn end(&self, watch: &mut Stopwatch, reading: &Reading<'_>) {
        let elapsed = reading.started.elapsed();
        watch.is_suspicious = elapsed > SUSPICIOUS.saturating_mul(reading.files.max(1));
        let verdict = match reading.before {
            _ if !watch.is_suspicious => Verdict::AtOnce,
            None => return, // The next one is looked at closely.
            Some(before) => Seen {
                files: reading.files,
                elapsed,
                used: ThreadUsage::now().since(before),
            }
            .verdict(),
        };
        self.decide(verdict, elapsed, reading);
    }

    fn decide(&self, verdict: Verdict, elapsed: Duration, reading: &Reading<'_>) {
        let before = self.wanted.load(Ordering::Relaxed);
        let wanted = match verdict {
            Verdict::AtOnce if before == self.threads => before,
            Verdict::AtOnce => {
                let quick = self.quick.fetch_add(1, Ordering::Relaxed);
                if quick < QUICK_BATCHES {
                    before
                } else {
                    self.threads
                }
            }
            Verdict::Later { .. }
                if elapsed >= SEEK.saturating_mul(reading.files)
                    && reading.device.is_some_and(device::is_rotational) =>
            {
                self.one_by_one.store(true, Ordering::Relaxed);
                self.threads
            }
            Verdict::Later { times } => {
                self.quick.store(0, Ordering::Relaxed);
                let busy = self.threads.saturating_mul(times as usize);
                busy.min(READERS_MAX).max(self.threads)
            }
        };
        // Written only where it changes: all workers read it.
        if wanted != before {
            self.wanted.store(wanted, Ordering::Relaxed);
        }
        if !self.is_known.load(Ordering::Relaxed) {
            self.is_known.store(true, Ordering::Relaxed);
        }
    }

    /// `count` bytes of a large file took so long.
    pub(super) fn streamed(&self, count: u64, elapsed: Duration, device: u64) {
        let rate = u128::from(count) * 1_000_000 / elapsed.as_micros().max(1);
        if rate < u128::from(STREAM_RATE_MIN)
            && elapsed >= SEEK
            && !self.one_by_one.load(Ordering::Relaxed)
            && device::is_rotational(device)
        {
            self.one_by_one.store(true, Ordering::Relaxed);
        }
    }

    /// The right to read, where only one may have it.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        self.one_by_one
            .load(Ordering::Relaxed)
            .then(|| self.turns.take())
    }

    /// Whether there should be one more worker, where so many batches wait for one. Who asks has to start it, or to say that
    /// it has ended.
    pub(super) fn wants_more(&self, waiting: usize) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted <= self.threads || waiting == 0 {
            return false;
        }
        let more = |extra: usize| (self.threads + extra < wanted).then_some(extra + 1);
        self.extra
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Whether additional workers have nothing to do any more.
    pub(super) fn wants_fewer(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) <= self.threads
    }

    /// An additional worker has ended.
    pub(super) fn ended(&self) {
        self.extra.fetch_sub(1, Ordering::Relaxed);
    }
}

fn entry(step: &Step) -> Option<&Entry> {
    match step {
        Step::Entry(entry) => Some(entry),
        _ => None,
    }
}

/// Whether a batch is one large file, or something nobody knows the end of.
pub(super) fn is_long(steps: &[Step]) -> bool {
    match steps {
        [Step::Entry(entry)] => {
            entry.stat.kind() == FileKind::Regular && entry.stat.size > SMALL_FILE_SIZE_MAX
        }
        [Step::Piped(_)] => true,
        _ => false,
    }
}

/// One after the other, in the order they came.
#[derive(Debug, Default)]
struct Turns {
    state: Mutex<TurnState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TurnState {
    next: u64,
    served: u64,
}

/// Whose turn it is.
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    fn take(&self) -> Turn<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.next;
        state.next += 1;
        while state.served != number {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.served += 1;
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
