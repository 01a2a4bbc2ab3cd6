//! Why a manifest, archive, item, key or their authentication could not be decoded.

use ironborg_types::ErrorKind;

use crate::msgpack::MsgpackError;

/// Which document was being decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// The list of archives.
    Manifest,
    /// An archive's metadata.
    Archive,
    /// One item of an archive.
    Item,
    /// The secrets of a repository.
    Key,
    /// The secrets, encrypted with a passphrase.
    EncryptedKey,
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Archive => "archive metadata",
            Self::Item => "item",
            Self::Key => "key",
            Self::EncryptedKey => "encrypted key",
        })
    }
}

/// Why bytes are not the document they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The document as a whole is not the MessagePack map it should be.
    #[error("invalid {document}: {source}")]
    Malformed {
        /// Which document.
        document: Document,
        /// What is wrong.
        source: MsgpackError,
    },
    /// The value of a key is not what belongs there.
    #[error("invalid {document}: key {key}: {source}")]
    InvalidValue {
        /// Which document.
        document: Document,
        /// Which key.
        key: &'static str,
        /// What is wrong.
        source: MsgpackError,
    },
    /// A key that every such document has is missing.
    #[error("invalid {document}: key {key} is missing")]
    MissingKey {
        /// Which document.
        document: Document,
        /// Which key.
        key: &'static str,
    },
    /// A key of the map is not UTF-8, which stock Borg refuses too.
    #[error("invalid {document}: a key is not UTF-8")]
    KeyNotText {
        /// Which document.
        document: Document,
    },
    /// A text that must be UTF-8 is not.
    #[error("invalid {document}: key {key} is not UTF-8")]
    ValueNotText {
        /// Which document.
        document: Document,
        /// Which key.
        key: &'static str,
    },
    /// The manifest begins with the mark of a future envelope.
    #[error("{}", ErrorKind::UnsupportedManifestError.message(&[]))]
    UnsupportedManifest,
    /// The manifest's version is neither 1 nor 2.
    #[error("Invalid manifest version")]
    ManifestVersion,
    /// The archive's version is not 1.
    #[error("Unknown archive metadata version")]
    ArchiveVersion,
    /// The encrypted key's version is not 1.
    #[error("Error: encrypted key version {0} is not supported by this borg version.")]
    EncryptedKeyVersion(u64),
    /// The encrypted key's algorithm is not sha256.
    #[error("Error: encrypted key algorithm '{0}' is not supported by this borg version.")]
    EncryptedKeyAlgorithm(String),
    /// The key's version is not 1. Stock Borg forgets to fill its message in, and so do we.
    #[error("Error: key version %d is not supported by this borg version.")]
    KeyVersion,
    /// A stored time is not written as Borg writes times.
    #[error("invalid {document}: key {key} is not a time")]
    InvalidTime {
        /// Which document.
        document: Document,
        /// Which key.
        key: &'static str,
    },
    /// The document would be beyond what stock Borg reads.
    #[error("invalid {document}: {what}")]
    Limit {
        /// Which document.
        document: Document,
        /// What is too much.
        what: &'static str,
    },
    /// `tam` is there but is not a map.
    #[error("invalid {document}: tam is not a map")]
    TamNotAMap {
        /// Which document.
        document: Document,
    },
}

impl MetadataError {
    /// The kind that decides message class and exit code.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // Stock Borg does not expect these and ends with a traceback.
            Self::Malformed { .. }
            | Self::InvalidValue { .. }
            | Self::MissingKey { .. }
            | Self::KeyNotText { .. }
            | Self::ValueNotText { .. }
            | Self::InvalidTime { .. }
            | Self::Limit { .. }
            | Self::ManifestVersion
            | Self::ArchiveVersion => ErrorKind::Exception,
            Self::UnsupportedManifest => ErrorKind::UnsupportedManifestError,
            Self::EncryptedKeyVersion(_) | Self::EncryptedKeyAlgorithm(_) | Self::KeyVersion => {
                ErrorKind::Error
            }
            Self::TamNotAMap {
                document: Document::Archive,
            } => ErrorKind::ArchiveTAMInvalid,
            Self::TamNotAMap { .. } => ErrorKind::TAMInvalid,
        }
    }
}

/// Builds the error for a value of `key`; for `map_err`.
pub(crate) fn invalid(
    document: Document,
    key: &'static str,
) -> impl Fn(MsgpackError) -> MetadataError {
    move |source| MetadataError::InvalidValue {
        document,
        key,
        source,
    }
}

/// Builds the error for the document as a whole; for `map_err`.
pub(crate) fn malformed(document: Document) -> impl Fn(MsgpackError) -> MetadataError {
    move |source| MetadataError::Malformed { document, source }
}
