//! The few file operations a repository needs, and the places that offer them: a local directory,
//! memory, and the recording and faulty storage of crash tests.
//!
//! Knows nothing of segments, indexes or locks; those live in `repository`. Caches and the security
//! directory keep their small files through it too.

mod storage;

mod conditional;
mod disk_model;
mod distant;
mod error;
mod faulty;
mod fenced;
mod handles;
mod keep;
mod local;
mod memory;
mod real_path;
mod recording;
mod retention;
mod scratch_pages;
mod spool;
mod sys;

pub use conditional::{Conditional, Version};
pub use disk_model::{DiskModel, Unsynced};
pub use distant::Distant;
pub use error::StorageError;
pub use faulty::{Fault, FaultyStorage, Partial};
pub use fenced::{Fence, FencedStorage};
pub use keep::{Keep, KeepWriter, Kept};
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use real_path::{normal_path, real_path};
pub use recording::{Operation, RecordingStorage, state_after};
pub use retention::{Retention, RetentionMode};
pub use scratch_pages::{ScratchPages, ScratchSpace, ScratchTable};
pub use spool::Spool;
pub use storage::{AppendFile, EntryKind, NextPiece, Status, Storage, StorageEntry};
