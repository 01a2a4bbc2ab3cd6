//! Sums over all archives, and what goes with some of them, without a table of all chunks: summaries are gone through
//! side by side, as each is sorted by id.
//!
//! Memory: one range of ids for each thread, whatever the number of chunks and archives; and the ids of what is to be
//! deleted. Archives that could not be remembered are in memory, too.

use std::collections::HashMap;

use ironborg_cache::{
    ChunkTable, ChunkTotals, Counts, Leaving, Section, SummarySource, Tally, Unreferenced,
};
use ironborg_types::{ArchiveId, BytePath, ChunkId};

use super::forget_gone;
use super::read::{Counted, sources};
use crate::delete::count::{DecrementCounter, PartUse};
use crate::delete::removal::RemovalOptions;
use crate::items::PartFiles;
use crate::memory::{READING_THREAD_LEN, Tables, threads_within};
use crate::statistics::ArchiveStatistics;
use crate::stored::look_up_csizes;
use crate::{ArchiveError, Session};

/// The tables of a range of ids may take one part in so many of what there may be.
const TABLES_SHARE: u64 = 8;

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

/// What becomes of archives that are taken out one after the other.
pub(crate) struct RemovalPlan {
    steps: HashMap<BytePath, RemovalStep>,
}

/// What goes with one of them.
#[derive(Debug, Default)]
pub(crate) struct RemovalStep {
    /// Objects that nothing refers to once it is gone, and those before it.
    pub(crate) orphans: Vec<ChunkId>,
    /// Its figures, negative.
    pub(crate) figures: ArchiveStatistics,
    /// Chunks of its item stream, if it had to be read.
    pub(crate) stream_len: Option<usize>,
    /// Whether it is damaged.
    pub(crate) is_damaged: bool,
}

/// The same as one thread found it: of the ids in its ranges.
#[derive(Debug, Default)]
struct Found {
    figures: ArchiveStatistics,
    content: Vec<ChunkId>,
    metadata: Vec<ChunkId>,
}

impl RemovalPlan {
    /// Plans the end of the archives called `names`, as far as there are such, in this order.
    ///
    /// # Errors
    /// An archive that cannot be read, unless it goes and its damage is put up with.
    pub(crate) fn make(
        session: &Session,
        names: &[&BytePath],
        options: RemovalOptions,
    ) -> Result<Self, ArchiveError> {
        let mut doomed: Vec<&BytePath> = Vec::new();
        for name in names {
            let is_there = session.manifest.archives.contains_key(name.0.as_slice());
            if is_there && !doomed.contains(name) {
                doomed.push(name);
            }
        }
        let order: HashMap<&[u8], usize> = doomed
            .iter()
            .zip(0..)
            .map(|(name, step)| (name.0.as_slice(), step))
            .collect();
        let may_be_damaged = |name: &[u8]| options.despite_damage && order.contains_key(name);
        let all = sources(session, &may_be_damaged)?;
        let mut leaving: Vec<Option<&Counted>> = vec![None; doomed.len()];
        let mut staying = Vec::new();
        for (name, counted) in session.manifest.archives.keys().zip(&all) {
            match order.get(name.as_slice()) {
                Some(step) => leaving[*step] = Some(counted),
                None => staying.push(&counted.source),
            }
        }
        let leaving: Vec<&Counted> = leaving
            .into_iter()
            .map(|counted| counted.expect("it is in the manifest"))
            .collect();
        let mut parts = Vec::with_capacity(doomed.len());
        for (name, counted) in doomed.iter().zip(&leaving) {
            let figures = counted.source.figures();
            parts.push(match options.parts {
                PartFiles::Skip if figures.nfiles_parts > 0 => {
                    let archive = session.load_archive(name)?;
                    PartUse::read(session, &archive, counted.is_damaged)?
                }
                _ => PartUse::default(),
            });
        }
        let mut steps = count(session, &leaving, &staying, &parts)?;
        for (step, counted) in steps.iter_mut().zip(leaving) {
            step.stream_len = counted.stream_len;
            step.is_damaged = counted.is_damaged;
        }
        Ok(Self {
            steps: doomed.into_iter().cloned().zip(steps).collect(),
        })
    }

    /// Archives whose metadata were not read for counting.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &[u8]> {
        let unread = self
            .steps
            .iter()
            .filter(|(_, step)| step.stream_len.is_none());
        unread.map(|(name, _)| name.0.as_slice())
    }

    /// What goes with the next archive.
    ///
    /// # Panics
    /// If it was not planned, or gone before.
    pub(crate) fn take(&mut self, name: &BytePath) -> RemovalStep {
        let step = self.steps.remove(name);
        step.expect("only archives that were named are taken out, once")
    }
}

fn count(
    session: &Session,
    leaving: &[&Counted],
    staying: &[&SummarySource],
    parts: &[PartUse],
) -> Result<Vec<RemovalStep>, ArchiveError> {
    let tally = tally(session)?;
    let sources: Vec<&SummarySource> = leaving.iter().map(|counted| &counted.source).collect();
    let each = |found: &mut Vec<Found>, leaving: &Leaving| {
        if found.is_empty() {
            found.resize_with(parts.len(), Found::default);
        }
        let Leaving {
            step,
            reference,
            is_last,
        } = leaving;
        let found = &mut found[*step];
        let left = Unreferenced {
            refs: u32::from(!is_last),
            sizes: reference.sizes,
        };
        DecrementCounter::new(&mut found.figures, &parts[*step]).count(
            &reference.id,
            reference.refs,
            &left,
        );
        if *is_last {
            match reference.section {
                Section::Content => found.content.push(reference.id),
                Section::Metadata => found.metadata.push(reference.id),
            }
        }
    };
    let (mut found, unknown) = tally.leave(&sources, staying, &|_| None, each)?;
    if !unknown.is_empty() {
        let lengths = lengths_of(session, &unknown)?;
        let length = |id: &ChunkId| Some(lengths.get(id)?.csize);
        (found, _) = tally.leave(&sources, staying, &length, each)?;
    }
    let mut steps: Vec<RemovalStep> = Vec::new();
    steps.resize_with(parts.len(), RemovalStep::default);
    // As they would be found one after the other: all content by ascending id, then all metadata.
    for found in &mut found {
        for (found, step) in found.iter_mut().zip(&mut steps) {
            step.figures.add(&found.figures);
            step.orphans.append(&mut found.content);
        }
    }
    for found in &mut found {
        for (found, step) in found.iter_mut().zip(&mut steps) {
            step.orphans.append(&mut found.metadata);
        }
    }
    Ok(steps)
}

fn tally(session: &Session) -> Result<Tally, ArchiveError> {
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
fn lengths_of(session: &Session, ids: &[ChunkId]) -> Result<ChunkTable, ArchiveError> {
    let table = ChunkTable::new(ids.len(), Counts::Partial);
    for id in ids {
        table.note_stored(id, 0);
    }
    look_up_csizes(session, &table)?;
    Ok(table)
}
