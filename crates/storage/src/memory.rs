//! Files in memory: for tests, and as the state a crash test reopens.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StorageError;
use crate::storage::{AppendFile, EntryKind, Status, Storage, StorageEntry};

/// What messages show as the root.
const ROOT: &str = "/memory";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    /// Shared with copies until it is written to.
    File(Arc<Vec<u8>>),
}

type Tree = BTreeMap<String, Node>;

/// What room is counted in where it is limited, as file systems do.
const BLOCK_SIZE: u64 = 4096;

/// A [`Storage`] that lives as long as its last clone; clones share their content.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    tree: Arc<Mutex<Tree>>,
    free_space: Arc<Mutex<Option<u64>>>,
    capacity: Arc<Mutex<Option<u64>>>,
    /// What messages show as the root, if not [`ROOT`].
    root: Option<Arc<str>>,
}

impl MemoryStorage {
    /// Nothing, not even the root directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy that does not share its content.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self {
            tree: Arc::new(Mutex::new(self.tree().clone())),
            free_space: Arc::new(Mutex::new(*self.free())),
            capacity: Arc::new(Mutex::new(*self.limit())),
            root: self.root.clone(),
        }
    }

    /// The same, content shared, shown as another place.
    #[must_use]
    pub fn shown_as(&self, root: &str) -> Self {
        Self {
            root: Some(root.into()),
            ..self.clone()
        }
    }

    /// Every file with its content, sorted by name.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.tree()
            .iter()
            .filter_map(|(name, node)| match node {
                Node::File(content) => Some((name.clone(), content.to_vec())),
                Node::Directory => None,
            })
            .collect()
    }

    /// Puts a file there, with the directories above it.
    pub fn set(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.set_shared(name, Arc::new(content.into()));
    }

    /// As [`MemoryStorage::set`], without copying.
    pub fn set_shared(&self, name: &str, content: Arc<Vec<u8>>) {
        let mut tree = self.tree();
        make_dirs(&mut tree, parent(name));
        tree.insert(name.to_owned(), Node::File(content));
    }

    /// Cuts a file off; used by crash tests.
    pub fn truncate(&self, name: &str, len: usize) {
        if let Some(Node::File(content)) = self.tree().get_mut(name) {
            Arc::make_mut(content).truncate(len);
        }
    }

    /// What [`Storage::free_space`] answers from now on.
    pub fn set_free_space(&self, bytes: u64) {
        *self.free() = Some(bytes);
    }

    /// Limits what all files together may take; what does not fit is refused with ENOSPC, and of what is
    /// appended as much is kept as there was room for.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        *self.limit() = bytes;
    }

    /// Bytes all files together take, in whole blocks.
    pub fn used(&self) -> u64 {
        used(&self.tree())
    }

    /// How long a file may be that has `len` bytes now, or `None` if that is not limited.
    fn room(&self, tree: &Tree, len: usize) -> Option<usize> {
        let capacity = (*self.limit())?;
        let others = used(tree) - blocks(len);
        let room = capacity.saturating_sub(others) / BLOCK_SIZE * BLOCK_SIZE;
        Some(usize::try_from(room).unwrap_or(usize::MAX).max(len))
    }

    fn limit(&self) -> MutexGuard<'_, Option<u64>> {
        self.capacity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self) -> MutexGuard<'_, Option<u64>> {
        self.free_space
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, op: &'static str, name: &str, errno: i32) -> StorageError {
        StorageError::io(op, self.path(name), io::Error::from_raw_os_error(errno))
    }

    /// Stores a file whole; its directory must exist.
    fn store(&self, op: &'static str, name: &str, content: Vec<u8>) -> Result<(), StorageError> {
        let mut tree = self.tree();
        if tree.get(parent(name)) != Some(&Node::Directory) {
            return Err(self.error(op, name, libc::ENOENT));
        }
        if tree.get(name) == Some(&Node::Directory) {
            return Err(self.error(op, name, libc::EISDIR));
        }
        let room = self.room(&tree, 0).unwrap_or(usize::MAX);
        if content.len() > room {
            return Err(self.error(op, name, libc::ENOSPC));
        }
        tree.insert(name.to_owned(), Node::File(Arc::new(content)));
        Ok(())
    }

    /// Adds to the end of a file that is there, as far as there is room; says whether it is.
    fn extend(&self, name: &str, bytes: &[u8]) -> Result<bool, StorageError> {
        let mut tree = self.tree();
        let Some(Node::File(content)) = tree.get(name) else {
            return Ok(false);
        };
        let len = content.len();
        let room = self.room(&tree, len).map_or(bytes.len(), |room| room - len);
        if let Some(Node::File(content)) = tree.get_mut(name) {
            Arc::make_mut(content).extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if bytes.len() > room {
            return Err(self.error("write", name, libc::ENOSPC));
        }
        Ok(true)
    }
}

impl Storage for MemoryStorage {
    fn path(&self, name: &str) -> PathBuf {
        let root = self.root.as_deref().unwrap_or(ROOT);
        if name.is_empty() {
            PathBuf::from(root)
        } else {
            PathBuf::from(format!("{root}/{name}"))
        }
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        Ok(self.tree().get(name).map(|node| match node {
            Node::Directory => Status {
                kind: EntryKind::Directory,
                size: 0,
            },
            Node::File(content) => Status {
                kind: EntryKind::File,
                size: content.len() as u64,
            },
        }))
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        let tree = self.tree();
        match tree.get(dir) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(self.error("list", dir, libc::ENOTDIR)),
            None => return Err(self.error("list", dir, libc::ENOENT)),
        }
        Ok(below(&tree, dir)
            .filter(|(name, _)| parent(name) == dir)
            .map(|(name, node)| StorageEntry {
                name: name[name.rfind('/').map_or(0, |slash| slash + 1)..].to_owned(),
                kind: match node {
                    Node::Directory => EntryKind::Directory,
                    Node::File(_) => EntryKind::File,
                },
            })
            .collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        match self.tree().get(name) {
            Some(Node::File(content)) => Ok(content.to_vec()),
            Some(Node::Directory) => Err(self.error("read", name, libc::EISDIR)),
            None => Err(self.error("read", name, libc::ENOENT)),
        }
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        let tree = self.tree();
        let Some(Node::File(content)) = tree.get(name) else {
            return Err(self.error("open", name, libc::ENOENT));
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut rest = content.get(start..).unwrap_or_default();
        let mut done = 0;
        for buffer in buffers {
            let count = buffer.len().min(rest.len());
            let (head, tail) = rest.split_at(count);
            buffer[..count].copy_from_slice(head);
            rest = tail;
            done += count;
        }
        Ok(done)
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        if self.tree().contains_key(name) {
            return Err(self.error("create", name, libc::EEXIST));
        }
        self.store("create", name, Vec::new())?;
        Ok(Box::new(MemoryAppend {
            storage: self.clone(),
            name: name.to_owned(),
        }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.tree();
        if let Some(Node::File(old)) = tree.get(name) {
            let room = self.room(&tree, old.len()).unwrap_or(usize::MAX);
            if content.len() > room {
                return Err(self.error("write", name, libc::ENOSPC));
            }
            tree.insert(name.to_owned(), Node::File(Arc::new(content.to_vec())));
            return Ok(());
        }
        drop(tree);
        self.store("write", name, content.to_vec())
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        if self.extend(name, content)? {
            return Ok(());
        }
        self.store("append", name, content.to_vec())
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.store("write", name, content.concat())
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.store("create", &format!("{name}.tmp"), content.concat())
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        for name in names {
            let staged = format!("{name}.tmp");
            // The guard must be gone before `store` asks for it again.
            let taken = self.tree().remove(&staged);
            match taken {
                Some(Node::File(content)) => {
                    self.tree().remove(*name);
                    self.store("rename", name, Arc::unwrap_or_clone(content))?;
                }
                _ => return Err(self.error("rename", &staged, libc::ENOENT)),
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let mut tree = self.tree();
        match tree.get(name) {
            Some(Node::File(_)) => {
                tree.remove(name);
                Ok(())
            }
            Some(Node::Directory) => Err(self.error("remove", name, libc::EISDIR)),
            None => Err(self.error("remove", name, libc::ENOENT)),
        }
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.remove(name)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        // A copy stands in for a link: nothing is ever changed in place through the second name.
        let content = self.read(name)?;
        self.store("link", second, content)?;
        Ok(true)
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let mut tree = self.tree();
        match tree.get(dir) {
            Some(Node::Directory) => return Ok(false),
            Some(Node::File(_)) => return Err(self.error("mkdir", dir, libc::EEXIST)),
            None => {}
        }
        if !dir.is_empty() && tree.get(parent(dir)) != Some(&Node::Directory) {
            return Err(self.error("mkdir", dir, libc::ENOENT));
        }
        tree.insert(dir.to_owned(), Node::Directory);
        Ok(true)
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        make_dirs(&mut self.tree(), dir);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let mut tree = self.tree();
        if tree.get(dir) != Some(&Node::Directory) || below(&tree, dir).next().is_some() {
            return Ok(false);
        }
        tree.remove(dir);
        Ok(true)
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let doomed: Vec<String> = below(&tree, dir).map(|(name, _)| name.clone()).collect();
        for name in doomed {
            tree.remove(&name);
        }
        tree.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        match self.tree().get(dir) {
            Some(Node::Directory) => Ok(()),
            _ => Err(self.error("sync", dir, libc::ENOENT)),
        }
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        if let Some(bytes) = *self.free() {
            return Ok(bytes);
        }
        let tree = self.tree();
        Ok(self.limit().map_or(1 << 50, |capacity| {
            capacity.saturating_sub(used(&tree)) / BLOCK_SIZE * BLOCK_SIZE
        }))
    }

    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError> {
        let mut tree = self.tree();
        if tree.get(parent(dir)) != Some(&Node::Directory) {
            return Err(self.error("mkdir", dir, libc::ENOENT));
        }
        if matches!(tree.get(dir), Some(Node::File(_))) || below(&tree, dir).next().is_some() {
            return Ok(false);
        }
        tree.insert(dir.to_owned(), Node::Directory);
        tree.insert(format!("{dir}/{file}"), Node::File(Arc::default()));
        Ok(true)
    }
}

struct MemoryAppend {
    storage: MemoryStorage,
    name: String,
}

impl AppendFile for MemoryAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        // Like an open file: writing to one that was removed meanwhile goes nowhere.
        self.storage.extend(&self.name, bytes).map(drop)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn seal(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

fn blocks(len: usize) -> u64 {
    (len as u64).div_ceil(BLOCK_SIZE) * BLOCK_SIZE
}

fn used(tree: &Tree) -> u64 {
    let files = tree.values().map(|node| match node {
        Node::File(content) => blocks(content.len()),
        Node::Directory => 0,
    });
    files.sum()
}

fn parent(name: &str) -> &str {
    name.rfind('/').map_or("", |slash| &name[..slash])
}

fn make_dirs(tree: &mut Tree, dir: &str) {
    tree.insert(String::new(), Node::Directory);
    if dir.is_empty() {
        return;
    }
    for (slash, _) in dir.match_indices('/') {
        tree.insert(dir[..slash].to_owned(), Node::Directory);
    }
    tree.insert(dir.to_owned(), Node::Directory);
}

/// Everything under a directory, at any depth, without the directory.
fn below<'a>(tree: &'a Tree, dir: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
    let prefix = if dir.is_empty() {
        String::new()
    } else {
        format!("{dir}/")
    };
    tree.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded))
        .take_while({
            let prefix = prefix.clone();
            move |(name, _)| name.starts_with(&prefix)
        })
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_storage_is_full_like_a_disk() {
        let memory = MemoryStorage::new();
        memory.create_dir("").unwrap();
        memory.set_capacity(Some(3 * BLOCK_SIZE));
        memory.write("small", b"one byte would do").unwrap();
        assert_eq!(memory.free_space().unwrap(), 2 * BLOCK_SIZE);
        let mut file = memory.create("log").unwrap();
        file.append(&[1; 5000]).unwrap();
        let error = file.append(&[2; 5000]).unwrap_err();
        assert!(error.is_no_space());
        // As much as there was room for is there: a torn write.
        assert_eq!(memory.read("log").unwrap().len(), 8192);
        assert!(memory.stage("index", &[b"x"]).unwrap_err().is_no_space());
        assert!(memory.replace("new", &[b"x"]).unwrap_err().is_no_space());
        // What is written in place may use the blocks it has.
        memory.write("small", &[3; 4096]).unwrap();
        assert!(memory.write("small", &[3; 4097]).unwrap_err().is_no_space());
        memory.remove("log").unwrap();
        memory.stage("index", &[&[4; 8192]]).unwrap();
        memory.publish(&["index"]).unwrap();
        assert_eq!(
            (memory.used(), memory.free_space().unwrap()),
            (3 * BLOCK_SIZE, 0)
        );
    }
}
