//! The repository in a local directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ironborg_types::{ChunkId, NonceStore, Reporter, RepositoryId};

use crate::{LockOwner, Repository, RepositoryError};

/// What is decided when a repository is made.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// Nothing may ever be removed for good.
    pub append_only: bool,
    /// Bytes that may be used; `None` for no limit.
    pub storage_quota: Option<u64>,
    /// Make missing directories above it too.
    pub make_parent_dirs: bool,
}

/// How a repository is locked while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// For writing: nobody else may have it open.
    Exclusive,
    /// For reading: others may read too.
    Shared,
    /// Not at all (`--bypass-lock`).
    None,
}

/// How a repository is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Which lock to take.
    pub lock: LockMode,
    /// How long to wait for the lock; `None` waits for ever.
    pub lock_wait: Option<Duration>,
    /// Who holds the lock.
    pub owner: LockOwner,
    /// Treat it as append-only even if its config does not say so.
    pub append_only: bool,
    /// Overrides the quota of the config; 0 is no limit.
    pub storage_quota: Option<u64>,
    /// Receives warnings and progress.
    pub reporter: Arc<dyn Reporter>,
}

/// What a compaction does.
#[derive(Debug, Clone, Copy)]
pub struct CompactOptions {
    /// Segments are rewritten if a larger share of them than this can be freed.
    pub threshold: f64,
    /// Get rid of all segments that only hold a commit (of very old Borg versions).
    pub cleanup_commits: bool,
}

/// A repository whose files this process reads and writes itself.
pub struct LocalRepository {
    _private: (),
}

impl LocalRepository {
    /// Makes a new repository at an absolute path and opens it.
    pub fn create(
        path: &Path,
        create: &CreateOptions,
        open: OpenOptions,
    ) -> Result<Self, RepositoryError> {
        let _ = (path, create, open);
        unimplemented!()
    }

    /// Opens the repository at an absolute path.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, RepositoryError> {
        let _ = (path, options);
        unimplemented!()
    }

    /// Whether the directory's README says it is a repository.
    pub fn is_repository(path: &Path) -> bool {
        let _ = path;
        unimplemented!()
    }

    /// Removes the repository's lock whoever holds it.
    pub fn break_lock(path: &Path) -> Result<(), RepositoryError> {
        let _ = path;
        unimplemented!()
    }

    /// Commits and then frees the space of superseded and deleted objects.
    pub fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        let _ = options;
        unimplemented!()
    }
}

impl Repository for LocalRepository {
    fn id(&self) -> RepositoryId {
        unimplemented!()
    }

    fn location(&self) -> String {
        unimplemented!()
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        unimplemented!()
    }

    fn list(
        &self,
        _limit: Option<usize>,
        _marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        unimplemented!()
    }

    fn contains(&self, _id: &ChunkId) -> Result<bool, RepositoryError> {
        unimplemented!()
    }

    fn get(&self, _id: &ChunkId, _out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn stored_size(&self, _id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        unimplemented!()
    }

    fn storage_order(&self, _id: &ChunkId) -> Option<u64> {
        unimplemented!()
    }

    fn put(&mut self, _id: &ChunkId, _object: &[u8]) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn delete(&mut self, _id: &ChunkId) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        unimplemented!()
    }

    fn save_key(&mut self, _key: &[u8]) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        unimplemented!()
    }
}
