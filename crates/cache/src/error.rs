//! Why the cache or the security directory refuses to go on, in Borg's words.

use std::path::PathBuf;

use ironborg_crypto::CryptoError;
use ironborg_repository::RepositoryError;
use ironborg_storage::StorageError;
use ironborg_types::{ChunkId, ErrorKind};

/// A refusal, or a file that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Access to an unknown unencrypted repository was not wanted.
    #[error("Cache initialization aborted")]
    InitAborted,
    /// The key is of another type than the repository's was.
    #[error("Repository encryption method changed since last access, refusing to continue")]
    EncryptionMethodMismatch,
    /// Access to a relocated repository was not wanted.
    #[error("Repository access aborted")]
    RepositoryAccessAborted,
    /// An unencrypted repository is older than what was seen of it.
    #[error(
        "Cache is newer than repository - do you have multiple, independently updated repos with same ID?"
    )]
    RepositoryIdNotUnique,
    /// An encrypted repository is older than what was seen of it.
    #[error(
        "Cache, or information obtained from the security directory is newer than repository - this is either an attack or unsafe (multiple repos with same ID)"
    )]
    RepositoryReplay,
    /// Two plaintexts of different length have one id: damage, or a broken hash.
    #[error("chunk has same id [{id}], but different size (stored: {stored} new: {new})!")]
    SizeMismatch {
        /// The id.
        id: ChunkId,
        /// Bytes of the plaintext that is stored.
        stored: u32,
        /// Bytes of the plaintext at hand.
        new: u32,
    },
    /// The config of stock Borg's cache is not the INI file it should be.
    #[error("{reason}")]
    MalformedConfig {
        /// Where and why.
        reason: String,
    },
    /// A sealed file was changed by something else than this program, or belongs to something else.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// No random numbers.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A file could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The repository could not be asked.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl CacheError {
    /// The row of Borg's error table.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InitAborted => ErrorKind::CacheCacheInitAbortedError,
            Self::EncryptionMethodMismatch => ErrorKind::CacheEncryptionMethodMismatch,
            Self::RepositoryAccessAborted => ErrorKind::CacheRepositoryAccessAborted,
            Self::RepositoryIdNotUnique => ErrorKind::CacheRepositoryIDNotUnique,
            Self::RepositoryReplay => ErrorKind::CacheRepositoryReplay,
            Self::SizeMismatch { .. } | Self::MalformedConfig { .. } | Self::Damaged { .. } => {
                ErrorKind::Exception
            }
            Self::Crypto(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Repository(error) => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_borgs() {
        for error in [
            CacheError::InitAborted,
            CacheError::EncryptionMethodMismatch,
            CacheError::RepositoryAccessAborted,
            CacheError::RepositoryIdNotUnique,
            CacheError::RepositoryReplay,
        ] {
            let row = ironborg_types::error_kind::ERROR_ROWS
                .iter()
                .find(|row| row.kind == error.kind())
                .unwrap();
            assert_eq!(error.to_string(), row.message);
        }
    }
}
