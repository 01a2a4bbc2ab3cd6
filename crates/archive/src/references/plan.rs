//! What goes with archives that are taken out of a repository: what no other archive refers to.
//!
//! Where it is little, all that the leaving archives refer to is in memory and the others are read once and compared with it.
//! Otherwise summaries are gone through side by side, range of ids by range of ids.
//!
//! Memory: as [`Sieve`], up to a limit, or one range of ids for each thread, whatever the number of chunks and archives; and
//! the ids of what is to be deleted. Archives that could not be remembered are in memory, too.

use std::collections::{HashMap, HashSet};

use ironborg_cache::{
    IdRanges, Leaving, Section, Sieve, Staying, SummaryCursor, SummarySource, Unreferenced,
};
use ironborg_types::{BytePath, ChunkId, NullReporter};

use super::read::{Counted, sift, sources};
use super::summaries;
use super::sums::{TABLES_SHARE, lengths_of, tally};
use crate::delete::count::{DecrementCounter, PartUse};
use crate::delete::removal::RemovalOptions;
use crate::items::PartFiles;
use crate::statistics::ArchiveStatistics;
use crate::{ArchiveError, Session};

/// Bytes that looking for a few chunks may take.
const FEW_LEN_MAX: u64 = 32_000_000;
/// What each of them takes: its id, twice for a while, and what threads note of it.
const FEW_BYTES_PER_CHUNK: u64 = 2 * 32 + 16;

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
        let (leaving, staying) = match few(session, &doomed)? {
            Some(leaving) => {
                let lone = lone(session, &doomed, leaving.ids)?;
                (leaving.counted, Others::AllBut(lone))
            }
            None => split(session, &doomed, options)?,
        };
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

/// The archives that stay.
enum Others {
    /// All that they refer to.
    Summaries(Vec<SummarySource>),
    /// They refer to all that leaves but this, by ascending id.
    AllBut(Vec<ChunkId>),
}

/// Archives that leave and have little enough in them.
struct Few {
    counted: Vec<Counted>,
    /// All they refer to.
    ids: Vec<ChunkId>,
}

/// What little is to leave, if it is little, remembered, and known with all lengths. Otherwise says nothing.
fn few(session: &Session, doomed: &[&BytePath]) -> Result<Option<Few>, ArchiveError> {
    let store = summaries(session);
    let most = session.client.memory.share(TABLES_SHARE, FEW_LEN_MAX) / FEW_BYTES_PER_CHUNK;
    let mut few = Few {
        counted: Vec::with_capacity(doomed.len()),
        ids: Vec::new(),
    };
    let mut buffer = Vec::new();
    for name in doomed {
        let entry = session.manifest.archives.get(name.0.as_slice());
        // What is wrong with it is told by whoever reads it next.
        let kept = entry.and_then(|entry| store.open(&entry.id, &NullReporter));
        let Some(source) = kept.map(SummarySource::Kept) else {
            return Ok(None);
        };
        if (few.ids.len() as u64).saturating_add(source.len()) > most {
            return Ok(None);
        }
        let mut knows_lengths = true;
        let all = IdRanges::of_len(1, 1);
        SummaryCursor::new(&source, all, 0)?.next_range(&mut buffer, |reference| {
            knows_lengths &= reference.sizes.size > 0 && reference.sizes.csize > 0;
            few.ids.push(reference.id);
        })?;
        if !knows_lengths {
            return Ok(None); // Others may know them.
        }
        few.counted.push(Counted {
            source,
            stream_len: None,
            is_damaged: false,
        });
    }
    Ok(Some(few))
}

/// Those of `ids` that no archive refers to but the doomed.
fn lone(
    session: &Session,
    doomed: &[&BytePath],
    ids: Vec<ChunkId>,
) -> Result<Vec<ChunkId>, ArchiveError> {
    let doomed: HashSet<&[u8]> = doomed.iter().map(|name| name.0.as_slice()).collect();
    let names = session.manifest.archives.keys();
    let is_leaving: Vec<bool> = names.map(|name| doomed.contains(name.as_slice())).collect();
    let sieve = Sieve::new(ids);
    sift(session, &is_leaving, &sieve)?;
    Ok(sieve.into_left())
}

/// The archives that leave, in the order of `doomed`, and those that stay.
fn split(
    session: &Session,
    doomed: &[&BytePath],
    options: RemovalOptions,
) -> Result<(Vec<Counted>, Others), ArchiveError> {
    let order: HashMap<&[u8], usize> = doomed
        .iter()
        .zip(0..)
        .map(|(name, step)| (name.0.as_slice(), step))
        .collect();
    let may_be_damaged = |name: &[u8]| options.despite_damage && order.contains_key(name);
    let all = sources(session, &may_be_damaged)?;
    let mut leaving: Vec<Option<Counted>> = Vec::new();
    leaving.resize_with(doomed.len(), || None);
    let mut staying = Vec::new();
    for (name, counted) in session.manifest.archives.keys().zip(all) {
        match order.get(name.as_slice()) {
            Some(step) => leaving[*step] = Some(counted),
            None => staying.push(counted.source),
        }
    }
    let leaving = leaving
        .into_iter()
        .map(|counted| counted.expect("it is in the manifest"))
        .collect();
    Ok((leaving, Others::Summaries(staying)))
}

fn count(
    session: &Session,
    leaving: &[Counted],
    staying: &Others,
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
    let summaries: Vec<&SummarySource>;
    let staying = match staying {
        Others::Summaries(all) => {
            summaries = all.iter().collect();
            Staying::Summaries(&summaries)
        }
        Others::AllBut(lone) => Staying::AllBut(lone),
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
