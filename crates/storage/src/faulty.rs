//! Storage that fails on purpose.

use std::io::{self, IoSliceMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StorageError;
use crate::storage::{AppendFile, Status, Storage, StorageEntry};

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

struct Plan {
    fault: Fault,
    calls: AtomicU64,
}

impl Plan {
    fn check(&self, op: &'static str, path: impl FnOnce() -> PathBuf) -> Result<(), StorageError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.fault.at || (self.fault.forever && call > self.fault.at) {
            let errno = io::Error::from_raw_os_error(self.fault.errno);
            return Err(StorageError::io(op, path(), errno));
        }
        Ok(())
    }
}

/// Passes calls on to another storage until one is to fail. A failing call does nothing, but for an
/// append, which may have written half of its bytes.
#[derive(Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

impl FaultyStorage {
    /// Fails calls to `inner` as `fault` says.
    pub fn new(inner: Arc<dyn Storage>, fault: Fault) -> Self {
        Self {
            inner,
            plan: Arc::new(Plan {
                fault,
                calls: AtomicU64::new(0),
            }),
        }
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

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.check("create", name)?;
        Ok(Box::new(FaultyAppend {
            inner: self.inner.create(name)?,
            path: self.inner.path(name),
            plan: Arc::clone(&self.plan),
        }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.check("write", name)?;
        self.inner.write(name, content)
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.check("append", name)?;
        self.inner.append(name, content)
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.check("write", name)?;
        self.inner.replace(name, content)
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.check("write", name)?;
        self.inner.stage(name, content)
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        self.check("rename", names.first().copied().unwrap_or_default())?;
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
    path: PathBuf,
    plan: Arc<Plan>,
}

impl AppendFile for FaultyAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let checked = self.plan.check("write", || self.path.clone());
        if checked.is_err() {
            // A full disk takes what still fits.
            let _ = self.inner.append(&bytes[..bytes.len() / 2]);
        }
        checked?;
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.plan.check("sync", || self.path.clone())?;
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> Result<(), StorageError> {
        self.plan.check("sync", || self.path.clone())?;
        self.inner.seal()
    }
}
