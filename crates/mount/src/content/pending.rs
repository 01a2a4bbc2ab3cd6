//! Waiting for a chunk another thread has in hand.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::chunk::Chunk;

/// A chunk, or why there is none.
pub(super) type Outcome = Result<Arc<Chunk>, Arc<str>>;

/// The outcome of loading one chunk, for those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    outcome: Mutex<Option<Outcome>>,
    is_there: Condvar,
}

impl Pending {
    /// Waits until it is known.
    pub(super) fn wait(&self) -> Outcome {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self
            .is_there
            .wait_while(outcome, |outcome| outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        outcome.clone().expect("that is what was waited for")
    }

    /// Wakes who waits.
    pub(super) fn complete(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.is_there.notify_all();
    }
}
