//! Ids, sizes, times, byte paths, error kinds and the events that travel upwards, shared by all crates.
//!
//! Nothing here does I/O, reads a clock or depends on another crate.

pub mod error_kind;
pub mod event;
pub mod finding;
pub mod hex;
pub mod id;
pub mod interrupt;
pub mod limits;
pub mod memory;
pub mod nonce_store;
pub mod progress;
pub mod question;
pub mod text;
pub mod time;

pub use error_kind::{ErrorKind, ErrorRow};
pub use event::{ArchiveProgress, Event, Level, LockHolder, NullReporter, Reporter, WarningKind};
pub use finding::{Finding, FindingKind, Place, RepairAction, RepairChange};
pub use id::{ArchiveId, ChunkId, RepositoryId, SegmentId};
pub use interrupt::Interrupt;
pub use memory::MemoryLimit;
pub use nonce_store::{NonceStore, NonceStoreError, Reservation};
pub use progress::PercentProgress;
pub use question::{Answer, Question, Questioner};
pub use text::BytePath;
pub use time::{Timestamp, civil_from_days, days_from_civil};
