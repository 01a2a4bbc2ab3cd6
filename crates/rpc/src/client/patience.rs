//! How long something is waited for.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ironborg_types::Interrupt;

/// How often it is looked whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Ends at a time, or when the user wants to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    until: Option<Instant>,
    interrupt: Option<&'static Interrupt>,
}

impl Patience {
    /// Never ends.
    pub(super) fn endless() -> Self {
        Self {
            until: None,
            interrupt: None,
        }
    }

    pub(super) fn until(until: Instant, interrupt: Option<&'static Interrupt>) -> Self {
        Self {
            until: Some(until),
            interrupt,
        }
    }

    /// The same, but only the user ends it.
    pub(super) fn without_end(self) -> Self {
        Self {
            until: None,
            ..self
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
            || self.interrupt.is_some_and(Interrupt::stop_requested)
    }

    /// Whether it is still there after so long, if the user does not want to stop.
    pub(super) fn lasts(&self, duration: Duration) -> bool {
        self.until
            .is_none_or(|until| until.saturating_duration_since(Instant::now()) > duration)
    }

    /// Waits for a moment; for as long as it takes if patience is endless.
    pub(super) fn wait<'a, T>(
        &self,
        something: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        if self.until.is_none() && self.interrupt.is_none() {
            return something
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let waited = something.wait_timeout(guard, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for so long; false if patience ended before.
    pub(super) fn sleep(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        while !self.is_over() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
        false
    }
}
