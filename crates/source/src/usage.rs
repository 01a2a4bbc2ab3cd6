//! What a thread has had of the processor, and how often it had to wait.

use std::time::Duration;

use crate::sys;

/// What this thread has used since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Time on a processor.
    pub cpu: Duration,
    /// How often it went to sleep because it had to wait for something.
    pub sleeps: u64,
}

impl ThreadUsage {
    /// Of this thread, until now. One call to the system.
    pub fn now() -> Self {
        sys::thread_usage()
    }

    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_sleeps_and_does_not_work() {
        let before = ThreadUsage::now();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let used = ThreadUsage::now().since(before);
        assert!(used.sleeps >= 5, "{used:?}");
        assert!(used.cpu < Duration::from_millis(10), "{used:?}");
    }
}
