//! The place of one item that is being restored, and what is made there.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironborg_types::{BytePath, Reporter};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::root::Op;
use super::{AttributeValues, RestoreRoot};
use crate::error::{ErrorFile, SourceError};
use crate::restore::attributes::{self, Subject};

const NEW_FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const NEW_DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// Where one item goes: an open parent directory and a name in it.
#[derive(Debug)]
pub struct Target<'r> {
    root: &'r RestoreRoot,
    parent: Arc<OwnedFd>,
    name: BytePath,
    item_path: BytePath,
}

/// A regular file being written. Pieces may be written by several threads, in any order.
#[derive(Debug)]
pub struct RestoredFile<'r> {
    target: Target<'r>,
    fd: OwnedFd,
    /// Where the furthest piece ended.
    end: AtomicU64,
}

/// Whether all attributes could be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum AttributesSet {
    /// All, or those that failed do so silently in stock Borg.
    All,
    /// Not all extended attributes; every failure was reported. The exit code is 1.
    WithWarnings,
}

impl<'r> Target<'r> {
    pub(super) fn new(
        root: &'r RestoreRoot,
        parent: Arc<OwnedFd>,
        name: &[u8],
        item_path: &[u8],
    ) -> Self {
        Self {
            root,
            parent,
            name: name.into(),
            item_path: item_path.into(),
        }
    }

    /// Creates a regular file, or empties the one that could not be removed. The error's operation is
    /// `open`.
    pub fn create_file(self) -> Result<RestoredFile<'r>, SourceError> {
        self.root.begin(Op::Open);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            |more| rustix::fs::openat(self.dirfd(), &self.name[..], flags | more, NEW_FILE_MODE);
        let fd = match open(OFlags::EXCL) {
            // Not blocking: it could be a fifo. A fifo or device somebody keeps here gets no content.
            Err(Errno::EXIST) => {
                open(OFlags::TRUNC | OFlags::NONBLOCK | OFlags::NOCTTY).and_then(|fd| {
                    let found = rustix::fs::fstat(&fd)?;
                    match FileType::from_raw_mode(found.st_mode) {
                        FileType::RegularFile => Ok(fd),
                        _ => Err(Errno::EXIST),
                    }
                })
            }
            result => result,
        }
        .map_err(|errno| self.error(errno))?;
        Ok(RestoredFile {
            target: self,
            fd,
            end: AtomicU64::new(0),
        })
    }

    /// Creates a directory, unless something is there.
    pub fn create_dir(&self) -> Result<(), SourceError> {
        match rustix::fs::mkdirat(self.dirfd(), &self.name[..], NEW_DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.error(errno)),
        }
    }

    /// Creates a symlink with this content.
    pub fn create_symlink(&self, content: &[u8]) -> Result<(), SourceError> {
        rustix::fs::symlinkat(content, self.dirfd(), &self.name[..]).map_err(|errno| {
            SourceError::Os {
                op: self.root.op(),
                errno: errno.raw_os_error(),
                file: ErrorFile::Pair(content.into(), self.root.full_path(&self.item_path)),
            }
        })
    }

    /// Creates a fifo.
    pub fn create_fifo(&self) -> Result<(), SourceError> {
        self.mknod(FileType::Fifo, NEW_FILE_MODE, 0)
    }

    /// Creates a device; `mode` has its type and permissions.
    ///
    /// # Errors
    /// [`SourceError::UnknownItemType`] if the mode is not that of a device.
    pub fn create_device(&self, mode: u32, rdev: u64) -> Result<(), SourceError> {
        let file_type = FileType::from_raw_mode(mode);
        if !matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice) {
            return Err(SourceError::UnknownItemType { mode });
        }
        self.mknod(file_type, Mode::from_raw_mode(mode & 0o7777), rdev)
    }

    fn mknod(&self, file_type: FileType, mode: Mode, rdev: u64) -> Result<(), SourceError> {
        rustix::fs::mknodat(self.dirfd(), &self.name[..], file_type, mode, rdev)
            .map_err(|errno| self.root.nameless_error(errno))
    }

    /// Makes this a hard link to a path in the root (of an item restored before). The error's operation
    /// is `link`.
    pub fn link_to(&self, source: &[u8]) -> Result<(), SourceError> {
        self.root.begin(Op::Link);
        let error = |errno| SourceError::Os {
            op: "link",
            errno,
            file: ErrorFile::Pair(
                self.root.full_path(source),
                self.root.full_path(&self.item_path),
            ),
        };
        let (parent, name) = match self.root.find(source) {
            Err(SourceError::Os { errno, .. }) => return Err(error(errno)),
            Err(_) => {
                return Err(SourceError::HardlinkSource {
                    path: self.item_path.clone(),
                });
            }
            Ok(found) => found,
        };
        // Without flags a symlink is linked itself.
        rustix::fs::linkat(parent, name, self.dirfd(), &self.name[..], AtFlags::empty())
            .map_err(|errno| error(errno.raw_os_error()))
    }

    /// Sets the attributes of what was created here (not for regular files): owner, mode, ACL, extended
    /// attributes, times, flags. What fails does not keep the rest from being set; the first error that
    /// stock Borg does not ignore is returned.
    ///
    /// Source: Borg 1.4, `Archive.restore_attrs`.
    pub fn set_attributes(
        &self,
        values: &AttributeValues<'_>,
        reporter: &dyn Reporter,
    ) -> Result<AttributesSet, SourceError> {
        self.root.begin(Op::Attrs);
        let subject = Subject::Entry(self.dirfd(), &self.name);
        attributes::set(self.root, subject, &self.item_path, values, reporter)
    }

    /// Whether a directory is here.
    pub(super) fn is_dir(&self) -> bool {
        rustix::fs::statat(self.dirfd(), &self.name[..], AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
    }

    fn dirfd(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }

    fn error(&self, errno: Errno) -> SourceError {
        self.root.error(errno, &self.item_path)
    }
}

impl RestoredFile<'_> {
    /// Writes a piece at its offset. What is never written becomes a hole. The error's operation is
    /// `write`.
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<(), SourceError> {
        self.target.root.begin(Op::Write);
        let (mut rest, mut at) = (data, offset);
        while !rest.is_empty() {
            let written = match rustix::io::pwrite(&self.fd, rest, at) {
                // A disk that takes nothing and gives no reason would keep us here for ever.
                Ok(0) => return Err(SourceError::os_fd("write", Errno::NOSPC)),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(SourceError::os_fd("write", errno)),
            };
            rest = &rest[written..];
            at += u64::try_from(written).expect("a length in memory fits");
        }
        self.end.fetch_max(at, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the file its length, which makes a hole of an end that was not written, and sets its
    /// attributes as [`Target::set_attributes`] does. The error's operation is `truncate_and_attrs` or
    /// `attrs`. To be called when all pieces have been written.
    pub fn finish(
        &self,
        size: u64,
        values: &AttributeValues<'_>,
        reporter: &dyn Reporter,
    ) -> Result<AttributesSet, SourceError> {
        let root = self.target.root;
        root.begin(Op::TruncateAndAttrs);
        if self.end.load(Ordering::Relaxed) != size {
            rustix::fs::ftruncate(&self.fd, size).map_err(|errno| root.nameless_error(errno))?;
        }
        root.begin(Op::Attrs);
        let subject = Subject::Open(self.fd.as_fd());
        attributes::set(root, subject, &self.target.item_path, values, reporter)
    }
}
