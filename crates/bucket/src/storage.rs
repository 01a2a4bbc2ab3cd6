//! A repository's files as objects.
//!
//! Directories are what names have in common: making one is a promise kept by the first file in it. Nothing is ever
//! renamed: what is staged is kept here until it is published, and comes to be under its name at once.

mod conditional;
mod distant;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ironborg_storage::{
    AppendFile, Conditional, Distant, EntryKind, NextPiece, Spool, Status, Storage, StorageEntry,
    StorageError, Version,
};
use object_store::ObjectStore;
use tokio::runtime::Runtime;

use crate::ahead::Ahead;
use crate::copies::{Copies, is_of_a_state, is_settled};
use crate::known::{KnownObjects, Object};
use crate::requests::{Condition, Known, Requests};
use crate::retention::Amazon;
use crate::upload::{PART_LEN, Uploads};
use crate::{BucketUrl, Conditions, Connection, conditions};

/// An index that is not larger is written with every commit.
const INDEX_ALWAYS_MAX: u64 = 4 << 20;
/// How much of a file that was staged on disk is read at once to be kept.
const PIECE_LEN: usize = 256 << 10;

/// The files of one repository in a bucket.
pub struct BucketStorage {
    requests: Requests,
    uploads: Arc<Uploads>,
    ahead: Ahead,
    known: Arc<KnownObjects>,
    copies: Option<Copies>,
    /// Directories that were made here.
    made: Mutex<BTreeSet<String>>,
    staged: Mutex<BTreeMap<String, Staged>>,
    spool_dir: PathBuf,
    term: Option<Duration>,
    index_always_max: u64,
    amazon: Option<Arc<Amazon>>,
}

/// A file that waits to be published.
enum Staged {
    Small(Bytes),
    Large(Spool),
}

impl Staged {
    fn len(&self) -> u64 {
        match self {
            Self::Small(content) => content.len() as u64,
            Self::Large(spool) => spool.len(),
        }
    }
}

impl BucketStorage {
    /// The repository at the place a connection leads to. Files being written are kept in `spool` until they have arrived.
    pub fn new(connection: &Connection, spool: &Path) -> Self {
        let (store, url, runtime) = connection.parts();
        Self {
            amazon: connection.amazon.clone(),
            term: connection.settings().term,
            ..Self::on(store, url, runtime, spool)
        }
    }

    /// The same on any store.
    pub fn on(
        store: Arc<dyn ObjectStore>,
        url: BucketUrl,
        runtime: Arc<Runtime>,
        spool: &Path,
    ) -> Self {
        let requests = Requests::new(store, url, runtime);
        let known = Arc::<KnownObjects>::default();
        Self {
            uploads: Uploads::new(requests.clone(), Arc::clone(&known), spool),
            ahead: Ahead::new(requests.clone()),
            requests,
            known,
            copies: None,
            made: Mutex::default(),
            staged: Mutex::default(),
            spool_dir: spool.to_owned(),
            term: None,
            index_always_max: INDEX_ALWAYS_MAX,
            amazon: None,
        }
    }

    /// The same with copies of this repository in a directory of this machine, which is made if it is missing. Several
    /// processes may use it.
    #[must_use]
    pub fn with_copies(mut self, dir: &Path) -> Self {
        self.copies = Some(Copies::new(dir));
        self
    }

    /// The same with another size up to which an index is written with every commit.
    #[must_use]
    pub fn with_index_always_max(mut self, len: u64) -> Self {
        self.index_always_max = len;
        self
    }

    /// The same with another time after which a lock that is not renewed is lost.
    #[must_use]
    pub fn with_term(mut self, term: Duration) -> Self {
        self.term = Some(term);
        self
    }

    /// Tries whether the store keeps the conditions under which it is asked to write. Makes an object and removes it.
    ///
    /// # Errors
    /// It cannot be written to at all.
    pub fn prove_conditions(&self) -> Result<Conditions, StorageError> {
        conditions::prove(&self.requests)
    }

    /// Writes to a store that does not keep them: nothing keeps two writers apart who come at the same moment.
    pub fn do_without_conditions(&self) {
        self.requests.do_without_conditions();
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn staged(&self) -> MutexGuard<'_, BTreeMap<String, Staged>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &str, content: Bytes) -> Result<Object, StorageError> {
        self.forget(name);
        let size = content.len() as u64;
        let put = self.requests.put(name, content, &Condition::Always);
        let version = self.sure(put)?;
        let version = version.unwrap_or_else(|| Version(String::new()));
        let object = Object { size, version };
        self.known.written(name, object.clone());
        Ok(object)
    }

    /// Of a request that failed nobody knows what it has done.
    fn sure<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.is_err() {
            self.known.doubt();
        }
        result
    }

    /// What is known of an object is so no longer.
    fn forget(&self, name: &str) {
        self.ahead.forget(name);
        self.known.removed(name);
        if let Some(copies) = &self.copies {
            copies.forget(name);
        }
    }

    /// Bytes of an object that does not change, if that is known.
    fn size_of(&self, name: &str) -> Option<u64> {
        let object = is_settled(name).then(|| self.known.get(name))?;
        object.map(|object| object.size)
    }

    fn publish_one(&self, name: &str, staged: Staged) -> Result<(), StorageError> {
        let copies = self.copies.as_ref().filter(|_| is_of_a_state(name));
        match staged {
            Staged::Small(content) => {
                let object = self.put(name, content.clone())?;
                if let Some(copies) = copies {
                    copies.put(name, &object, &content);
                }
            }
            Staged::Large(spool) => {
                self.forget(name);
                let version = self.sure(self.requests.put_spooled(name, &spool))?;
                let size = spool.len();
                let object = Object { size, version };
                self.known.written(name, object.clone());
                if let Some(copies) = copies {
                    let mut writer = copies.files().writer(name);
                    for_each_piece(&spool, &mut |piece| writer.append(piece))?;
                    writer.finish(&object.tag());
                }
            }
        }
        Ok(())
    }

    /// What is in a directory of the store, asked for if need be.
    fn listed(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        if let Some(entries) = self.known.list(dir) {
            return Ok(entries);
        }
        let listing = self.requests.list(dir)?;
        self.known.listed(dir, &listing);
        if let Some(copies) = self.copies.as_ref().filter(|_| dir.is_empty()) {
            copies.retain_states(|name| listing.contains_key(name));
        }
        let entries = listing.into_iter().map(|(name, object)| {
            let is_file = object.is_some();
            let kind = if is_file {
                EntryKind::File
            } else {
                EntryKind::Directory
            };
            StorageEntry { name, kind }
        });
        Ok(entries.collect())
    }

    /// Whether anything is below a directory.
    fn has_any(&self, dir: &str) -> Result<bool, StorageError> {
        match self.known.has_any(dir) {
            Some(has_any) => Ok(has_any),
            None => self.requests.has_any(dir),
        }
    }

    fn failed(&self, op: &'static str, error: io::Error) -> StorageError {
        StorageError::io(op, self.path(""), error)
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
        if let Some(len) = name
            .strip_suffix(".tmp")
            .and_then(|name| self.staged().get(name).map(Staged::len))
        {
            return Ok(Some(file(len)));
        }
        if name.is_empty() {
            // Whoever asks wants to see what is there next.
            let entries = self.list("")?;
            let has_file = entries.iter().any(|entry| entry.kind == EntryKind::File);
            // Some stores go on listing directories for a while that were emptied.
            let is_there = has_file || !entries.is_empty() && self.requests.has_any("")?;
            return Ok(is_there.then_some(directory));
        }
        let is_complete = self.known.is_complete(name);
        match self.known.get(name) {
            Some(object) if is_complete || is_settled(name) => return Ok(Some(file(object.size))),
            _ => {}
        }
        if !is_complete && let Some(known) = self.requests.head(name)? {
            return Ok(Some(file(known.size)));
        }
        // A file's name says so by its digits or its dot; only others can be directories.
        let last = name.rsplit('/').next().unwrap_or(name);
        let is_segment = name.split('/').count() == 3;
        if is_segment || last.contains('.') {
            return Ok(None);
        }
        Ok(self.has_any(name)?.then_some(directory))
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        let known = self.requests.head(name).ok()??;
        Some(known.modified)
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        let mut entries = self.listed(dir)?;
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

    fn list_sizes(&self, dir: &str) -> Result<Vec<(String, Option<u64>)>, StorageError> {
        let listing = self.requests.list(dir)?.into_iter();
        let sizes = listing.map(|(name, object)| (name, object.map(|object| object.size)));
        Ok(sizes.collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let copies = self.copies.as_ref().filter(|_| is_of_a_state(name));
        if let Some(copies) = copies
            && let Some(content) = copies.read(name, &self.known)
        {
            return Ok(content);
        }
        let (content, version) = self.requests.get(name)?;
        if let Some(copies) = copies {
            let size = content.len() as u64;
            copies.put(name, &Object { size, version }, &content);
        }
        Ok(content.into())
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        if let Some(read) = self.uploads.read_at(name, offset, buffers) {
            return read;
        }
        if let Some(copies) = self.copies.as_ref().filter(|_| is_of_a_state(name)) {
            let from = (&*self.known, &self.requests);
            if let Some(count) = copies.read_at(name, offset, buffers, from)? {
                return Ok(count);
            }
        }
        let size = self.size_of(name);
        self.ahead.read_at(name, offset, buffers, size)
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        if self.uploads.size(name).is_none() {
            self.ahead.will_need(name, offset, len, self.size_of(name));
        }
    }

    fn forget_open(&self) {
        self.ahead.clear();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        self.uploads.create(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.put(name, Bytes::copy_from_slice(content))?;
        Ok(())
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let (mut whole, version) = match self.requests.get(name) {
            Ok((there, version)) => (Vec::from(there), Some(version)),
            Err(error) if error.is_not_found() => (Vec::new(), None),
            Err(error) => return Err(error),
        };
        whole.extend_from_slice(content);
        self.forget(name);
        // What somebody else has added meanwhile must not be lost.
        let added = self.replace_if(name, version.as_ref(), &whole)?;
        added
            .map(drop)
            .ok_or_else(|| self.error("append", name, libc::EBUSY))
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.put(name, content.concat().into())?;
        Ok(())
    }

    fn replace_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        self.forget(name);
        let object = self.sure(self.uploads.replace_pieces(name, next))?;
        self.known.written(name, object);
        Ok(())
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let len: usize = content.iter().map(|slice| slice.len()).sum();
        let staged = if len <= PART_LEN {
            Staged::Small(content.concat().into())
        } else {
            let mut spool = Spool::create(&self.spool_dir)?;
            for slice in content {
                spool.append(slice)?;
            }
            Staged::Large(spool)
        };
        self.staged().insert(name.to_owned(), staged);
        Ok(())
    }

    fn stage_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        let mut spool = Spool::create(&self.spool_dir)?;
        let mut piece = Vec::new();
        loop {
            next(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            spool.append(&piece)?;
        }
        let staged = if spool.len() <= PART_LEN as u64 {
            let mut content = vec![0; usize::try_from(spool.len()).unwrap_or(PART_LEN)];
            spool.read_exact_at(0, &mut content)?;
            Staged::Small(content.into())
        } else {
            Staged::Large(spool)
        };
        self.staged().insert(name.to_owned(), staged);
        Ok(())
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        for name in names {
            let staged = self.staged().remove(*name);
            let staged = staged.ok_or_else(|| self.error("publish", name, libc::ENOENT))?;
            self.publish_one(name, staged)?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.forget(name);
        if let Some(staged) = name.strip_suffix(".tmp")
            && self.staged().remove(staged).is_some()
        {
            return Ok(());
        }
        self.sure(self.requests.delete(&[name.to_owned()]))
    }

    fn remove_all(&self, names: &[String]) -> Result<(), StorageError> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            self.forget(name);
        }
        self.sure(self.requests.delete(names))
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.remove(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        let is_copied = self.sure(self.requests.copy(name, second))?;
        if is_copied && let Some(object) = self.requests.head(second)? {
            let Known { size, version, .. } = object;
            self.known.written(second, Object { size, version });
        }
        Ok(is_copied)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        Ok(self.made().insert(dir.to_owned()))
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        self.made().insert(dir.to_owned());
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        if self.has_any(dir)? {
            return Ok(false);
        }
        self.made().remove(dir);
        Ok(true)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        self.ahead.clear();
        self.known.set_alone(false);
        if let Some(copies) = self.copies.as_ref().filter(|_| dir.is_empty()) {
            copies.clear();
        }
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

    fn distant(&self) -> Option<&dyn Distant> {
        Some(self)
    }
}

fn for_each_piece(spool: &Spool, take: &mut dyn FnMut(&[u8])) -> Result<(), StorageError> {
    let mut piece = vec![0; PIECE_LEN];
    let mut offset = 0;
    while offset < spool.len() {
        let left = usize::try_from(spool.len() - offset).unwrap_or(PIECE_LEN);
        let piece = &mut piece[..left.min(PIECE_LEN)];
        spool.read_exact_at(offset, piece)?;
        take(piece);
        offset += piece.len() as u64;
    }
    Ok(())
}
