//! Opening every object: is it whole, authentic, and what its id says?
//!
//! Source: Borg 1.4, `ArchiveChecker.verify_data`.

use std::ops::ControlFlow;

use ironborg_object::Opener;
use ironborg_types::{ChunkId, FindingKind, Level, PercentProgress, Place};

use super::changes::Removal;
use super::findings::Findings;
use super::sweep::{Sweep, open_one};
use super::witness::{Defect, Seen, SeenPiece, Verifier};
use super::{LOGGER, Work, place_of};
use crate::{ArchiveError, Client, Session};

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
/// once more: then the archives' part puts something else in their place, and they can be stored again. `seen`: what was
/// opened already, if that was everything.
///
/// # Errors
/// A repository that does not answer. A damaged object is a finding.
pub(super) fn verify_data(work: &mut Work<'_>, seen: Option<Seen>) -> Result<(), ArchiveError> {
    info(
        work,
        "Starting cryptographic data integrity verification...",
    );
    let indexed = work.objects.len();
    let verified = verify_all(work, indexed, seen)?;
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

/// Tells what was seen of each object, in the order of storage.
struct Told<'a> {
    client: &'a Client,
    findings: &'a mut Findings,
    progress: PercentProgress,
    verified: Verified,
}

impl Told<'_> {
    fn tell(&mut self, defect: Option<Defect>) -> Result<(), ArchiveError> {
        let reporter = self.client.reporter.as_ref();
        self.progress.advance(reporter, 1, None, |percent| {
            format!("Verifying data {percent:6.2}%")
        });
        if self.client.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        let Some(defect) = defect else { return Ok(()) };
        self.verified.errors += 1;
        if defect.is_damage {
            self.verified.defect.push(defect.id);
        }
        let kind = FindingKind::ObjectDamaged;
        self.findings.error(kind, defect.place, defect.message);
        Ok(())
    }

    fn tell_piece(&mut self, piece: SeenPiece) -> Result<(), ArchiveError> {
        self.verified.count += piece.count();
        piece.objects().try_for_each(|defect| self.tell(defect))
    }
}

fn verify_all(
    work: &mut Work<'_>,
    indexed: usize,
    seen: Option<Seen>,
) -> Result<Verified, ArchiveError> {
    let client = work.session.client.clone();
    let reporter = client.reporter.as_ref();
    let mut told = Told {
        client: &client,
        findings: &mut work.findings,
        progress: PercentProgress::start(reporter, VERIFY, indexed as u64, VERIFY_STEP),
        verified: Verified::default(),
    };
    if let Some(seen) = seen {
        // While the segments were checked.
        seen.into_pieces()
            .try_for_each(|piece| told.tell_piece(piece))?;
    } else if !verify_shown(&work.session, &mut told)? {
        verify_asked(&work.session, &mut told)?;
    }
    told.progress.finish(reporter);
    Ok(told.verified)
}

/// Has all objects shown, in large pieces; `false` if that cannot be done here.
fn verify_shown(session: &Session, told: &mut Told<'_>) -> Result<bool, ArchiveError> {
    let seen = Seen::default();
    let verifier = Verifier {
        key: &session.key,
        seen: &seen,
    };
    let mut result = Ok(());
    let mut passed = |piece| {
        let failed = seen.take_failure().map_or(Ok(()), Err);
        result = failed.and_then(|()| told.tell_piece(seen.take(piece)));
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let threads = session.client.threads;
    let was_shown = session
        .repository
        .show_all(threads, &verifier, &mut passed)?;
    result.map(|()| was_shown)
}

/// Asks for all objects, one by one.
fn verify_asked(session: &Session, told: &mut Told<'_>) -> Result<(), ArchiveError> {
    let mut marker = None;
    loop {
        let ids = session.repository.scan(PAGE, marker.as_ref())?;
        let Some(last) = ids.last() else {
            return Ok(());
        };
        marker = Some(*last);
        told.verified.count += ids.len();
        Sweep::of(session).each_plaintext(&ids, &|_, opened| opened.err(), &mut |id, error| {
            let place = || place_of(session, id);
            let defect = error.map(|error| Defect::of(id, place(), error));
            told.tell(defect.transpose()?)
        })?;
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
