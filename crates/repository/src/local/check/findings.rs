//! What a check finds, in Borg's words.

use ironborg_types::{ChunkId, Event, Finding, FindingKind, Level, Place, Reporter};

use crate::RepositoryError;
use crate::index::{EntryLocation, SharedIndex};
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
    pub(super) fn report(&mut self, kind: FindingKind, place: Place, message: impl Into<String>) {
        self.any = true;
        let finding = Finding {
            kind,
            level: Level::Error,
            logger: LOGGER,
            message: message.into(),
            place,
        };
        self.reporter.report(Event::Finding(&finding));
    }

    /// An entry, or a whole segment, cannot be read.
    pub(super) fn report_damage(&mut self, error: &RepositoryError) {
        let place = match error {
            RepositoryError::BadEntry {
                segment, offset, ..
            } => Place {
                segment: Some(*segment),
                offset: Some(*offset),
                ..Place::default()
            },
            _ => Place::default(),
        };
        self.report(FindingKind::SegmentDamaged, place, error.to_string());
    }

    /// Whether anything was found.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}

/// Reports where the index on disk says other than the one made from the segments.
pub(super) fn report_differences(
    findings: &mut Findings<'_>,
    committed: &SharedIndex,
    rebuilt: &SharedIndex,
) -> Result<(), RepositoryError> {
    if committed.len() == rebuilt.len() {
        report_same_count(findings);
    } else {
        let mut report = |message: String| {
            findings.report(FindingKind::IndexMismatch, Place::default(), message);
        };
        report("Index object count mismatch.".to_owned());
        report(format!("committed index: {} objects", committed.len()));
        report(format!("rebuilt index:   {} objects", rebuilt.len()));
    }
    let mut common = 0;
    rebuilt.for_each(|id, at| {
        let known = committed.get(&id)?;
        common += usize::from(known.is_some());
        if known != Some(at) {
            report_difference(findings, id, [Some(at), known]);
        }
        Ok(())
    })?;
    if common == committed.len() {
        return Ok(());
    }
    committed.for_each(|id, at| {
        if !rebuilt.contains(&id)? {
            report_difference(findings, id, [None, Some(at)]);
        }
        Ok(())
    })
}

/// Tells that both indexes have as many objects.
pub(super) fn report_same_count(findings: &Findings<'_>) {
    let text = "Index object count match.";
    let event = Event::log(Level::Info, LOGGER, text);
    findings.reporter.report(event);
}

fn report_difference(
    findings: &mut Findings<'_>,
    id: ChunkId,
    [found, known]: [Option<EntryLocation>; 2],
) {
    let at = found.or(known);
    let place = Place {
        chunk: Some(id),
        segment: at.map(|at| at.segment),
        offset: at.map(|at| u64::from(at.offset)),
        ..Place::default()
    };
    let message = format!(
        "ID: {id:<64} rebuilt index: {:<16} committed index: {:<16}",
        shown(found),
        shown(known)
    );
    findings.report(FindingKind::IndexMismatch, place, message);
}

/// A place as Python shows it.
fn shown(at: Option<EntryLocation>) -> String {
    match at {
        Some(at) => format!("({}, {})", at.segment, at.offset),
        None => "<not found>".to_owned(),
    }
}
