//! What can go wrong in a repository, in Borg's words.

use std::path::PathBuf;

use ironborg_storage::StorageError;
use ironborg_types::{ChunkId, ErrorKind, SegmentId};

/// Why an operation on a repository or a lock failed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A repository is there already, or in a directory above.
    #[error("A repository already exists at {}.", path.display())]
    AlreadyExists {
        /// Where.
        path: PathBuf,
    },
    /// Segments of Borg's predecessor.
    #[error("Attic repository detected. Please run \"borg upgrade {}\".", path.display())]
    AtticRepository {
        /// Where.
        path: PathBuf,
    },
    /// Index and segments contradict each other beyond automatic recovery.
    #[error("Inconsistency detected. Please run \"borg check {what}\".")]
    CheckNeeded {
        /// The path and what was found.
        what: String,
    },
    /// Nothing is there.
    #[error("Repository {} does not exist.", path.display())]
    DoesNotExist {
        /// Where.
        path: PathBuf,
    },
    /// Committing could fill the file system.
    #[error(
        "Insufficient free space to complete transaction (required: {required}, available: {available})."
    )]
    InsufficientFreeSpace {
        /// Formatted size.
        required: String,
        /// Formatted size.
        available: String,
    },
    /// Not a directory, or one without a config.
    #[error("{} is not a valid repository. Check repo config.", path.display())]
    InvalidRepository {
        /// Where.
        path: PathBuf,
    },
    /// The config cannot be used.
    #[error("{} does not have a valid configuration. Check repo config [{reason}].", path.display())]
    InvalidConfig {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The config is not the INI file it should be, or a value in it is not what it should be.
    #[error("{reason}")]
    MalformedConfig {
        /// Where and why.
        reason: String,
    },
    /// No object has this id.
    #[error("Object with key {id} not found in repository {location}.")]
    ObjectNotFound {
        /// The id asked for.
        id: ChunkId,
        /// The repository.
        location: String,
    },
    /// The directory a repository was to be made in does not exist.
    #[error("The parent path of the repo directory [{}] does not exist.", path.display())]
    ParentPathDoesNotExist {
        /// The repository's path.
        path: PathBuf,
    },
    /// Something that is no repository is where one was to be made.
    #[error("There is already something at {}.", path.display())]
    PathAlreadyExists {
        /// Where.
        path: PathBuf,
    },
    /// The path cannot be looked at.
    #[error("Permission denied to {}.", path.display())]
    PathPermissionDenied {
        /// Where.
        path: PathBuf,
    },
    /// More was put than the quota allows; the transaction cannot be committed any more.
    #[error("The storage quota ({quota}) has been exceeded ({used}). Try deleting some archives.")]
    StorageQuotaExceeded {
        /// Formatted size.
        quota: String,
        /// Formatted size.
        used: String,
    },
    /// The lock could not be made at all.
    #[error("Failed to create/acquire the lock {} ({reason}).", path.display())]
    LockFailed {
        /// The lock.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// Somebody else kept the lock for too long.
    #[error("Failed to create/acquire the lock {} (timeout).", path.display())]
    LockTimeout {
        /// The lock.
        path: PathBuf,
    },
    /// A lock to be released was not there.
    #[error("Failed to release the lock {} (was not locked).", path.display())]
    NotLocked {
        /// The lock.
        path: PathBuf,
    },
    /// A lock to be released was somebody else's.
    #[error("Failed to release the lock {} (was/is locked, but not by me).", path.display())]
    NotMyLock {
        /// The lock.
        path: PathBuf,
    },
    /// A segment is not what it should be.
    #[error("Data integrity error: {reason} [segment {segment}, offset {offset}]{detail}")]
    BadEntry {
        /// Which segment.
        segment: SegmentId,
        /// Offset of the entry in the segment file.
        offset: u64,
        /// What is wrong.
        reason: String,
        /// What Borg says after the place; usually empty.
        detail: String,
    },
    /// An object is too large to be stored.
    #[error("Data integrity error: More than allowed put data [{len} > {max}]")]
    ObjectTooLarge {
        /// Its length.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// The operation would remove data from a repository that only grows.
    #[error("{} is in append-only mode", path.display())]
    AppendOnly {
        /// The repository.
        path: PathBuf,
    },
    /// Something was to be written through a repository that was opened for reading.
    #[error("repository {location} is not locked exclusively, writing is refused")]
    NotExclusive {
        /// The repository.
        location: String,
    },
    /// What is asked of a check makes no sense.
    #[error("the repository cannot be checked: {reason}")]
    CheckRefused {
        /// Why not.
        reason: &'static str,
    },
    /// What was to be a mirror cannot be one, or not of this repository.
    #[error("{}", ErrorKind::Error.message(&[reason]))]
    MirrorRefused {
        /// Why not, and what to do about it.
        reason: String,
    },
    /// The user asked to stop.
    #[error("{}", ErrorKind::Error.message(&["Got Ctrl-C / SIGINT."]))]
    Interrupted,
    /// An earlier write failed; nothing of this transaction can be committed.
    #[error("the transaction failed before: {reason}")]
    TransactionDoomed {
        /// The first failure.
        reason: String,
    },
    /// The hints file has a version from the future.
    #[error("Unknown hints file version: {version}")]
    UnknownHintsVersion {
        /// What it says.
        version: i64,
    },
    /// The `nonce` file is not 16 hexadecimal digits.
    #[error("Error: Repository has an invalid nonce file: {reason}")]
    InvalidNonceFile {
        /// What is wrong.
        reason: String,
    },
    /// Somebody else reserved nonces in between.
    #[error("nonce space reservation with mismatched previous state")]
    NonceMismatch,
    /// The operating system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A failure on the other side of a connection, or of the connection.
    #[error("{message}")]
    Remote {
        /// Its row in the table.
        kind: ErrorKind,
        /// The whole message.
        message: String,
    },
    /// An error of a server that has no row in the table.
    #[error("{}", .0.message)]
    Foreign(Box<ForeignError>),
}

/// What a server says of an error whose class is unknown here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignError {
    /// Name of the class.
    pub class: String,
    /// As it is to be shown.
    pub message: String,
    /// Whether the server thinks that something is wrong with the program rather than with its use.
    pub traceback: bool,
    /// What system the server is, in lines.
    pub system: String,
}

impl RepositoryError {
    /// The row of Borg's error table.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyExists { .. } => ErrorKind::RepositoryAlreadyExists,
            Self::AtticRepository { .. } => ErrorKind::RepositoryAtticRepository,
            Self::CheckNeeded { .. } => ErrorKind::RepositoryCheckNeeded,
            Self::DoesNotExist { .. } => ErrorKind::RepositoryDoesNotExist,
            Self::InsufficientFreeSpace { .. } => ErrorKind::RepositoryInsufficientFreeSpaceError,
            Self::InvalidRepository { .. } => ErrorKind::RepositoryInvalidRepository,
            Self::InvalidConfig { .. } => ErrorKind::RepositoryInvalidRepositoryConfig,
            Self::ObjectNotFound { .. } => ErrorKind::RepositoryObjectNotFound,
            Self::ParentPathDoesNotExist { .. } => ErrorKind::RepositoryParentPathDoesNotExist,
            Self::PathAlreadyExists { .. } => ErrorKind::RepositoryPathAlreadyExists,
            Self::PathPermissionDenied { .. } => ErrorKind::RepositoryPathPermissionDenied,
            Self::StorageQuotaExceeded { .. } => ErrorKind::RepositoryStorageQuotaExceeded,
            Self::LockFailed { .. } => ErrorKind::LockFailed,
            Self::LockTimeout { .. } => ErrorKind::LockTimeout,
            Self::NotLocked { .. } => ErrorKind::NotLocked,
            Self::NotMyLock { .. } => ErrorKind::NotMyLock,
            Self::BadEntry { .. } | Self::ObjectTooLarge { .. } => ErrorKind::IntegrityError,
            Self::InvalidNonceFile { .. } | Self::MirrorRefused { .. } | Self::Interrupted => {
                ErrorKind::Error
            }
            Self::MalformedConfig { .. }
            | Self::AppendOnly { .. }
            | Self::NotExclusive { .. }
            | Self::CheckRefused { .. }
            | Self::TransactionDoomed { .. }
            | Self::UnknownHintsVersion { .. }
            | Self::NonceMismatch
            | Self::Foreign(_) => ErrorKind::Exception,
            Self::Storage(error) => error.kind(),
            Self::Remote { kind, .. } => *kind,
        }
    }
}
