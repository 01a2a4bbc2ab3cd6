//! Counting over all archives of a repository without a table of all chunks: range of ids by range of ids, several at
//! a time.

use std::thread;

use ironborg_types::ChunkId;

use super::{IdRanges, Reference, SummaryCursor, SummarySource};
use crate::CacheError;
use crate::chunk_table::{ChunkSizes, ChunkTotals, add_refs};
use crate::slots::{Slot, SlotHash, Slots};

/// Chunks of a range, unless memory is scarce: what is known of them is in the processor's cache then.
const RANGE_LEN: u64 = 1 << 14;
/// The same at least, however scarce it is.
const RANGE_LEN_MIN: u64 = 256;
/// What a chunk takes in a table, at most: it grows by a quarter, next to the old one.
const BYTES_PER_CHUNK: u64 = 110;

/// How to count.
#[derive(Debug, Clone, Copy)]
pub struct Tally {
    /// How many threads.
    pub threads: usize,
    /// How many different chunks there may be: objects of the repository.
    pub objects: u64,
    /// Bytes the tables of all threads may take together.
    pub memory: Option<u64>,
}

/// What was counted over all summaries.
#[derive(Debug, Clone, Default)]
pub struct Tallied {
    /// Sums over all chunks.
    pub totals: ChunkTotals,
    /// For each summary that was asked for: stored bytes of content that no other one refers to.
    pub unique_csizes: Vec<u64>,
    /// Chunks whose stored length nobody told, counted as 0.
    pub unknown: Vec<ChunkId>,
}

/// A reference that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Which of the summaries that leave it belongs to.
    pub step: usize,
    /// The reference, with the lengths anybody told.
    pub reference: Reference,
    /// Whether nothing refers to the chunk any more once this one and all before have left. Said once.
    pub is_last: bool,
}

/// What stays when summaries leave.
#[derive(Debug, Clone, Copy)]
pub enum Staying<'a> {
    /// All other summaries.
    Summaries(&'a [&'a SummarySource]),
    /// They were looked through before: of what leaves they refer to everything but this, by ascending id.
    AllBut(&'a [ChunkId]),
}

/// Stored lengths that were found out elsewhere.
pub type FoundLengths<'a> = &'a (dyn Fn(&ChunkId) -> Option<u32> + Sync);

impl Tally {
    /// Sums over all chunks of all summaries, and of the summaries numbered `shown` what only they have.
    ///
    /// # Errors
    /// A summary cannot be read.
    pub fn sums(
        &self,
        sources: &[&SummarySource],
        shown: &[usize],
        lengths: FoundLengths<'_>,
    ) -> Result<Tallied, CacheError> {
        let parts = self.in_ranges(sources, sources, |walk, sums: &mut Tallied| {
            sums.unique_csizes.resize(shown.len(), 0);
            walk.sum(sums, shown, lengths)
        })?;
        let mut all = Tallied {
            unique_csizes: vec![0; shown.len()],
            ..Tallied::default()
        };
        for mut part in parts {
            all.totals.add(&part.totals);
            for (sum, more) in all.unique_csizes.iter_mut().zip(part.unique_csizes) {
                *sum += more;
            }
            all.unknown.append(&mut part.unknown);
        }
        Ok(all)
    }

    /// Takes the summaries that are `leaving` away, one after the other, and tells of each reference they had. What is
    /// told, in pieces: within each a range's references by summary, and ranges and pieces by ascending ids. Also gives the
    /// chunks whose stored length nobody told.
    ///
    /// # Errors
    /// A summary cannot be read.
    pub fn leave<A: Default + Send>(
        &self,
        leaving: &[&SummarySource],
        staying: Staying<'_>,
        lengths: FoundLengths<'_>,
        each: impl Fn(&mut A, &Leaving) + Sync,
    ) -> Result<(Vec<A>, Vec<ChunkId>), CacheError> {
        let (others, lone) = match staying {
            Staying::Summaries(others) => (others, None),
            Staying::AllBut(lone) => (&[][..], Some(lone)),
        };
        let all: Vec<&SummarySource> = leaving.iter().chain(others).copied().collect();
        let parts = self.in_ranges(&all, leaving, |walk, part: &mut (A, Vec<ChunkId>)| {
            walk.leave(leaving.len(), lone, lengths, part, &each)
        })?;
        let (told, unknown): (Vec<A>, Vec<Vec<ChunkId>>) = parts.into_iter().unzip();
        Ok((told, unknown.concat()))
    }

    /// Calls `work` for every range, each thread for those that follow upon one another; gives what each thread made.
    fn in_ranges<A: Default + Send>(
        &self,
        sources: &[&SummarySource],
        counted: &[&SummarySource],
        work: impl Fn(&mut Walk<'_>, &mut A) -> Result<(), CacheError> + Sync,
    ) -> Result<Vec<A>, CacheError> {
        let ranges = self.ranges(counted);
        let threads = (self.threads.max(1) as u64).min(ranges.count());
        let serve = |number: u64| {
            let share = |number: u64| number * ranges.count() / threads;
            let mut walk = Walk::new(sources, ranges, share(number))?;
            let mut made = A::default();
            for _ in share(number)..share(number + 1) {
                work(&mut walk, &mut made)?;
            }
            Ok(made)
        };
        if threads == 1 {
            return Ok(vec![serve(0)?]);
        }
        thread::scope(|scope| {
            let serve = &serve;
            let handles: Vec<_> = (0..threads)
                .map(|number| scope.spawn(move || serve(number)))
                .collect();
            let joined = handles.into_iter().map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        })
    }

    /// Ranges small enough for tables of what is in `counted`.
    fn ranges(&self, counted: &[&SummarySource]) -> IdRanges {
        let most = counted.iter().map(|source| source.len()).max().unwrap_or(0);
        let sum: u64 = counted.iter().map(|source| source.len()).sum();
        let ids = self.objects.clamp(most, sum);
        let len = self.memory.map_or(RANGE_LEN, |memory| {
            let each = memory / self.threads.max(1) as u64 / BYTES_PER_CHUNK;
            each.clamp(RANGE_LEN_MIN, RANGE_LEN)
        });
        IdRanges::of_len(ids, len)
    }
}

/// One thread on its way through the ranges.
struct Walk<'a> {
    cursors: Vec<SummaryCursor<'a>>,
    table: Slots,
    buffer: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(
        sources: &[&'a SummarySource],
        ranges: IdRanges,
        first: u64,
    ) -> Result<Self, CacheError> {
        let cursors = sources
            .iter()
            .map(|source| SummaryCursor::new(source, ranges, first));
        Ok(Self {
            cursors: cursors.collect::<Result<_, _>>()?,
            table: Slots::with_capacity(SlotHash::random(), 0),
            buffer: Vec::new(),
        })
    }

    fn sum(
        &mut self,
        sums: &mut Tallied,
        shown: &[usize],
        lengths: FoundLengths<'_>,
    ) -> Result<(), CacheError> {
        let Self {
            cursors,
            table,
            buffer,
        } = self;
        table.clear();
        let again: Vec<SummaryCursor<'_>> = shown.iter().map(|at| cursors[*at].clone()).collect();
        for cursor in cursors {
            cursor.next_range(buffer, |reference| {
                let (slot, _) = table.entry(&reference.id);
                slot.refs = add_refs(slot.refs, reference.refs);
                learn(slot, reference.sizes);
            })?;
        }
        find_lengths(table, lengths, &mut sums.unknown);
        for slot in table.iter() {
            sums.totals.count(slot.refs, slot.size, slot.csize);
        }
        for (mut cursor, sum) in again.into_iter().zip(&mut sums.unique_csizes) {
            cursor.next_range(buffer, |reference| {
                if let Some(slot) = table.get(&reference.id)
                    && reference.section == super::Section::Content
                    && slot.refs == reference.refs
                {
                    *sum += u64::from(slot.csize);
                }
            })?;
        }
        Ok(())
    }

    fn leave<A>(
        &mut self,
        leaving: usize,
        lone: Option<&[ChunkId]>,
        lengths: FoundLengths<'_>,
        (told, unknown): &mut (A, Vec<ChunkId>),
        each: &(impl Fn(&mut A, &Leaving) + Sync),
    ) -> Result<(), CacheError> {
        /// In the place of the last step a chunk is referred to: it stays.
        const STAYS: u32 = 0;
        let Self {
            cursors,
            table,
            buffer,
        } = self;
        table.clear();
        let (leaving, staying) = cursors.split_at_mut(leaving);
        let again = leaving.to_vec();
        for (cursor, step) in leaving.iter_mut().zip(1_u32..) {
            cursor.next_range(buffer, |reference| {
                let (slot, _) = table.entry(&reference.id);
                slot.refs = step;
                learn(slot, reference.sizes);
            })?;
        }
        for cursor in staying {
            cursor.next_range(buffer, |reference| {
                if let Some(slot) = table.get_mut(&reference.id) {
                    slot.refs = STAYS;
                    learn(slot, reference.sizes);
                }
            })?;
        }
        if let Some(lone) = lone {
            for slot in table.iter_mut() {
                if lone.binary_search(&slot.id).is_err() {
                    slot.refs = STAYS;
                }
            }
        }
        find_lengths(table, lengths, unknown);
        for ((mut cursor, number), step) in again.into_iter().zip(1_u32..).zip(0..) {
            cursor.next_range(buffer, |reference| {
                // It was put there from the same summary; one that somebody replaced meanwhile frees nothing.
                let Some(slot) = table.get_mut(&reference.id) else {
                    return;
                };
                let is_last = slot.refs == number;
                if is_last {
                    slot.refs = STAYS; // It is told once.
                }
                let sizes = ChunkSizes {
                    size: slot.size,
                    csize: slot.csize,
                };
                let reference = Reference {
                    sizes,
                    ..*reference
                };
                each(
                    told,
                    &Leaving {
                        step,
                        reference,
                        is_last,
                    },
                );
            })?;
        }
        Ok(())
    }
}

/// Takes over lengths that are not known yet.
fn learn(slot: &mut Slot, sizes: ChunkSizes) {
    for (known, new) in [(&mut slot.size, sizes.size), (&mut slot.csize, sizes.csize)] {
        if *known == 0 {
            *known = new;
        }
    }
}

fn find_lengths(table: &mut Slots, lengths: FoundLengths<'_>, unknown: &mut Vec<ChunkId>) {
    for slot in table.iter_mut().filter(|slot| slot.csize == 0) {
        match lengths(&slot.id) {
            Some(csize) => slot.csize = csize,
            None => unknown.push(slot.id),
        }
    }
}

#[cfg(test)]
mod tests;
