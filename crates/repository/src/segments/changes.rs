//! Reading many segments from end to end, on several threads, for what they do to the index.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use ironborg_types::SegmentId;

use super::{Entries, SegmentLog};
use crate::RepositoryError;
use crate::replay::Change;

/// Threads that read at most: more are faster than any disk, and a slow one they only send to and fro.
const THREADS_MAX: usize = 8;

/// What a whole segment does to the index; an error if it cannot be read to its end.
pub(crate) type Changes = Result<Vec<Change>, RepositoryError>;

/// A segment to be read, and where what it holds is waited for.
struct Job {
    segment: SegmentId,
    answer: Sender<Changes>,
}

impl SegmentLog {
    /// Reads a segment to its end, every entry checked against its checksum.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for damage anywhere in it.
    pub(crate) fn changes(&self, segment: SegmentId) -> Changes {
        self.changes_unless(segment, &AtomicBool::new(false))
    }

    fn changes_unless(&self, segment: SegmentId, stop: &AtomicBool) -> Changes {
        let mut changes = Vec::new();
        let mut entries = Entries::new(segment);
        while let Some(found) = entries.next(self)? {
            changes.extend(Change::of(&found));
            if stop.load(Ordering::Relaxed) {
                return Err(RepositoryError::Interrupted);
            }
        }
        Ok(changes)
    }

    /// Reads segments, each once, and hands over what they hold in the order given, until `handle` has
    /// enough. A segment is handled before `handle` may change those behind it.
    ///
    /// Memory: the changes of `threads` + 1 segments, 44 bytes an entry, and a window for each thread.
    pub(crate) fn for_each_changes(
        &self,
        segments: &[SegmentId],
        threads: usize,
        mut handle: impl FnMut(SegmentId, Changes) -> Result<ControlFlow<()>, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let threads = threads.min(segments.len()).min(THREADS_MAX);
        if threads <= 1 {
            for &segment in segments {
                if handle(segment, self.changes(segment))?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
            for _ in 0..threads {
                let (queue, stop) = (queue.clone(), &stop);
                scope.spawn(move || self.serve(&queue, stop));
            }
            drop(queue);
            let result = dispatch(segments, threads + 1, &jobs, &mut handle);
            // Whoever still reads need not go on.
            stop.store(true, Ordering::Relaxed);
            result
        })
    }

    fn serve(&self, queue: &Receiver<Job>, stop: &AtomicBool) {
        for job in queue {
            let changes = self.changes_unless(job.segment, stop);
            // Nobody waits for what is read after the last one that was wanted.
            let _ = job.answer.send(changes);
        }
    }
}

/// Hands out segments, at most `in_flight` at a time, and takes the answers in order.
fn dispatch(
    segments: &[SegmentId],
    in_flight: usize,
    jobs: &Sender<Job>,
    handle: &mut impl FnMut(SegmentId, Changes) -> Result<ControlFlow<()>, RepositoryError>,
) -> Result<(), RepositoryError> {
    let mut left = segments.iter();
    let mut waiting: VecDeque<(SegmentId, Receiver<Changes>)> = VecDeque::new();
    loop {
        while waiting.len() < in_flight
            && let Some(&segment) = left.next()
        {
            let (answer, changes) = crossbeam_channel::bounded(1);
            let sent = jobs.send(Job { segment, answer });
            sent.expect("the threads end only when no more jobs can come");
            waiting.push_back((segment, changes));
        }
        let Some((segment, changes)) = waiting.pop_front() else {
            return Ok(());
        };
        let changes = changes.recv().expect("every job is answered");
        if handle(segment, changes)?.is_break() {
            return Ok(());
        }
    }
}
