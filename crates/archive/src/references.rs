//! How often every chunk is referenced, over all archives of a repository.
//!
//! Archives never change, so what each refers to is read once and kept as a summary in the cache; the
//! counts are the sum of the summaries. Memory: one table, under 50 bytes a chunk, and one summary for
//! each thread. What counts: every chunk reference of every item, part files included, each chunk of an item
//! stream, and each archive object; not the manifest. Source: Borg 1.4, `LocalCache.sync`.

mod plan;
mod read;
mod sums;

use std::collections::{HashMap, HashSet};

use ironborg_cache::{ArchiveSummary, ChunkTable, ChunkTotals, Counts, SummaryStore};
use ironborg_format::item::ChunkEntry;
use ironborg_types::{ArchiveId, ChunkId, Level};

pub(crate) use self::plan::{RemovalPlan, RemovalStep};
use self::read::summarize;
pub use self::sums::ReferenceSums;
use crate::stored::look_up_csizes;
use crate::{Archive, ArchiveError, Session};

const LOGGER: &str = "borg.cache";

/// Reference counts and sizes of all chunks that archives refer to.
#[derive(Debug)]
pub struct ChunkReferences {
    table: ChunkTable,
}

/// What an item's chunks are that nothing else refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UniqueChunks {
    /// Bytes of content (`dsize`).
    pub size: u64,
    /// Bytes stored (`dcsize`).
    pub csize: u64,
    /// How many (`unique_chunks`).
    pub count: u64,
}

impl ChunkReferences {
    /// Counts the references of all archives the manifest lists. Reads those archives that were not
    /// seen before, and forgets summaries of archives that are gone.
    ///
    /// # Errors
    /// An archive that has to be read and cannot.
    pub fn load(session: &Session) -> Result<Self, ArchiveError> {
        let table = ChunkTable::of_len(session.repository.as_ref(), Counts::Complete)?;
        read::add_all(session, &|summary| summary.add_to(&table), &|_| false)?;
        let references = Self { table };
        // Stored sizes no archive knows (of chunks added without a synchronised cache). Missing objects keep 0.
        look_up_csizes(session, &references.table)?;
        forget_gone(session);
        Ok(references)
    }

    /// The table itself.
    pub fn table(&self) -> &ChunkTable {
        &self.table
    }

    /// Sums over all chunks.
    pub fn totals(&self) -> ChunkTotals {
        self.table.totals()
    }

    /// Sums over those of an item's chunks that nothing but this item refers to, repetitions within
    /// it counted. Source: Borg 1.4, `ItemFormatter.sum_unique_chunks_metadata`.
    pub fn unique_chunks(&self, chunks: &[ChunkEntry]) -> UniqueChunks {
        let mut ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
        ids.sort_unstable();
        let own_refs = |id: &ChunkId| {
            ids.partition_point(|other| other <= id) - ids.partition_point(|other| other < id)
        };
        let mut unique = UniqueChunks::default();
        for chunk in chunks {
            if self.table.refs(&chunk.id) as usize == own_refs(&chunk.id) {
                unique.size += u64::from(chunk.size);
                unique.csize += u64::from(chunk.csize);
                unique.count += 1;
            }
        }
        unique
    }
}

/// Hands what each archive refers to to `take`, on several threads; of damaged ones what can be read.
pub(crate) fn for_each_summary(
    session: &Session,
    take: &(dyn Fn(&ArchiveSummary) + Sync),
) -> Result<(), ArchiveError> {
    read::add_all(session, take, &|_| true)
}

/// What an archive refers to: as remembered, or else read and remembered.
pub(crate) fn summary_of(
    session: &Session,
    archive: &Archive,
) -> Result<ArchiveSummary, ArchiveError> {
    match summaries(session).load(&archive.id, session.client.reporter.as_ref()) {
        Some(summary) => Ok(summary),
        None => summarize(session, session.client.threads, archive)
            .map(|(summary, _)| summary)
            .map_err(|(error, _)| error),
    }
}

/// Keeps what an archive refers to; says whether that went well.
pub(crate) fn keep_summary(session: &Session, id: &ArchiveId, summary: &ArchiveSummary) -> bool {
    note(session, summaries(session).save(id, summary))
}

/// Notes in what is kept about archives that objects have other sizes now.
pub(crate) fn renew_csizes(session: &Session, replaced: &HashMap<ChunkId, u32>) {
    let reporter = session.client.reporter.as_ref();
    let store = summaries(session);
    for entry in session.manifest.archives.values() {
        if let Some(mut summary) = store.load(&entry.id, reporter)
            && summary.renew_csizes(|id| replaced.get(id).copied())
        {
            note(session, store.save(&entry.id, &summary));
        }
    }
}

/// A cache that cannot be written costs time, not the operation. Says whether it could be.
fn note(session: &Session, result: Result<(), ironborg_cache::CacheError>) -> bool {
    let failure = result.err();
    if let Some(error) = &failure {
        session.client.log(
            Level::Warning,
            LOGGER,
            format!("cannot keep archive summaries: {error}"),
        );
    }
    failure.is_none()
}

/// Removes summaries of archives that are gone.
pub(crate) fn forget_gone(session: &Session) {
    let archives = session.manifest.archives.values();
    let archives: HashSet<ArchiveId> = archives.map(|entry| entry.id).collect();
    note(session, summaries(session).retain(&archives));
}

fn summaries(session: &Session) -> SummaryStore {
    SummaryStore::new(
        session.client.own_cache(session.repository.id()),
        session.repository.id(),
    )
}
