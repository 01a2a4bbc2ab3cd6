//! What a client keeps and reads again: paper keys, caches, security records.

use std::collections::HashSet;
use std::sync::Arc;

use ironborg_cache::{
    ChunkTable, Counts, FileStat, FilesCache, FilesCacheMode, PathHash, RepositoryFacts,
    SecurityDirectory, Sight, StockCache, StockCacheConfig, SummaryBuilder, SummaryStore,
    UnknownUnencrypted,
};
use ironborg_format::ChunkEntry;
use ironborg_format::paper_key::{self, PaperKey, Typed};
use ironborg_repository::LockOptions;
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{
    Answer, ArchiveId, ChunkId, NullReporter, Question, Questioner, Reporter, RepositoryId,
};
use xxhash_rust::xxh3::Xxh3;

const REPOSITORY: RepositoryId = RepositoryId([7; 32]);
const PATH: PathHash = PathHash(42);

/// Lines as they are typed: the id line, then those of the key.
pub(crate) fn paper_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    if let Ok(mut key) = PaperKey::begin(lines.next().unwrap_or_default()) {
        let _ = key.is_for(&REPOSITORY);
        for line in lines {
            match key.line(line) {
                Ok(Typed::Key(blob)) => {
                    let again = paper_key::print(&REPOSITORY, &blob).expect("it was typed in");
                    assert_eq!(
                        typed_in(&again),
                        *blob,
                        "a key that was right prints and reads"
                    );
                }
                Ok(Typed::More) => assert!(key.next_line() > 1),
                Err(_) => assert!(key.next_line() >= 1),
            }
        }
    }
    // Any bytes are a key's as far as paper goes.
    if let Some(printed) = paper_key::print(&REPOSITORY, bytes)
        && !bytes.is_empty()
    {
        assert_eq!(typed_in(&printed), bytes);
    }
}

fn typed_in(printed: &str) -> Vec<u8> {
    let lines = printed.lines().skip(1);
    let mut lines = lines.map(|line| line.split_once(": ").expect("a number, a colon").1);
    let mut key = PaperKey::begin(lines.next().expect("an id line")).expect("just printed");
    assert!(key.is_for(&REPOSITORY));
    for line in lines {
        if let Typed::Key(blob) = key.line(line).expect("just printed") {
            return blob.to_vec();
        }
    }
    panic!("the last line ends a key")
}

pub(crate) fn paper_key_seeds() -> Vec<Vec<u8>> {
    let keys: [&[u8]; 3] = [b"x", &[0; 18], &[0xa5; 400]];
    let printed = keys.map(|key| paper_key::print(&REPOSITORY, key).expect("a short key"));
    let typed = printed.iter().map(|printed| {
        let lines = printed.lines().skip(1);
        let lines = lines.map(|line| line.split_once(": ").expect("a number, a colon").1);
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    });
    typed.chain([b"1/a/b-c".to_vec()]).collect()
}

/// A cache file of a kind, whose checksum is right: whoever made it, it must not bring the program down.
fn framed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for part in [
        b"IRONBORG".as_slice(),
        &kind,
        &1_u32.to_le_bytes(),
        REPOSITORY.as_bytes(),
    ] {
        file.extend_from_slice(part);
    }
    let mut hash = Xxh3::new();
    hash.update(&file);
    hash.update(body);
    file.extend_from_slice(&hash.digest128().to_le_bytes());
    file.extend_from_slice(body);
    file
}

const BODY_OFFSET: usize = 64;
const FILES: ([u8; 4], &str) = (*b"file", "files");
const STORED: ([u8; 4], &str) = (*b"stor", "stored");
const ARCHIVE: ArchiveId = ArchiveId([9; 32]);

fn summary_name() -> String {
    format!("archives/{ARCHIVE}")
}

fn stat() -> FileStat {
    FileStat {
        inode: 5,
        size: 100,
        ctime_ns: 1_000,
        mtime_ns: 900,
    }
}

pub(crate) fn caches(bytes: &[u8]) {
    let memory = MemoryStorage::new();
    memory.set(FILES.1, framed(FILES.0, bytes));
    memory.set(STORED.1, framed(STORED.0, bytes));
    memory.set(&summary_name(), framed(*b"arch", bytes));
    let storage: Arc<dyn Storage> = Arc::new(memory);
    let mode = FilesCacheMode::DEFAULT;
    let cache = FilesCache::open(
        &storage,
        FILES.1,
        REPOSITORY,
        mode,
        Sight::All,
        &NullReporter,
    );
    let mut chunks = Vec::new();
    for path in [PATH, PathHash(0), PathHash(u128::MAX)] {
        cache.lookup(path, &stat(), &mut chunks);
    }
    cache.record(PATH, &stat(), &[]);
    let saved = cache.save(&storage, FILES.1, REPOSITORY, 20);
    saved.expect("memory takes everything");
    FilesCache::open(
        &storage,
        FILES.1,
        REPOSITORY,
        mode,
        Sight::All,
        &NullReporter,
    );
    if let Some(kept) = ChunkTable::kept(&storage, REPOSITORY, &NullReporter) {
        assert!(kept.table.get(&ChunkId::MANIFEST).is_none());
        kept.table.ids_without_csize();
    }
    let store = SummaryStore::new(Arc::clone(&storage), REPOSITORY);
    if let Some(summary) = store.load(&ARCHIVE, &NullReporter) {
        // What a summary adds it takes away again.
        let table = ChunkTable::new(16, Counts::Complete);
        summary.add_to(&table);
        let totals = table.totals();
        summary.remove_from(&table, |_, _, _| {});
        assert!(table.len() <= usize::try_from(totals.unique_chunks).expect("in memory"));
        let _ = summary.figures();
    }
    let gone = store.retain(&HashSet::new());
    gone.expect("memory lets go of everything");
}

/// Bodies of cache files of every kind.
pub(crate) fn cache_seeds() -> Vec<Vec<u8>> {
    let chunk = ChunkEntry {
        id: ChunkId([3; 32]),
        size: 100,
        csize: 50,
    };
    let memory = MemoryStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let mode = FilesCacheMode::DEFAULT;
    let cache = FilesCache::open(
        &storage,
        FILES.1,
        REPOSITORY,
        mode,
        Sight::All,
        &NullReporter,
    );
    for (number, path) in [PATH, PathHash(1), PathHash(2)].into_iter().enumerate() {
        let later = FileStat {
            ctime_ns: 2_000 + i64::try_from(number).expect("a small number"),
            ..stat()
        };
        let stat = if path == PATH { stat() } else { later };
        cache.record(path, &stat, &[chunk; 3]);
        cache.note_bare(path);
    }
    let saved = cache.save(&storage, FILES.1, REPOSITORY, 20);
    saved.expect("memory takes everything");
    let table = ChunkTable::new(4, Counts::Partial);
    table.note_stored(&chunk.id, 50);
    table.note_stored(&ChunkId([4; 32]), 0);
    let kept = table.keep(&storage, REPOSITORY, &ChunkId([5; 32]));
    kept.expect("memory takes everything");
    let mut builder = SummaryBuilder::new();
    builder.add_file(&[chunk; 2], false);
    builder.add_metadata(&chunk);
    let store = SummaryStore::new(Arc::clone(&storage), REPOSITORY);
    let saved = store.save(&ARCHIVE, &builder.finish());
    saved.expect("memory takes everything");
    let files = memory.files().into_iter();
    files
        .map(|(_, content)| content[BODY_OFFSET..].to_vec())
        .collect()
}

struct No;

impl Questioner for No {
    fn ask(&self, _: &Question<'_>) -> Answer {
        Answer::No
    }
}

/// One file of the security directory, or stock Borg's cache config, at a time.
pub(crate) fn security(bytes: &[u8]) {
    for file in [
        "location",
        "key-type",
        "manifest-timestamp",
        "nonce",
        "tam_required",
        "config",
    ] {
        let record = MemoryStorage::new();
        let stock = MemoryStorage::new();
        for (name, content) in [
            ("location", "/repo"),
            ("key-type", "3"),
            ("manifest-timestamp", "2024-01-01T00:00:00.000000"),
        ] {
            record.set(name, content);
        }
        if file == "config" {
            stock.set(file, bytes);
        } else {
            record.set(file, bytes);
        }
        let reporter: Arc<dyn Reporter> = Arc::new(NullReporter);
        let cache = StockCache {
            storage: Arc::new(stock.clone()),
            lock: LockOptions {
                exclusive: true,
                wait: None,
                owner: ironborg_repository::process_identity("fuzz@1"),
            },
        };
        let directory =
            SecurityDirectory::new(Arc::new(record.clone()), Some(cache), Arc::clone(&reporter));
        let facts = RepositoryFacts {
            location: "/repo",
            key_type: 3,
            logically_encrypted: true,
            is_plaintext: false,
            manifest_timestamp: "2024-01-02T00:00:00.000000",
        };
        let _ = directory.assert_secure(&facts, UnknownUnencrypted::Ask, &No);
        let nonces = directory.nonce_store();
        if let Ok(next) = nonces.next_unreserved() {
            let _ = nonces.reserve(u64::MAX, next);
        }
        let _ = directory.tam_required();
        let _ = StockCacheConfig::load(&stock, &*reporter);
    }
}

pub(crate) fn security_seeds() -> Vec<Vec<u8>> {
    [
        "/repo",
        "3",
        "2024-01-01T00:00:00.000000",
        "0000000010000000",
        "",
        "[cache]\nversion = 1\nrepository = 0707\nmanifest = 00\ntimestamp = 2024-01-01T00:00:00.000000\n\
         key_type = 3\nprevious_location = /repo\n\n[integrity]\nmanifest = 00\nchunks = {}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
