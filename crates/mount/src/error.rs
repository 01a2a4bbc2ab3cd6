//! What can go wrong with a mounted archive.

use std::path::PathBuf;

use ironborg_archive::ArchiveError;
use ironborg_cache::CacheError;
use ironborg_repository::RepositoryError;
use ironborg_source::PatternError;
use ironborg_types::{BytePath, ChunkId};

/// What went wrong. Requests of the kernel turn these into an error number and a line in the log.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// An archive, its metadata, a key or a chunk.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file below the cache directory.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A path to show that is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// An archive was deleted after it was mounted, and what is asked for went with it.
    #[error("archive {name} is no longer there: it was deleted from the repository")]
    ArchiveGone {
        /// Its name.
        name: BytePath,
    },
    /// The repository cannot be reached now.
    #[error("{message}")]
    Unreachable {
        /// What was said when it was tried.
        message: String,
    },
    /// More files than an index has numbers for.
    #[error("there are more files than can be shown: 4294967295")]
    TooManyFiles,
    /// A chunk of a file is gone or damaged.
    #[error("{path}: chunk {id} at offset {offset}: {reason}")]
    Content {
        /// The file, as the mount shows it.
        path: String,
        /// The chunk.
        id: ChunkId,
        /// Where in the file its content begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository cannot be opened, because of its key or of who asks.
    #[error("{message}")]
    Refused {
        /// What was said when it was tried.
        message: String,
    },
    /// A file that a repair has put zeros into, and that is not to be read for this reason.
    #[error(
        "File has damaged (all-zero) chunks. Try running borg check --repair. \
         Mount with allow_damaged_files to read damaged files."
    )]
    DamagedFile {
        /// The file, as the mount shows it.
        path: String,
    },
    /// A directory has no entry of that name.
    #[error("no such entry")]
    NoEntry,
    /// What the kernel asks about is not there any more, or never was.
    #[error("no such node")]
    Stale,
    /// A file has no extended attribute of that name.
    #[error("no such extended attribute")]
    NoAttribute,
    /// What is asked for is not to be had of this kind of file.
    #[error("not this kind of file")]
    WrongKind,
    /// The kernel, or the program that mounts for ordinary users, said no. The text is what libfuse says of it.
    #[error("{reason}")]
    Kernel {
        /// Where it was to be mounted.
        mountpoint: PathBuf,
        /// What was said; nothing if `fusermount3` has said it itself.
        reason: String,
    },
}
