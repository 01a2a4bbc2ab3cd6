//! Jobs for the threads that restore regular files.

use crossbeam_channel::{Receiver, Sender};

use super::file::{FileRestorer, FileTask, Part};
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

/// A job that is done, with whether all its files are as they should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) ticket: Ticket,
    pub(super) good: bool,
}

/// Does jobs until there are no more.
pub(super) fn work(mut restorer: FileRestorer<'_>, jobs: &Receiver<Job<'_>>, done: &Sender<Done>) {
    for job in jobs {
        let finished = match job {
            Job::Files { ticket, files } => {
                let failed = files.iter().filter(|task| !restorer.restore(task)).count();
                Some(Done {
                    ticket,
                    good: failed == 0,
                })
            }
            Job::Part { ticket, part } => restorer
                .restore_part(&part)
                .map(|good| Done { ticket, good }),
        };
        if let Some(finished) = finished
            && done.send(finished).is_err()
        {
            return; // The operation is over.
        }
    }
}
