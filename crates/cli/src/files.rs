//! The small files a user names or that belong to the command line itself: patterns, secrets, passphrases.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ironborg_types::text;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::output::pyformat::repr;

/// Largest file accepted; pattern lists of millions of lines fit.
const FILE_LEN_MAX: usize = 256 << 20;
/// Bytes asked for at once.
const READ_LEN: usize = 64 * 1024;

/// Why a file could not be read or made; shown as Python shows an `OSError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileError {
    errno: Errno,
    path: Vec<u8>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.errno.raw_os_error();
        let text = error_text(number);
        write!(
            f,
            "[Errno {number}] {text}: {}",
            repr(&text::display(&self.path))
        )
    }
}

/// The C library's words for an error number.
pub(crate) fn error_text(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Reads a whole file.
pub(crate) fn read(path: &OsStr) -> Result<Vec<u8>, FileError> {
    let fail = |errno| FileError {
        errno,
        path: path.as_bytes().to_vec(),
    };
    let file =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    read_descriptor(file.as_fd()).map_err(fail)
}

/// Reads an open descriptor to its end.
pub(crate) fn read_descriptor(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut buffer = vec![0_u8; READ_LEN];
    loop {
        match rustix::io::read(file, &mut buffer) {
            Ok(0) => return Ok(content),
            Ok(len) => content.extend_from_slice(&buffer[..len]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if content.len() > FILE_LEN_MAX {
            return Err(Errno::FBIG);
        }
    }
}

/// Creates a file that must not exist, readable and writable by its owner only, and makes it durable.
/// Missing directories above it are made for the owner only.
pub(crate) fn create_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let fail = |errno| FileError {
        errno,
        path: path.as_os_str().as_bytes().to_vec(),
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    make_directories(directory, Mode::RWXU)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?;
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    rustix::fs::fsync(&file).map_err(fail)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).map_err(fail)?;
    rustix::fs::fsync(&directory).map_err(fail)
}

/// Makes a directory and those above it that are missing.
pub(crate) fn make_directories(path: &Path, mode: Mode) -> Result<(), FileError> {
    match rustix::fs::mkdir(path, mode) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            let fail = |errno| FileError {
                errno,
                path: path.as_os_str().as_bytes().to_vec(),
            };
            make_directories(path.parent().ok_or_else(|| fail(Errno::NOENT))?, mode)?;
            match rustix::fs::mkdir(path, mode) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(fail(errno)),
            }
        }
        Err(errno) => Err(FileError {
            errno,
            path: path.as_os_str().as_bytes().to_vec(),
        }),
    }
}

/// Whether there is anything at a path, be it a dangling symlink.
pub(crate) fn exists(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_missing_file_is_named_as_python_names_it() {
        let error = super::read("no/such'file".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "[Errno 2] No such file or directory: \"no/such'file\""
        );
    }
}
