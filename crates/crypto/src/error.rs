//! What can go wrong with keys, envelopes, nonces and authentication.

use ironborg_format::MetadataError;
use ironborg_format::msgpack::MsgpackError;
use ironborg_types::{ChunkId, ErrorKind, NonceStoreError};

/// Names an object in a message: its id, or Borg's word where the id is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectName(pub Option<ChunkId>);

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("(unknown)"),
        }
    }
}

/// An error of this crate. `Display` is Borg's message where Borg has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The object's type byte does not belong to this key, or the object is empty.
    #[error("Data integrity error: Chunk {object}: Invalid encryption envelope")]
    InvalidEncryptionEnvelope {
        /// The object.
        object: ObjectName,
    },
    /// The same in the modes that authenticate without encrypting, for which Borg says it
    /// differently.
    #[error("Data integrity error: Chunk {object}: Invalid envelope")]
    InvalidEnvelope {
        /// The object.
        object: ObjectName,
    },
    /// The object's MAC is wrong: damaged, forged, cut off, or made with another key.
    #[error("Data integrity error: Chunk {object}: Could not decrypt [MAC Authentication failed]")]
    MacMismatch {
        /// The object.
        object: ObjectName,
    },
    /// The plaintext is not what the id names.
    #[error("Data integrity error: Chunk {id}: id verification failed")]
    IdMismatch {
        /// The id it was stored under.
        id: ChunkId,
    },
    /// No key mode has this type byte.
    #[error("Unsupported payload type {0}. A newer version is required to access this repository.")]
    UnsupportedPayload(u8),
    /// The manifest begins with the marker that announces a future format.
    #[error(
        "Unsupported manifest envelope. A newer version is required to access this repository."
    )]
    UnsupportedManifest,
    /// The manifest carries no authentication though the key demands it.
    #[error("Manifest is unauthenticated, but it is required for this repository.")]
    TamRequired,
    /// The manifest's authentication does not verify.
    #[error("Data integrity error: Manifest authentication did not verify")]
    TamInvalid,
    /// The archive carries no authentication though it is demanded.
    #[error("Archive '{archive}' is unauthenticated, but it is required for this repository.")]
    ArchiveTamRequired {
        /// The archive's name as it stands in the metadata.
        archive: String,
    },
    /// The archive's authentication does not verify.
    #[error("Data integrity error: Archive authentication did not verify")]
    ArchiveTamInvalid,
    /// Authentication of an unknown kind where one is demanded. Borg formats the name twice over.
    #[error("Could not verify manifest: Unsupported suite {suite:?}; a newer version is needed.")]
    TamUnsupportedSuite {
        /// The kind named in the metadata, in single quotes.
        suite: String,
    },
    /// The metadata to authenticate is not a packed map. Stock Borg does not expect this.
    #[error("Data integrity error: metadata is not a packed map: {0}")]
    MalformedMetadata(MsgpackError),
    /// The key text or blob is not one: not base64, too short, not the right map. The caller knows
    /// the location and the file, which `KeyfileInvalidError` names.
    #[error("Invalid key data ({0})")]
    InvalidKeyData(&'static str),
    /// The key blob, or the map inside of it, is malformed or of a kind this program does not know.
    #[error(transparent)]
    KeyFormat(MetadataError),
    /// Secrets of a key with another id hash were to be taken over.
    #[error(
        "Error: You must keep the same ID hash (HMAC-SHA256 or BLAKE2b) or deduplication will break."
    )]
    UnrelatedIdHash,
    /// Something would have to be authenticated with a key that was opened without its secrets.
    #[error("Error: the key was opened without its secrets, nothing can be written with it")]
    NoSecrets,
    /// A counter store could not be read or written.
    #[error(transparent)]
    NonceStore(#[from] NonceStoreError),
    /// All 2^64 counter values of the key are used up, or a store claims so.
    #[error("Error: the nonce space of this key is exhausted")]
    NonceSpaceExhausted,
    /// The system gave no random bytes.
    #[error("Error: no random numbers from the operating system: {0}")]
    Random(String),
}

impl CryptoError {
    /// The row of Borg's error table this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidEncryptionEnvelope { .. }
            | Self::InvalidEnvelope { .. }
            | Self::MacMismatch { .. }
            | Self::IdMismatch { .. }
            | Self::MalformedMetadata(_) => ErrorKind::IntegrityError,
            Self::UnsupportedPayload(_) => ErrorKind::UnsupportedPayloadError,
            Self::UnsupportedManifest => ErrorKind::UnsupportedManifestError,
            Self::TamRequired => ErrorKind::TAMRequiredError,
            Self::TamInvalid => ErrorKind::TAMInvalid,
            Self::ArchiveTamRequired { .. } => ErrorKind::ArchiveTAMRequiredError,
            Self::ArchiveTamInvalid => ErrorKind::ArchiveTAMInvalid,
            Self::TamUnsupportedSuite { .. } => ErrorKind::TAMUnsupportedSuiteError,
            Self::InvalidKeyData(_) => ErrorKind::KeyfileInvalidError,
            Self::KeyFormat(error) => error.kind(),
            Self::NonceStore(error) => error.kind,
            Self::UnrelatedIdHash
            | Self::NoSecrets
            | Self::NonceSpaceExhausted
            | Self::Random(_) => ErrorKind::Error,
        }
    }
}
