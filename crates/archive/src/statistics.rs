//! Figures about archives and about a whole repository, with stock Borg's meaning.
//!
//! Source: Borg 1.4, `Archive.calc_stats`, `CacheStatsMixin.stats`.

use ironborg_cache::{ArchiveFigures, ChunkTotals};

use crate::items::PartFiles;
use crate::references::{ReferenceSums, summary_of};
use crate::{Archive, ArchiveError, Session};

/// Figures of one archive: content only, not its metadata. Negative for what was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveStatistics {
    /// Bytes of content, every reference counted.
    pub original_size: i64,
    /// Stored bytes, every reference counted.
    pub compressed_size: i64,
    /// Stored bytes that nothing else refers to.
    pub deduplicated_size: i64,
    /// Files with content of their own.
    pub nfiles: u64,
}

impl ArchiveStatistics {
    /// Adds the figures of other references.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.original_size, other.original_size),
            (&mut self.compressed_size, other.compressed_size),
            (&mut self.deduplicated_size, other.deduplicated_size),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.nfiles = self.nfiles.saturating_add(other.nfiles);
    }
}

/// Figures of all archives together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatistics {
    /// Sum of the archives' original sizes.
    pub total_size: u64,
    /// Sum of the archives' compressed sizes.
    pub total_csize: u64,
    /// Bytes of plaintext of all chunks, each once; metadata included here and below.
    pub unique_size: u64,
    /// Bytes stored.
    pub unique_csize: u64,
    /// References to chunks.
    pub total_chunks: u64,
    /// Chunks.
    pub total_unique_chunks: u64,
}

/// The figures of all archives. Reads the archives that were not seen before.
pub fn all_archives(session: &Session, parts: PartFiles) -> Result<CacheStatistics, ArchiveError> {
    all_archives_of(session, ReferenceSums::load(session, &[])?.totals(), parts)
}

/// The figures of all archives, whose chunks were added up already.
pub fn all_archives_of(
    session: &Session,
    totals: &ChunkTotals,
    parts: PartFiles,
) -> Result<CacheStatistics, ArchiveError> {
    let mut statistics = CacheStatistics {
        unique_size: totals.unique_size,
        unique_csize: totals.unique_csize,
        total_chunks: totals.total_chunks,
        total_unique_chunks: totals.unique_chunks,
        ..CacheStatistics::default()
    };
    session.will_load(session.manifest.archives.keys().map(Vec::as_slice));
    for (name, entry) in &session.manifest.archives {
        let archive = session.load_archive_entry(name, entry)?;
        let (size, csize, _) = content_figures(session, &archive, parts)?;
        statistics.total_size = statistics.total_size.saturating_add(size);
        statistics.total_csize = statistics.total_csize.saturating_add(csize);
    }
    Ok(statistics)
}

/// The figures of one archive of those whose references are known.
pub fn archive_statistics(
    session: &Session,
    archive: &Archive,
    references: &ReferenceSums,
    parts: PartFiles,
) -> Result<ArchiveStatistics, ArchiveError> {
    let (size, csize, nfiles) = content_figures(session, archive, parts)?;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(ArchiveStatistics {
        original_size: signed(size),
        compressed_size: signed(csize),
        deduplicated_size: signed(references.unique_csize(&archive.id)),
        nfiles,
    })
}

/// Size, stored size and number of an archive's files: from its metadata, or for archives older than
/// Borg 1.2 from its items.
fn content_figures(
    session: &Session,
    archive: &Archive,
    parts: PartFiles,
) -> Result<(u64, u64, u64), ArchiveError> {
    let metadata = &archive.metadata;
    let figures = if let Some(nfiles) = metadata.nfiles {
        ArchiveFigures {
            nfiles,
            size: metadata.size.unwrap_or_default(),
            csize: metadata.csize.unwrap_or_default(),
            size_parts: metadata.size_parts.unwrap_or_default(),
            csize_parts: metadata.csize_parts.unwrap_or_default(),
            nfiles_parts: metadata.nfiles_parts.unwrap_or_default(),
        }
    } else {
        *summary_of(session, archive)?.figures()
    };
    // What an archive says of itself may be anything.
    let both = |whole: u64, in_parts: u64| match parts {
        PartFiles::Skip => whole,
        PartFiles::Consider => whole.saturating_add(in_parts),
    };
    Ok((
        both(figures.size, figures.size_parts),
        both(figures.csize, figures.csize_parts),
        both(figures.nfiles, figures.nfiles_parts),
    ))
}
