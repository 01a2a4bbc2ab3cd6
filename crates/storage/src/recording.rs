//! Storage that writes down what is asked of it, and what a disk may hold if power fails half way.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{AppendFile, Status, Storage, StorageEntry};
use crate::{MemoryStorage, StorageError};

/// One call, with what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the method of the same name.
pub enum Operation {
    Status(String),
    List(String),
    Read(String),
    ReadAt(String, u64, usize),
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
            Self::Status(_) | Self::List(_) | Self::Read(_) | Self::ReadAt(..) | Self::FreeSpace
        )
    }
}

type Journal = Arc<Mutex<Vec<Operation>>>;

fn journal(journal: &Journal) -> MutexGuard<'_, Vec<Operation>> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes everything on to another storage and remembers it, for counting and for crash tests.
#[derive(Clone)]
pub struct RecordingStorage {
    inner: Arc<dyn Storage>,
    journal: Journal,
}

impl RecordingStorage {
    /// Records what is done to `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            journal: Journal::default(),
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
        journal(&self.journal).push(operation);
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
        self.inner.will_need(name, offset, len);
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.note(Operation::Create(name.to_owned()));
        Ok(Box::new(RecordingAppend {
            inner: self.inner.create(name)?,
            name: name.to_owned(),
            journal: Arc::clone(&self.journal),
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
}

impl AppendFile for RecordingAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        journal(&self.journal).push(Operation::AppendTo(self.name.clone(), bytes.to_vec()));
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        journal(&self.journal).push(Operation::Sync(self.name.clone()));
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> Result<(), StorageError> {
        journal(&self.journal).push(Operation::Seal(self.name));
        self.inner.seal()
    }
}

/// What becomes of appended bytes nobody synced when power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All arrived.
    Kept,
    /// None arrived; a file that was never synced is not there at all.
    Dropped,
    /// The name and half of the bytes arrived.
    Torn,
    /// The name and the length arrived, but zeros instead of the bytes.
    Zeroed,
}

/// What is stored when power fails right after these operations, begun with an empty root directory.
///
/// Operations that are atomic and durable by contract are taken to be.
pub fn state_after(operations: &[Operation], unsynced: Unsynced) -> MemoryStorage {
    let memory = MemoryStorage::new();
    memory
        .create_dir_all("")
        .expect("memory has room for a directory");
    // How many bytes of each file still being written are safe.
    let mut safe: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Create(name) => {
                safe.insert(name, 0);
            }
            Operation::Sync(name) | Operation::Seal(name) => {
                let len = memory.read(name).map_or(0, |content| content.len());
                safe.insert(name, len);
            }
            Operation::Remove(name) | Operation::Erase(name) => {
                safe.remove(name.as_str());
            }
            _ => {}
        }
        // Replaying an operation that failed when it was recorded fails again.
        let _ = apply(&memory, operation);
    }
    for (name, safe_len) in safe {
        let Ok(content) = memory.read(name) else {
            continue;
        };
        let lost = content.len() - safe_len;
        match unsynced {
            _ if lost == 0 && safe_len > 0 => {}
            Unsynced::Kept => {}
            Unsynced::Dropped if safe_len == 0 => {
                let _ = memory.remove(name);
            }
            Unsynced::Dropped => memory.truncate(name, safe_len),
            Unsynced::Torn => memory.truncate(name, safe_len + lost / 2),
            Unsynced::Zeroed => {
                let mut content = content;
                content[safe_len..].fill(0);
                memory.set(name, content);
            }
        }
    }
    memory
}

fn apply(memory: &MemoryStorage, operation: &Operation) -> Result<(), StorageError> {
    match operation {
        Operation::Create(name) => memory.create(name).map(drop),
        Operation::AppendTo(name, bytes) | Operation::Append(name, bytes) => {
            memory.append(name, bytes)
        }
        Operation::Write(name, content) => memory.write(name, content),
        Operation::Replace(name, content) => memory.replace(name, &[content]),
        Operation::Stage(name, content) => memory.stage(name, &[content]),
        Operation::Publish(names) => {
            memory.publish(&names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Operation::Remove(name) | Operation::Erase(name) => memory.remove(name),
        Operation::Link(name, second) => memory.link(name, second).map(drop),
        Operation::CreateDir(dir) => memory.create_dir(dir).map(drop),
        Operation::CreateDirAll(dir) => memory.create_dir_all(dir),
        Operation::RemoveDir(dir) => memory.remove_dir(dir).map(drop),
        Operation::RemoveTree(dir) => memory.remove_tree(dir),
        Operation::ClaimDir(dir, file) => memory.claim_dir(dir, file).map(drop),
        Operation::Status(_)
        | Operation::List(_)
        | Operation::Read(_)
        | Operation::ReadAt(..)
        | Operation::Sync(_)
        | Operation::Seal(_)
        | Operation::SyncDir(_)
        | Operation::FreeSpace => Ok(()),
    }
}
