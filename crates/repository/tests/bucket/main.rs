//! A repository on an object store: its lease, and what is left of it whatever request is the last one.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod counted;
mod crash;
mod gate;
mod later;
mod lease;
mod stock;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use gate::Gate;
use ironborg_bucket::{BucketStorage, BucketUrl};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockOwner, OpenOptions, Repository, RepositoryError,
};
use ironborg_storage::Storage;
use object_store::memory::InMemory;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tokio::runtime::{Builder, Runtime};

/// What all writers of a test have in common.
pub(crate) struct World {
    pub(crate) store: Arc<InMemory>,
    runtime: Arc<Runtime>,
    term: Duration,
    /// What machines keep copies in; each has one.
    pub(crate) machine: Option<PathBuf>,
    /// An index that is not larger is written with every commit.
    pub(crate) index_always_max: Option<u64>,
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
            machine: None,
            index_always_max: None,
        }
    }

    /// As [`World::new`], but even the smallest index is not written with every commit.
    pub(crate) fn of_large_indexes() -> Self {
        Self {
            index_always_max: Some(0),
            ..Self::new(Duration::from_mins(1))
        }
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = self.runtime.block_on(async {
            let listed: Vec<_> = self.store.list(None).collect().await;
            listed
        });
        let name = |meta: object_store::Result<ObjectMeta>| {
            let name = meta.unwrap().location.to_string();
            name.trim_start_matches("some/where/").to_owned()
        };
        let mut names: Vec<String> = listed.into_iter().map(name).collect();
        names.sort();
        names
    }

    /// Copies everything into a directory.
    pub(crate) fn download(&self, into: &Path) {
        let prefix = object_store::path::Path::from("some/where");
        for name in self.names() {
            let key = prefix.parts().chain(name.split('/').map(Into::into));
            let key: object_store::path::Path = key.collect();
            let content = self.runtime.block_on(async {
                let got = self.store.get_opts(&key, GetOptions::default()).await;
                got.unwrap().bytes().await.unwrap()
            });
            let file = into.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
    }

    /// The transaction whose index is stored.
    pub(crate) fn indexed(&self) -> Vec<String> {
        let names = self.names();
        let indexes = names.iter().filter_map(|name| name.strip_prefix("index."));
        indexes.map(str::to_owned).collect()
    }

    pub(crate) fn storage(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn Storage> {
        let url = BucketUrl::parse("s3://bucket/some/where").unwrap();
        let runtime = Arc::clone(&self.runtime);
        let spool = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut storage = BucketStorage::on(store, url, runtime, spool).with_term(self.term);
        if let Some(dir) = &self.machine {
            storage = storage.with_copies(dir);
        }
        if let Some(len) = self.index_always_max {
            storage = storage.with_index_always_max(len);
        }
        Arc::new(storage)
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
