//! Backups that run themselves: what a job is, when it is due, how it is run and run again, what is remembered of it, and
//! who is told.
//!
//! ```text
//! job        a job with everything settled: defaults applied, values checked
//! config     TOML → jobs, with errors that point at line and key; JSON schema
//! import     other programs' configurations → ours
//! schedule   when a job is due: calendar expressions, cron, catching up, delays; a scheduler on any clock
//! plan       a job → the words of each command of a run
//! report     what the process that works tells the one that watches
//! run        one run: conditions, attempts, what is tried again, what is recorded
//! history    the database of a job: runs, figures, what is remembered
//! notify     who is told of what, how often, in which words, by which way
//! status     how a job is doing, from what is recorded of it
//! metrics    figures for a monitoring system
//! drill      which files a restore drill takes, and what share is proven
//! repos      what a server keeps for its clients: repositories and keys
//! units      services and timers, or lines of a crontab
//! ```
//!
//! Nothing here reads the environment, prints or exits. What starts programs, waits or asks the machine is behind a trait
//! where a test would have to wait for it.

pub mod config;
pub mod drill;
pub mod history;
pub mod import;
pub mod job;
pub mod metrics;
pub mod notify;
pub mod plan;
pub mod report;
pub mod repos;
pub mod run;
pub mod schedule;
pub mod status;
pub mod units;
