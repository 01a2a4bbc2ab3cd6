//! Counting range by range gives what one table of all chunks gives.

use super::*;
use crate::chunk_table::{ChunkTable, Counts};
use crate::summary::{ArchiveSummary, Section, Sieve, SummaryBuilder, SummaryStore};
use ironborg_format::item::ChunkEntry;
use ironborg_storage::MemoryStorage;
use ironborg_types::{ArchiveId, NullReporter, RepositoryId};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Chunks are known by numbers; some begin alike. Every seventh has no stored length in archives with even numbers.
fn chunk(n: u16, archive: usize) -> ChunkEntry {
    let mut id = [9; 32];
    id[..2].copy_from_slice(&(n / 2).wrapping_mul(0x9e37).to_be_bytes());
    id[30..].copy_from_slice(&n.to_be_bytes());
    let untold = n.is_multiple_of(7) && archive.is_multiple_of(2);
    ChunkEntry {
        id: ChunkId(id),
        size: u32::from(n) + 1,
        csize: if untold { 0 } else { u32::from(n) + 3 },
    }
}

fn length(id: &ChunkId) -> Option<u32> {
    let n = u16::from_be_bytes([id.0[30], id.0[31]]);
    n.is_multiple_of(2).then(|| u32::from(n) + 3)
}

fn summaries(archives: &[(Vec<u16>, Vec<u16>)]) -> Vec<ArchiveSummary> {
    let of = |(number, (content, metadata)): (usize, &(Vec<u16>, Vec<u16>))| {
        let mut builder = SummaryBuilder::new();
        let content: Vec<_> = content.iter().map(|n| chunk(*n, number)).collect();
        for file in content.chunks(3) {
            builder.add_file(file, false);
        }
        for n in metadata {
            builder.add_metadata(&chunk(1000 + n, number));
        }
        builder.finish()
    };
    archives.iter().enumerate().map(of).collect()
}

/// One in memory, one in its file, and so on.
fn sources(summaries: &[ArchiveSummary]) -> Vec<SummarySource> {
    let store = SummaryStore::new(Arc::new(MemoryStorage::new()), RepositoryId([1; 32]));
    let of = |(number, summary): (usize, &ArchiveSummary)| {
        if number % 2 == 0 {
            return SummarySource::Memory(summary.clone());
        }
        let id = ArchiveId([u8::try_from(number).unwrap(); 32]);
        store.save(&id, summary).unwrap();
        let kept = store.open(&id, &NullReporter).expect("it was just kept");
        assert_eq!(
            format!("{kept:?}"),
            format!("{:?}", store.saved(&id, summary))
        );
        SummarySource::Kept(kept)
    };
    summaries.iter().enumerate().map(of).collect()
}

fn archive() -> impl Strategy<Value = (Vec<u16>, Vec<u16>)> {
    let chunks = |max: u16, len| prop::collection::vec(0..max, 0..len);
    (chunks(600, 400), chunks(40, 20))
}

fn how() -> impl Strategy<Value = Tally> {
    let memory = prop_oneof![Just(None), (0_u64..200_000).prop_map(Some)];
    (1_usize..5, 0_u64..5000, memory).prop_map(|(threads, objects, memory)| Tally {
        threads,
        objects,
        memory,
    })
}

/// The table of all, with the lengths that can be found out.
fn table(summaries: &[ArchiveSummary]) -> ChunkTable {
    let table = ChunkTable::new(0, Counts::Complete);
    for summary in summaries {
        summary.add_to(&table);
    }
    for id in table.ids_without_csize() {
        if let Some(csize) = length(&id) {
            table.learn_csize(&id, csize);
        }
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sums_are_those_of_the_table(
        archives in prop::collection::vec(archive(), 1..6),
        tally in how(),
        shown in prop::collection::btree_set(0_usize..6, 0..4),
    ) {
        let summaries = summaries(&archives);
        let sources = sources(&summaries);
        let sources: Vec<&SummarySource> = sources.iter().collect();
        let shown: Vec<usize> = shown.into_iter().filter(|at| *at < sources.len()).collect();
        let sums = tally.sums(&sources, &shown, &length).unwrap();
        let table = table(&summaries);
        prop_assert_eq!(sums.totals, table.totals());
        let unique: Vec<u64> = shown.iter().map(|at| summaries[*at].unique_csize(&table)).collect();
        prop_assert_eq!(sums.unique_csizes, unique);
        let unknown: BTreeSet<ChunkId> = sums.unknown.into_iter().collect();
        prop_assert_eq!(unknown, table.ids_without_csize().into_iter().collect::<BTreeSet<_>>());
    }

    #[test]
    fn leaving_is_what_taking_out_of_the_table_is(
        archives in prop::collection::vec(archive(), 1..6),
        tally in how(),
        order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle(),
        stay in 0_usize..6,
    ) {
        let summaries = summaries(&archives);
        let sources = sources(&summaries);
        let order: Vec<usize> = order.into_iter().filter(|at| *at < sources.len()).collect();
        let (staying, leaving) = order.split_at(stay.min(order.len()));
        let of = |numbers: &[usize]| -> Vec<&SummarySource> {
            numbers.iter().map(|at| &sources[*at]).collect()
        };
        let (told, _) = tally
            .leave(&of(leaving), Staying::Summaries(&of(staying)), &length, |told: &mut Vec<Leaving>, leaving| told.push(*leaving))
            .unwrap();
        let told = told.concat();
        let table = table(&summaries);
        for (step, number) in leaving.iter().enumerate() {
            let mut expected = Vec::new();
            summaries[*number].remove_from(&table, |id, refs, left| {
                expected.push((id, refs, left.sizes, left.refs == 0));
            });
            for section in [Section::Content, Section::Metadata] {
                let found = told.iter().filter(|told| told.step == step && told.reference.section == section);
                let found: Vec<_> = found
                    .map(|told| {
                        let Reference { id, refs, sizes, .. } = told.reference;
                        (id, refs, sizes, told.is_last)
                    })
                    .collect();
                let len = found.len();
                prop_assert_eq!(&found, &expected[..len]);
                expected.drain(..len);
            }
            prop_assert!(expected.is_empty());
        }
        let lone = sifted(&of(leaving), staying, &summaries);
        let (again, _) = tally
            .leave(
                &of(leaving),
                Staying::AllBut(&lone),
                &length,
                |told: &mut Vec<Leaving>, leaving| told.push(*leaving),
            )
            .unwrap();
        let without_lengths = |told: &[Leaving]| -> Vec<_> {
            let told = told.iter();
            told.map(|told| (told.step, told.reference.id, told.reference.refs, told.is_last))
                .collect()
        };
        prop_assert_eq!(without_lengths(&again.concat()), without_lengths(&told));
    }
}

/// What only the `leaving` refer to, found by going through the others, one in memory, one in its file and so on.
fn sifted(
    leaving: &[&SummarySource],
    staying: &[usize],
    summaries: &[ArchiveSummary],
) -> Vec<ChunkId> {
    let mut ids = Vec::new();
    for source in leaving {
        let mut cursor = SummaryCursor::new(source, IdRanges::of_len(1, 1), 0).unwrap();
        let take = |reference: &Reference| ids.push(reference.id);
        cursor.next_range(&mut Vec::new(), take).unwrap();
    }
    let store = SummaryStore::new(Arc::new(MemoryStorage::new()), RepositoryId([1; 32]));
    let sieve = Sieve::new(ids);
    for (turn, number) in staying.iter().enumerate() {
        let summary = &summaries[*number];
        if turn % 2 == 0 {
            sieve.sift(summary);
            continue;
        }
        let id = ArchiveId([u8::try_from(*number).unwrap(); 32]);
        store.save(&id, summary).unwrap();
        assert!(store.sift(&id, &sieve, &NullReporter));
    }
    sieve.into_left()
}

#[test]
fn little_memory_means_more_ranges() {
    let numbers: Vec<u16> = (0..u16::MAX).collect();
    let summary = summaries(&[(numbers, Vec::new())]);
    let source = SummarySource::Memory(summary.into_iter().next().unwrap());
    let count = |memory| {
        let tally = Tally {
            threads: 2,
            objects: 1_000_000,
            memory,
        };
        tally.ranges(&[&source]).count()
    };
    assert_eq!(count(None), 4);
    assert_eq!(count(Some(2 * 110 * 1024)), 64);
    assert_eq!(count(Some(0)), 256);
}
