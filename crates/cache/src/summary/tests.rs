//! What summaries say about archives, and that they survive being kept.

use super::*;
use crate::chunk_table::Counts;
use ironborg_format::item::ChunkEntry;
use ironborg_storage::MemoryStorage;
use ironborg_types::NullReporter;
use proptest::prelude::*;
use std::collections::BTreeMap;

const REPOSITORY: RepositoryId = RepositoryId([9; 32]);

fn chunk(n: u8) -> ChunkEntry {
    ChunkEntry {
        id: ChunkId([n; 32]),
        size: u32::from(n) * 10,
        csize: u32::from(n) * 3,
    }
}

fn chunks(numbers: &[u8]) -> Vec<ChunkEntry> {
    numbers.iter().copied().map(chunk).collect()
}

/// One file for each list, and two chunks of metadata.
fn summary(files: &[&[u8]], metadata: [u8; 2]) -> ArchiveSummary {
    let mut builder = SummaryBuilder::new();
    for file in files {
        builder.add_file(&chunks(file), false);
    }
    for n in metadata {
        builder.add_metadata(&chunk(n));
    }
    builder.finish()
}

fn store() -> (Arc<MemoryStorage>, SummaryStore) {
    let storage = Arc::new(MemoryStorage::new());
    (Arc::clone(&storage), SummaryStore::new(storage, REPOSITORY))
}

#[test]
fn references_and_figures_are_counted() {
    let mut builder = SummaryBuilder::new();
    builder.add_file(&chunks(&[2, 1, 2]), false);
    builder.add_file(&[], false);
    builder.add_file(&chunks(&[2, 3]), true);
    builder.add_metadata(&chunk(4));
    let summary = builder.finish();
    let content: Vec<_> = summary
        .content()
        .map(|(id, refs, _)| (id.0[0], refs))
        .collect();
    assert_eq!(content, [(1, 1), (2, 3), (3, 1)]);
    assert_eq!(summary.content_count(), 3);
    let metadata: Vec<_> = summary.metadata().collect();
    let sizes = ChunkSizes {
        size: 40,
        csize: 12,
    };
    assert_eq!(metadata, [(ChunkId([4; 32]), 1, sizes)]);
    assert_eq!(
        *summary.figures(),
        ArchiveFigures {
            size: 50,
            csize: 15,
            nfiles: 2,
            size_parts: 50,
            csize_parts: 15,
            nfiles_parts: 1,
        }
    );
}

#[test]
fn only_content_of_one_archive_alone_is_its_deduplicated_size() {
    // As in Borg: chunk 3 is in both archives, 5 twice in the second; metadata do not count.
    let first = summary(&[&[1, 2, 3]], [10, 11]);
    let second = summary(&[&[3, 4], &[5, 5]], [12, 13]);
    let table = ChunkTable::new(0, Counts::Complete);
    first.add_to(&table);
    second.add_to(&table);
    assert_eq!(first.unique_csize(&table), 3 * (1 + 2));
    assert_eq!(second.unique_csize(&table), 3 * (4 + 5));
    let totals = table.totals();
    assert_eq!((totals.unique_chunks, totals.total_chunks), (9, 11));
    assert_eq!(
        totals.unique_csize,
        3 * (1 + 2 + 3 + 4 + 5 + 10 + 11 + 12 + 13)
    );
}

#[test]
fn removing_an_archive_names_the_chunks_nobody_needs() {
    let first = summary(&[&[1, 2, 3]], [10, 11]);
    let second = summary(&[&[3, 4], &[5, 5]], [12, 13]);
    let table = ChunkTable::new(0, Counts::Complete);
    first.add_to(&table);
    second.add_to(&table);
    let (mut gone, mut csize) = (Vec::new(), 0);
    second.remove_from(&table, |id, refs, left| {
        csize += left.sizes.csize * refs;
        if left.refs == 0 {
            gone.push(id.0[0]);
        }
    });
    gone.sort_unstable();
    assert_eq!(gone, [4, 5, 12, 13]);
    assert_eq!(csize, 3 * (3 + 4 + 5 + 5 + 12 + 13));
    assert_eq!(first.unique_csize(&table), 3 * (1 + 2 + 3));
    assert_eq!(table.len(), 5);
    let mut known = Vec::new();
    second.remove_from(&table, |id, _, _| known.push(id.0[0]));
    assert_eq!(known, [3]);
}

#[test]
fn unknown_stored_lengths_are_filled_in_from_elsewhere() {
    let mut builder = SummaryBuilder::new();
    let unknown = ChunkEntry {
        csize: 0,
        ..chunk(1)
    };
    builder.add_file(&[unknown, chunk(1)], false);
    builder.add_file(
        &[ChunkEntry {
            csize: 0,
            ..chunk(2)
        }],
        false,
    );
    let summary = builder.finish();
    let csizes: Vec<u32> = summary.content().map(|(_, _, sizes)| sizes.csize).collect();
    assert_eq!(csizes, [3, 0]);
    let table = ChunkTable::new(0, Counts::Complete);
    summary.add_to(&table);
    assert_eq!(table.ids_without_csize(), [ChunkId([2; 32])]);
}

#[test]
fn summaries_are_kept_by_archive_and_removed_with_it() {
    let (storage, store) = store();
    let (first, second) = (ArchiveId([1; 32]), ArchiveId([2; 32]));
    store.retain(&HashSet::new()).unwrap();
    store.save(&first, &summary(&[&[1, 2]], [3, 4])).unwrap();
    store.save(&second, &summary(&[], [5, 5])).unwrap();
    storage.set("archives/not-a-summary", "kept");
    let loaded = store.load(&first, &NullReporter).unwrap();
    assert!(loaded.content().eq(summary(&[&[1, 2]], [3, 4]).content()));
    assert_eq!(loaded.figures().nfiles, 1);
    store.retain(&HashSet::from([second])).unwrap();
    assert!(store.load(&first, &NullReporter).is_none());
    let metadata = store.load(&second, &NullReporter).unwrap();
    assert!(metadata.metadata().map(|(_, refs, _)| refs).eq([2]));
    assert!(storage.read("archives/not-a-summary").is_ok());
}

#[test]
fn a_damaged_summary_is_none() {
    let (storage, store) = store();
    let archive = ArchiveId([1; 32]);
    store.save(&archive, &summary(&[&[1, 2]], [3, 4])).unwrap();
    let name = file_name(&archive);
    let good = storage.read(&name).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        storage.set(&name, bad);
        assert!(store.load(&archive, &NullReporter).is_none(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn a_summary_survives_being_kept(
        files in prop::collection::vec((prop::collection::vec(1_u8..50, 0..20), any::<bool>()), 0..20),
        metadata in prop::collection::vec(1_u8..50, 0..20),
    ) {
        let mut builder = SummaryBuilder::new();
        let mut model: BTreeMap<u8, u32> = BTreeMap::new();
        for (file, is_part) in &files {
            builder.add_file(&chunks(file), *is_part);
            for n in file {
                *model.entry(*n).or_default() += 1;
            }
        }
        for n in &metadata {
            builder.add_metadata(&chunk(*n));
        }
        let (_, store) = store();
        let summary = builder.finish();
        store.save(&ArchiveId([1; 32]), &summary).unwrap();
        let loaded = store.load(&ArchiveId([1; 32]), &NullReporter).unwrap();
        prop_assert_eq!(loaded.figures(), summary.figures());
        prop_assert!(loaded.metadata().eq(summary.metadata()));
        let content: BTreeMap<u8, u32> = loaded.content().map(|(id, refs, _)| (id.0[0], refs)).collect();
        prop_assert_eq!(content, model);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), counts in any::<[u64; 2]>()) {
        let _ = ArchiveSummary::decode(bytes.clone());
        let mut plausible = vec![0; BODY_OFFSET + 48];
        for count in counts {
            plausible.extend_from_slice(&(count % 4).to_le_bytes());
        }
        plausible.extend_from_slice(&bytes);
        let _ = ArchiveSummary::decode(plausible);
        let huge = [vec![0; BODY_OFFSET + 48], vec![0xff; 16], bytes].concat();
        prop_assert!(ArchiveSummary::decode(huge).is_none());
    }
}
