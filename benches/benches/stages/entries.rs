//! Entries of segments, the index that leads to them, and objects appended through a repository.

use std::sync::Arc;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ironborg_format::hashindex::HashIndex;
use ironborg_format::segment::{decode_entry, put_header};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, OpenOptions, Repository, process_identity,
};
use ironborg_storage::MemoryStorage;
use ironborg_types::{ChunkId, NullReporter};

use crate::{CHUNK_LENS, content, id};

/// Entries of an index: more than a near cache holds.
const ENTRIES: u64 = 200_000;

/// Objects stored in one transaction.
const OBJECTS: u64 = 1_000;

/// Bytes of a place in the index: segment and offset.
const PLACE_LEN: usize = 8;

#[divan::bench(args = CHUNK_LENS)]
fn checksum_of_an_entry(bencher: Bencher<'_, '_>, len: usize) {
    let (id, object) = (id(1), content(len));
    bencher
        .counter(BytesCount::new(len))
        .bench(|| put_header(black_box(&id), black_box(&object)));
}

#[divan::bench(args = CHUNK_LENS)]
fn decode_and_verify_an_entry(bencher: Bencher<'_, '_>, len: usize) {
    let object = content(len);
    let mut entry = put_header(&id(1), &object).to_vec();
    entry.extend_from_slice(&object);
    bencher
        .counter(BytesCount::new(len))
        .bench(|| decode_entry(black_box(&entry)).expect("whole").1);
}

fn ids() -> Vec<ChunkId> {
    (0..ENTRIES).map(id).collect()
}

fn filled(ids: &[ChunkId]) -> HashIndex<PLACE_LEN> {
    let mut index = HashIndex::new();
    for id in ids {
        index.insert(id.as_bytes(), &[1; PLACE_LEN]);
    }
    index
}

#[divan::bench]
fn insert_into_an_index(bencher: Bencher<'_, '_>) {
    let ids = ids();
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| filled(&ids));
}

#[divan::bench]
fn look_up_in_an_index(bencher: Bencher<'_, '_>) {
    let ids = ids();
    let index = filled(&ids);
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        let found = ids.iter().filter(|id| index.contains(id.as_bytes()));
        assert_eq!(found.count(), ids.len());
    });
}

#[divan::bench]
fn miss_in_an_index(bencher: Bencher<'_, '_>) {
    let ids = ids();
    let index = filled(&ids);
    let others: Vec<ChunkId> = (ENTRIES..2 * ENTRIES).map(id).collect();
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        let found = others.iter().filter(|id| index.contains(id.as_bytes()));
        assert_eq!(found.count(), 0);
    });
}

#[divan::bench]
fn save_an_index(bencher: Bencher<'_, '_>) {
    let mut index = filled(&ids());
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench_local(|| index.as_bytes().to_vec());
}

#[divan::bench]
fn load_an_index(bencher: Bencher<'_, '_>) {
    let bytes = filled(&ids()).as_bytes().to_vec();
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .with_inputs(|| bytes.clone())
        .bench_values(|bytes| HashIndex::<PLACE_LEN>::from_bytes(bytes).expect("well-formed"));
}

/// A transaction of a thousand objects in memory: segments, index, commit.
#[divan::bench(args = [CHUNK_LENS[0], 100_000])]
fn append_to_segments(bencher: Bencher<'_, '_>, len: usize) {
    let object = content(len);
    let ids: Vec<ChunkId> = (0..OBJECTS).map(id).collect();
    let bytes = ids.len() * len;
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(repository)
        .bench_local_values(|mut repository| {
            for id in &ids {
                repository.put(id, &object).expect("memory is enough");
            }
            repository.commit().expect("memory is enough");
            repository
        });
}

fn repository() -> LocalRepository {
    let create = CreateOptions {
        append_only: false,
        storage_quota: None,
        make_parent_dirs: false,
    };
    let open = OpenOptions {
        lock: LockMode::Exclusive,
        lock_wait: Some(Duration::ZERO),
        owner: process_identity("host.example.org@1"),
        append_only: false,
        storage_quota: None,
        reporter: Arc::new(NullReporter),
    };
    LocalRepository::create_in(Arc::new(MemoryStorage::new()), &create, open)
        .expect("nothing is there yet")
}
