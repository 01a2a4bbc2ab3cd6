//! What signals ask of a running operation.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Requests made by signals, polled by long operations. Set from signal handlers: plain atomics only.
#[derive(Debug, Default)]
pub struct Interrupt {
    stop: AtomicU8,
    report: AtomicBool,
}

impl Interrupt {
    /// No request yet.
    pub const fn new() -> Self {
        Self {
            stop: AtomicU8::new(0),
            report: AtomicBool::new(false),
        }
    }

    /// Asks the operation to save what it has (a checkpoint) and end. Returns how often it was asked before.
    pub fn request_stop(&self) -> u8 {
        self.stop
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                Some(n.saturating_add(1))
            })
            .unwrap_or(0)
    }

    /// Whether the operation was asked to end.
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::SeqCst) > 0
    }

    /// Forgets that it was asked to end: the operation has ended, and what follows is to be done all the same.
    pub fn forget_stop(&self) {
        self.stop.store(0, Ordering::SeqCst);
    }

    /// Asks for one line about the file being processed (SIGUSR1, SIGINFO).
    pub fn request_report(&self) {
        self.report.store(true, Ordering::SeqCst);
    }

    /// Takes the request for a line, if there is one.
    pub fn take_report(&self) -> bool {
        self.report.load(Ordering::Relaxed) && self.report.swap(false, Ordering::SeqCst)
    }
}
