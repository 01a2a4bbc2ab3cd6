//! Asking the files cache about one file.

use ironborg_cache::{FileKnown, FileStat as CacheStat, PathHash};
use ironborg_format::ChunkEntry;
use ironborg_source::{FileKind, FileStat};

use super::super::step::Entry;
use super::Worker;

/// What the files cache had to say about a file.
pub(in super::super) struct Lookup {
    pub(super) hash: Option<PathHash>,
    pub(super) status: char,
    /// Its chunks, if it is unchanged and they are all stored.
    pub(super) chunks: Option<Vec<ChunkEntry>>,
    /// It is unchanged, and had neither extended attributes nor an ACL.
    pub(super) is_bare: bool,
}

/// Nobody was asked.
impl Default for Lookup {
    fn default() -> Self {
        Self {
            hash: None,
            status: 'A',
            chunks: None,
            is_bare: false,
        }
    }
}

impl Lookup {
    /// What it said; `chunks`: those the file had, if they are all stored.
    pub(in super::super) fn of(
        hash: PathHash,
        known: FileKnown,
        chunks: Option<Vec<ChunkEntry>>,
    ) -> Self {
        Self {
            hash: Some(hash),
            status: match (known, &chunks) {
                (FileKnown::Unknown, _) => 'A',
                (_, Some(_)) => 'U',
                // Where a chunk was lost the file is read again as if it had been modified.
                (_, None) => 'M',
            },
            is_bare: chunks.is_some() && known == FileKnown::UnchangedBare,
            chunks,
        }
    }
}

impl Worker<'_> {
    /// Counts a reference to each of a file's chunks, if they are all stored.
    pub(in super::super) fn refer_to_stored(&self, chunks: &[ChunkEntry]) -> bool {
        let table = self.shared.chunks;
        // Most files are one chunk: what counts it also says whether it is there.
        if let [chunk] = chunks {
            return table.reference(&chunk.id).is_some();
        }
        let are_stored = chunks.iter().all(|chunk| table.get(&chunk.id).is_some());
        if are_stored {
            for chunk in chunks {
                table.reference(&chunk.id);
            }
        }
        are_stored
    }

    /// Asks the files cache, and whether all chunks it names are still stored.
    pub(super) fn lookup(&mut self, entry: &Entry) -> Lookup {
        let Some(files) = self
            .shared
            .files
            .filter(|_| entry.stat.kind() == FileKind::Regular)
        else {
            return Lookup::default();
        };
        let hash = self.path_hash(&entry.path);
        let mut chunks = Vec::new();
        let known = files.lookup(hash, &cache_stat(&entry.stat), &mut chunks);
        let is_unchanged = matches!(known, FileKnown::Unchanged | FileKnown::UnchangedBare)
            && self.refer_to_stored(&chunks);
        Lookup::of(hash, known, is_unchanged.then_some(chunks))
    }

    /// Hash of the absolute path of a file.
    pub(in super::super) fn path_hash(&mut self, path: &[u8]) -> PathHash {
        if path.starts_with(b"/") {
            return self.shared.path_hasher.hash(path);
        }
        self.hashed_path.clear();
        self.hashed_path.extend_from_slice(self.shared.cwd);
        self.hashed_path.push(b'/');
        self.hashed_path.extend_from_slice(path);
        self.shared.path_hasher.hash(&self.hashed_path)
    }
}

/// What of a file's status the files cache wants to know.
pub(in super::super) fn cache_stat(stat: &FileStat) -> CacheStat {
    CacheStat {
        inode: stat.ino,
        size: stat.size,
        ctime_ns: stat.ctime_ns,
        mtime_ns: stat.mtime_ns,
    }
}
