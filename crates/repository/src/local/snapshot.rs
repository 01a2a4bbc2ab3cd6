//! Reading a repository for a long time without a lock, while others write to it.
//!
//! What is committed is read, and nothing is ever written: no lock, no index, no repair. Objects are found through the
//! index file without loading it. When one is not where it should be (its segment was compacted away, shortened or
//! written anew), the repository is looked at again, and the object is read from where it is by then. Entries are checked
//! when they are read, so it does not matter which state of the repository leads to one.

mod index_file;
mod state;
mod tail;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ironborg_storage::{LocalStorage, Storage};
use ironborg_types::limits::PUT_HEADER_SIZE;
use ironborg_types::{ChunkId, NonceStore, RepositoryId, SegmentId};

use super::announce::announce;
use super::{LocalRepository, LockMode, OpenOptions};
use crate::index::EntryLocation;
use crate::{CheckOptions, CompactOptions, Repository, RepositoryError, Witness};
use state::{State, may_pass};

/// How many states an object is looked for in: others may move it as fast as we look.
const STATES_MAX: usize = 16;

/// A repository whose committed state is read without a lock.
pub struct SnapshotRepository {
    repository: LocalRepository,
    state: RwLock<Option<Arc<State>>>,
    /// Held by whoever looks for another state; the others wait for that.
    looking: Mutex<()>,
    /// The newest index there was when the manifest was read last, or the repository opened; the newest commit where not
    /// every one has an index.
    manifest_seen: Mutex<Option<SegmentId>>,
}

impl SnapshotRepository {
    /// Opens the repository at an absolute path. Of the options only the reporter counts.
    ///
    /// # Errors
    /// There is no repository, or nothing can be found that was committed whole.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, RepositoryError> {
        Self::open_in(
            &(Arc::new(LocalStorage::new(path)) as Arc<dyn Storage>),
            options,
        )
    }

    /// Opens the repository a storage holds.
    ///
    /// # Errors
    /// As those of [`SnapshotRepository::open`].
    pub fn open_in(
        storage: &Arc<dyn Storage>,
        options: &OpenOptions,
    ) -> Result<Self, RepositoryError> {
        let open = || {
            let options = OpenOptions {
                lock: LockMode::None,
                ..options.clone()
            };
            LocalRepository::open_in(Arc::clone(storage), options)
        };
        // The segment that is looked at first may go while it is.
        let opened = match open() {
            Err(error) if may_pass(&error) => open(),
            opened => opened,
        };
        let snapshot = Self {
            repository: opened?,
            state: RwLock::new(None),
            looking: Mutex::new(()),
            manifest_seen: Mutex::new(None),
        };
        let state = snapshot.state()?;
        snapshot.saw_manifest(&state);
        Ok(snapshot)
    }

    /// Reads what is committed by now, from the next call on.
    ///
    /// # Errors
    /// The repository cannot be read any more.
    pub fn refresh(&self) -> Result<(), RepositoryError> {
        let state = self.current();
        self.look_again(state.as_ref()).map(drop)
    }

    fn saw_manifest(&self, state: &State) {
        let mut seen = lock(&self.manifest_seen);
        *seen = if self.repository.log.is_distant() {
            state.upto
        } else {
            state.index_id
        };
    }

    fn current(&self) -> Option<Arc<State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn set(&self, state: Option<Arc<State>>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn state(&self) -> Result<Arc<State>, RepositoryError> {
        match self.current() {
            Some(state) => Ok(state),
            None => self.look_again(None),
        }
    }

    /// The state as of now: `old` itself if that is it.
    fn look_again(&self, old: Option<&Arc<State>>) -> Result<Arc<State>, RepositoryError> {
        self.replace(old, || {
            // Far away what was read a moment ago to open the repository will do.
            if old.is_some() || !self.repository.is_distant() {
                self.repository.storage.forget_open();
            }
            self.repository.look(old)
        })
    }

    /// The same state, or the one there really is, with everything compared with its digests.
    fn prove(&self, old: &Arc<State>) -> Result<Arc<State>, RepositoryError> {
        self.replace(Some(old), || self.repository.prove(old))
    }

    /// Replaces a state, or finds that somebody has done so.
    fn replace(
        &self,
        old: Option<&Arc<State>>,
        find: impl FnOnce() -> Result<Arc<State>, RepositoryError>,
    ) -> Result<Arc<State>, RepositoryError> {
        let _looking = lock(&self.looking);
        match (self.current(), old) {
            (Some(current), Some(old)) if !Arc::ptr_eq(&current, old) => return Ok(current),
            (Some(current), None) => return Ok(current),
            _ => {}
        }
        let found = find()?;
        self.set(Some(Arc::clone(&found)));
        Ok(found)
    }

    /// Reads an object from wherever it is by now; `None` if it is not stored. Also gives the state that says so.
    fn read<T>(
        &self,
        id: &ChunkId,
        mut read: impl FnMut(EntryLocation) -> Result<T, RepositoryError>,
    ) -> Result<(Option<T>, Arc<State>), RepositoryError> {
        let storage = &*self.repository.storage;
        let mut read_in = |state: &State| match state.get(storage, id)? {
            Some(at) => read(at).map(Some),
            None => Ok(None),
        };
        let mut state = self.state()?;
        for _ in 0..STATES_MAX {
            match read_in(&state) {
                Ok(None) => {}
                Ok(found) => return Ok((found, state)),
                Err(error) if may_pass(&error) => {}
                Err(error) => return Err(error),
            }
            let newer = self.look_again(Some(&state))?;
            if Arc::ptr_eq(&newer, &state) {
                if state.is_proven {
                    break;
                }
                state = self.prove(&state)?;
            } else {
                state = newer;
            }
        }
        Ok((read_in(&state)?, state))
    }

    /// Asks something of the whole index, which is loaded for it.
    fn with_whole<T>(
        &self,
        ask: impl Fn(&LocalRepository) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        match ask(&self.repository) {
            Err(error) if may_pass(&error) => {
                self.repository.forget_loaded();
                self.repository.storage.forget_open();
                ask(&self.repository)
            }
            other => other,
        }
    }

    /// The first nonce nobody has reserved; `None` if none was reserved yet.
    ///
    /// # Errors
    /// The file that says so cannot be read.
    pub fn next_unreserved_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        self.repository.next_unreserved_nonce()
    }

    /// The error for whoever wants to change something.
    pub fn refusal(&self) -> RepositoryError {
        RepositoryError::NotExclusive {
            location: self.location(),
        }
    }

    fn refused<T>(&self) -> Result<T, RepositoryError> {
        Err(self.refusal())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repository for SnapshotRepository {
    fn id(&self) -> RepositoryId {
        self.repository.id()
    }

    fn location(&self) -> String {
        self.repository.location()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn is_distant(&self) -> bool {
        self.repository.is_distant()
    }

    fn append_only(&self) -> bool {
        self.repository.append_only()
    }

    fn holds_lock(&self) -> bool {
        false
    }

    fn has_moved_on(&self) -> Result<bool, RepositoryError> {
        // Objects may have been read in a newer state since; whoever asks wants to know about archives.
        let LocalRepository { log, .. } = &self.repository;
        let index_id = self.repository.recovery().index_id()?;
        let seen = *lock(&self.manifest_seen);
        if !log.is_distant() {
            return Ok(index_id != seen);
        }
        // An index is not written with every commit.
        let first = index_id.unwrap_or(SegmentId(0));
        Ok(log.last_committed_from(first, seen)? != seen)
    }

    fn rest(&self) {
        self.set(None);
        self.repository.forget_loaded();
        self.repository.storage.forget_open();
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        self.with_whole(LocalRepository::len)
    }

    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.with_whole(|whole| whole.list(limit, marker))
    }

    fn scan(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.with_whole(|whole| whole.scan(limit, marker))
    }

    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.stored_size(id)?.is_some())
    }

    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        let (found, state) = self.read(id, |at| self.repository.log.read_object(at, id, out))?;
        if *id == ChunkId::MANIFEST {
            self.saw_manifest(&state);
        }
        found.ok_or_else(|| self.repository.not_found(id))
    }

    fn get_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.repository.metadata(id, out, |out| self.get(id, out))
    }

    fn reject_metadata(&self, id: &ChunkId) -> bool {
        self.repository.reject_kept(id)
    }

    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        let header = u32::try_from(PUT_HEADER_SIZE).expect("41");
        let (size, _) = self.read(id, |at| self.repository.log.read_size(at, id))?;
        Ok(size.map(|size| size - header))
    }

    fn storage_order(&self, id: &ChunkId) -> Option<u64> {
        let (segment, offset) = self.place(id)?;
        Some(u64::from(segment.0) << 32 | offset)
    }

    fn place(&self, id: &ChunkId) -> Option<(SegmentId, u64)> {
        let state = self.state().ok()?;
        let at = state.get(&*self.repository.storage, id).ok()??;
        Some((at.segment, u64::from(at.offset)))
    }

    fn will_need(&self, ids: &[ChunkId]) {
        let objects: Vec<(ChunkId, u32)> = ids.iter().map(|id| (*id, 0)).collect();
        self.will_need_sized(&objects);
    }

    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        let Ok(state) = self.state() else {
            return;
        };
        let storage = &*self.repository.storage;
        let place = |(id, len): &(ChunkId, u32)| Some((state.get(storage, id).ok()??, *len));
        announce(
            &self.repository.log,
            objects.iter().filter_map(place).collect(),
        );
    }

    fn will_need_metadata(&self, objects: &[(ChunkId, u32)]) {
        self.will_need_sized(&self.repository.without_kept(objects));
    }

    fn put(&mut self, _: &ChunkId, _: &[u8]) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn delete(&mut self, _: &ChunkId) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        Ok(())
    }

    fn commit_compact(&mut self, _: CompactOptions) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        Ok(())
    }

    fn check(&mut self, _: &CheckOptions) -> Result<bool, RepositoryError> {
        self.refused()
    }

    fn show_all(
        &self,
        threads: usize,
        witness: &dyn Witness,
        passed: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, RepositoryError> {
        self.repository.show_all(threads, witness, passed)
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        self.repository.close()
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        self.repository.load_key()
    }

    fn save_key(&mut self, _: &[u8]) -> Result<(), RepositoryError> {
        self.refused()
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        // It reserves nothing without the lock.
        self.repository.nonce_store()
    }
}
