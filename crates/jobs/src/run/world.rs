//! What a run needs of the machine it runs on: time, conditions, programs. Tests have others, in which nobody waits.

use std::path::Path;
use std::time::Duration;

use ironborg_types::Level;
use jiff::{Timestamp, Zoned};

use crate::job::Target;
use crate::plan::WorkOrder;
use crate::report::Told;

/// Time, and the wish that everything ends.
pub trait Clock {
    /// What time it is, where it is.
    fn now(&self) -> Zoned;
    /// How long this machine has been awake since some moment that does not change.
    fn awake(&self) -> Duration;
    /// Waits; not longer than until [`Clock::ending`].
    fn sleep(&self, time: Duration);
    /// The exit code for the signal that wants this to end.
    fn ending(&self) -> Option<u8>;
    /// Any number from 0 to 1.
    fn random(&self) -> f64;

    /// What time it is.
    fn timestamp(&self) -> Timestamp {
        self.now().timestamp()
    }
}

/// Whether the host of a repository answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It does, or there is no such host, or only the remote shell could tell.
    Yes,
    /// It does not: why.
    No(String),
}

/// What the machine is like at the moment.
pub trait Machine {
    /// Whether there is a network.
    fn online(&self) -> bool;
    /// Whether its use costs money. What is not known is not so.
    fn metered(&self) -> bool;
    /// Whether it is on mains power. What has no battery is.
    fn ac_power(&self) -> bool;
    /// Whether there is anything at a path.
    fn exists(&self, path: &Path) -> bool;
    /// Whether the host of a repository answers.
    fn reach(&self, target: &Target) -> Reach;
    /// Whether the device of a local repository is there.
    fn is_present(&self, target: &Target) -> bool;
}

/// How a program has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(u8),
    /// By this signal.
    Signal(i32),
    /// It was never started.
    NotStarted(String),
}

/// What does the work.
pub trait Worker {
    /// Does the steps of an order, telling of each; what it says to people goes to `log`, in pieces.
    fn work(
        &mut self,
        target: &Target,
        order: &WorkOrder,
        told: &mut dyn FnMut(Told),
        log: &mut dyn FnMut(&str),
    ) -> End;

    /// Runs a shell command of the user's, with these variables besides the job's.
    fn hook(
        &mut self,
        script: &str,
        variables: &[(&str, String)],
        log: &mut dyn FnMut(&str),
    ) -> End;
}

/// Where the supervisor's own words go.
pub trait Voice {
    /// Says a line.
    fn say(&self, level: Level, line: &str);
}
