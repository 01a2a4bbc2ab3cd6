//! The few file operations a repository needs, and the places that offer them: a local directory,
//! memory, and the recording and faulty storage of crash tests.
//!
//! Knows nothing of segments, indexes or locks; those live in `repository`. Caches and the security
//! directory keep their small files through it too.

mod error;
mod storage;

pub use error::StorageError;
pub use storage::{AppendFile, EntryKind, Status, Storage, StorageEntry};
