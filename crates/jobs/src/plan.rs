//! A job → the words of each command of a run.

use serde::{Deserialize, Serialize};

/// What the process that works is given to do, for one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The job's name.
    pub job: String,
    /// The repository's label.
    pub target: String,
    /// The steps, in order. One that fails ends the run.
    pub steps: Vec<Step>,
    /// Whether a warning ends it like a failure.
    pub fail_on_warnings: bool,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// One of the program's commands.
    Command {
        /// How it is called in records: `init`, `create`, `prune`, `compact`, `check`, `check-data`, `rename`.
        name: String,
        /// The words behind the program's name.
        words: Vec<String>,
    },
    /// A shell command of the user's. No lock is held meanwhile.
    Hook {
        /// Which one: `post-init`, `post-create`, `post-prune`.
        name: String,
        /// What the shell runs.
        script: String,
    },
    /// A restore drill.
    Drill {
        /// How long it takes at most, in seconds.
        budget: u64,
        /// The newest archive whose name matches this is drilled, as `--glob-archives` has it.
        archives: String,
        /// The job's paths, which the live files to compare with are found by; none: there is nothing to compare with.
        paths: Vec<String>,
    },
}
