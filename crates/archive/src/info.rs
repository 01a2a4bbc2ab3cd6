//! What `info` tells about an archive.
//!
//! Source: Borg 1.4, `Archive.info`, `_info_archives`.

use ironborg_format::msgpack::Value;
use ironborg_types::{ArchiveId, BytePath, PercentProgress, Timestamp};

use crate::items::PartFiles;
use crate::references::ReferenceSums;
use crate::statistics::{ArchiveStatistics, archive_statistics};
use crate::{Archive, ArchiveError, Session};

/// Bytes of an archive object beyond which Borg stores no archive. Source: Borg 1.4, `MAX_DATA_SIZE`.
pub const ARCHIVE_CSIZE_MAX: u32 = 20_971_479;

/// An archive as `info` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveReport {
    /// Its own name (the manifest may call it otherwise after a repair).
    pub name: BytePath,
    /// Its fingerprint.
    pub id: ArchiveId,
    /// When it was started.
    pub start: Timestamp,
    /// When it was finished; the start for archives that do not tell.
    pub end: Timestamp,
    /// Its figures.
    pub statistics: ArchiveStatistics,
    /// How much of the largest possible archive it takes; 1.0 is all.
    pub max_archive_size: f64,
    /// The command that made it.
    pub command_line: Vec<Vec<u8>>,
    /// Where that was run; empty if unknown.
    pub cwd: Vec<u8>,
    /// Host.
    pub hostname: Vec<u8>,
    /// User.
    pub username: Vec<u8>,
    /// Comment; empty if there is none.
    pub comment: Vec<u8>,
    /// Chunker and parameters, with the chunker's name in front for archives that left it out.
    pub chunker_params: Option<Vec<Value<'static>>>,
}

/// Describes one of the archives that `references` were counted for.
pub fn describe(
    session: &Session,
    archive: &Archive,
    references: &ReferenceSums,
    parts: PartFiles,
) -> Result<ArchiveReport, ArchiveError> {
    let metadata = &archive.metadata;
    let damaged = |error: ironborg_format::MetadataError| ArchiveError::Damaged {
        what: "metadata",
        name: archive.name.clone(),
        detail: error.to_string(),
    };
    show_progress(session, archive);
    Ok(ArchiveReport {
        name: metadata.name.as_slice().into(),
        id: archive.id,
        start: metadata.start().map_err(damaged)?,
        end: metadata.end().map_err(damaged)?,
        statistics: archive_statistics(session, archive, references, parts)?,
        max_archive_size: f64::from(archive.csize) / f64::from(ARCHIVE_CSIZE_MAX),
        command_line: metadata.cmdline.clone(),
        cwd: metadata.cwd.clone().unwrap_or_default(),
        hostname: metadata.hostname.clone().unwrap_or_default(),
        username: metadata.username.clone().unwrap_or_default(),
        comment: metadata.comment.clone().unwrap_or_default(),
        chunker_params: metadata.chunker_params.as_deref().map(with_chunker_name),
    })
}

/// The steps stock Borg shows while it reads the archive, which is rarely necessary here.
fn show_progress(session: &Session, archive: &Archive) {
    let reporter = session.client.reporter.as_ref();
    if !reporter.wants_progress() {
        return;
    }
    let total = archive.metadata.items.len() as u64;
    let mut progress = PercentProgress::start(reporter, "archive.calc_stats", total, 5.0);
    for _ in 0..total {
        progress.advance(reporter, 1, None, |percent| {
            format!(
                "Calculating statistics for archive {} ... {percent:3.0}%",
                archive.name
            )
        });
    }
    progress.finish(reporter);
}

/// Borg before 1.2 knew one chunker and stored its four numbers only.
pub(crate) fn with_chunker_name(params: &[Value<'static>]) -> Vec<Value<'static>> {
    let mut named = Vec::with_capacity(params.len() + 1);
    if params.len() == 4 && params.iter().all(|value| value.as_u64().is_some()) {
        named.push(Value::Raw(b"buzhash".as_slice().into()));
    }
    named.extend_from_slice(params);
    named
}
