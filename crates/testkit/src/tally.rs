//! Counts of what tests have tried, summed up at the end of a whole run.
//!
//! A test runner shows nothing of a test that passes; but how many crashes, faults and flipped bits a repository has
//! outlived is worth saying. Each count is a line in a file of its process; `cargo xtask test` reads them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Names the directory that counts are noted in; without it they are not.
pub const TALLY_VARIABLE: &str = "IRONBORG_TALLY";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// A power failure, or the end of the process, at one place in a sequence of writes.
    CrashPoints,
    /// A failed call of the storage.
    Faults,
    /// A changed, lost or added piece of a file.
    Damages,
    /// An input that was made up for a decoder, a parser or a session.
    FuzzExecutions,
    /// A step of a run of random operations, whichever program took it.
    RandomOperations,
    /// A read of a mounted or followed repository, compared with what must be there.
    Reads,
    /// A program ended by a signal in the middle of its work.
    Kills,
    /// A hostile archive, manifest, message or server.
    Attacks,
}

impl Tried {
    const fn name(self) -> &'static str {
        match self {
            Self::CrashPoints => "crash points",
            Self::Faults => "faults injected",
            Self::Damages => "damages done (flipped bits, lost and changed files)",
            Self::FuzzExecutions => "fuzz executions",
            Self::RandomOperations => "random operations",
            Self::Reads => "reads without a lock",
            Self::Kills => "programs killed",
            Self::Attacks => "attacks mounted",
        }
    }
}

/// Notes that a test has tried so many of these, and lost nothing. Call where that is known.
///
/// # Panics
/// If the note cannot be written where [`TALLY_VARIABLE`] says.
pub fn tally(what: Tried, count: u64) {
    let Some(dir) = std::env::var_os(TALLY_VARIABLE).map(PathBuf::from) else {
        return;
    };
    let path = dir.join(std::process::id().to_string());
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = format!("{count} {}\n", what.name());
    file.write_all(line.as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
