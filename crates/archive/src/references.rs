//! How often every chunk is referenced, over all archives of a repository.
//!
//! Archives never change, so what each refers to is read once and kept as a summary in the cache; the
//! counts are the sum of the summaries. Memory: one table, under 50 bytes a chunk, and one summary at a
//! time. What counts: every chunk reference of every item, part files included, each chunk of an item
//! stream, and each archive object; not the manifest. Source: Borg 1.4, `LocalCache.sync`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use ironborg_cache::{
    ArchiveSummary, ChunkTable, ChunkTotals, Counts, SummaryBuilder, SummaryStore,
};
use ironborg_format::item::ChunkEntry;
use ironborg_types::{ArchiveId, ChunkId, Level, text};

use crate::items::{ItemReader, ObjectSource, PartFiles, with_items};
use crate::progress::PercentProgress;
use crate::{Archive, ArchiveError, Session};

const LOGGER: &str = "borg.cache";

/// Reference counts and sizes of all chunks that archives refer to.
#[derive(Debug)]
pub struct ChunkReferences {
    table: ChunkTable,
    /// What could be read of archives whose damage is put up with.
    salvaged: HashMap<ArchiveId, ArchiveSummary>,
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
        Self::load_despite(session, &|_| false)
    }

    /// As [`ChunkReferences::load`], but of archives that `may_be_damaged` accepts by name only what
    /// can be read is counted.
    pub(crate) fn load_despite(
        session: &Session,
        may_be_damaged: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Self, ArchiveError> {
        let reporter = session.client.reporter.as_ref();
        let repository = session.repository.as_ref();
        let mut salvaged = HashMap::new();
        let table = ChunkTable::new(repository.len()?, Counts::Complete);
        let mut progress: Option<PercentProgress> = None;
        for (done, (raw_name, entry)) in session.manifest.archives.iter().enumerate() {
            let summary = if let Some(known) = summaries(session).load(&entry.id, reporter) {
                known
            } else {
                let progress = progress.get_or_insert_with(|| {
                    let total = session.manifest.archives.len() as u64;
                    PercentProgress::start(reporter, "cache.sync", total, 0.1)
                });
                let name = text::display(raw_name);
                progress.advance_to(reporter, done as u64, Some(&name), |percent| {
                    format!("{percent:3.0}% Syncing chunks cache. Processing archive {name}")
                });
                let archive = session.load_archive_entry(raw_name, entry)?;
                match summarize(session, &archive) {
                    Ok(summary) => summary,
                    Err((_, partial)) if may_be_damaged(raw_name) => {
                        partial.add_to(&table);
                        salvaged.insert(entry.id, *partial);
                        continue;
                    }
                    Err((error, _)) => return Err(error),
                }
            };
            summary.add_to(&table);
        }
        if let Some(progress) = progress {
            progress.finish(reporter);
        }
        let references = Self { table, salvaged };
        references.look_up_csizes(session)?;
        let archives: HashSet<_> = session
            .manifest
            .archives
            .values()
            .map(|entry| entry.id)
            .collect();
        note(session, summaries(session).retain(&archives));
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

    /// Stored bytes of content that only this archive refers to: its deduplicated size.
    pub fn unique_csize(&self, session: &Session, archive: &Archive) -> Result<u64, ArchiveError> {
        Ok(summary_of(session, archive)?.unique_csize(&self.table))
    }

    /// The archive's summary, to be taken out of the table; and whether that is all that could be
    /// read of a damaged one.
    pub(crate) fn take_summary(
        &mut self,
        session: &Session,
        archive: &Archive,
    ) -> Result<(ArchiveSummary, bool), ArchiveError> {
        match self.salvaged.remove(&archive.id) {
            Some(partial) => Ok((partial, true)),
            None => Ok((summary_of(session, archive)?, false)),
        }
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

    /// Stored sizes no archive knows (of chunks added without a synchronised cache) are asked of the
    /// repository. Missing objects keep 0.
    fn look_up_csizes(&self, session: &Session) -> Result<(), ArchiveError> {
        let repository = session.repository.as_ref();
        let mut unknown = self.table.ids_without_csize();
        unknown.sort_by_cached_key(|id| repository.storage_order(id));
        for id in unknown {
            self.table.resolve_csize(&id, repository)?;
        }
        Ok(())
    }
}

/// What an archive refers to: as remembered, or else read and remembered.
pub(crate) fn summary_of(
    session: &Session,
    archive: &Archive,
) -> Result<ArchiveSummary, ArchiveError> {
    match summaries(session).load(&archive.id, session.client.reporter.as_ref()) {
        Some(summary) => Ok(summary),
        None => summarize(session, archive).map_err(|(error, _)| error),
    }
}

/// Reads what an archive refers to, and remembers it.
///
/// # Errors
/// What is wrong with it, and what could be read: the references of all items before the damage, and
/// all chunks of the item stream.
fn summarize(
    session: &Session,
    archive: &Archive,
) -> Result<ArchiveSummary, (ArchiveError, Box<ArchiveSummary>)> {
    let mut builder = SummaryBuilder::new();
    let mut plaintext = Vec::new();
    let id = ChunkId::from(archive.id);
    let read = ObjectSource::of(session).reader().read(&id, &mut plaintext);
    let size = u32::try_from(plaintext.len()).expect("objects are smaller than 4 GiB");
    builder.add_metadata(&ChunkEntry {
        id,
        size,
        csize: archive.csize,
    });
    let mut stream_chunks = Vec::new();
    let result = read.map(drop).and_then(|()| {
        with_items(session, archive, PartFiles::Consider, |items| {
            items.note_sizes();
            let result = add_items(&mut builder, items);
            stream_chunks = items.metadata_chunks();
            result
        })
    });
    for chunk in &stream_chunks {
        builder.add_metadata(chunk);
    }
    if let Err(error) = result {
        for id in archive.metadata.items.iter().skip(stream_chunks.len()) {
            builder.add_metadata(&ChunkEntry {
                id: *id,
                size: 0,
                csize: 0,
            });
        }
        return Err((error, Box::new(builder.finish())));
    }
    let summary = builder.finish();
    note(session, summaries(session).save(&archive.id, &summary));
    Ok(summary)
}

fn add_items(builder: &mut SummaryBuilder, items: &mut ItemReader<'_>) -> Result<(), ArchiveError> {
    let mut chunks: Vec<ChunkEntry> = Vec::new();
    items.for_each(|item| {
        if let Some(list) = item.chunks {
            chunks.clear();
            chunks.extend(&list);
            builder.add_file(&chunks, item.part.is_some());
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Keeps what a new archive refers to.
pub(crate) fn keep_summary(session: &Session, id: &ArchiveId, summary: &ArchiveSummary) {
    note(session, summaries(session).save(id, summary));
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

/// A cache that cannot be written costs time, not the operation.
fn note(session: &Session, result: Result<(), ironborg_cache::CacheError>) {
    if let Err(error) = result {
        session.client.log(
            Level::Warning,
            LOGGER,
            format!("cannot keep archive summaries: {error}"),
        );
    }
}

fn summaries(session: &Session) -> SummaryStore {
    SummaryStore::new(
        session.client.own_cache(session.repository.id()),
        session.repository.id(),
    )
}
