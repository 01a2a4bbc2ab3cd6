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
        let finished = match job {
            Job::Files { ticket, files } => Some(Done {
                ticket,
                outcome: restorer.restore(&files),
            }),
            Job::Part { ticket, part } => restorer
                .restore_part(&part)
                .map(|outcome| Done { ticket, outcome }),
        };
        if let Some(finished) = finished
            && done.send(finished).is_err()
        {
            return; // The operation is over.
        }
    }
}
