//! A repository's files as objects.
//!
//! Directories are what names have in common: making one is a promise kept by the first file in it. Nothing is ever
//! renamed: what is staged is kept here until it is published, and comes to be under its name at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ironborg_storage::{
    AppendFile, Conditional, EntryKind, Status, Storage, StorageEntry, StorageError, Version,
};
use object_store::ObjectStore;
use tokio::runtime::Runtime;

use crate::ahead::Ahead;
use crate::requests::{Condition, Requests};
use crate::upload::Uploads;
use crate::{BucketUrl, Connection};

/// Size of segments in new repositories: a request more costs little then, and compaction rewrites no more than this for
/// what is left of one.
const SEGMENT_LEN: u64 = 64 << 20;

/// The files of one repository in a bucket.
pub struct BucketStorage {
    requests: Requests,
    uploads: Arc<Uploads>,
    ahead: Ahead,
    /// Directories that were made here.
    made: Mutex<BTreeSet<String>>,
    staged: Mutex<BTreeMap<String, Bytes>>,
    term: Option<Duration>,
}

impl BucketStorage {
    /// The repository at the place a connection leads to. Files being written are kept in `spool` until they have arrived.
    pub fn new(connection: &Connection, spool: &Path) -> Self {
        let (store, url, runtime) = connection.parts();
        Self::on(store, url, runtime, spool)
    }

    /// The same on any store.
    pub fn on(
        store: Arc<dyn ObjectStore>,
        url: BucketUrl,
        runtime: Arc<Runtime>,
        spool: &Path,
    ) -> Self {
        let requests = Requests::new(store, url, runtime);
        Self {
            uploads: Uploads::new(requests.clone(), spool),
            ahead: Ahead::new(requests.clone()),
            requests,
            made: Mutex::default(),
            staged: Mutex::default(),
            term: None,
        }
    }

    /// The same with another time after which a lock that is not renewed is lost.
    #[must_use]
    pub fn with_term(mut self, term: Duration) -> Self {
        self.term = Some(term);
        self
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn staged(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &str, content: Bytes) -> Result<(), StorageError> {
        self.ahead.forget(name);
        self.requests.put(name, content, &Condition::Always)?;
        Ok(())
    }

    fn error(&self, op: &'static str, name: &str, errno: i32) -> StorageError {
        StorageError::io(op, self.path(name), io::Error::from_raw_os_error(errno))
    }
}

impl Storage for BucketStorage {
    fn path(&self, name: &str) -> PathBuf {
        self.requests.path(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        let directory = Status {
            kind: EntryKind::Directory,
            size: 0,
        };
        if self.made().contains(name) {
            return Ok(Some(directory));
        }
        let file = |size| Status {
            kind: EntryKind::File,
            size,
        };
        if let Some(size) = self.uploads.size(name) {
            return Ok(Some(file(size)));
        }
        if let Some(content) = name
            .strip_suffix(".tmp")
            .and_then(|name| self.staged().get(name).cloned())
        {
            return Ok(Some(file(content.len() as u64)));
        }
        if !name.is_empty()
            && let Some(known) = self.requests.head(name)?
        {
            return Ok(Some(file(known.size)));
        }
        // A file's name says so by its digits or its dot; only others can be directories.
        let last = name.rsplit('/').next().unwrap_or(name);
        let is_segment = name.split('/').count() == 3;
        if is_segment || last.contains('.') {
            return Ok(None);
        }
        Ok(self.requests.has_any(name)?.then_some(directory))
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        let known = self.requests.head(name).ok()??;
        Some(known.modified)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        let mut entries = self.requests.list(dir)?;
        let mut add = |name: &str, kind| {
            let below = match dir {
                "" => Some(name),
                _ => name
                    .strip_prefix(dir)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(below) = below.filter(|below| !below.is_empty() && !below.contains('/'))
            else {
                return;
            };
            if !entries.iter().any(|entry| entry.name == below) {
                entries.push(StorageEntry {
                    name: below.to_owned(),
                    kind,
                });
            }
        };
        for name in self.uploads.names() {
            add(&name, EntryKind::File);
        }
        for name in &*self.made() {
            add(name, EntryKind::Directory);
        }
        if entries.is_empty() && !self.made().contains(dir) && !matches!(dir, "" | "data") {
            return Err(self.error("list", dir, libc::ENOENT));
        }
        Ok(entries)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let (content, _) = self.requests.get(name)?;
        Ok(content.into())
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        match self.uploads.read_at(name, offset, buffers) {
            Some(read) => read,
            None => self.ahead.read_at(name, offset, buffers),
        }
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        if self.uploads.size(name).is_none() {
            self.ahead.will_need(name, offset, len);
        }
    }

    fn forget_open(&self) {
        self.ahead.clear();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.uploads.create(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.put(name, Bytes::copy_from_slice(content))
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let mut whole = match self.requests.get(name) {
            Ok((there, _)) => Vec::from(there),
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error),
        };
        whole.extend_from_slice(content);
        self.put(name, whole.into())
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.put(name, content.concat().into())
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.staged()
            .insert(name.to_owned(), content.concat().into());
        Ok(())
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        for name in names {
            let content = self.staged().remove(*name);
            let content = content.ok_or_else(|| self.error("publish", name, libc::ENOENT))?;
            self.put(name, content)?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.ahead.forget(name);
        if let Some(staged) = name.strip_suffix(".tmp")
            && self.staged().remove(staged).is_some()
        {
            return Ok(());
        }
        self.requests.delete(&[name.to_owned()])
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.remove(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        self.requests.copy(name, second)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        Ok(self.made().insert(dir.to_owned()))
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        self.made().insert(dir.to_owned());
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        if self.requests.has_any(dir)? {
            return Ok(false);
        }
        self.made().remove(dir);
        Ok(true)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        self.ahead.clear();
        self.made().retain(|made| {
            let below = made.strip_prefix(dir);
            !dir.is_empty() && below.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        let names = self.requests.all_below(dir)?;
        if names.is_empty() {
            return Ok(());
        }
        self.requests.delete(&names)
    }

    fn sync_dir(&self, _: &str) -> Result<(), StorageError> {
        self.uploads.settle()
    }

    /// There is no end to it that anybody could know.
    fn free_space(&self) -> Result<u64, StorageError> {
        Ok(u64::MAX)
    }

    fn claim_dir(&self, dir: &str, _: &str) -> Result<bool, StorageError> {
        Err(self.error("claim", dir, libc::ENOTSUP))
    }

    fn conditional(&self) -> Option<&dyn Conditional> {
        Some(self)
    }
}

impl Conditional for BucketStorage {
    fn read_versioned(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError> {
        match self.requests.get(name) {
            Ok((content, version)) => Ok(Some((content.into(), version))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace_if(
        &self,
        name: &str,
        expected: Option<&Version>,
        content: &[u8],
    ) -> Result<Option<Version>, StorageError> {
        let condition = expected.map_or(Condition::New, Condition::Same);
        let content = Bytes::copy_from_slice(content);
        self.requests.put(name, content, &condition)
    }

    fn segment_size(&self) -> Option<u64> {
        Some(SEGMENT_LEN)
    }

    fn term(&self) -> Option<Duration> {
        self.term
    }
}
