//! What can go wrong below the repository, always with the path it went wrong at.

use std::io;
use std::path::{Path, PathBuf};

use ironborg_types::ErrorKind;

/// A failed file operation.
///
/// Shown as Python shows an `OSError`, because Borg puts that text into its messages.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("{}", python_text(source, path))]
    Io {
        /// What was being done: a verb phrase such as `read`.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
}

impl StorageError {
    /// Wraps an I/O error with the operation and the path.
    pub fn io(op: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            op,
            path: path.into(),
            source: source.into(),
        }
    }

    /// The row of Borg's error table: an `OSError` is an exception stock Borg does not expect.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Exception,
        }
    }

    /// The operating system's error.
    pub fn source_io(&self) -> &io::Error {
        match self {
            Self::Io { source, .. } => source,
        }
    }

    /// The file or directory it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } => path,
        }
    }

    /// The text without errno and path, such as `Permission denied`.
    pub fn reason(&self) -> String {
        reason(self.source_io())
    }

    /// Whether the file or directory does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source_io().kind() == io::ErrorKind::NotFound
    }

    /// Whether something is already there.
    pub fn is_already_exists(&self) -> bool {
        self.source_io().kind() == io::ErrorKind::AlreadyExists
    }

    /// Whether access was denied (EACCES or EPERM).
    pub fn is_permission_denied(&self) -> bool {
        self.source_io().kind() == io::ErrorKind::PermissionDenied
    }

    /// Whether the file system is full, or the part of it that belongs to this user.
    pub fn is_no_space(&self) -> bool {
        let errno = self.source_io().raw_os_error();
        matches!(errno, Some(libc::ENOSPC | libc::EDQUOT))
    }
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(errno) => text
            .strip_suffix(&format!(" (os error {errno})"))
            .map_or_else(|| text.clone(), str::to_owned),
        None => text,
    }
}

fn python_text(error: &io::Error, path: &Path) -> String {
    match error.raw_os_error() {
        Some(errno) => format!("[Errno {errno}] {}: '{}'", reason(error), path.display()),
        None => format!("{error}: '{}'", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_python_writes_it() {
        let error = StorageError::io("read", "/r/index.2", io::Error::from_raw_os_error(2));
        assert_eq!(
            error.to_string(),
            "[Errno 2] No such file or directory: '/r/index.2'"
        );
        assert_eq!(error.reason(), "No such file or directory");
        assert!(error.is_not_found() && !error.is_no_space());
        assert_eq!(error.kind(), ErrorKind::Exception);
    }
}
