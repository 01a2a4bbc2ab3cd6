//! What 200,000 files and a million chunks cost the caches.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use ironborg_cache::{
    ChunkSizes, ChunkTable, Counts, FileKnown, FileStat, FilesCache, FilesCacheMode, PathHash,
    PathHasher, Sight,
};
use ironborg_format::item::ChunkEntry;
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{ChunkId, NullReporter, RepositoryId};

const FILES: u64 = 200_000;
const CHUNKS: u64 = 1_000_000;
const REPOSITORY: RepositoryId = RepositoryId([1; 32]);
const STAT: FileStat = FileStat {
    inode: 1,
    size: 2,
    ctime_ns: 3,
    mtime_ns: 4,
};

fn main() {
    divan::main();
}

fn id(n: u64) -> ChunkId {
    let words = [1, 3, 5, 7].map(|k: u64| {
        (n + k)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15 * k)
            .to_le_bytes()
    });
    ChunkId::from_slice(words.as_flattened()).expect("32 bytes")
}

fn paths() -> Vec<PathHash> {
    let hasher = PathHasher::new(&[7; 32]);
    let path = |n| format!("/home/somebody/projects/{}/file-{n}.txt", n % 1000);
    (0..FILES)
        .map(|n| hasher.hash(path(n).as_bytes()))
        .collect()
}

fn open(storage: &Arc<dyn Storage>) -> FilesCache {
    FilesCache::open(
        storage,
        "files",
        REPOSITORY,
        FilesCacheMode::DEFAULT,
        Sight::All,
        &NullReporter,
    )
}

fn record_all(cache: &FilesCache, paths: &[PathHash]) {
    for (n, path) in (0..).zip(paths) {
        let chunk = ChunkEntry {
            id: id(n),
            size: 100,
            csize: 50,
        };
        cache.record(*path, &STAT, &[chunk]);
    }
    // A newer one, so that none of these is too new to be kept.
    let newer = FileStat {
        ctime_ns: 9,
        ..STAT
    };
    cache.record(PathHash(0), &newer, &[]);
}

fn filled() -> (Arc<dyn Storage>, Vec<PathHash>) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let paths = paths();
    let cache = open(&storage);
    record_all(&cache, &paths);
    cache
        .save(&storage, "files", REPOSITORY, 20)
        .expect("memory is enough");
    (storage, paths)
}

#[divan::bench]
fn open_files_cache(bencher: Bencher<'_, '_>) {
    let (storage, _) = filled();
    bencher
        .counter(ItemsCount::new(FILES))
        .bench(|| open(&storage));
}

#[divan::bench]
fn look_up_unchanged_files(bencher: Bencher<'_, '_>) {
    let (storage, paths) = filled();
    let cache = open(&storage);
    let mut chunks = Vec::new();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| {
        for path in &paths {
            let known = cache.lookup(*path, &STAT, &mut chunks);
            assert_eq!(known, FileKnown::Unchanged);
        }
    });
}

#[divan::bench]
fn record_new_files(bencher: Bencher<'_, '_>) {
    let paths = paths();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    bencher
        .counter(ItemsCount::new(FILES))
        .with_inputs(|| open(&storage))
        .bench_local_values(|cache| {
            record_all(&cache, &paths);
            cache
        });
}

#[divan::bench]
fn save_new_files(bencher: Bencher<'_, '_>) {
    let paths = paths();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let cache = open(&storage);
    record_all(&cache, &paths);
    bencher
        .counter(ItemsCount::new(FILES))
        .bench(|| cache.save(&storage, "files", REPOSITORY, 20));
}

#[divan::bench]
fn save_unchanged_files(bencher: Bencher<'_, '_>) {
    let (storage, paths) = filled();
    let cache = open(&storage);
    for path in &paths {
        cache.lookup(*path, &STAT, &mut Vec::new());
    }
    bencher
        .counter(ItemsCount::new(FILES))
        .bench(|| cache.save(&storage, "files", REPOSITORY, 20));
}

fn fill(table: &ChunkTable) {
    for n in 0..CHUNKS {
        table.add(&id(n), 1, ChunkSizes { size: 10, csize: 5 });
    }
}

#[divan::bench(args = [0, CHUNKS])]
fn fill_chunk_table(bencher: Bencher<'_, '_>, capacity: u64) {
    let capacity = usize::try_from(capacity).expect("a million");
    bencher.counter(ItemsCount::new(CHUNKS)).bench(|| {
        let table = ChunkTable::new(capacity, Counts::Complete);
        fill(&table);
        table
    });
}

#[divan::bench]
fn claim_known_chunks(bencher: Bencher<'_, '_>) {
    let table = ChunkTable::new(0, Counts::Complete);
    fill(&table);
    bencher.counter(ItemsCount::new(CHUNKS)).bench(|| {
        for n in 0..CHUNKS {
            table.claim(&id(n), 10).expect("sizes agree");
        }
    });
}

#[divan::bench]
fn miss_chunks(bencher: Bencher<'_, '_>) {
    let table = ChunkTable::new(0, Counts::Complete);
    fill(&table);
    bencher.counter(ItemsCount::new(CHUNKS)).bench(|| {
        (CHUNKS..2 * CHUNKS)
            .filter(|n| table.get(&id(*n)).is_some())
            .count()
    });
}
