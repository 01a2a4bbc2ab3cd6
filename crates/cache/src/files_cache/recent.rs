//! The files of this run, until they are saved.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ironborg_format::item::ChunkEntry;

use super::{Bare, FileKnown, PathHash, Remembered, Sight};

/// Shards: more than any machine's workers, so that two rarely meet.
const SHARDS: usize = 64;

/// One file of this run.
pub(super) struct RecentFile<'a> {
    pub(super) path: PathHash,
    pub(super) remembered: Remembered,
    pub(super) chunks: &'a [ChunkEntry],
}

type Files = HashMap<PathHash, (Remembered, Box<[ChunkEntry]>), BuildHasherDefault<PathIsHash>>;

/// All of them, by path.
#[derive(Debug)]
pub(super) struct RecentFiles {
    shards: Box<[Mutex<Files>]>,
    any: AtomicBool,
}

impl RecentFiles {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            any: AtomicBool::new(false),
        }
    }

    pub(super) fn insert(&self, path: PathHash, remembered: Remembered, chunks: &[ChunkEntry]) {
        self.shard(path).insert(path, (remembered, chunks.into()));
        self.any.store(true, Ordering::Release);
    }

    /// Notes that a file is bare; false if it is none of this run.
    pub(super) fn note_bare(&self, path: PathHash, sight: Sight) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let mut files = self.shard(path);
        let Some((remembered, _)) = files.get_mut(&path) else {
            return false;
        };
        remembered.bare = remembered.bare.or(Bare::seen_with(sight));
        true
    }

    /// What `decide` says about the file, if it is one of this run. Its chunks are appended if it is unchanged.
    pub(super) fn lookup(
        &self,
        path: PathHash,
        decide: impl FnOnce(&Remembered) -> FileKnown,
        chunks: &mut Vec<ChunkEntry>,
    ) -> Option<FileKnown> {
        // In a run over an unchanged tree nobody has to wait for anybody.
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let files = self.shard(path);
        let (remembered, own) = files.get(&path)?;
        let answer = decide(remembered);
        if answer != FileKnown::Changed {
            chunks.extend_from_slice(own);
        }
        Some(answer)
    }

    /// Shows `use_all` all of them, by ascending path hash. Nobody can insert meanwhile.
    pub(super) fn with_all<T>(&self, use_all: impl FnOnce(&[RecentFile<'_>]) -> T) -> T {
        let shards: Vec<MutexGuard<'_, Files>> = self.shards.iter().map(lock).collect();
        let files = shards.iter().flat_map(|files| files.iter());
        let mut all: Vec<RecentFile<'_>> = files
            .map(|(path, (remembered, chunks))| RecentFile {
                path: *path,
                remembered: *remembered,
                chunks,
            })
            .collect();
        all.sort_unstable_by_key(|file| file.path);
        use_all(&all)
    }

    fn shard(&self, path: PathHash) -> MutexGuard<'_, Files> {
        // The lowest bits; the map uses the highest and those above these.
        let shard = usize::try_from(path.0 % SHARDS as u128).expect("below 64");
        lock(&self.shards[shard])
    }
}

/// A worker that panicked left the map as it was between two calls; the run ends anyway.
fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path hash is a hash already: its upper half is as good as any.
#[derive(Default)]
struct PathIsHash(u64);

impl Hasher for PathIsHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("path hashes are numbers");
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = u64::try_from(number >> 64).expect("the upper half");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
