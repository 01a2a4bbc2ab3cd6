//! Replacing a small file only as long as it is what it is believed to be: what an object store has in place of
//! directories that only one can make.

use std::time::{Duration, SystemTime};

use crate::{Retention, RetentionMode, StorageError};

/// The state of a file as the place that keeps it names it; every replacement has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// Compares and replaces in one step, whoever else does the same at the same time.
pub trait Conditional: Send + Sync {
    /// A whole file and its version; `None` if there is none.
    fn read_versioned(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError>;

    /// Replaces a file whole if its version still is `expected`, or there is no such file if that is `None`. Returns the
    /// new version, or `None` if it was not what was expected; then nothing has changed.
    ///
    /// # Errors
    /// What was asked for may have happened all the same, or may still happen: who has to know reads the file.
    fn replace_if(
        &self,
        name: &str,
        expected: Option<&Version>,
        content: &[u8],
    ) -> Result<Option<Version>, StorageError>;

    /// How large the files of a new repository should become, if this place has reasons of its own: each is sent and
    /// removed as a whole.
    fn segment_size(&self) -> Option<u64> {
        None
    }

    /// How long a lock lives that is not renewed, if this place has reasons of its own.
    fn term(&self) -> Option<Duration> {
        None
    }

    /// Gives up what was begun longer ago than this, was never finished and cannot be seen; returns how much. Only for who is
    /// alone here.
    fn give_up_leftovers(&self, age: Duration) -> Result<usize, StorageError> {
        let _ = age;
        Ok(0)
    }

    /// Whether it can be promised that nobody removes something before its time.
    ///
    /// # Errors
    /// Why it cannot.
    fn can_retain(&self) -> Result<(), StorageError> {
        let never = std::io::Error::from(std::io::ErrorKind::Unsupported);
        Err(StorageError::io("retain", "", never))
    }

    /// From now on nobody can remove what is made below a directory before its time.
    fn retain(&self, dir: &str, retention: Retention) -> Result<(), StorageError> {
        let _ = (dir, retention);
        self.can_retain()
    }

    /// Sees to it that nobody can remove these files before some time; what has gone is passed over.
    fn prolong(
        &self,
        names: &[String],
        mode: RetentionMode,
        until: SystemTime,
    ) -> Result<(), StorageError> {
        let _ = (names, mode, until);
        self.can_retain()
    }
}
