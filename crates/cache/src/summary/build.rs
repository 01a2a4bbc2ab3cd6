//! Collecting an archive's references: sorted in runs, which are merged at the end.
//!
//! A table of them would have to be sorted in the end anyway, and each reference would cost it a line of
//! memory that is far away. Memory: 44 bytes for each of a run's references, and for each chunk of the runs before; of the run
//! 60 more while it is sorted.

use ironborg_format::item::ChunkEntry;
use ironborg_types::ChunkId;

use super::{ArchiveFigures, ArchiveSummary, RECORD_LEN, WHOLE};

/// References that are sorted at once: 11 MiB, of which little is more than once in a run.
const RUN_LEN: usize = 1 << 18;

/// A chunk with its references, as it is kept.
type Record = [u8; RECORD_LEN];

const REFS_AT: usize = ChunkId::LEN;
const SIZES_AT: [usize; 2] = [REFS_AT + 4, REFS_AT + 8];

fn record_of(chunk: &ChunkEntry) -> Record {
    let mut record = [0; RECORD_LEN];
    record[..ChunkId::LEN].copy_from_slice(chunk.id.as_bytes());
    set(&mut record, REFS_AT, 1);
    set(&mut record, SIZES_AT[0], chunk.size);
    set(&mut record, SIZES_AT[1], chunk.csize);
    record
}

fn id(record: &Record) -> &[u8] {
    &record[..ChunkId::LEN]
}

fn number(record: &Record, at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().expect(WHOLE))
}

fn set(record: &mut Record, at: usize, number: u32) {
    record[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// The beginning of an id: all of it, as far as order goes, but for one pair in very many.
fn key(record: &Record) -> u64 {
    u64::from_be_bytes(*record.first_chunk().expect(WHOLE))
}

fn order(one: &Record, other: &Record) -> std::cmp::Ordering {
    let keys = key(one).cmp(&key(other));
    keys.then_with(|| id(one).cmp(id(other)))
}

/// Takes more references to the same chunk in. Old archives made without a synchronised cache have zeros.
fn absorb(record: &mut Record, other: &Record) {
    let refs = number(record, REFS_AT).saturating_add(number(other, REFS_AT));
    set(record, REFS_AT, refs);
    for at in SIZES_AT {
        if number(record, at) == 0 {
            set(record, at, number(other, at));
        }
    }
}

/// Sorts and makes one record of those about the same chunk.
fn settle(records: &mut Vec<Record>) {
    // Beginnings of ids are a third of what records are, and compared without a branch.
    let beginnings = records.iter().map(key).zip(0_usize..);
    let mut places: Vec<(u64, usize)> = beginnings.collect();
    places.sort_unstable_by_key(|(key, _)| *key);
    let mut settled: Vec<Record> = Vec::with_capacity(records.len());
    for alike in places.chunk_by(|one, other| one.0 == other.0) {
        let from = settled.len();
        settled.extend(alike.iter().map(|(_, at)| records[*at]));
        if alike.len() > 1 {
            // The same chunk nearly always.
            settled[from..].sort_unstable_by(order);
        }
    }
    settled.dedup_by(|later, kept| {
        let same = id(later) == id(kept);
        if same {
            absorb(kept, later);
        }
        same
    });
    *records = settled;
}

/// References in the order they come, and what was sorted of them so far.
#[derive(Debug, Default)]
struct Runs {
    sorted: Vec<Record>,
    new: Vec<Record>,
}

impl Runs {
    fn add(&mut self, chunk: &ChunkEntry) {
        if chunk.id == ChunkId::MANIFEST {
            return; // Only a hostile archive refers to it.
        }
        // What is new is as long as what is there at least, so that merging costs little for each.
        if self.new.len() >= RUN_LEN.max(self.sorted.len() / 4) {
            self.settle();
        }
        self.new.push(record_of(chunk));
    }

    /// Merges what is new into what is sorted.
    fn settle(&mut self) {
        settle(&mut self.new);
        if self.sorted.is_empty() {
            std::mem::swap(&mut self.sorted, &mut self.new);
            return;
        }
        let mut at = 0;
        // Chunks that are known already are counted where they are; only others are moved.
        self.new.retain(|record| {
            let rest = &self.sorted[at..];
            at += rest.partition_point(|sorted| order(sorted, record).is_lt());
            let same = self
                .sorted
                .get_mut(at)
                .filter(|sorted| id(sorted) == id(record));
            same.map(|sorted| absorb(sorted, record)).is_none()
        });
        merge_into(&mut self.sorted, &self.new);
        self.new.clear();
    }

    fn finish(mut self) -> Vec<Record> {
        self.settle();
        self.sorted
    }
}

/// Merges `new` into `sorted`, from the end, where the room is. None is in both.
fn merge_into(sorted: &mut Vec<Record>, new: &[Record]) {
    let mut left = sorted.len();
    sorted.reserve_exact(new.len());
    sorted.extend_from_slice(new);
    let mut end = sorted.len();
    for record in new.iter().rev() {
        let behind = sorted[..left].partition_point(|known| order(known, record).is_lt());
        let moved = left - behind;
        sorted.copy_within(behind..left, end - moved);
        end -= moved + 1;
        sorted[end] = *record;
        left = behind;
    }
}

/// Collects an archive's references.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    content: Runs,
    metadata: Runs,
    figures: ArchiveFigures,
}

impl SummaryBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the chunks of one file.
    pub fn add_file(&mut self, chunks: &[ChunkEntry], is_part: bool) {
        self.add_chunks(chunks.iter().copied(), is_part);
    }

    /// The same, without a list of them.
    pub fn add_chunks(&mut self, chunks: impl Iterator<Item = ChunkEntry>, is_part: bool) {
        let (mut size, mut csize) = (0_u64, 0_u64);
        for chunk in chunks {
            self.content.add(&chunk);
            size += u64::from(chunk.size);
            csize += u64::from(chunk.csize);
        }
        let figures = &mut self.figures;
        let (sizes, csizes, nfiles) = if is_part {
            (
                &mut figures.size_parts,
                &mut figures.csize_parts,
                &mut figures.nfiles_parts,
            )
        } else {
            (&mut figures.size, &mut figures.csize, &mut figures.nfiles)
        };
        *sizes += size;
        *csizes += csize;
        *nfiles += 1;
    }

    /// Counts one chunk of the item stream, or the archive object itself.
    pub fn add_metadata(&mut self, chunk: &ChunkEntry) {
        self.metadata.add(chunk);
    }

    /// The finished summary.
    pub fn finish(self) -> ArchiveSummary {
        let mut bytes = self.content.finish().into_flattened();
        let content_len = bytes.len();
        let metadata = self.metadata.finish();
        bytes.reserve_exact(metadata.len() * RECORD_LEN);
        bytes.extend_from_slice(metadata.as_flattened());
        ArchiveSummary {
            figures: self.figures,
            content_len,
            records_at: 0,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn record(n: u16) -> Record {
        let mut id = [7; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        record_of(&ChunkEntry {
            id: ChunkId(id),
            size: 5,
            csize: 3,
        })
    }

    proptest! {
        #[test]
        fn runs_make_a_sorted_count(runs in prop::collection::vec(prop::collection::vec(1_u16..300, 0..200), 0..6)) {
            let mut collected = Runs::default();
            let mut model: BTreeMap<u16, u32> = BTreeMap::new();
            for run in &runs {
                for n in run {
                    collected.new.push(record(*n));
                    *model.entry(*n).or_default() += 1;
                }
                collected.settle();
            }
            let found = collected.finish();
            let found: Vec<(&[u8], u32)> = found.iter().map(|found| (id(found), number(found, REFS_AT))).collect();
            let ids: Vec<Record> = model.keys().map(|n| record(*n)).collect();
            let expected: Vec<(&[u8], u32)> = ids.iter().map(id).zip(model.values().copied()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
