//! What a check finds, in Borg's words.

use ironborg_types::{Event, Level, Reporter};

use crate::index::{EntryLocation, Index};
use crate::local::LOGGER;

/// Tells what is found and remembers whether anything was.
pub(super) struct Findings<'a> {
    reporter: &'a dyn Reporter,
    any: bool,
}

impl<'a> Findings<'a> {
    /// Nothing so far.
    pub(super) fn new(reporter: &'a dyn Reporter) -> Self {
        Self {
            reporter,
            any: false,
        }
    }

    /// Something is not as it should be.
    pub(super) fn report(&mut self, message: impl Into<String>) {
        self.any = true;
        let event = Event::log(Level::Error, LOGGER, message.into());
        self.reporter.report(event);
    }

    /// Whether anything was found.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}

/// Reports where the index on disk says other than the one made from the segments.
pub(super) fn report_differences(findings: &mut Findings<'_>, committed: &Index, rebuilt: &Index) {
    if committed.len() == rebuilt.len() {
        let text = "Index object count match.";
        let event = Event::log(Level::Info, LOGGER, text);
        findings.reporter.report(event);
    } else {
        findings.report("Index object count mismatch.");
        findings.report(format!("committed index: {} objects", committed.len()));
        findings.report(format!("rebuilt index:   {} objects", rebuilt.len()));
    }
    let is_rebuilt = |id: &_| rebuilt.contains(id);
    let only_committed = committed.iter().filter(|(id, _)| !is_rebuilt(id));
    for (id, _) in rebuilt.iter().chain(only_committed) {
        let [found, known] = [rebuilt, committed].map(|index| index.get(&id));
        if found != known {
            findings.report(format!(
                "ID: {id:<64} rebuilt index: {:<16} committed index: {:<16}",
                shown(found),
                shown(known)
            ));
        }
    }
}

/// A place as Python shows it.
fn shown(at: Option<EntryLocation>) -> String {
    match at {
        Some(at) => format!("({}, {})", at.segment, at.offset),
        None => "<not found>".to_owned(),
    }
}
