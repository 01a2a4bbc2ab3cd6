//! Each way of telling.

mod command;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::{Parcel, SendError, Sender, Sent};
use crate::job::Way;

/// A program to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// It and its arguments.
    pub words: Vec<OsString>,
    /// Variables, in addition to those there are.
    pub variables: Vec<(String, String)>,
    /// What it finds on its standard input.
    pub input: Vec<u8>,
}

/// What came of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// The end of what it said on standard output and error.
    pub output: String,
}

/// What the ways need of the machine.
pub trait Surroundings: Send + Sync {
    /// Runs a program to its end; one that takes longer than `limit` is killed, with all it has started.
    ///
    /// # Errors
    /// It was not started, or killed.
    fn run(&self, program: &Program, limit: Duration) -> Result<Ended, String>;
}

/// All ways.
pub struct Ways {
    /// The machine.
    pub surroundings: Arc<dyn Surroundings>,
    /// What each may take altogether, somewhat less than [`super::TIMEOUT`]: so that it is told what was waited for.
    pub limit: Duration,
}

impl Sender for Ways {
    fn send(&self, parcel: &Parcel) -> Result<Sent, SendError> {
        match &parcel.notifier.way {
            Way::Command { command } => {
                command::send(command, parcel, self.surroundings.as_ref(), self.limit)
            }
            _ => Err(SendError::new("not there yet")),
        }
    }
}
