//! A storage that can be closed to changes, from another thread than the one that makes them.
//!
//! A process that is to end at once may have a thread in the middle of anything. Closed, it can change nothing any more:
//! only then may the lock that kept others away be given back.

use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::{
    AppendFile, Conditional, Distant, NextPiece, Status, Storage, StorageEntry, StorageError,
};

/// How often it is looked whether the change under way is done.
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// What all changes of a [`FencedStorage`] have to pass.
#[derive(Debug, Default)]
pub struct Fence(RwLock<()>);

impl Fence {
    /// Lets the changes under way be finished and no more begin: whoever wants to make one waits for the end of the
    /// process.
    ///
    /// False if a change is not done within `patience`; then nothing is closed.
    pub fn close(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let guard = match self.0.try_write() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(guard) = guard {
                std::mem::forget(guard);
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(CLOSE_POLL);
        }
    }

    fn pass(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A storage behind a [`Fence`]. Reading is not affected by it.
pub struct FencedStorage<S> {
    inner: S,
    fence: Arc<Fence>,
}

impl<S: Storage> FencedStorage<S> {
    /// Puts `inner` behind a fence.
    pub fn new(inner: S, fence: Arc<Fence>) -> Self {
        Self { inner, fence }
    }
}

struct FencedFile {
    inner: Box<dyn AppendFile>,
    fence: Arc<Fence>,
}

impl AppendFile for FencedFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.seal()
    }

    fn seal_later(self: Box<Self>) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.seal_later()
    }
}

impl<S: Storage> Storage for FencedStorage<S> {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        self.inner.status(name)
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        self.inner.modified(name)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.inner.list(dir)
    }

    fn list_sizes(&self, dir: &str) -> Result<Vec<(String, Option<u64>)>, StorageError> {
        self.inner.list_sizes(dir)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.inner.read(name)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        self.inner.read_at(name, offset, buffers)
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        self.inner.will_need(name, offset, len);
    }

    fn forget_open(&self) {
        self.inner.forget_open();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        let _pass = self.fence.pass();
        let inner = self.inner.create(name)?;
        let fence = Arc::clone(&self.fence);
        Ok(Box::new(FencedFile { inner, fence }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.write(name, content)
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.append(name, content)
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.replace(name, content)
    }

    fn replace_unsynced(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.replace_unsynced(name, content)
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.stage(name, content)
    }

    fn stage_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.stage_pieces(name, next)
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.publish(names)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.remove(name)
    }

    fn remove_all(&self, names: &[String]) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.remove_all(names)
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.erase(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        let _pass = self.fence.pass();
        self.inner.link(name, second)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let _pass = self.fence.pass();
        self.inner.create_dir(dir)
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let _pass = self.fence.pass();
        self.inner.remove_dir(dir)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.remove_tree(dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        let _pass = self.fence.pass();
        self.inner.sync_dir(dir)
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        self.inner.free_space()
    }

    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError> {
        let _pass = self.fence.pass();
        self.inner.claim_dir(dir, file)
    }

    /// Whoever ends a process gives the lock back beside the fence.
    fn conditional(&self) -> Option<&dyn Conditional> {
        self.inner.conditional()
    }

    fn distant(&self) -> Option<&dyn Distant> {
        self.inner.distant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStorage;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn fenced() -> (MemoryStorage, Arc<FencedStorage<MemoryStorage>>, Arc<Fence>) {
        let memory = MemoryStorage::new();
        memory.create_dir_all("").unwrap();
        let fence = Arc::new(Fence::default());
        let storage = FencedStorage::new(memory.clone(), Arc::clone(&fence));
        (memory, Arc::new(storage), fence)
    }

    #[test]
    fn an_open_fence_lets_everything_through() {
        let (memory, storage, _) = fenced();
        let mut file = storage.create("segment").unwrap();
        file.append(b"one").unwrap();
        file.sync().unwrap();
        file.seal().unwrap();
        storage.replace("small", &[b"t", b"wo"]).unwrap();
        assert_eq!(memory.read("segment").unwrap(), b"one");
        assert_eq!(storage.read("small").unwrap(), b"two");
    }

    #[test]
    fn behind_a_closed_fence_things_stay_as_they_are_and_can_be_read() {
        let (memory, storage, fence) = fenced();
        storage.write("file", b"before").unwrap();
        let mut open = storage.create("segment").unwrap();
        assert!(fence.close(Duration::ZERO));
        let changed = Arc::new(AtomicBool::new(false));
        let waiting = Arc::clone(&storage);
        let seen = Arc::clone(&changed);
        // Neither thread ever ends; the process does.
        thread::spawn(move || {
            drop(waiting.write("file", b"after"));
            seen.store(true, Ordering::SeqCst);
        });
        let seen = Arc::clone(&changed);
        thread::spawn(move || {
            drop(open.append(b"more"));
            seen.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!changed.load(Ordering::SeqCst));
        assert_eq!(memory.read("file").unwrap(), b"before");
        assert_eq!(storage.read("file").unwrap(), b"before");
        assert_eq!(memory.read("segment").unwrap(), b"");
    }

    #[test]
    fn a_change_under_way_is_waited_for_but_not_for_ever() {
        let fence = Fence::default();
        let pass = fence.pass();
        assert!(!fence.close(Duration::from_millis(5)));
        drop(pass);
        assert!(fence.close(Duration::from_millis(5)));
    }
}
