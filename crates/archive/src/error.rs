//! What can go wrong with archives, keys and manifests.

use std::path::PathBuf;

use ironborg_types::{BytePath, ChunkId, ErrorKind};

use crate::client::PassphraseError;

/// Why an operation on archives failed. Messages are Borg's where Borg has one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The repository refused.
    #[error(transparent)]
    Repository(#[from] ironborg_repository::RepositoryError),
    /// A key, nonce or authentication refused.
    #[error(transparent)]
    Crypto(#[from] ironborg_crypto::CryptoError),
    /// An object could not be made or opened.
    #[error(transparent)]
    Object(#[from] ironborg_object::ObjectError),
    /// The security record or a cache refused.
    #[error(transparent)]
    Cache(#[from] ironborg_cache::CacheError),
    /// A file operation on the client's own state failed.
    #[error(transparent)]
    Storage(#[from] ironborg_storage::StorageError),
    /// A file or command outside the repository failed in a way that ends the operation.
    #[error(transparent)]
    Source(#[from] ironborg_source::SourceError),
    /// No passphrase was to be had.
    #[error("{}", .0.message)]
    Passphrase(PassphraseError),
    /// The repository has no manifest.
    #[error("{}", ErrorKind::NoManifestError.message(&[]))]
    NoManifest,
    /// No object tells what key the repository has.
    #[error("{}", ErrorKind::IntegrityError.message(&[&no_key_type(*tried)]))]
    NoKeyType {
        /// How many objects were looked at.
        tried: usize,
    },
    /// The manifest is of a future format.
    #[error("{}", ErrorKind::UnsupportedManifestError.message(&[]))]
    UnsupportedManifest,
    /// The manifest asks for features this version does not have.
    #[error("{}", ErrorKind::MandatoryFeatureUnsupported.message(&[features]))]
    MandatoryFeature {
        /// Their names, as a Python list.
        features: String,
    },
    /// The manifest, archive metadata or item stream does not decode.
    #[error("{what} of {name} is damaged: {detail}")]
    Damaged {
        /// Which structure.
        what: &'static str,
        /// Archive name, or the repository's location for the manifest.
        name: BytePath,
        /// What is wrong with it, and where.
        detail: String,
    },
    /// An archive of that name is there already.
    #[error("{}", ErrorKind::ArchiveAlreadyExists.message(&[&name.to_string()]))]
    AlreadyExists {
        /// The name.
        name: BytePath,
    },
    /// There is no archive of that name.
    #[error("{}", ErrorKind::ArchiveDoesNotExist.message(&[&name.to_string()]))]
    DoesNotExist {
        /// The name.
        name: BytePath,
    },
    /// The key is not in the repository's config.
    #[error("{}", ErrorKind::RepoKeyNotFoundError.message(&[location]))]
    RepoKeyNotFound {
        /// The repository.
        location: String,
    },
    /// No key file fits the repository.
    #[error("{}", ErrorKind::KeyfileNotFoundError.message(&[location, &keys_dir.to_string_lossy()]))]
    KeyfileNotFound {
        /// The repository.
        location: String,
        /// Where key files were looked for.
        keys_dir: PathBuf,
    },
    /// A key file is not one.
    #[error("{}", ErrorKind::KeyfileInvalidError.message(&[location, file]))]
    KeyfileInvalid {
        /// The repository.
        location: String,
        /// The key file, or `(repokey)`.
        file: String,
    },
    /// A key file is for another repository.
    #[error("{}", ErrorKind::KeyfileMismatchError.message(&[location, file]))]
    KeyfileMismatch {
        /// The repository.
        location: String,
        /// The key file.
        file: String,
    },
    /// What is to be imported is no key.
    #[error("{}", ErrorKind::NotABorgKeyFile.message(&[]))]
    NotAKeyBackup,
    /// What is to be imported is the key of another repository.
    #[error("{}", ErrorKind::RepoIdMismatch.message(&[]))]
    KeyOfOther,
    /// There is no key to be exported or imported.
    #[error("{}", ErrorKind::UnencryptedRepo.message(&[]))]
    Unencrypted,
    /// The passphrase given without a person asking does not open the key.
    #[error("{}", ErrorKind::PassphraseWrong.message(&[]))]
    PassphraseWrong,
    /// Three passphrases did not open the key.
    #[error("{}", ErrorKind::PasswordRetriesExceeded.message(&[]))]
    PasswordRetriesExceeded,
    /// A chunk an archive needs is not there or does not open.
    #[error("{}: chunk {id}: {detail}", path)]
    Chunk {
        /// Which chunk.
        id: ChunkId,
        /// Archive and file it belongs to.
        path: BytePath,
        /// What is wrong.
        detail: String,
    },
    /// A tarball cannot be read as one.
    #[error("tarball: {0}")]
    Tarball(ironborg_format::tar::TarError),
    /// The file or pipe a tarball comes from cannot be read.
    #[error("tarball: {message}")]
    TarballInput {
        /// What happened.
        message: String,
    },
    /// What content or a tarball is written to takes no more: a full disk, a pipe nobody reads any longer.
    #[error("cannot write to the output stream: {message}")]
    OutputStream {
        /// The system's words.
        message: String,
    },
    /// The user said no.
    #[error("{}", ErrorKind::CancelledByUser.message(&[]))]
    Cancelled,
    /// The user asked to stop.
    #[error("{}", ErrorKind::Error.message(&["Got Ctrl-C / SIGINT."]))]
    Interrupted,
    /// A command that was to give paths or content failed.
    #[error("{}", ErrorKind::CommandError.message(&[message]))]
    Command {
        /// What happened.
        message: String,
    },
    /// Anything else Borg reports as a plain error.
    #[error("{}", ErrorKind::Error.message(&[message]))]
    Other {
        /// What happened.
        message: String,
    },
}

impl ArchiveError {
    /// Borg's kind: message id, exit code and traceback flag.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Repository(error) => error.kind(),
            Self::Crypto(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Cache(error) => error.kind(),
            Self::Source(error) => error.kind(),
            Self::Storage(_)
            | Self::Tarball(_)
            | Self::TarballInput { .. }
            | Self::OutputStream { .. } => ErrorKind::Exception,
            Self::Passphrase(error) => error.kind,
            Self::NoManifest => ErrorKind::NoManifestError,
            Self::UnsupportedManifest => ErrorKind::UnsupportedManifestError,
            Self::MandatoryFeature { .. } => ErrorKind::MandatoryFeatureUnsupported,
            Self::Damaged { .. } | Self::Chunk { .. } | Self::NoKeyType { .. } => {
                ErrorKind::IntegrityError
            }
            Self::AlreadyExists { .. } => ErrorKind::ArchiveAlreadyExists,
            Self::DoesNotExist { .. } => ErrorKind::ArchiveDoesNotExist,
            Self::RepoKeyNotFound { .. } => ErrorKind::RepoKeyNotFoundError,
            Self::KeyfileNotFound { .. } => ErrorKind::KeyfileNotFoundError,
            Self::KeyfileInvalid { .. } => ErrorKind::KeyfileInvalidError,
            Self::KeyfileMismatch { .. } => ErrorKind::KeyfileMismatchError,
            Self::NotAKeyBackup => ErrorKind::NotABorgKeyFile,
            Self::KeyOfOther => ErrorKind::RepoIdMismatch,
            Self::Unencrypted => ErrorKind::UnencryptedRepo,
            Self::PassphraseWrong => ErrorKind::PassphraseWrong,
            Self::PasswordRetriesExceeded => ErrorKind::PasswordRetriesExceeded,
            Self::Cancelled => ErrorKind::CancelledByUser,
            Self::Interrupted | Self::Other { .. } => ErrorKind::Error,
            Self::Command { .. } => ErrorKind::CommandError,
        }
    }

    /// A plain error with Borg's `Error: ` in front.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
        }
    }
}

fn no_key_type(tried: usize) -> String {
    format!("make_key: failed to create the key (tried {tried} chunks)")
}

// Written out, for the message of the one is all of the other's: there is no further story to tell.
impl From<ironborg_format::tar::TarError> for ArchiveError {
    fn from(error: ironborg_format::tar::TarError) -> Self {
        Self::Tarball(error)
    }
}

impl From<PassphraseError> for ArchiveError {
    fn from(error: PassphraseError) -> Self {
        Self::Passphrase(error)
    }
}
