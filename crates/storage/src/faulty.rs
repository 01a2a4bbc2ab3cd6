//! Storage that fails on purpose.

use std::io::{self, IoSliceMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::{AppendFile, Status, Storage, StorageEntry};
use crate::{MemoryStorage, StorageError};

/// When and how calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The first call that fails, counted from 0.
    pub at: u64,
    /// Whether all later calls fail too, as if the disk were gone.
    pub forever: bool,
    /// The errno they fail with.
    pub errno: i32,
}

/// How much of a failing call that writes is done all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partial {
    /// Nothing.
    Nothing,
    /// The first byte.
    OneByte,
    /// Half of the bytes, or of the names.
    Half,
    /// All but the last byte, or the last name.
    AllButOne,
    /// All of it: only that it is safe was refused, as when a directory cannot be synced.
    Everything,
}

impl Partial {
    fn of(self, len: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::OneByte => len.min(1),
            Self::Half => len / 2,
            Self::AllButOne => len.saturating_sub(1),
            Self::Everything => len,
        }
    }
}

struct Plan {
    fault: Fault,
    /// `None`: half of an append, nothing of other calls.
    partial: Option<Partial>,
    /// Where what was written since the last sync is forgotten when a sync fails.
    forgetful: Option<MemoryStorage>,
    calls: AtomicU64,
    failures: AtomicU64,
    first_failed: Mutex<Option<PathBuf>>,
}

impl Plan {
    fn check(&self, op: &'static str, path: impl FnOnce() -> PathBuf) -> Result<(), StorageError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.fault.at || (self.fault.forever && call > self.fault.at) {
            let path = path();
            let first = self.first_failed.lock();
            let mut first = first.unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| path.clone());
            drop(first);
            self.failures.fetch_add(1, Ordering::SeqCst);
            let errno = io::Error::from_raw_os_error(self.fault.errno);
            return Err(StorageError::io(op, path, errno));
        }
        Ok(())
    }
}

/// Passes calls on to another storage until one is to fail. A failing call does nothing, but for those that
/// write bytes or publish names: of an append half arrives, unless [`FaultyStorage::doing`] says otherwise.
#[derive(Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

impl FaultyStorage {
    /// Fails calls to `inner` as `fault` says.
    pub fn new(inner: Arc<dyn Storage>, fault: Fault) -> Self {
        Self::with(inner, fault, None, None)
    }

    /// As [`FaultyStorage::new`]; a failing call that writes does so much, replacing and publishing ones too.
    pub fn doing(partial: Partial, inner: Arc<dyn Storage>, fault: Fault) -> Self {
        Self::with(inner, fault, Some(partial), None)
    }

    /// As [`FaultyStorage::new`]; when a sync fails, what it was to make safe is not there any more: a kernel
    /// forgets pages it could not write.
    pub fn forgetting(memory: MemoryStorage, fault: Fault) -> Self {
        Self::with(Arc::new(memory.clone()), fault, None, Some(memory))
    }

    fn with(
        inner: Arc<dyn Storage>,
        fault: Fault,
        partial: Option<Partial>,
        forgetful: Option<MemoryStorage>,
    ) -> Self {
        Self {
            inner,
            plan: Arc::new(Plan {
                fault,
                partial,
                forgetful,
                calls: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                first_failed: Mutex::default(),
            }),
        }
    }

    /// How many calls failed.
    pub fn failures(&self) -> u64 {
        self.plan.failures.load(Ordering::SeqCst)
    }

    /// What the first call that failed was about.
    pub fn first_failed(&self) -> Option<PathBuf> {
        let first = self.plan.first_failed.lock();
        first.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks a call that replaces a file whole; one that fails does so all the same, if it does everything.
    fn check_whole(
        &self,
        op: &'static str,
        name: &str,
        write: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let checked = self.check(op, name);
        if checked.is_err() && self.plan.partial == Some(Partial::Everything) {
            let _ = write();
        }
        checked
    }

    /// How many calls there were, failed ones included.
    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Ordering::SeqCst)
    }

    fn check(&self, op: &'static str, name: &str) -> Result<(), StorageError> {
        self.plan.check(op, || self.inner.path(name))
    }
}

impl Storage for FaultyStorage {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        self.check("stat", name)?;
        self.inner.status(name)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.check("list", dir)?;
        self.inner.list(dir)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.check("read", name)?;
        self.inner.read(name)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        self.check("read", name)?;
        self.inner.read_at(name, offset, buffers)
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        self.inner.will_need(name, offset, len);
    }

    fn forget_open(&self) {
        self.inner.forget_open();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.check("create", name)?;
        Ok(Box::new(FaultyAppend {
            inner: self.inner.create(name)?,
            name: name.to_owned(),
            safe: 0,
            path: self.inner.path(name),
            plan: Arc::clone(&self.plan),
        }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let checked = self.check("write", name);
        if let (Err(_), Some(partial)) = (&checked, self.plan.partial) {
            // In place: what was there is gone, whatever arrives.
            let _ = self
                .inner
                .write(name, &content[..partial.of(content.len())]);
        }
        checked?;
        self.inner.write(name, content)
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let checked = self.check("append", name);
        if let (Err(_), Some(partial)) = (&checked, self.plan.partial) {
            let _ = self
                .inner
                .append(name, &content[..partial.of(content.len())]);
        }
        checked?;
        self.inner.append(name, content)
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.check_whole("write", name, || self.inner.replace(name, content))?;
        self.inner.replace(name, content)
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.check_whole("write", name, || self.inner.stage(name, content))?;
        self.inner.stage(name, content)
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        let checked = self.check("rename", names.first().copied().unwrap_or_default());
        if let (Err(_), Some(partial)) = (&checked, self.plan.partial) {
            let _ = self.inner.publish(&names[..partial.of(names.len())]);
        }
        checked?;
        self.inner.publish(names)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.check("remove", name)?;
        self.inner.remove(name)
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.check("erase", name)?;
        self.inner.erase(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        self.check("link", name)?;
        self.inner.link(name, second)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        self.check("mkdir", dir)?;
        self.inner.create_dir(dir)
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        self.check("mkdir", dir)?;
        self.inner.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        self.check("rmdir", dir)?;
        self.inner.remove_dir(dir)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        self.check("remove", dir)?;
        self.inner.remove_tree(dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        self.check("sync", dir)?;
        self.inner.sync_dir(dir)
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        self.check("statvfs", "")?;
        self.inner.free_space()
    }

    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError> {
        self.check("mkdir", dir)?;
        self.inner.claim_dir(dir, file)
    }
}

struct FaultyAppend {
    inner: Box<dyn AppendFile>,
    name: String,
    path: PathBuf,
    /// Bytes that were synced.
    safe: usize,
    plan: Arc<Plan>,
}

impl FaultyAppend {
    fn check_sync(&mut self) -> Result<(), StorageError> {
        let checked = self.plan.check("sync", || self.path.clone());
        if let Some(memory) = &self.plan.forgetful {
            match &checked {
                Ok(()) => self.safe = memory.read(&self.name).map_or(0, |content| content.len()),
                Err(_) => memory.truncate(&self.name, self.safe),
            }
        }
        checked
    }
}

impl AppendFile for FaultyAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let checked = self.plan.check("write", || self.path.clone());
        if checked.is_err() {
            // A full disk takes what still fits.
            let count = self.plan.partial.unwrap_or(Partial::Half).of(bytes.len());
            let _ = self.inner.append(&bytes[..count]);
        }
        checked?;
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.check_sync()?;
        self.inner.sync()
    }

    fn seal(mut self: Box<Self>) -> Result<(), StorageError> {
        self.check_sync()?;
        self.inner.seal()
    }
}
