//! What a process that reads sees of a storage others change.

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use ironborg_storage::{AppendFile, MemoryStorage, Status, Storage, StorageEntry, StorageError};

/// What a process that reads sees of a storage: a file it has open stays what it was when somebody replaces or removes
/// it, and is cut off when somebody cuts it off. It cannot write.
pub(crate) struct Reading {
    disk: MemoryStorage,
    open: Mutex<HashMap<String, Arc<Vec<u8>>>>,
}

impl Reading {
    pub(crate) fn of(disk: &MemoryStorage) -> Arc<dyn Storage> {
        Arc::new(Self {
            disk: disk.clone(),
            open: Mutex::default(),
        })
    }

    fn content(&self, name: &str) -> Result<Arc<Vec<u8>>, StorageError> {
        let mut open = self.open.lock().unwrap();
        let found = self.disk.read(name);
        let Some(seen) = open.get(name) else {
            let found = Arc::new(found?);
            open.insert(name.to_owned(), Arc::clone(&found));
            return Ok(found);
        };
        if let Ok(found) = found
            && (found.is_empty() || found.starts_with(seen))
        {
            open.insert(name.to_owned(), Arc::new(found));
        }
        Ok(Arc::clone(&open[name]))
    }
}

impl Storage for Reading {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        self.disk.status(name)
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        self.disk.modified(name)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.disk.list(dir)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.disk.read(name)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        let content = self.content(name)?;
        let offset = usize::try_from(offset).unwrap().min(content.len());
        let (mut rest, mut done) = (&content[offset..], 0);
        for buffer in buffers {
            let count = buffer.len().min(rest.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            done += count;
        }
        Ok(done)
    }

    fn forget_open(&self) {
        self.open.lock().unwrap().clear();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        panic!("a reader makes {name}")
    }

    fn write(&self, name: &str, _: &[u8]) -> Result<(), StorageError> {
        panic!("a reader writes {name}")
    }

    fn append(&self, name: &str, _: &[u8]) -> Result<(), StorageError> {
        panic!("a reader appends to {name}")
    }

    fn replace(&self, name: &str, _: &[&[u8]]) -> Result<(), StorageError> {
        panic!("a reader replaces {name}")
    }

    fn stage(&self, name: &str, _: &[&[u8]]) -> Result<(), StorageError> {
        panic!("a reader prepares {name}")
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        panic!("a reader renames {names:?}")
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        panic!("a reader removes {name}")
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        panic!("a reader erases {name}")
    }

    fn link(&self, name: &str, _: &str) -> Result<bool, StorageError> {
        panic!("a reader links {name}")
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        panic!("a reader makes {dir}")
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader makes {dir}")
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        panic!("a reader removes {dir}")
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader removes {dir}")
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        panic!("a reader syncs {dir}")
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        self.disk.free_space()
    }

    fn claim_dir(&self, dir: &str, _: &str) -> Result<bool, StorageError> {
        panic!("a reader locks {dir}")
    }
}
