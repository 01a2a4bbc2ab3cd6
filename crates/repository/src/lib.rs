//! A transactional store of objects on a log of segments: index, transactions, recovery, compaction,
//! locks and quota. Knows nothing of keys, archives or items.
//!
//! [`Repository`] is the seam the rest of the program sees; [`LocalRepository`] keeps its files in a
//! [`Storage`](ironborg_storage::Storage).

mod repository;

mod local;

mod attic;

mod segments;

mod index;
mod recovery;
mod replay;
mod state;

mod lock;
mod mirror;
mod nonce;
mod retention;
mod settings;
mod space;
mod survey;

mod error;
mod witness;

pub use attic::AtticRepository;
pub use ironborg_storage::Fence;

pub use error::{ForeignError, RepositoryError};
pub use ironborg_storage::ScratchSpace;
pub use local::{
    CheckMode, CheckOptions, CompactOptions, CreateOptions, IndexPolicy, LocalRepository, LockMode,
    OpenOptions, SegmentScan, SnapshotRepository,
};
pub use lock::{Lock, LockOptions, LockOwner, process_identity};
pub use mirror::{MirrorFigures, MirrorOptions, mirror};
pub use repository::{Change, IdPlaces, Repository, StoredIds};
pub use segments::FoundEntry;
pub use survey::{Survey, survey};
pub use witness::{StoredObject, Watcher, Witness};
