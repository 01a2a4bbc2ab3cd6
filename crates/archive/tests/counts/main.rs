//! What speed is made of, counted: memory that is asked for, copies that are made, what a commit writes.
//!
//! Each limit is what was counted and a little more, so that what was gained is not lost unnoticed; who needs more has to
//! say what for. `--no-capture` shows the figures.

mod allocations;
mod commits;
#[allow(dead_code)] // The rest of it is for those who look at crashes.
#[path = "../crash/harness/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../crash/harness/stage.rs"]
mod stage;

#[global_allocator]
static ALLOCATOR: ironborg_testkit::CountingAllocator = ironborg_testkit::CountingAllocator;
