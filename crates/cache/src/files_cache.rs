//! Which files are unchanged since an earlier backup, and the chunks they had.
//!
//! One flat file, read whole, searched in place: 48 bytes a file and 40 a chunk, no allocation to look
//! something up, any number of threads at once. What a run adds stays beside it until it is saved, which
//! merges the two into the next file.
//!
//! Body of the file, numbers little-endian (frame: `cache_file`):
//!
//! | size | field |
//! |---|---|
//! | 8 | number of entries n |
//! | 8 | number of chunks m |
//! | 48 n | entries by ascending path hash: path hash 16, inode 8, size 8, cmtime ns 8, index of the first chunk 4, age 4 |
//! | 40 m | chunks: id 32, size 4, csize 4 |
//!
//! The chunks of an entry end where those of the next begin. The two highest bits of the age say that the file was
//! bare: see [`FileKnown::UnchangedBare`] and [`Sight`].

mod bare;
mod loaded;
mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ironborg_format::item::ChunkEntry;
use ironborg_storage::Storage;
use ironborg_types::{NullReporter, Reporter, RepositoryId};
use xxhash_rust::xxh3::xxh3_128_with_secret;

use self::bare::Bare;
pub use self::bare::Sight;
use self::loaded::{Found, LoadedFiles};
use self::recent::{RecentFile, RecentFiles};
use crate::CacheError;
use crate::cache_file::{CacheFiles, FileKind};
use crate::files_mode::{CompareTime, FilesCacheMode};

const KIND: FileKind = FileKind {
    tag: *b"file",
    version: 1,
    description: "files cache",
};
/// Largest time Borg stores, in nanoseconds: the range of `i64` less 48 hours, in whole seconds.
/// Source: Borg 1.4, `MAX_NS` in `helpers/time.py`.
const TIME_NS_MAX: i64 = (i64::MAX - 48 * 3600 * 1_000_000_000) / 1_000_000_000 * 1_000_000_000;

/// A keyed hash of an absolute path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathHash(pub u128);

/// Makes path hashes; keyed, so that who names files cannot make two collide.
#[derive(Clone)]
pub struct PathHasher {
    secret: [u8; Self::SECRET_LEN],
}

impl PathHasher {
    /// What XXH3 uses of a secret at most.
    const SECRET_LEN: usize = 192;

    /// `seed`: secret and always the same for a repository, such as an id hash of a fixed text.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut secret = [0; Self::SECRET_LEN];
        for (n, part) in (0_u64..).zip(secret.chunks_exact_mut(16)) {
            let hash = xxhash_rust::xxh3::xxh3_128_with_seed(seed, n);
            part.copy_from_slice(&hash.to_le_bytes());
        }
        Self { secret }
    }

    /// The hash of an absolute path.
    pub fn hash(&self, path: &[u8]) -> PathHash {
        PathHash(xxh3_128_with_secret(path, &self.secret))
    }
}

impl std::fmt::Debug for PathHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PathHasher([secret])")
    }
}

/// What of a regular file's status matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Change of the inode, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Change of the content, likewise.
    pub mtime_ns: i64,
}

impl FileStat {
    fn time_ns(&self, time: CompareTime) -> i64 {
        match time {
            CompareTime::Ctime => self.ctime_ns,
            CompareTime::Mtime => self.mtime_ns,
        }
    }
}

/// What the files cache says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKnown {
    /// Nothing; or the mode does not want to know.
    Unknown,
    /// It was there, but something about it has changed.
    Changed,
    /// It is as it was, and so are its chunks.
    Unchanged,
    /// The same, and it had neither extended attributes nor an ACL. Whatever gives it some changes its ctime, which
    /// is as it was: nobody needs to look for them.
    UnchangedBare,
}

/// What is remembered of a file besides its path and chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remembered {
    inode: u64,
    size: u64,
    cmtime_ns: i64,
    bare: Bare,
}

/// What earlier runs left, read before it is its turn; or nothing.
#[derive(Debug, Default)]
pub struct FilesRead(Option<LoadedFiles>);

impl FilesRead {
    /// Reads it; see [`FilesCache::open`]. What is wrong with it is reported when it is opened.
    pub fn read(storage: &Arc<dyn Storage>, name: &str, repository: RepositoryId) -> Self {
        Self::reporting(storage, name, repository, &NullReporter)
    }

    fn reporting(
        storage: &Arc<dyn Storage>,
        name: &str,
        repository: RepositoryId,
        reporter: &dyn Reporter,
    ) -> Self {
        let files = CacheFiles::new(Arc::clone(storage), repository);
        let bytes = files.load(KIND, name, reporter);
        Self(bytes.and_then(LoadedFiles::decode))
    }
}

/// The files cache of one repository.
#[derive(Debug)]
pub struct FilesCache {
    mode: FilesCacheMode,
    sight: Sight,
    loaded: LoadedFiles,
    recent: RecentFiles,
    /// Largest time among the files recorded in this run; `i64::MIN` before the first.
    newest_cmtime_ns: AtomicI64,
}

impl FilesCache {
    /// Reads what earlier runs left, or nothing if the mode is disabled or the file is unusable.
    ///
    /// `storage` is the directory of [`directory_name`](crate::directory_name), `name` the file's name in
    /// it (`files`, or `files.SUFFIX`). `sight`: which attributes of files this process gets to see.
    pub fn open(
        storage: &Arc<dyn Storage>,
        name: &str,
        repository: RepositoryId,
        mode: FilesCacheMode,
        sight: Sight,
        reporter: &dyn Reporter,
    ) -> Self {
        let read = FilesRead::default();
        Self::open_read(read, storage, name, repository, mode, sight, reporter)
    }

    /// As [`FilesCache::open`], of what was read already if that was of any use.
    pub fn open_read(
        read: FilesRead,
        storage: &Arc<dyn Storage>,
        name: &str,
        repository: RepositoryId,
        mode: FilesCacheMode,
        sight: Sight,
        reporter: &dyn Reporter,
    ) -> Self {
        let loaded = match read.0 {
            _ if mode.is_disabled() => None,
            // Once more if there was nothing: to say why.
            None => FilesRead::reporting(storage, name, repository, reporter).0,
            loaded => loaded,
        };
        Self {
            mode,
            sight,
            loaded: loaded.unwrap_or_default(),
            recent: RecentFiles::new(),
            newest_cmtime_ns: AtomicI64::new(i64::MIN),
        }
    }

    /// The mode it was opened with.
    pub fn mode(&self) -> FilesCacheMode {
        self.mode
    }

    /// Number of files earlier runs left.
    pub fn loaded_count(&self) -> usize {
        self.loaded.len()
    }

    /// Asks about a regular file. `chunks` is replaced by its chunks if it is unchanged, else emptied; an unchanged file
    /// counts as seen in this run. The caller must see to it that the chunks are still stored.
    ///
    /// Source: Borg 1.4, `LocalCache.file_known_and_unchanged`.
    pub fn lookup(
        &self,
        path: PathHash,
        stat: &FileStat,
        chunks: &mut Vec<ChunkEntry>,
    ) -> FileKnown {
        chunks.clear();
        self.lookup_found(path, || self.loaded.find(path), stat, chunks)
    }

    /// As [`lookup`](Self::lookup) for several files, which takes less time than one by one. `answer` hears of each in
    /// turn; its chunks have been appended to `chunks`, if it is unchanged.
    pub fn lookup_each(
        &self,
        paths: &[PathHash],
        stats: impl Iterator<Item = FileStat>,
        chunks: &mut Vec<ChunkEntry>,
        mut answer: impl FnMut(FileKnown, &mut Vec<ChunkEntry>),
    ) {
        let mut found = Vec::new();
        self.loaded.find_each(paths, &mut found);
        for ((path, found), stat) in paths.iter().zip(found).zip(stats) {
            let known = self.lookup_found(*path, || found, &stat, chunks);
            answer(known, chunks);
        }
    }

    /// Appends to `chunks`; `find`: where the file is in what earlier runs left.
    fn lookup_found(
        &self,
        path: PathHash,
        find: impl FnOnce() -> Option<Found>,
        stat: &FileStat,
        chunks: &mut Vec<ChunkEntry>,
    ) -> FileKnown {
        if self.mode.is_disabled() || self.mode.rechunks() {
            return FileKnown::Unknown;
        }
        let decide = |remembered: &Remembered| {
            if !self.is_unchanged(remembered, stat) {
                FileKnown::Changed
            } else if self.tells_of_attributes() && remembered.bare.as_seen_with(self.sight) {
                FileKnown::UnchangedBare
            } else {
                FileKnown::Unchanged
            }
        };
        // A path may be met twice in one run: what was recorded first then counts.
        if let Some(answer) = self.recent.lookup(path, decide, chunks) {
            return answer;
        }
        let Some(found) = find() else {
            return FileKnown::Unknown;
        };
        let remembered = self.loaded.remembered(found);
        let answer = decide(&remembered);
        if answer != FileKnown::Changed {
            let before = chunks.len();
            self.loaded.chunks_into(found, chunks);
            self.loaded.mark_seen(found);
            if remembered.inode != stat.inode {
                // Inodes were not compared, as after a move to another disk; they may be next time.
                let moved = Remembered {
                    inode: stat.inode,
                    bare: Bare::default(),
                    ..remembered
                };
                self.recent.insert(path, moved, &chunks[before..]);
            }
        }
        answer
    }

    /// Whether a file's status is what is remembered, as far as the mode compares it.
    fn is_unchanged(&self, remembered: &Remembered, stat: &FileStat) -> bool {
        let mode = self.mode;
        !(mode.compares_size() && remembered.size != stat.size
            || mode.compares_inode() && remembered.inode != stat.inode
            || mode
                .compared_time()
                .is_some_and(|time| remembered.cmtime_ns != stat.time_ns(time)))
    }

    /// Whether a file that is unchanged by this mode's measure has the attributes it had: only the inode's ctime
    /// tells of those.
    fn tells_of_attributes(&self) -> bool {
        self.mode.compares_inode() && self.mode.compared_time() == Some(CompareTime::Ctime)
    }

    /// Notes that a file of this run, recorded or found unchanged, has neither extended attributes nor an ACL.
    ///
    /// To be said only of a file on a file system that changes the ctime when it is given some, and whose ctime was so
    /// old already when they were looked for that a change since then has another one.
    pub fn note_bare(&self, path: PathHash) {
        if !self.tells_of_attributes() || self.recent.note_bare(path, self.sight) {
            return;
        }
        if let Some(found) = self.loaded.find(path) {
            self.loaded.note_bare(found);
        }
    }

    /// Remembers a regular file that was read in this run, with the status it had before.
    ///
    /// Source: Borg 1.4, `LocalCache.memorize_file`.
    pub fn record(&self, path: PathHash, stat: &FileStat, chunks: &[ChunkEntry]) {
        if self.mode.is_disabled() {
            return;
        }
        let remembered = Remembered {
            inode: stat.inode,
            size: stat.size,
            cmtime_ns: stat
                .time_ns(self.mode.remembered_time())
                .clamp(0, TIME_NS_MAX),
            bare: Bare::default(),
        };
        self.recent.insert(path, remembered, chunks);
        self.newest_cmtime_ns
            .fetch_max(remembered.cmtime_ns, Ordering::Relaxed);
    }

    /// Writes the files cache for the next run; may be done several times in a run (at checkpoints).
    ///
    /// Of the files seen in this run, those whose time is not before the newest one recorded are left out:
    /// they may change again without the time telling. Files not seen are kept until they were missing in
    /// `ttl` runs (Borg: 20). Source: Borg 1.4, `LocalCache.commit`.
    pub fn save(
        &self,
        storage: &Arc<dyn Storage>,
        name: &str,
        repository: RepositoryId,
        ttl: i64,
    ) -> Result<(), CacheError> {
        self.save_when(storage, name, repository, ttl, || true)
    }

    /// As [`FilesCache::save`], of what is known now, once `may_go_on` says so; nothing is replaced if it says no. It is
    /// asked when all is ready, and may wait for what decides it.
    pub fn save_when(
        &self,
        storage: &Arc<dyn Storage>,
        name: &str,
        repository: RepositoryId,
        ttl: i64,
        mut may_go_on: impl FnMut() -> bool,
    ) -> Result<(), CacheError> {
        if self.mode.is_disabled() {
            return Ok(());
        }
        let newest_cmtime_ns = match self.newest_cmtime_ns.load(Ordering::Relaxed) {
            // Nothing was recorded: nothing is too new.
            i64::MIN => i64::MAX,
            newest => newest,
        };
        let keep = |age: u32, cmtime_ns: i64| {
            if age == 0 {
                cmtime_ns < newest_cmtime_ns
            } else {
                i64::from(age) < ttl
            }
        };
        let merged = self.recent.with_all(|recent| self.merge(recent, keep));
        let files = CacheFiles::new(Arc::clone(storage), repository);
        files.save_when(KIND, name, &merged.parts(), &mut may_go_on)
    }

    fn merge(&self, recent: &[RecentFile<'_>], keep: impl Fn(u32, i64) -> bool) -> NextFiles {
        let mut next = NextFiles::with_capacity(&self.loaded, recent);
        let mut recent = recent.iter().peekable();
        for found in self.loaded.all() {
            let path = self.loaded.path(found);
            while let Some(file) = recent.next_if(|file| file.path < path) {
                next.push_recent(file, &keep);
            }
            if recent.peek().is_some_and(|file| file.path == path) {
                continue; // Its recent entry follows instead.
            }
            let age = self.loaded.age(found);
            let remembered = self.loaded.remembered_now(found, self.sight);
            if keep(age, remembered.cmtime_ns) {
                next.push(path, remembered, age, self.loaded.chunk_bytes(found));
            }
        }
        for file in recent {
            next.push_recent(file, &keep);
        }
        next
    }
}

/// The body of the next file, being put together.
struct NextFiles {
    counts: [u8; 16],
    entries: Vec<u8>,
    chunks: Vec<u8>,
}

impl NextFiles {
    fn with_capacity(loaded: &LoadedFiles, recent: &[RecentFile<'_>]) -> Self {
        let recent_chunks: usize = recent.iter().map(|file| file.chunks.len()).sum();
        Self {
            counts: [0; 16],
            entries: Vec::with_capacity((loaded.len() + recent.len()) * loaded::ENTRY_LEN),
            chunks: Vec::with_capacity(loaded.chunks_len() + recent_chunks * loaded::CHUNK_LEN),
        }
    }

    fn push_recent(&mut self, file: &RecentFile<'_>, keep: &impl Fn(u32, i64) -> bool) {
        if keep(0, file.remembered.cmtime_ns) {
            let chunks: Vec<u8> = file.chunks.iter().flat_map(loaded::chunk_bytes).collect();
            self.push(file.path, file.remembered, 0, &chunks);
        }
    }

    fn push(&mut self, path: PathHash, remembered: Remembered, age: u32, chunks: &[u8]) {
        let count_after = (self.chunks.len() + chunks.len()) / loaded::CHUNK_LEN;
        let (Ok(first), Ok(_)) = (
            u32::try_from(self.chunks.len() / loaded::CHUNK_LEN),
            u32::try_from(count_after),
        ) else {
            return; // Four thousand million chunks are remembered; the rest is read again next time.
        };
        self.entries
            .extend_from_slice(&loaded::entry_bytes(path, &remembered, first, age));
        self.chunks.extend_from_slice(chunks);
        let entry_count = self.entries.len() / loaded::ENTRY_LEN;
        self.counts[..8].copy_from_slice(&(entry_count as u64).to_le_bytes());
        self.counts[8..].copy_from_slice(&(count_after as u64).to_le_bytes());
    }

    fn parts(&self) -> [&[u8]; 3] {
        [&self.counts, &self.entries, &self.chunks]
    }
}

#[cfg(test)]
mod tests;
