//! Opening every object: is it whole, authentic, and what its id says?
//!
//! Source: Borg 1.4, `ArchiveChecker.verify_data`.

use ironborg_object::Opener;
use ironborg_types::{ChunkId, FindingKind, Level, PercentProgress, Place};

use super::changes::Removal;
use super::sweep::{Sweep, in_words, open_one};
use super::{LOGGER, Work};
use crate::{ArchiveError, Session};

/// Names the progress.
const VERIFY: &str = "check.verify_data";
/// Percent between two steps of it that are shown.
const VERIFY_STEP: f64 = 0.01;
/// Ids asked for at a time: a server looks through a segment from its start for each page.
const PAGE: usize = 20_000;

/// What was verified.
#[derive(Default)]
struct Verified {
    /// Objects found in segments.
    count: usize,
    errors: usize,
    /// What is there and is not what it should be.
    defect: Vec<ChunkId>,
}

/// Opens every object, in the order of the segments. A repair removes those that do not open, after having tried
/// once more: then the archives' part puts something else in their place, and they can be stored again.
///
/// # Errors
/// A repository that does not answer. A damaged object is a finding.
pub(super) fn verify_data(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    info(
        work,
        "Starting cryptographic data integrity verification...",
    );
    let indexed = work.objects.len();
    let verified = verify_all(work, indexed)?;
    if verified.count != indexed {
        tell_mismatch(work, indexed, verified.count);
    }
    if !verified.defect.is_empty() {
        remove_defect(work, &verified.defect)?;
    }
    let level = match verified.errors {
        0 => Level::Info,
        _ => Level::Error,
    };
    let end = format!(
        "Finished cryptographic data integrity verification, verified {} chunks with {} integrity errors.",
        verified.count, verified.errors
    );
    work.session.client.log(level, LOGGER, end);
    Ok(())
}

fn info(work: &Work<'_>, message: impl Into<String>) {
    work.session.client.log(Level::Info, LOGGER, message);
}

fn verify_all(work: &mut Work<'_>, indexed: usize) -> Result<Verified, ArchiveError> {
    let reporter = work.session.client.reporter.clone();
    let mut progress = PercentProgress::start(&*reporter, VERIFY, indexed as u64, VERIFY_STEP);
    let mut verified = Verified::default();
    let mut marker = None;
    loop {
        let ids = work.session.repository.scan(PAGE, marker.as_ref())?;
        let Some(last) = ids.last() else { break };
        marker = Some(*last);
        verified.count += ids.len();
        let Work {
            session, findings, ..
        } = work;
        let interrupt = session.client.interrupt;
        Sweep::of(session).each_plaintext(&ids, &|_, opened| opened.err(), &mut |id, error| {
            progress.advance(&*reporter, 1, None, |percent| {
                format!("Verifying data {percent:6.2}%")
            });
            if interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted);
            }
            let Some(error) = error else { return Ok(()) };
            let message = message_of(id, error, &mut verified)?;
            let place = place_of(session, id);
            findings.error(FindingKind::ObjectDamaged, place, message);
            Ok(())
        })?;
    }
    progress.finish(&*reporter);
    Ok(verified)
}

/// What is wrong with an object, in Borg's words; noted.
fn message_of(
    id: &ChunkId,
    error: ArchiveError,
    verified: &mut Verified,
) -> Result<String, ArchiveError> {
    let is_integrity = error.kind().is_integrity();
    let message = match &error {
        ArchiveError::Repository(ironborg_repository::RepositoryError::ObjectNotFound {
            ..
        }) => format!("chunk {id}: {error}"),
        ArchiveError::Repository(_) if is_integrity => format!("chunk {id}: {error}"),
        _ if is_integrity => format!("chunk {id}, integrity error: {}", in_words(&error)),
        _ => return Err(error),
    };
    verified.errors += 1;
    if is_integrity {
        verified.defect.push(*id);
    }
    Ok(message)
}

fn place_of(session: &Session, id: &ChunkId) -> Place {
    let at = session.repository.place(id);
    Place {
        chunk: Some(*id),
        segment: at.map(|(segment, _)| segment),
        offset: at.map(|(_, offset)| offset),
        ..Place::default()
    }
}

/// The index and the segments do not agree, which Borg tells without calling it a problem.
fn tell_mismatch(work: &Work<'_>, indexed: usize, found: usize) {
    let tell = |message: String| {
        work.findings.tell(
            Level::Error,
            FindingKind::ObjectCountMismatch,
            Place::default(),
            message,
        );
    };
    tell("Repo/Chunks index object count vs. segment files object count mismatch.".to_owned());
    tell(format!(
        "Repo/Chunks index: {indexed} objects != segment files: {found} objects"
    ));
}

fn remove_defect(work: &mut Work<'_>, defect: &[ChunkId]) -> Result<(), ArchiveError> {
    let client = &work.session.client;
    client.log(
        Level::Warning,
        LOGGER,
        if work.changes.is_repair() {
            "Found defect chunks. They will be deleted now, so affected files can get repaired now and maybe \
             healed later."
        } else {
            "Found defect chunks. With --repair, they would get deleted, so affected files could get repaired \
             then and maybe healed later."
        },
    );
    if work.options.mode == super::CheckMode::Look {
        for id in defect {
            client.log(Level::Debug, LOGGER, format!("chunk {id} is defect."));
        }
        return Ok(());
    }
    let (mut opener, mut object, mut plaintext) = (Opener::new(), Vec::new(), Vec::new());
    for id in defect {
        // Memory, network and cables make mistakes, too.
        let session = &mut work.session;
        let again = open_one(
            session.repository.as_ref(),
            &session.key,
            (&mut opener, &mut object, &mut plaintext),
            id,
        );
        match again {
            Err(error) if error.kind().is_integrity() => {
                work.objects.remove(id);
                work.changes.delete(session, &[*id], Removal::Damaged)?;
                let done = if work.changes.is_repair() {
                    "deleted"
                } else {
                    "is defect"
                };
                let deleted = format!("chunk {id} {done}.");
                session.client.log(Level::Debug, LOGGER, deleted);
            }
            Err(error) => return Err(error),
            Ok(()) => session.client.log(
                Level::Warning,
                LOGGER,
                format!("chunk {id} not deleted, did not consistently fail."),
            ),
        }
    }
    Ok(())
}
