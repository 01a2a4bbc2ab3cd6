//! A mirror is a whole repository at every moment, whatever request or operation is the last one.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod cuts;
#[path = "../bucket/gate.rs"]
#[allow(dead_code)] // Its other half is for locks.
mod gate;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ironborg_bucket::{BucketStorage, BucketUrl};
use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, LocalRepository, LockMode, MirrorFigures,
    MirrorOptions, OpenOptions, Repository, RepositoryError, mirror,
};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::ChunkId;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};

/// A store and what its requests run in.
pub(crate) struct Store {
    pub(crate) memory: Arc<InMemory>,
    runtime: Arc<Runtime>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            memory: Arc::new(InMemory::new()),
            runtime: Arc::new(runtime.unwrap()),
        }
    }

    /// A place in it, reached some way.
    pub(crate) fn place(&self, store: Arc<dyn ObjectStore>, prefix: &str) -> Arc<dyn Storage> {
        let url = BucketUrl::parse(&format!("s3://bucket/{prefix}")).unwrap();
        let spool = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let storage = BucketStorage::on(store, url, Arc::clone(&self.runtime), spool);
        Arc::new(storage.with_term(Duration::from_mins(1)))
    }

    pub(crate) fn plain(&self, prefix: &str) -> Arc<dyn Storage> {
        self.place(self.memory.clone(), prefix)
    }
}

/// What a commit consists of: names and contents of objects.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// A repository that is worked with, and what it was after each commit.
pub(crate) struct Origin {
    pub(crate) storage: Arc<dyn Storage>,
    repository: Option<LocalRepository>,
    now: Objects,
    /// By number of the state; what the manifest says, too.
    pub(crate) states: Vec<Objects>,
}

impl Origin {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        // Small segments, so that there are many, and intermediate commits.
        let mut repository = support::create(Arc::clone(&storage)).unwrap();
        let mut config = repository.config().clone();
        config.set("repository", "max_segment_size", "600");
        repository.save_config(config).unwrap();
        repository.close().unwrap();
        let mut origin = Self {
            storage,
            repository: None,
            now: Objects::new(),
            states: Vec::new(),
        };
        origin.reopen();
        origin
    }

    fn reopen(&mut self) {
        let opened = LocalRepository::open_in(Arc::clone(&self.storage), support::writing());
        self.repository = Some(opened.unwrap());
    }

    fn repository(&mut self) -> &mut LocalRepository {
        self.repository.as_mut().unwrap()
    }

    pub(crate) fn put(&mut self, name: &str, len: usize) {
        let content = [name.as_bytes(), &vec![b'.'; len]].concat();
        self.repository().put(&support::id(name), &content).unwrap();
        self.now.insert(name.to_owned(), content);
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.repository().delete(&support::id(name)).unwrap();
        self.now.remove(name);
    }

    /// Commits, with the number of the state in the manifest.
    pub(crate) fn commit(&mut self) {
        self.note_state();
        self.repository().commit().unwrap();
    }

    pub(crate) fn commit_compact(&mut self) {
        self.note_state();
        let options = CompactOptions {
            threshold: 0.1,
            cleanup_commits: false,
            interrupt: None,
        };
        self.repository().commit_compact(options).unwrap();
    }

    fn note_state(&mut self) {
        let number = self.states.len().to_string();
        self.repository()
            .put(&ChunkId::MANIFEST, number.as_bytes())
            .unwrap();
        self.states.push(self.now.clone());
    }

    /// Lets others have it.
    pub(crate) fn close(&mut self) {
        self.repository.take().unwrap().close().unwrap();
    }

    /// Three states, then so much deleted that compaction copies and commits several times.
    pub(crate) fn first_part(&mut self) {
        for number in 0..6 {
            self.put(&format!("first{number}"), 150);
        }
        self.commit();
        self.put("second", 900);
        self.commit();
        self.close();
    }

    /// A commit that removes nothing.
    pub(crate) fn grow(&mut self) {
        self.reopen();
        self.put("grown", 300);
        self.commit();
        self.close();
    }

    pub(crate) fn second_part(&mut self) {
        self.second_part_again(0);
    }

    /// The same with other names; what is deleted at the end differs.
    pub(crate) fn second_part_again(&mut self, part: usize) {
        self.reopen();
        for round in 0..3 {
            for number in 0..4 {
                self.put(&format!("later{part}{round}{number}"), 200);
            }
            if round > 0 {
                self.delete(&format!("later{part}{}1", round - 1));
                self.delete(&format!("later{part}{}2", round - 1));
            }
            self.commit();
        }
        let last = format!("later{part}20");
        for name in ["first0", "first2", "first4", "second", last.as_str()] {
            if self.now.contains_key(name) {
                self.delete(name);
            }
        }
        self.commit_compact();
        self.put("last", 10 + part);
        self.delete(&format!("later{part}00"));
        self.commit_compact();
        self.close();
    }
}

pub(crate) fn options() -> MirrorOptions {
    MirrorOptions {
        open: OpenOptions {
            lock: LockMode::Shared,
            ..support::reading()
        },
        interrupt: None,
        dry_run: false,
        verify: false,
        retain: None,
    }
}

pub(crate) fn run(
    source: &Arc<dyn Storage>,
    target: &Arc<dyn Storage>,
) -> Result<MirrorFigures, RepositoryError> {
    mirror(source, target, &options())
}

/// The same by a process that dies then.
pub(crate) fn run_and_die(source: &Arc<dyn Storage>, target: &Arc<dyn Storage>) -> bool {
    let mut options = options();
    options.open.owner.pid = 4_194_303;
    mirror(source, target, &options).is_ok()
}

/// Which state a repository is in; every object of that has to be there. `None` if it is no repository.
pub(crate) fn state_of(
    storage: &Arc<dyn Storage>,
    states: &[Objects],
    what: &str,
) -> Option<usize> {
    storage.forget_open();
    let repository =
        match LocalRepository::open_in(Arc::clone(storage), support::options(LockMode::None)) {
            Ok(repository) => repository,
            Err(
                RepositoryError::InvalidRepository { .. } | RepositoryError::DoesNotExist { .. },
            ) => {
                return None;
            }
            Err(error) => panic!("{what}: {error}"),
        };
    let mut object = Vec::new();
    repository
        .get(&ChunkId::MANIFEST, &mut object)
        .unwrap_or_else(|error| panic!("{what}: manifest: {error}"));
    let number: usize = std::str::from_utf8(&object).unwrap().parse().unwrap();
    for (name, content) in &states[number] {
        repository
            .get(&support::id(name), &mut object)
            .unwrap_or_else(|error| panic!("{what}: {name} of state {number}: {error}"));
        assert_eq!(&object, content, "{what}: {name}");
    }
    Some(number)
}

/// All files of a place, without locks and what a mirror says of itself.
pub(crate) fn files(storage: &Arc<dyn Storage>) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(dir) = open.pop() {
        for entry in storage.list(&dir).unwrap_or_default() {
            let name = if dir.is_empty() {
                entry.name.clone()
            } else {
                format!("{dir}/{}", entry.name)
            };
            match entry.kind {
                ironborg_storage::EntryKind::Directory => open.push(name),
                _ if name.starts_with("lock.") || name == "mirror" => {}
                _ => {
                    found.insert(name.clone(), storage.read(&name).unwrap());
                }
            }
        }
    }
    found
}

/// The target has all files of the source as they are, and no others but what keeps a lost COMMIT away.
pub(crate) fn assert_same(target: &Arc<dyn Storage>, source: &Arc<dyn Storage>, what: &str) {
    let (mut there, wanted) = (files(target), files(source));
    // Empty, or of nothing but the COMMIT that came first.
    let is_fence = |content: &[u8]| content.len() <= 17 && content.starts_with(b"BORG_SEG");
    there.retain(|name, content| wanted.contains_key(name) || !is_fence(content));
    let names: Vec<_> = there.keys().collect();
    assert_eq!(names, wanted.keys().collect::<Vec<_>>(), "{what}");
    let differing: Vec<_> = wanted
        .iter()
        .filter(|(name, content)| there.get(*name) != Some(content))
        .map(|(name, _)| name)
        .collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

pub(crate) fn check(storage: &Arc<dyn Storage>) {
    let mut repository = LocalRepository::open_in(Arc::clone(storage), support::writing()).unwrap();
    let options = CheckOptions {
        mode: CheckMode::Look,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    assert!(repository.check(&options).unwrap());
    repository.close().unwrap();
}

/// A disk for a mirror.
pub(crate) fn memory() -> (MemoryStorage, Arc<dyn Storage>) {
    let memory = MemoryStorage::new().shown_as("/mirror");
    (memory.clone(), Arc::new(memory))
}

/// A repository with a past.
pub(crate) fn made() -> (MemoryStorage, Origin) {
    let memory = MemoryStorage::new();
    let mut origin = Origin::new(Arc::new(memory.clone()));
    origin.first_part();
    (memory, origin)
}
