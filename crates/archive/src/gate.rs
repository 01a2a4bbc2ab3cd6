//! Counting gates: how many bytes, batches or directories may be in flight.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of units of which some are taken; taking more than there are waits.
///
/// A request larger than the whole is let through when nothing else is taken, so that no single
/// chunk can be too big to pass. Closing the gate wakes and refuses everyone: the operation is over.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    closed: bool,
}

/// The gate was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl Gate {
    /// A gate of `limit` units.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit,
        }
    }

    /// Takes `units`, waiting until they are free.
    pub(crate) fn take(&self, units: usize) -> Result<(), Closed> {
        let mut state = self.lock();
        while !state.closed && state.taken > 0 && state.taken.saturating_add(units) > self.limit {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(Closed);
        }
        state.taken += units;
        Ok(())
    }

    /// Takes `units` if they are free right now.
    pub(crate) fn try_take(&self, units: usize) -> bool {
        let mut state = self.lock();
        let free =
            !state.closed && (state.taken == 0 || state.taken.saturating_add(units) <= self.limit);
        if free {
            state.taken += units;
        }
        free
    }

    /// Takes one unit, waiting until one is free or until only the caller's own `own` units are taken:
    /// nobody else could then give one back.
    pub(crate) fn take_or_exceed(&self, own: usize) -> Result<(), Closed> {
        let mut state = self.lock();
        while !state.closed && state.taken >= self.limit && state.taken > own {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(Closed);
        }
        state.taken += 1;
        Ok(())
    }

    /// Gives `units` back.
    pub(crate) fn give_back(&self, units: usize) {
        let mut state = self.lock();
        state.taken = state
            .taken
            .checked_sub(units)
            .expect("only what was taken is given back");
        drop(state);
        self.changed.notify_all();
    }

    /// Refuses everyone from now on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while holding it left a plain counter, whole in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_for_what_was_taken() {
        let gate = Gate::new(10);
        assert_eq!(gate.take(7), Ok(()));
        assert!(!gate.try_take(4));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.take(4));
            gate.give_back(7);
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        assert!(gate.try_take(6));
    }

    #[test]
    fn an_oversized_request_passes_alone() {
        let gate = Gate::new(10);
        assert_eq!(gate.take(25), Ok(()));
        assert!(!gate.try_take(1));
    }

    #[test]
    fn closing_refuses_those_who_wait() {
        let gate = Gate::new(1);
        gate.take(1).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.take(1));
            gate.close();
            assert_eq!(waiter.join().unwrap(), Err(Closed));
        });
    }
}
