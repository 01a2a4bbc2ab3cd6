//! The repository while a command has it.

use std::ops::ControlFlow;
use std::sync::Arc;

use ironborg_repository::{
    Change, CheckMode, CheckOptions, CompactOptions, IdPlaces, Repository, RepositoryError,
    ScratchSpace, StoredIds, Witness,
};
use ironborg_types::{ChunkId, Event, Level, NonceStore, RepositoryId, SegmentId};

use super::{Kept, Way};
use crate::reporter::ARCHIVER;

/// The repository, until the command lets go of it.
pub(super) struct Lent {
    kept: Arc<Kept>,
    /// Taken when it is let go.
    inner: Option<(Way, Box<dyn Repository>)>,
    /// Whether it is not to be used by another command.
    is_spent: bool,
}

impl Lent {
    pub(super) fn new(kept: Arc<Kept>, way: Way, repository: Box<dyn Repository>) -> Self {
        Self {
            kept,
            inner: Some((way, repository)),
            is_spent: false,
        }
    }

    fn repository(&self) -> &dyn Repository {
        let (_, repository) = self.inner.as_ref().expect("taken when it is let go");
        repository.as_ref()
    }

    fn repository_mut(&mut self) -> &mut dyn Repository {
        let (_, repository) = self.inner.as_mut().expect("taken when it is let go");
        repository.as_mut()
    }

    /// Gives the repository back, without what was not committed. One of which that cannot be said is closed.
    fn give_back(&mut self) -> Result<(), RepositoryError> {
        let Some((way, mut repository)) = self.inner.take() else {
            return Ok(());
        };
        if self.is_spent || std::thread::panicking() {
            return Ok(());
        }
        repository.rollback()?;
        self.kept.keep(way, repository);
        Ok(())
    }

    /// What a check leaves in memory is what a command of its own would find, unless it has changed something or
    /// pretends that it did.
    fn note_check(&mut self, options: &CheckOptions) {
        self.is_spent |= options.mode != CheckMode::Look;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            let message = error.to_string();
            let reporter = self.kept.reporter();
            reporter.report(Event::log(Level::Error, ARCHIVER, message));
        }
    }
}

impl Repository for Lent {
    fn id(&self) -> RepositoryId {
        self.repository().id()
    }

    fn location(&self) -> String {
        self.repository().location()
    }

    fn is_local(&self) -> bool {
        self.repository().is_local()
    }

    fn is_distant(&self) -> bool {
        self.repository().is_distant()
    }

    fn append_only(&self) -> bool {
        self.repository().append_only()
    }

    fn holds_lock(&self) -> bool {
        self.repository().holds_lock()
    }

    fn has_moved_on(&self) -> Result<bool, RepositoryError> {
        self.repository().has_moved_on()
    }

    fn rest(&self) {
        self.repository().rest();
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        self.repository().len()
    }

    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.repository().list(limit, marker)
    }

    fn scan(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.repository().scan(limit, marker)
    }

    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.repository().contains(id)
    }

    fn stored_ids(&self) -> Result<Option<Arc<dyn StoredIds>>, RepositoryError> {
        self.repository().stored_ids()
    }

    fn id_places(&self) -> Result<Option<Arc<dyn IdPlaces>>, RepositoryError> {
        self.repository().id_places()
    }

    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.repository().get(id, out)
    }

    fn get_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.repository().get_metadata(id, out)
    }

    fn reject_metadata(&self, id: &ChunkId) -> bool {
        self.repository().reject_metadata(id)
    }

    fn put_metadata(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.repository_mut().put_metadata(id, object)
    }

    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        self.repository().stored_size(id)
    }

    fn storage_order(&self, id: &ChunkId) -> Option<u64> {
        self.repository().storage_order(id)
    }

    fn place(&self, id: &ChunkId) -> Option<(SegmentId, u64)> {
        self.repository().place(id)
    }

    fn will_need(&self, ids: &[ChunkId]) {
        self.repository().will_need(ids);
    }

    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        self.repository().will_need_sized(objects);
    }

    fn keep_index_within(&mut self, space: Option<ScratchSpace>) {
        self.repository_mut().keep_index_within(space);
    }

    fn will_need_sizes(&self, ids: &[ChunkId]) {
        self.repository().will_need_sizes(ids);
    }

    fn will_need_metadata(&self, objects: &[(ChunkId, u32)]) {
        self.repository().will_need_metadata(objects);
    }

    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.repository_mut().put(id, object)
    }

    fn delete(&mut self, id: &ChunkId) -> Result<(), RepositoryError> {
        self.repository_mut().delete(id)
    }

    fn delete_many(&mut self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, RepositoryError> {
        self.repository_mut().delete_many(ids)
    }

    fn note_changes(&mut self) {
        self.repository_mut().note_changes();
    }

    fn take_changes(&mut self) -> Option<Vec<Change>> {
        self.repository_mut().take_changes()
    }

    fn wants_commit(&self) -> bool {
        self.repository().wants_commit()
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        self.repository_mut().commit()
    }

    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        self.repository_mut().commit_compact(options)
    }

    fn freed(&self) -> Option<u64> {
        self.repository().freed()
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        self.repository_mut().rollback()
    }

    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        self.note_check(options);
        self.repository_mut().check(options)
    }

    fn check_showing(
        &mut self,
        options: &CheckOptions,
        witness: &dyn Witness,
    ) -> Result<bool, RepositoryError> {
        self.note_check(options);
        self.repository_mut().check_showing(options, witness)
    }

    fn show_all(
        &self,
        threads: usize,
        witness: &dyn Witness,
        passed: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, RepositoryError> {
        self.repository().show_all(threads, witness, passed)
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        self.is_spent = true;
        self.repository_mut().destroy()
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        self.is_spent = true;
        self.repository_mut().break_lock()
    }

    fn close(mut self: Box<Self>) -> Result<(), RepositoryError> {
        self.give_back()
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        self.repository().load_key()
    }

    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError> {
        self.repository_mut().save_key(key)
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        self.repository().nonce_store()
    }
}
