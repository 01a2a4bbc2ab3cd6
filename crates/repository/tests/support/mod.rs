//! What the tests of this crate share: options, ids, and a reporter that remembers.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.
#![allow(dead_code)] // Each test binary uses its own part.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_repository::{
    CreateOptions, IndexPolicy, LocalRepository, LockMode, OpenOptions, RepositoryError,
    process_identity,
};
use ironborg_storage::{MemoryStorage, ScratchSpace, Storage};
use ironborg_types::{
    ChunkId, Event, FindingKind, Level, NullReporter, Place, RepairChange, Reporter,
};
use sha2::{Digest, Sha256};

pub(crate) const HOST: &str = "host.example.org@1";

/// Every index that was written before is looked up in its file, and never loaded for being asked.
pub(crate) const IN_FILES: IndexPolicy = IndexPolicy {
    in_memory_max: 0,
    is_loaded_when_asked: false,
};

/// The id tests use for the object called `name`.
pub(crate) fn id(name: &str) -> ChunkId {
    ChunkId(Sha256::digest(name).into())
}

pub(crate) fn options(lock: LockMode) -> OpenOptions {
    OpenOptions {
        lock,
        lock_wait: Some(Duration::ZERO),
        owner: process_identity(HOST),
        append_only: false,
        storage_quota: None,
        reporter: Arc::new(NullReporter),
    }
}

pub(crate) fn writing() -> OpenOptions {
    options(LockMode::Exclusive)
}

pub(crate) fn reading() -> OpenOptions {
    options(LockMode::Shared)
}

pub(crate) fn create_options() -> CreateOptions {
    CreateOptions {
        append_only: false,
        storage_quota: None,
        make_parent_dirs: false,
    }
}

pub(crate) fn create(storage: Arc<dyn Storage>) -> Result<LocalRepository, RepositoryError> {
    LocalRepository::create_in(storage, &create_options(), writing())
}

/// Hardly any memory for indexes.
pub(crate) fn tight(directory: &Path) -> ScratchSpace {
    ScratchSpace {
        directory: directory.to_owned(),
        memory_len: 0,
    }
}

pub(crate) fn open(storage: &MemoryStorage, options: OpenOptions) -> LocalRepository {
    LocalRepository::open_in(Arc::new(storage.clone()), options).unwrap()
}

/// Remembers log messages.
#[derive(Default)]
pub(crate) struct Messages {
    log: Mutex<Vec<(Level, String)>>,
    /// What was found, and where.
    pub(crate) findings: Mutex<Vec<(FindingKind, Place)>>,
    /// What a repair has changed, or would.
    pub(crate) changes: Mutex<Vec<RepairChange>>,
}

impl Messages {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Everything that was told, as text.
    pub(crate) fn everything(&self) -> String {
        format!("{:#?}", (&self.log, &self.findings, &self.changes))
    }

    /// Everything logged at `WARNING` or above since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let messages = std::mem::take(&mut *self.log.lock().unwrap());
        let important = messages
            .into_iter()
            .filter(|(level, _)| *level >= Level::Warning);
        important.map(|(_, message)| message).collect()
    }
}

impl Reporter for Messages {
    fn report(&self, event: Event<'_>) {
        let (level, message) = match event {
            Event::Log { level, message, .. } => (level, message.into_owned()),
            Event::Finding(finding) => {
                let found = (finding.kind, finding.place.clone());
                self.findings.lock().unwrap().push(found);
                (finding.level, finding.message.clone())
            }
            Event::RepairChange(change) => {
                self.changes.lock().unwrap().push(change.clone());
                return;
            }
            _ => return,
        };
        self.log.lock().unwrap().push((level, message));
    }
}
