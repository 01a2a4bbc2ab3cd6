//! Telling what is found, and remembering whether anything was.

use std::sync::Arc;

use ironborg_types::{Event, Finding, FindingKind, Level, Place, Reporter};

use super::LOGGER;
use crate::Client;

/// Tells what is found and remembers whether it was a problem.
pub(super) struct Findings {
    reporter: Arc<dyn Reporter>,
    any: bool,
}

impl Findings {
    /// Nothing so far.
    pub(super) fn new(client: &Client) -> Self {
        Self {
            reporter: Arc::clone(&client.reporter),
            any: false,
        }
    }

    /// Whether a problem was found.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// A problem.
    pub(super) fn error(&mut self, kind: FindingKind, place: Place, message: impl Into<String>) {
        self.problem(Level::Error, kind, place, message);
    }

    /// A problem that stock Borg tells at another level.
    pub(super) fn problem(
        &mut self,
        level: Level,
        kind: FindingKind,
        place: Place,
        message: impl Into<String>,
    ) {
        self.any = true;
        self.tell(level, kind, place, message);
    }

    /// Something worth telling that is no problem for the outcome.
    pub(super) fn tell(
        &self,
        level: Level,
        kind: FindingKind,
        place: Place,
        message: impl Into<String>,
    ) {
        let finding = Finding {
            kind,
            level,
            logger: LOGGER,
            message: message.into(),
            place,
        };
        self.reporter.report(Event::Finding(&finding));
    }
}
