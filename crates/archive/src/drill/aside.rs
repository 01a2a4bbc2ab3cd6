//! What extract says while it restores for a test: of damage people are told, everything else is noted.

use std::sync::{Mutex, PoisonError};

use ironborg_types::{Event, Level, Reporter};

/// Takes the events of one round.
pub(super) struct Aside<'a> {
    reporter: &'a dyn Reporter,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Aside<'a> {
    /// Errors go on to `reporter`.
    pub(super) fn new(reporter: &'a dyn Reporter) -> Self {
        Self {
            reporter,
            warnings: Mutex::default(),
        }
    }

    /// What was not right with files on this disk, such as an attribute that its file system does not have.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Aside<'_> {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Log {
                level: Level::Warning,
                message,
                ..
            }
            | Event::Warning { message, .. } => self
                .warnings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(message.into_owned()),
            Event::Log { level, .. } if level >= Level::Error => self.reporter.report(event),
            _ => {}
        }
    }
}
