//! Primitives of a backup's walk: directories, their entries, stat, opening and reading files.
//!
//! The walk itself (order, exclusion, recursion) is the business of `archive`.

mod dir;
mod file;
mod stat;
mod tags;

pub use dir::{Dir, DirEntries, DirEntry};
pub use file::{Extent, OpenMode, SourceFile};
pub use stat::{FileKind, FileStat};
pub use tags::{CACHE_TAG_CONTENTS, CACHE_TAG_NAME, TagOptions, dir_tags};

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::error::SourceError;

/// Where a file is: below an open directory, or at a path from the current directory.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    parent: Option<&'a Dir>,
    name: &'a [u8],
    path: &'a [u8],
}

impl<'a> Place<'a> {
    /// The file at `path`, absolute or from the current directory.
    pub fn path(path: &'a [u8]) -> Self {
        Self {
            parent: None,
            name: path,
            path,
        }
    }

    /// The entry `name` of an open directory; `path` is how it is called in messages.
    pub fn entry(parent: &'a Dir, name: &'a [u8], path: &'a [u8]) -> Self {
        Self {
            parent: Some(parent),
            name,
            path,
        }
    }

    /// The name given to system calls: a directory entry's name, or the path.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The whole path, for messages.
    pub fn full_path(&self) -> &'a [u8] {
        self.path
    }

    pub(crate) fn dirfd(&self) -> BorrowedFd<'a> {
        self.parent.map_or(CWD, |dir| dir.fd.as_fd())
    }

    /// What lies here, symlinks not followed. One system call. The error's operation is `stat`.
    pub fn stat(&self) -> Result<FileStat, SourceError> {
        self.statx(AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| SourceError::os("stat", errno, self.name))
    }

    /// What lies here, or what the symlink here points to.
    pub fn stat_target(&self) -> Result<FileStat, SourceError> {
        self.statx(AtFlags::empty())
            .map_err(|errno| SourceError::os("stat", errno, self.name))
    }

    fn statx(&self, flags: AtFlags) -> Result<FileStat, Errno> {
        let mask = stat::wanted();
        rustix::fs::statx(self.dirfd(), self.name, flags, mask).map(|found| FileStat::new(&found))
    }

    /// Target of the symlink here. The error's operation is `readlink`.
    pub fn read_link(&self) -> Result<Vec<u8>, SourceError> {
        rustix::fs::readlinkat(self.dirfd(), self.name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| SourceError::os("readlink", errno, self.name))
    }

    /// Opens the directory here, never through a symlink, without touching its access time where
    /// that is permitted. The error's operation is `dir_open`.
    pub fn open_dir(&self) -> Result<Dir, SourceError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.open("dir_open", flags).map(|fd| Dir { fd })
    }

    /// Opens the file here for reading, without touching its access time where that is permitted.
    /// The error's operation is `open`.
    pub fn open_file(&self, mode: OpenMode) -> Result<SourceFile, SourceError> {
        let flags = match mode {
            OpenMode::Normal => OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW,
            OpenMode::Special => OFlags::NOCTTY | OFlags::NOFOLLOW,
            OpenMode::SpecialFollow => OFlags::NOCTTY,
        };
        self.open("open", flags).map(SourceFile::from)
    }

    /// Opens with `O_NOATIME`, which only the owner and root may use, else without.
    fn open(&self, op: &'static str, flags: OFlags) -> Result<rustix::fd::OwnedFd, SourceError> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        let try_open = |flags| rustix::fs::openat(self.dirfd(), self.name, flags, Mode::empty());
        match try_open(flags | OFlags::NOATIME) {
            Err(Errno::PERM | Errno::ACCESS) => try_open(flags),
            other => other,
        }
        .map_err(|errno| SourceError::os(op, errno, self.name))
    }
}

/// Stat of an open descriptor.
pub(crate) fn fstat(fd: BorrowedFd<'_>, op: &'static str) -> Result<FileStat, SourceError> {
    let mask: StatxFlags = stat::wanted();
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, mask)
        .map(|found| FileStat::new(&found))
        .map_err(|errno| SourceError::os_fd(op, errno))
}

/// Checks that two looks at one path saw the same file. Source: Borg 1.4, `stat_update_check`.
pub fn check_same(before: &FileStat, now: &FileStat) -> Result<(), SourceError> {
    if before.kind() != now.kind() {
        return Err(SourceError::Race {
            what: "file type changed (race condition), skipping file",
        });
    }
    if before.ino != now.ino {
        return Err(SourceError::Race {
            what: "file inode changed (race condition), skipping file",
        });
    }
    Ok(())
}
