//! Open files: reading content, where it lies, and what they are.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, SeekFrom};
use rustix::io::Errno;

use super::{FileStat, fstat};
use crate::error::SourceError;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Never waits, never follows a symlink.
    Normal,
    /// Waits for the other end of a fifo or for a device (`--read-special`).
    Special,
    /// The same, through a symlink.
    SpecialFollow,
}

/// A file open for reading.
#[derive(Debug)]
pub struct SourceFile {
    fd: OwnedFd,
}

impl From<OwnedFd> for SourceFile {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<SourceFile> for OwnedFd {
    fn from(file: SourceFile) -> Self {
        file.fd
    }
}

impl AsFd for SourceFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Whether nothing is stored there: it reads as zeros.
    pub hole: bool,
}

impl SourceFile {
    /// What the open file is. The error's operation is `fstat`.
    pub fn stat(&self) -> Result<FileStat, SourceError> {
        fstat(self.as_fd(), "fstat")
    }

    /// The same after reading. The error's operation is `fstat2`.
    pub fn stat_again(&self) -> Result<FileStat, SourceError> {
        fstat(self.as_fd(), "fstat2")
    }

    /// Reads what comes next, as much as one call gives; 0 at the end. The error's operation is `read`.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        retry(|| rustix::io::read(&self.fd, &mut *buffer))
    }

    /// Reads at an offset, as much as one call gives; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        retry(|| rustix::io::pread(&self.fd, &mut *buffer, offset))
    }

    /// Waits until there is something to read, or the end, for at most `timeout_ms`; says whether there is.
    ///
    /// For pipes and devices; a regular file is always ready. An error counts as ready: reading tells it.
    pub fn wait_ready(&self, timeout_ms: u32) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec {
            tv_sec: i64::from(timeout_ms / 1000),
            tv_nsec: i64::from(timeout_ms % 1000 * 1_000_000),
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        !matches!(poll(&mut fds, Some(&timeout)), Ok(0) | Err(Errno::INTR))
    }

    /// Fills `buffer` with what comes next; returns less than its length only at the end.
    pub fn read_full(&self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Tells the system that the file will be read from start to end. Never fails.
    pub fn advise_sequential(&self) {
        let _ = rustix::fs::fadvise(&self.fd, 0, None, Advice::Sequential);
    }

    /// Tells the system that this stretch will not be read again (len 0: to the end). Never fails.
    pub fn advise_done(&self, offset: u64, len: u64) {
        let _ = rustix::fs::fadvise(
            &self.fd,
            offset,
            std::num::NonZeroU64::new(len),
            Advice::DontNeed,
        );
    }

    /// The extent that begins at `offset`: data or hole, up to where the kind changes; None at the
    /// end. A file system that knows no holes gives one extent of data.
    ///
    /// Moves the position of [`SourceFile::read`]. The error's operation is `read`.
    pub fn extent_at(&self, offset: u64) -> Result<Option<Extent>, SourceError> {
        let error = |errno| SourceError::os_fd("read", errno);
        let end_of_file = || rustix::fs::seek(&self.fd, SeekFrom::End(0)).map_err(error);
        let (end, hole) = match rustix::fs::seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(data) if data == offset => {
                match rustix::fs::seek(&self.fd, SeekFrom::Hole(offset)) {
                    Ok(end) => (end, false),
                    Err(Errno::NXIO) => return Ok(None), // Truncated meanwhile.
                    Err(errno) => return Err(error(errno)),
                }
            }
            Ok(data) => (data, true),
            // No data from here on: a hole at the end, or the end itself.
            Err(Errno::NXIO) => (end_of_file()?, true),
            Err(Errno::INVAL) => (end_of_file()?, false),
            Err(errno) => return Err(error(errno)),
        };
        Ok(end
            .checked_sub(offset)
            .filter(|&len| len > 0)
            .map(|len| Extent { offset, len, hole }))
    }
}

fn retry(call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, SourceError> {
    rustix::io::retry_on_intr(call).map_err(|errno| SourceError::os_fd("read", errno))
}
