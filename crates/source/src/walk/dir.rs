//! Open directories and their entries.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, RawDir};

use super::{FileKind, FileStat, fstat};
use crate::error::SourceError;

/// Bytes asked of the kernel at once: some 800 entries of ordinary length.
const READ_SIZE: usize = 32 * 1024;

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    pub(crate) fd: OwnedFd,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// What the directory itself is. The error's operation is `fstat`.
    pub fn stat(&self) -> Result<FileStat, SourceError> {
        fstat(self.as_fd(), "fstat")
    }

    /// Reads all entries but `.` and `..` into `entries` (cleared first), in the order of their
    /// inode numbers; those with equal numbers in the directory's own order.
    ///
    /// The error's operation is `scandir`. Source: Borg 1.4, `scandir_inorder`.
    pub fn read(&self, entries: &mut DirEntries) -> Result<(), SourceError> {
        entries.clear();
        // A descriptor has one position: a second reading starts over.
        let error = |errno| SourceError::os_fd("scandir", errno);
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0)).map_err(error)?;
        if entries.buffer.is_empty() {
            entries.buffer.resize_with(READ_SIZE, MaybeUninit::uninit);
        }
        let mut buffer = std::mem::take(&mut entries.buffer);
        let mut reader = RawDir::new(&self.fd, &mut buffer);
        let mut result = Ok(());
        while let Some(entry) = reader.next() {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        entries.push(name, entry.ino(), entry.file_type());
                    }
                }
                Err(errno) => {
                    result = Err(error(errno));
                    break;
                }
            }
        }
        entries.buffer = buffer;
        entries.index.sort_by_key(|entry| entry.ino);
        result
    }
}

/// The entries of one directory: names in one allocation, reused from directory to directory.
#[derive(Debug, Default)]
pub struct DirEntries {
    names: Vec<u8>,
    index: Vec<Indexed>,
    buffer: Vec<MaybeUninit<u8>>,
}

#[derive(Debug, Clone, Copy)]
struct Indexed {
    ino: u64,
    start: usize,
    len: usize,
    kind: Option<FileKind>,
}

/// One entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Inode number as the directory has it (that of the mount point, for one).
    pub ino: u64,
    /// Its type, if the file system keeps it in the directory.
    pub kind: Option<FileKind>,
}

impl DirEntries {
    /// No entries yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The entry at `position`, in inode order.
    pub fn get(&self, position: usize) -> Option<DirEntry<'_>> {
        self.index.get(position).map(|entry| self.resolve(entry))
    }

    /// All entries in inode order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = DirEntry<'_>> {
        self.index.iter().map(|entry| self.resolve(entry))
    }

    fn resolve(&self, entry: &Indexed) -> DirEntry<'_> {
        DirEntry {
            name: &self.names[entry.start..entry.start + entry.len],
            ino: entry.ino,
            kind: entry.kind,
        }
    }

    fn clear(&mut self) {
        self.names.clear();
        self.index.clear();
    }

    fn push(&mut self, name: &[u8], ino: u64, file_type: FileType) {
        self.index.push(Indexed {
            ino,
            start: self.names.len(),
            len: name.len(),
            kind: match file_type {
                FileType::RegularFile => Some(FileKind::Regular),
                FileType::Directory => Some(FileKind::Directory),
                FileType::Symlink => Some(FileKind::Symlink),
                FileType::Fifo => Some(FileKind::Fifo),
                FileType::CharacterDevice => Some(FileKind::CharDevice),
                FileType::BlockDevice => Some(FileKind::BlockDevice),
                FileType::Socket => Some(FileKind::Socket),
                FileType::Unknown => None,
            },
        });
        self.names.extend_from_slice(name);
    }
}
