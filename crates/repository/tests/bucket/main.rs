//! A repository on an object store: its lease, and what is left of it whatever request is the last one.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod crash;
mod gate;
mod lease;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gate::Gate;
use ironborg_bucket::{BucketStorage, BucketUrl};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockOwner, OpenOptions, Repository, RepositoryError,
};
use ironborg_storage::Storage;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};

/// What all writers of a test have in common.
pub(crate) struct World {
    pub(crate) store: Arc<InMemory>,
    runtime: Arc<Runtime>,
    term: Duration,
}

impl World {
    pub(crate) fn new(term: Duration) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            store: Arc::new(InMemory::new()),
            runtime: Arc::new(runtime.unwrap()),
            term,
        }
    }

    pub(crate) fn storage(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn Storage> {
        let url = BucketUrl::parse("s3://bucket/some/where").unwrap();
        let runtime = Arc::clone(&self.runtime);
        let spool = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Arc::new(BucketStorage::on(store, url, runtime, spool).with_term(self.term))
    }

    /// What a process sees of the store, and how it is held up.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Gate::new(Arc::clone(&self.store))
    }

    pub(crate) fn open(&self, options: OpenOptions) -> Result<LocalRepository, RepositoryError> {
        LocalRepository::open_in(self.storage(self.store.clone()), options)
    }

    pub(crate) fn open_through(
        &self,
        gate: &Arc<Gate>,
        options: OpenOptions,
    ) -> Result<LocalRepository, RepositoryError> {
        LocalRepository::open_in(self.storage(gate.clone()), options)
    }

    pub(crate) fn create(&self) {
        let storage = self.storage(self.store.clone());
        let mut repository =
            LocalRepository::create_in(storage, &create_options(), writing("a")).unwrap();
        put(&mut repository, "first");
        repository.commit().unwrap();
        repository.close().unwrap();
    }
}

pub(crate) fn create_options() -> CreateOptions {
    support::create_options()
}

/// Options of a writer on a machine of its own.
pub(crate) fn writing(host: &str) -> OpenOptions {
    OpenOptions {
        owner: LockOwner {
            host: host.to_owned(),
            pid: u64::from(std::process::id()),
            thread: 0,
        },
        ..support::writing()
    }
}

/// Options of a process of this machine that is no more.
pub(crate) fn dead() -> OpenOptions {
    OpenOptions {
        owner: LockOwner {
            host: support::HOST.to_owned(),
            pid: 4_194_303,
            thread: 0,
        },
        ..support::writing()
    }
}

pub(crate) fn put(repository: &mut LocalRepository, name: &str) {
    try_put(repository, name).unwrap();
}

pub(crate) fn try_put(repository: &mut LocalRepository, name: &str) -> Result<(), RepositoryError> {
    repository.put(&support::id(name), name.as_bytes())
}

pub(crate) fn has(repository: &LocalRepository, name: &str) -> bool {
    let mut object = Vec::new();
    match repository.get(&support::id(name), &mut object) {
        Ok(()) => {
            assert_eq!(object, name.as_bytes());
            true
        }
        Err(RepositoryError::ObjectNotFound { .. }) => false,
        Err(error) => panic!("{name}: {error}"),
    }
}
