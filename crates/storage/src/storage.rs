//! The seam: what the segment log, the locks and the caches ask of a place that keeps files.

use std::io::IoSliceMut;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::{Conditional, Distant, StorageError};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageEntry {
    /// The last component; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What is known about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: EntryKind,
    /// Size of a file in bytes.
    pub size: u64,
}

/// A file being written from its beginning to its end, once.
///
/// Dropping it without [`AppendFile::seal`] leaves what happens to have reached the disk.
pub trait AppendFile: Send + Sync {
    /// Adds bytes at the end. Not durable; visible to [`Storage::read_at`] at once.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes everything appended so far durable, before anything appended later.
    fn sync(&mut self) -> Result<(), StorageError>;

    /// Makes content and name durable and ends the writing: the file never changes again. All files handed over by
    /// [`AppendFile::seal_later`] before are durable then, too.
    fn seal(self: Box<Self>) -> Result<(), StorageError>;

    /// Ends the writing. The file is durable, or an error reported, by the next [`AppendFile::seal`] of another one at
    /// the latest.
    fn seal_later(self: Box<Self>) -> Result<(), StorageError> {
        self.seal()
    }
}

/// Makes the next piece of a file in a buffer that still has the one before; an empty one is the end.
pub type NextPiece<'a> = dyn FnMut(&mut Vec<u8>) -> Result<(), StorageError> + 'a;

/// A place that keeps files under a root.
///
/// Names are relative to the root, components separated by `/`; the empty name is the root itself.
/// Two kinds of files exist: those made by [`Storage::create`], immutable once sealed and read in
/// ranges, and small ones that are only ever read and replaced whole.
pub trait Storage: Send + Sync {
    /// The name as messages show it.
    fn path(&self, name: &str) -> PathBuf;

    /// What `name` is, symlinks followed; `None` if there is nothing.
    fn status(&self, name: &str) -> Result<Option<Status>, StorageError>;

    /// When a file was last changed; `None` if there is none, or nobody knows.
    fn modified(&self, name: &str) -> Option<SystemTime> {
        let _ = name;
        None
    }

    /// The names in a directory, in no particular order.
    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError>;

    /// What is in a directory as of now, in no particular order: regular files with their sizes in bytes, directories without.
    fn list_sizes(&self, dir: &str) -> Result<Vec<(String, Option<u64>)>, StorageError> {
        let mut files = Vec::new();
        for entry in self.list(dir)? {
            if entry.kind == EntryKind::Directory {
                files.push((entry.name, None));
                continue;
            }
            let name = match dir {
                "" => entry.name.clone(),
                _ => format!("{dir}/{}", entry.name),
            };
            // What has gone meanwhile is not there.
            match self.status(&name)? {
                Some(status) if status.kind == EntryKind::File => {
                    files.push((entry.name, Some(status.size)));
                }
                _ => {}
            }
        }
        Ok(files)
    }

    /// A whole file.
    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError>;

    /// Fills the buffers, one after the other, from `offset` on; returns how many bytes there were.
    ///
    /// Less than asked for means the end of the file. Many threads may read at once.
    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError>;

    /// A hint that this range will be read soon.
    fn will_need(&self, name: &str, offset: u64, len: u64) {
        let _ = (name, offset, len);
    }

    /// Closes files that are kept open for the next reader: names may stand for something else by now.
    fn forget_open(&self) {}

    /// Begins a new file; an error if the name exists.
    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError>;

    /// Writes a file in place. Neither atomic nor durable; but where there is no room, what was there stays.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError>;

    /// Adds to the end of a file, made first if missing. Not durable.
    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError>;

    /// Replaces a file whole: atomic and durable. The content is the concatenation of the slices.
    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError>;

    /// As [`Storage::replace`], for a file that is made piece by piece. Nothing is replaced if a piece cannot be made.
    fn replace_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        self.stage_pieces(name, next)?;
        self.publish(&[name])
    }

    /// As [`Storage::replace`], once `may_go_on` says so; nothing is replaced if it says no. What can be done before that
    /// is done before; `may_go_on` is asked once, unless this fails.
    fn replace_when(
        &self,
        name: &str,
        content: &[&[u8]],
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), StorageError> {
        if may_go_on() {
            self.replace(name, content)
        } else {
            Ok(())
        }
    }

    /// Replaces a file whole as far as others see it, without waiting for the disk: after a power failure
    /// it may be the old one, the new one or damaged. For what can be made anew.
    fn replace_unsynced(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.replace(name, content)
    }

    /// Writes `NAME.tmp`, durably, for a later [`Storage::publish`].
    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError>;

    /// As [`Storage::stage`], for a file that is made piece by piece.
    fn stage_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        let (mut content, mut piece) = (Vec::new(), Vec::new());
        loop {
            next(&mut piece)?;
            if piece.is_empty() {
                return self.stage(name, &[&content]);
            }
            content.extend_from_slice(&piece);
        }
    }

    /// Renames each `NAME.tmp` to `NAME`, in order, then makes the names durable. All in one directory.
    fn publish(&self, names: &[&str]) -> Result<(), StorageError>;

    /// As [`Storage::publish`], without waiting for the disk: after a power failure the names may be missing, or stand for
    /// what is damaged. For what can be made anew.
    fn publish_unsynced(&self, names: &[&str]) -> Result<(), StorageError> {
        self.publish(names)
    }

    /// Removes a file, truncating it first if the file system has no room for removing it.
    fn remove(&self, name: &str) -> Result<(), StorageError>;

    /// Removes files in this order, or together where that is less work; one that is gone already is no error.
    fn remove_all(&self, names: &[String]) -> Result<(), StorageError> {
        for name in names {
            match self.remove(name) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Overwrites a file with random bytes, then removes it; one that has other names is only removed.
    fn erase(&self, name: &str) -> Result<(), StorageError>;

    /// Gives a file a second name; `false` if that cannot be done here.
    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError>;

    /// Makes one directory; `false` if it was there.
    fn create_dir(&self, dir: &str) -> Result<bool, StorageError>;

    /// Makes a directory and those above it where missing, their names durable; the empty name makes the root.
    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError>;

    /// Removes a directory if it is empty; `false` if it is not or is gone.
    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError>;

    /// Removes a directory with all it holds; the empty name removes the root. Gone already is fine.
    fn remove_tree(&self, dir: &str) -> Result<(), StorageError>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> Result<(), StorageError>;

    /// Bytes an ordinary user may still write.
    fn free_space(&self) -> Result<u64, StorageError>;

    /// Puts a directory holding one empty file in place of `dir`, atomically; `false` if a non-empty
    /// directory is there. The one mutual exclusion there is: of many callers one wins.
    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError>;

    /// How files are replaced under a condition, where there are no directories to claim.
    fn conditional(&self) -> Option<&dyn Conditional> {
        None
    }

    /// What is known and remembered of files that are far away; `None` where they are near.
    fn distant(&self) -> Option<&dyn Distant> {
        None
    }
}
