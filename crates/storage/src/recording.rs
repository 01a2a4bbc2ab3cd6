//! Storage that writes down what is asked of it.

use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{AppendFile, Status, Storage, StorageEntry};
use crate::{DiskModel, MemoryStorage, StorageError, Unsynced};

/// One call, with what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the method of the same name.
pub enum Operation {
    Status(String),
    List(String),
    Read(String),
    ReadAt(String, u64, usize),
    WillNeed(String, u64, u64),
    Create(String),
    AppendTo(String, Vec<u8>),
    Sync(String),
    Seal(String),
    Write(String, Vec<u8>),
    Append(String, Vec<u8>),
    Replace(String, Vec<u8>),
    Stage(String, Vec<u8>),
    Publish(Vec<String>),
    Remove(String),
    Erase(String),
    Link(String, String),
    CreateDir(String),
    CreateDirAll(String),
    RemoveDir(String),
    RemoveTree(String),
    SyncDir(String),
    FreeSpace,
    ClaimDir(String, String),
}

impl Operation {
    /// Whether the operation may change what is stored.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::Status(_)
                | Self::List(_)
                | Self::Read(_)
                | Self::ReadAt(..)
                | Self::WillNeed(..)
                | Self::FreeSpace
        )
    }
}

type Journal = Arc<Mutex<Vec<Operation>>>;
type Watch = Arc<dyn Fn() + Send + Sync>;

fn note(journal_of: &Journal, watch: &Watch, operation: Operation) {
    let mut journal = journal(journal_of);
    if operation.is_change() {
        watch();
    }
    journal.push(operation);
}

fn journal(journal: &Journal) -> MutexGuard<'_, Vec<Operation>> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes everything on to another storage and remembers it, for counting and for crash tests.
#[derive(Clone)]
pub struct RecordingStorage {
    inner: Arc<dyn Storage>,
    journal: Journal,
    watch: Watch,
    hints: bool,
}

impl RecordingStorage {
    /// Records what is done to `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self::watched(inner, || {})
    }

    /// As [`RecordingStorage::new`], calling `watch` right before each operation that may change something: for
    /// a look at what else there is at that moment.
    pub fn watched(inner: Arc<dyn Storage>, watch: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            inner,
            journal: Journal::default(),
            watch: Arc::new(watch),
            hints: false,
        }
    }

    /// Remembers hints, too: what was announced before it was read.
    #[must_use]
    pub fn with_hints(self) -> Self {
        Self {
            hints: true,
            ..self
        }
    }

    /// Everything so far, in order; failed calls too.
    pub fn operations(&self) -> Vec<Operation> {
        journal(&self.journal).clone()
    }

    /// Everything since the last call.
    pub fn take_operations(&self) -> Vec<Operation> {
        std::mem::take(&mut journal(&self.journal))
    }

    fn note(&self, operation: Operation) {
        note(&self.journal, &self.watch, operation);
    }
}

impl Storage for RecordingStorage {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        self.note(Operation::Status(name.to_owned()));
        self.inner.status(name)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.note(Operation::List(dir.to_owned()));
        self.inner.list(dir)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.note(Operation::Read(name.to_owned()));
        self.inner.read(name)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.note(Operation::ReadAt(name.to_owned(), offset, len));
        self.inner.read_at(name, offset, buffers)
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        if self.hints {
            self.note(Operation::WillNeed(name.to_owned(), offset, len));
        }
        self.inner.will_need(name, offset, len);
    }

    fn forget_open(&self) {
        self.inner.forget_open();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.note(Operation::Create(name.to_owned()));
        Ok(Box::new(RecordingAppend {
            inner: self.inner.create(name)?,
            name: name.to_owned(),
            journal: Arc::clone(&self.journal),
            watch: Arc::clone(&self.watch),
        }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.note(Operation::Write(name.to_owned(), content.to_vec()));
        self.inner.write(name, content)
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.note(Operation::Append(name.to_owned(), content.to_vec()));
        self.inner.append(name, content)
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.note(Operation::Replace(name.to_owned(), content.concat()));
        self.inner.replace(name, content)
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.note(Operation::Stage(name.to_owned(), content.concat()));
        self.inner.stage(name, content)
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        let owned = names.iter().map(|&name| name.to_owned()).collect();
        self.note(Operation::Publish(owned));
        self.inner.publish(names)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.note(Operation::Remove(name.to_owned()));
        self.inner.remove(name)
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.note(Operation::Erase(name.to_owned()));
        self.inner.erase(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        self.note(Operation::Link(name.to_owned(), second.to_owned()));
        self.inner.link(name, second)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        self.note(Operation::CreateDir(dir.to_owned()));
        self.inner.create_dir(dir)
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        self.note(Operation::CreateDirAll(dir.to_owned()));
        self.inner.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        self.note(Operation::RemoveDir(dir.to_owned()));
        self.inner.remove_dir(dir)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        self.note(Operation::RemoveTree(dir.to_owned()));
        self.inner.remove_tree(dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        self.note(Operation::SyncDir(dir.to_owned()));
        self.inner.sync_dir(dir)
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        self.note(Operation::FreeSpace);
        self.inner.free_space()
    }

    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError> {
        self.note(Operation::ClaimDir(dir.to_owned(), file.to_owned()));
        self.inner.claim_dir(dir, file)
    }
}

struct RecordingAppend {
    inner: Box<dyn AppendFile>,
    name: String,
    journal: Journal,
    watch: Watch,
}

impl RecordingAppend {
    fn note(&self, operation: Operation) {
        note(&self.journal, &self.watch, operation);
    }
}

impl AppendFile for RecordingAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.note(Operation::AppendTo(self.name.clone(), bytes.to_vec()));
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.note(Operation::Sync(self.name.clone()));
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> Result<(), StorageError> {
        self.note(Operation::Seal(self.name.clone()));
        self.inner.seal()
    }
}

/// What is stored when power fails right after these operations, begun with an empty root directory.
pub fn state_after(operations: &[Operation], unsynced: Unsynced) -> MemoryStorage {
    let mut disk = DiskModel::new();
    for operation in operations {
        disk.apply(operation);
    }
    disk.after_power_failure(unsynced)
}
