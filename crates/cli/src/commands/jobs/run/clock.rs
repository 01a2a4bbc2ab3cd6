//! Time and signals, as a run sees them.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ironborg_jobs::run::Clock;
use jiff::Zoned;
use rustix::time::{ClockId, clock_gettime};

use crate::error::CliError;
use crate::signals::{self, Arrived};

/// Exit codes of programs that SIGINT and SIGTERM end.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// The machine's clocks. From its making on signals end nothing by themselves.
pub(in crate::commands::jobs) struct RealClock {
    arrived: Receiver<Arrived>,
    ending: Cell<Option<u8>>,
}

impl RealClock {
    /// Takes signals over.
    pub(in crate::commands::jobs) fn new() -> Result<Self, CliError> {
        let (signal, arrived) = channel();
        signals::divert(signal)?;
        Ok(Self {
            arrived,
            ending: Cell::new(None),
        })
    }

    /// Waits for a signal, but not longer than this.
    fn listen(&self, time: Duration) {
        match self.arrived.recv_timeout(time) {
            Ok(arrived) => self.note(arrived),
            Err(RecvTimeoutError::Timeout) => {}
            // Without its thread no signal arrives, and the system ends the process.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(time),
        }
    }

    fn note(&self, arrived: Arrived) {
        let code = match arrived {
            Arrived::Interrupt => INTERRUPTED,
            Arrived::End | Arrived::HangUp => TERMINATED,
            Arrived::Report => return,
        };
        // Who is told to end after ^C is to end.
        self.ending.set(self.ending.get().max(Some(code)));
    }
}

impl Clock for RealClock {
    fn now(&self) -> Zoned {
        Zoned::now()
    }

    fn awake(&self) -> Duration {
        let time = clock_gettime(ClockId::Monotonic);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }

    fn sleep(&self, time: Duration) {
        if self.ending().is_none() {
            self.listen(time);
        }
    }

    fn ending(&self) -> Option<u8> {
        while let Ok(arrived) = self.arrived.try_recv() {
            self.note(arrived);
        }
        self.ending.get()
    }

    fn random(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without random numbers the middle is as good as any.
        getrandom::fill(&mut bytes).map_or(0.5, |()| {
            f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
        })
    }
}
