//! What speed is made of, counted: memory that is asked for, copies that are made, what a commit writes.
//!
//! Each limit is what was counted and a little more, so that what was gained is not lost unnoticed; who needs more has to
//! say what for. `--no-capture` shows the figures.

mod allocations;
mod commits;
#[cfg(target_arch = "x86_64")]
mod copies;
#[allow(dead_code)] // The rest of it is for those who look at crashes.
#[path = "../crash/harness/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../crash/harness/stage.rs"]
mod stage;
#[cfg(target_arch = "x86_64")]
mod sys;

/// What is counted is counted of the whole process: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[global_allocator]
static ALLOCATOR: ironborg_testkit::CountingAllocator = ironborg_testkit::CountingAllocator;
