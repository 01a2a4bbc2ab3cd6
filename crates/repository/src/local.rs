//! The repository whose files this process handles itself: opening, reading, and the life of a
//! transaction.
//!
//! Finding the committed state is left to `recovery`, the bookkeeping to `state`, the files to
//! `segments` and to the storage.

mod announce;
mod check;
mod compact;
mod create;
mod hints;
mod load;
mod locking;
mod metadata;
mod nonces;
mod options;
mod room;
mod scan;
mod snapshot;
mod stored;
mod write;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ironborg_format::config::Config;
use ironborg_storage::{Fence, FencedStorage, LocalStorage, ScratchSpace, Storage};
use ironborg_types::{ChunkId, Event, Level, NonceStore, Reporter, RepositoryId, SegmentId};

pub(crate) use create::{README, README_TEXT};
pub use options::{
    CheckMode, CheckOptions, CompactOptions, CreateOptions, IndexPolicy, LockMode, OpenOptions,
};
pub use scan::SegmentScan;
pub use snapshot::SnapshotRepository;

use crate::index::{EntryLocation, Index, PlacedIds, ScratchIndex, SharedIndex};
use crate::lock::{Lock, LockOptions};
use crate::recovery::Recovery;
use crate::segments::{DATA, SegmentLog};
use crate::settings::{self, Settings};
use crate::state::State;
use crate::{IdPlaces, Repository, RepositoryError, StoredIds, Witness};
use announce::announce;
use stored::CurrentIndex;

/// Name of the log messages' source.
pub(crate) const LOGGER: &str = "borg.repository";
/// Name of the repository's lock.
pub(crate) const LOCK: &str = "lock";

/// A repository whose files this process reads and writes itself.
pub struct LocalRepository {
    storage: Arc<dyn Storage>,
    reporter: Arc<dyn Reporter>,
    config: Config,
    settings: Settings,
    mode: LockMode,
    lock: Mutex<Option<Lock>>,
    log: SegmentLog,
    /// The committed transaction or, while one is in progress, what has become of it.
    loaded: RwLock<Option<Loaded>>,
    /// Its index, for those who only ask what is stored. Stays while what is loaded is taken out and put back.
    current: Arc<CurrentIndex>,
    index_policy: IndexPolicy,
    /// Where indexes are made that are not to be in memory as a whole.
    scratch: Option<ScratchSpace>,
    phase: Phase,
    /// Whether the transaction in progress has put what was not there before.
    grows: bool,
    /// What is loaded is what a repair would leave: nothing may be written. The ids in storage order, if
    /// the segments do not lead to all of them.
    planned: Option<Vec<ChunkId>>,
    /// Bytes the last compaction has freed.
    freed: Option<u64>,
    /// Made in this session and never committed to: not worth keeping if the first commit fails.
    created: bool,
}

/// Index and bookkeeping in memory.
pub(crate) struct Loaded {
    /// The transaction on disk it is, or began as.
    id: Option<SegmentId>,
    state: State,
    /// Readers do without hints.
    has_hints: bool,
    stored: StoredIndex,
}

/// The index that is stored: that of the transaction, or of one before where it is not written every time.
#[derive(Debug, Clone, Copy, Default)]
struct StoredIndex {
    /// Its transaction; `None` if there is none that could be built upon.
    id: Option<SegmentId>,
    /// Bytes of the segments it does not know.
    behind_len: u64,
}

impl StoredIndex {
    /// That of this very transaction.
    fn of(id: SegmentId) -> Self {
        Self {
            id: Some(id),
            behind_len: 0,
        }
    }
}

impl Loaded {
    /// What readers need of a transaction.
    fn of_index(transaction: SegmentId, index: SharedIndex) -> Self {
        Self {
            id: Some(transaction),
            state: State {
                index,
                ..State::default()
            },
            has_hints: false,
            stored: StoredIndex::of(transaction),
        }
    }
}

/// Whether a transaction is in progress.
enum Phase {
    Idle,
    Active,
    /// Nothing of it may be committed.
    Doomed(Doom),
}

/// Why a transaction cannot be committed any more.
enum Doom {
    Quota { quota: String, used: String },
    Failed { reason: String, no_space: bool },
}

impl Doom {
    fn error(&self) -> RepositoryError {
        match self {
            Self::Quota { quota, used } => RepositoryError::StorageQuotaExceeded {
                quota: quota.clone(),
                used: used.clone(),
            },
            Self::Failed { reason, .. } => RepositoryError::TransactionDoomed {
                reason: reason.clone(),
            },
        }
    }
}

impl LocalRepository {
    /// Opens the repository at an absolute path.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, RepositoryError> {
        Self::open_in(Arc::new(LocalStorage::new(path)), options)
    }

    /// The same behind a fence, so that another thread can put an end to all changes.
    pub fn open_fenced(
        path: &Path,
        options: OpenOptions,
        fence: Arc<Fence>,
    ) -> Result<Self, RepositoryError> {
        let storage = FencedStorage::new(LocalStorage::new(path), fence);
        Self::open_in(Arc::new(storage), options)
    }

    /// Opens the repository a storage holds.
    pub fn open_in(
        storage: Arc<dyn Storage>,
        options: OpenOptions,
    ) -> Result<Self, RepositoryError> {
        let path = storage.path("");
        settings::check_directory(&*storage)?;
        let lock = match options.lock {
            LockMode::None => None,
            _ => Some(Lock::acquire(
                Arc::clone(&storage),
                LOCK,
                LockOptions {
                    exclusive: options.lock == LockMode::Exclusive,
                    wait: options.lock_wait,
                    owner: options.owner,
                },
                Arc::clone(&options.reporter),
            )?),
        };
        if options.lock == LockMode::Exclusive
            && let Some(distant) = storage.distant()
        {
            distant.set_alone(true);
        }
        let config = settings::load_config(&*storage)?;
        let mut settings = Settings::from_config(&config, &*storage)?;
        settings.append_only |= options.append_only;
        if let Some(quota) = options.storage_quota {
            settings.storage_quota = quota;
        }
        if let (Some(retention), Some(conditional)) = (settings.retain, storage.conditional())
            && matches!(
                options.lock,
                LockMode::Exclusive | LockMode::SharedUntilWrite
            )
        {
            conditional.retain(DATA, retention)?;
        }
        let mut log = SegmentLog::new(
            Arc::clone(&storage),
            settings.segments_per_dir,
            settings.segment_size_max,
        );
        log.set_guard(lock.as_ref().and_then(Lock::guard));
        if log.is_attic()? {
            return Err(RepositoryError::AtticRepository { path });
        }
        Ok(Self {
            storage,
            reporter: options.reporter,
            config,
            settings,
            mode: options.lock,
            lock: Mutex::new(lock),
            log,
            loaded: RwLock::new(None),
            current: Arc::default(),
            index_policy: IndexPolicy::default(),
            scratch: None,
            phase: Phase::Idle,
            grows: false,
            planned: None,
            freed: None,
            created: false,
        })
    }

    /// The repository's config file as it was read.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces the config file. What changes takes effect when the repository is opened again.
    pub fn save_config(&mut self, config: Config) -> Result<(), RepositoryError> {
        let locked = self.mode != LockMode::None;
        let old = Some(&self.config);
        settings::save_config(&*self.storage, old, &config, locked, &*self.reporter)?;
        self.config = config;
        Ok(())
    }

    /// Decides anew when indexes that will be opened from now on are in memory.
    pub fn set_index_policy(&mut self, policy: IndexPolicy) {
        self.index_policy = policy;
    }

    /// An empty index that takes so many entries without growing.
    fn index_anew(&self, capacity: usize) -> SharedIndex {
        match &self.scratch {
            Some(space) => ScratchIndex::with_capacity(space, capacity).into(),
            None => Index::with_capacity(capacity).into(),
        }
    }

    /// The quota in force, in bytes; 0 for none.
    pub fn storage_quota(&self) -> u64 {
        self.settings.storage_quota
    }

    /// The bytes counted against the quota.
    pub fn storage_quota_use(&mut self) -> Result<u64, RepositoryError> {
        let loaded = match self.take_loaded() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        let loaded = self.with_hints(loaded)?;
        let used = u64::try_from(loaded.state.hints.storage_quota_use).unwrap_or(0);
        self.set_loaded(Some(loaded));
        Ok(used)
    }

    /// The number of the committed transaction; `None` if there was none yet.
    pub fn transaction_id(&self) -> Result<Option<SegmentId>, RepositoryError> {
        self.with_loaded(|loaded| loaded.id)
    }

    fn recovery(&self) -> Recovery<'_> {
        Recovery {
            storage: &self.storage,
            log: &self.log,
            reporter: &*self.reporter,
        }
    }

    fn log_message(&self, level: Level, message: String) {
        self.reporter.report(Event::log(level, LOGGER, message));
    }

    fn take_loaded(&mut self) -> Option<Loaded> {
        let loaded = self.loaded.get_mut();
        loaded.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Forgets what was loaded for reading.
    fn forget_loaded(&self) {
        self.current.set(None);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn set_loaded(&mut self, loaded: Option<Loaded>) {
        self.set_current(loaded.as_ref());
        let slot = self.loaded.get_mut();
        *slot.unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    fn set_current(&self, loaded: Option<&Loaded>) {
        self.current
            .set(loaded.map(|loaded| loaded.state.index.clone()));
    }

    /// Looks something up in the loaded state; loads it first if that was not done yet.
    fn with_loaded<T>(&self, look_up: impl FnOnce(&Loaded) -> T) -> Result<T, RepositoryError> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded {
            return Ok(look_up(loaded));
        }
        drop(loaded);
        let mut slot = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let loaded = match slot.take() {
            // Another thread was faster.
            Some(loaded) => loaded,
            None => self.load()?,
        };
        self.set_current(Some(&loaded));
        Ok(look_up(slot.insert(loaded)))
    }

    fn with_index<T>(&self, look_up: impl FnOnce(&SharedIndex) -> T) -> Result<T, RepositoryError> {
        self.with_loaded(|loaded| look_up(&loaded.state.index))
    }

    fn find(&self, id: &ChunkId) -> Result<Option<EntryLocation>, RepositoryError> {
        self.with_index(|index| index.get(id))?
    }

    fn not_found(&self, id: &ChunkId) -> RepositoryError {
        RepositoryError::ObjectNotFound {
            id: *id,
            location: self.location(),
        }
    }

    /// Reads through the index; if the segment is gone because somebody compacted the repository
    /// while we read without a lock, looks again in the index of today.
    fn read<T>(
        &self,
        id: &ChunkId,
        mut read: impl FnMut(EntryLocation) -> Result<T, RepositoryError>,
    ) -> Result<Option<T>, RepositoryError> {
        let Some(at) = self.find(id)? else {
            return Ok(None);
        };
        let error = match read(at) {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        let gone = matches!(&error, RepositoryError::Storage(e) if e.is_not_found());
        if self.mode != LockMode::None || !gone {
            return Err(error);
        }
        let loaded = self.load()?;
        self.set_current(Some(&loaded));
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        match self.find(id)? {
            Some(moved) if moved != at => read(moved).map(Some),
            Some(_) => Err(error),
            None => Ok(None),
        }
    }
}

impl Repository for LocalRepository {
    fn id(&self) -> RepositoryId {
        self.settings.id
    }

    fn location(&self) -> String {
        self.storage.path("").display().to_string()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn is_distant(&self) -> bool {
        self.storage.distant().is_some()
    }

    fn append_only(&self) -> bool {
        self.settings.append_only
    }

    fn holds_lock(&self) -> bool {
        self.mode != LockMode::None
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        self.with_index(SharedIndex::len)
    }

    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.with_index(|index| index.ids(limit, marker))?
    }

    fn scan(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.scan_current(limit, marker)
    }

    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.with_index(|index| index.contains(id))?
    }

    fn stored_ids(&self) -> Result<Option<Arc<dyn StoredIds>>, RepositoryError> {
        self.with_loaded(|_| ())?;
        Ok(Some(Arc::clone(&self.current) as Arc<dyn StoredIds>))
    }

    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.read(id, |at| self.log.read_object(at, id, out))?
            .ok_or_else(|| self.not_found(id))
    }

    fn get_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.metadata(id, out, |out| self.get(id, out))
    }

    fn reject_metadata(&self, id: &ChunkId) -> bool {
        self.reject_kept(id)
    }

    fn put_metadata(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.put_and_keep(id, object)
    }

    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        if let Some(size) = self.kept_size(id) {
            return Ok(self.find(id)?.map(|_| size));
        }
        let header = u32::try_from(ironborg_types::limits::PUT_HEADER_SIZE).expect("41");
        let size = self.read(id, |at| self.log.read_size(at, id))?;
        Ok(size.map(|size| size - header))
    }

    fn keep_index_within(&mut self, space: Option<ScratchSpace>) {
        self.index_policy = match &space {
            Some(space) => IndexPolicy {
                in_memory_max: space.memory_len.min(IndexPolicy::default().in_memory_max),
                is_loaded_when_asked: false,
            },
            None => IndexPolicy::default(),
        };
        self.scratch = space;
    }

    fn id_places(&self) -> Result<Option<Arc<dyn IdPlaces>>, RepositoryError> {
        let index = self.with_index(SharedIndex::clone)?;
        if self.scratch.is_none() {
            // All of it is asked for.
            index.load()?;
        }
        Ok(Some(Arc::new(PlacedIds(index))))
    }

    fn storage_order(&self, id: &ChunkId) -> Option<u64> {
        let at = self.find(id).ok()??;
        Some(u64::from(at.segment.0) << 32 | u64::from(at.offset))
    }

    fn place(&self, id: &ChunkId) -> Option<(SegmentId, u64)> {
        let at = self.find(id).ok()??;
        Some((at.segment, u64::from(at.offset)))
    }

    fn will_need(&self, ids: &[ChunkId]) {
        let objects: Vec<(ChunkId, u32)> = ids.iter().map(|id| (*id, 0)).collect();
        self.will_need_sized(&objects);
    }

    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        let places = self.with_index(|index| {
            let place = |(id, len): &(ChunkId, u32)| Some((index.get(id).ok()??, *len));
            objects.iter().filter_map(place).collect::<Vec<_>>()
        });
        if let Ok(places) = places {
            announce(&self.log, places);
        }
    }

    fn will_need_sizes(&self, ids: &[ChunkId]) {
        self.ask_for_sizes(ids);
    }

    fn will_need_metadata(&self, objects: &[(ChunkId, u32)]) {
        self.will_need_sized(&self.without_kept(objects));
    }

    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.put_object(id, object)
    }

    fn delete(&mut self, id: &ChunkId) -> Result<(), RepositoryError> {
        self.delete_object(id)
    }

    fn delete_many(&mut self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, RepositoryError> {
        self.delete_each(ids)
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        self.commit_transaction(None)
    }

    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        self.begin()?;
        self.commit_transaction(Some(options))?;
        self.give_up_leftovers();
        self.renew_retention()
    }

    fn freed(&self) -> Option<u64> {
        self.freed
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        self.roll_back()
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        Lock::break_lock(&*self.storage, LOCK)
    }

    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        Self::close(*self)
    }

    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        self.check_segments_and_index(options, None)
    }

    fn check_showing(
        &mut self,
        options: &CheckOptions,
        witness: &dyn Witness,
    ) -> Result<bool, RepositoryError> {
        self.check_segments_and_index(options, Some(witness))
    }

    fn show_all(
        &self,
        threads: usize,
        witness: &dyn Witness,
        passed: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, RepositoryError> {
        self.show_current(threads, witness, passed)
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        self.remove_repository()
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        let key = self.config.get(settings::SECTION, "key");
        Ok(key.unwrap_or_default().trim().as_bytes().to_vec())
    }

    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError> {
        let text = std::str::from_utf8(key).map_err(|e| RepositoryError::MalformedConfig {
            reason: format!("a key is text: {e}"),
        })?;
        let mut config = self.config.clone();
        config.set(settings::SECTION, "key", text);
        self.save_config(config)
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        Arc::new(self.nonce_file())
    }
}

impl Drop for LocalRepository {
    fn drop(&mut self) {
        if let Err(error) = self.roll_back() {
            self.log_message(Level::Error, error.to_string());
        }
        // The lock is released when its field is dropped.
    }
}
