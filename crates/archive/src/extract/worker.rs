//! Jobs for the threads that restore regular files.

use crossbeam_channel::{Receiver, Sender};

use super::file::{FileRestorer, FileTask, Outcome, Part};
use super::in_flight::Ticket;

/// Work for one thread.
#[derive(Debug)]
pub(super) enum Job<'r> {
    /// Small files, one after the other.
    Files {
        ticket: Ticket,
        files: Vec<FileTask>,
    },
    /// A part of a large file; all its parts have one ticket.
    Part { ticket: Ticket, part: Part<'r> },
}

/// A job that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) ticket: Ticket,
    /// The worst of its files.
    pub(super) outcome: Outcome,
}

/// Does jobs until there are no more.
pub(super) fn work(mut restorer: FileRestorer<'_>, jobs: &Receiver<Job<'_>>, done: &Sender<Done>) {
    for job in jobs {
        let (Job::Files { ticket, .. } | Job::Part { ticket, .. }) = job;
        let alarm = Alarm { ticket, done };
        let outcome = match job {
            Job::Files { files, .. } => Some(restorer.restore(&files)),
            Job::Part { part, .. } => restorer.restore_part(&part),
        };
        drop(alarm);
        if let Some(outcome) = outcome
            && done.send(Done { ticket, outcome }).is_err()
        {
            return; // The operation is over.
        }
    }
}

/// Tells of a panic: nobody shall wait for a job that will never be done.
struct Alarm<'a> {
    ticket: Ticket,
    done: &'a Sender<Done>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.done.send(Done {
                ticket: self.ticket,
                outcome: Outcome::Panicked,
            });
        }
    }
}
