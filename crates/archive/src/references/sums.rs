//! Sums over all archives without a table of all chunks: summaries are gone through side by side, as each is sorted by id.
//!
//! Memory: one range of ids for each thread, whatever the number of chunks and archives. Archives that could not be
//! remembered are in memory, too.

use std::collections::HashMap;

use ironborg_cache::{ChunkTable, ChunkTotals, Counts, SummarySource, Tally};
use ironborg_types::{ArchiveId, ChunkId};

use super::forget_gone;
use super::read::sources;
use crate::memory::{READING_THREAD_LEN, Tables, threads_within};
use crate::stored::look_up_csizes;
use crate::{ArchiveError, Session};

/// The tables of a range of ids may take one part in so many of what there may be.
pub(super) const TABLES_SHARE: u64 = 8;

/// Sums over all chunks that archives refer to.
#[derive(Debug, Clone, Default)]
pub struct ReferenceSums {
    totals: ChunkTotals,
    unique_csizes: HashMap<ArchiveId, u64>,
}

impl ReferenceSums {
    /// Counts the references of all archives the manifest lists, and for those in `shown` what only they refer to. Reads
    /// archives that were not seen before, and forgets summaries of archives that are gone.
    ///
    /// # Errors
    /// An archive that has to be read and cannot.
    pub fn load(session: &Session, shown: &[ArchiveId]) -> Result<Self, ArchiveError> {
        let tally = tally(session)?;
        let all = sources(session, &|_| false)?;
        let all: Vec<&SummarySource> = all.iter().map(|counted| &counted.source).collect();
        let position: HashMap<ArchiveId, usize> = session
            .manifest
            .archives
            .values()
            .zip(0..)
            .map(|(entry, at)| (entry.id, at))
            .collect();
        let (ids, places): (Vec<ArchiveId>, Vec<usize>) = shown
            .iter()
            .filter_map(|id| Some((*id, *position.get(id)?)))
            .unzip();
        let mut sums = tally.sums(&all, &places, &|_| None)?;
        if !sums.unknown.is_empty() {
            let lengths = lengths_of(session, &sums.unknown)?;
            sums = tally.sums(&all, &places, &|id| Some(lengths.get(id)?.csize))?;
        }
        forget_gone(session);
        Ok(Self {
            totals: sums.totals,
            unique_csizes: ids.into_iter().zip(sums.unique_csizes).collect(),
        })
    }

    /// Sums over all chunks.
    pub fn totals(&self) -> &ChunkTotals {
        &self.totals
    }

    /// Stored bytes of content that only this archive refers to: its deduplicated size. It was to be shown.
    pub fn unique_csize(&self, archive: &ArchiveId) -> u64 {
        self.unique_csizes.get(archive).copied().unwrap_or_default()
    }
}

/// How references are counted.
pub(super) fn tally(session: &Session) -> Result<Tally, ArchiveError> {
    let memory = session.client.memory;
    let objects = session.repository.len()?;
    Ok(Tally {
        threads: threads_within(&session.client, objects, Tables::Index, READING_THREAD_LEN)?,
        objects: objects as u64,
        memory: memory.get().map(|limit| limit / TABLES_SHARE),
    })
}

/// Asks the repository for stored lengths that no archive knows (of chunks added without a synchronised cache).
/// Objects that are missing keep 0.
pub(super) fn lengths_of(session: &Session, ids: &[ChunkId]) -> Result<ChunkTable, ArchiveError> {
    let table = ChunkTable::new(ids.len(), Counts::Partial);
    for id in ids {
        table.note_stored(id, 0);
    }
    look_up_csizes(session, &table)?;
    Ok(table)
}
