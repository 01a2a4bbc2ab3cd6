//! A repository that counts how often each object is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ironborg_repository::{
    CheckOptions, CompactOptions, LocalRepository, Repository, RepositoryError, StoredIds,
};
use ironborg_types::{ChunkId, NonceStore, RepositoryId};

/// How often each object was read.
pub(crate) type Reads = Arc<Mutex<HashMap<ChunkId, usize>>>;

/// Passes everything on, and counts.
pub(crate) struct CountingRepository {
    inner: LocalRepository,
    reads: Reads,
}

impl CountingRepository {
    pub(crate) fn new(inner: LocalRepository) -> (Self, Reads) {
        let reads = Reads::default();
        let counting = Self {
            inner,
            reads: Arc::clone(&reads),
        };
        (counting, reads)
    }
}

impl Repository for CountingRepository {
    fn id(&self) -> RepositoryId {
        self.inner.id()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        self.inner.len()
    }

    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.inner.list(limit, marker)
    }

    fn scan(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.inner.scan(limit, marker)
    }

    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.inner.contains(id)
    }

    fn stored_ids(&self) -> Result<Option<Arc<dyn StoredIds>>, RepositoryError> {
        self.inner.stored_ids()
    }

    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        *self
            .reads
            .lock()
            .expect("not poisoned")
            .entry(*id)
            .or_default() += 1;
        self.inner.get(id, out)
    }

    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        self.inner.stored_size(id)
    }

    fn storage_order(&self, id: &ChunkId) -> Option<u64> {
        self.inner.storage_order(id)
    }

    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.inner.put(id, object)
    }

    fn delete(&mut self, id: &ChunkId) -> Result<(), RepositoryError> {
        self.inner.delete(id)
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        self.inner.commit()
    }

    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        self.inner.commit_compact(options)
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        self.inner.break_lock()
    }

    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        self.inner.close()
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        self.inner.rollback()
    }

    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        self.inner.check(options)
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        self.inner.destroy()
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        self.inner.load_key()
    }

    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError> {
        self.inner.save_key(key)
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        self.inner.nonce_store()
    }
}
