//! Power failures in the middle of operations on archives: who works, what is done, what may be found afterwards.

mod content;
mod machine;
mod recorded;
mod scenarios;
mod stage;

pub(crate) use content::{Archives, archives_of, is_checkpoint, orphans_of};
pub(crate) use machine::{HomeFiles, Machine, is_full_run, quick_directory};
pub(crate) use recorded::{CrashPoint, Milestone, Recorded};
pub(crate) use scenarios::{Base, SCENARIOS, Scenario};
pub(crate) use stage::{EVERYTHING, Stage};
