//! The one table of errors and warnings: class name, message, exit code, traceback flag.
//!
//! The class name is what `--log-json` gives as `msgid` and what crosses the wire. Source: Borg 1.4, by
//! walking its exception classes; `testdata/errors.json` is the list this table is tested against.

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// Which kind.
    pub kind: ErrorKind,
    /// Borg's qualified class name.
    pub class: &'static str,
    /// Message with `{}` for each argument.
    pub message: &'static str,
    /// Exit code with `BORG_EXIT_CODES=modern`.
    pub modern_code: u8,
    /// Whether stock Borg shows a traceback with it.
    pub traceback: bool,
    /// Whether it is a warning (legacy code 1) rather than an error (legacy code 2).
    pub warning: bool,
}

/// Every kind of error and warning Borg 1.4 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `Buffer.MemoryLimitExceeded`
    BufferMemoryLimitExceeded,
    /// `EfficientCollectionQueue.SizeUnderflow`
    EfficientCollectionQueueSizeUnderflow,
    /// `Error`
    Error,
    /// `ErrorWithTraceback`
    ErrorWithTraceback,
    /// `RTError`
    RTError,
    /// `CancelledByUser`
    CancelledByUser,
    /// `CommandError`
    CommandError,
    /// `PlaceholderError`
    PlaceholderError,
    /// `InvalidPlaceholder`
    InvalidPlaceholder,
    /// `Repository.AlreadyExists`
    RepositoryAlreadyExists,
    /// `Repository.AtticRepository`
    RepositoryAtticRepository,
    /// `Repository.CheckNeeded`
    RepositoryCheckNeeded,
    /// `Repository.DoesNotExist`
    RepositoryDoesNotExist,
    /// `Repository.InsufficientFreeSpaceError`
    RepositoryInsufficientFreeSpaceError,
    /// `Repository.InvalidRepository`
    RepositoryInvalidRepository,
    /// `Repository.InvalidRepositoryConfig`
    RepositoryInvalidRepositoryConfig,
    /// `Repository.ObjectNotFound`
    RepositoryObjectNotFound,
    /// `Repository.ParentPathDoesNotExist`
    RepositoryParentPathDoesNotExist,
    /// `Repository.PathAlreadyExists`
    RepositoryPathAlreadyExists,
    /// `Repository.StorageQuotaExceeded`
    RepositoryStorageQuotaExceeded,
    /// `Repository.PathPermissionDenied`
    RepositoryPathPermissionDenied,
    /// `MandatoryFeatureUnsupported`
    MandatoryFeatureUnsupported,
    /// `NoManifestError`
    NoManifestError,
    /// `UnsupportedManifestError`
    UnsupportedManifestError,
    /// `Archive.AlreadyExists`
    ArchiveAlreadyExists,
    /// `Archive.DoesNotExist`
    ArchiveDoesNotExist,
    /// `Archive.IncompatibleFilesystemEncodingError`
    ArchiveIncompatibleFilesystemEncodingError,
    /// `KeyfileInvalidError`
    KeyfileInvalidError,
    /// `KeyfileMismatchError`
    KeyfileMismatchError,
    /// `KeyfileNotFoundError`
    KeyfileNotFoundError,
    /// `NotABorgKeyFile`
    NotABorgKeyFile,
    /// `RepoKeyNotFoundError`
    RepoKeyNotFoundError,
    /// `RepoIdMismatch`
    RepoIdMismatch,
    /// `UnencryptedRepo`
    UnencryptedRepo,
    /// `UnknownKeyType`
    UnknownKeyType,
    /// `UnsupportedPayloadError`
    UnsupportedPayloadError,
    /// `NoPassphraseFailure`
    NoPassphraseFailure,
    /// `PasscommandFailure`
    PasscommandFailure,
    /// `PassphraseWrong`
    PassphraseWrong,
    /// `PasswordRetriesExceeded`
    PasswordRetriesExceeded,
    /// `Cache.CacheInitAbortedError`
    CacheCacheInitAbortedError,
    /// `Cache.EncryptionMethodMismatch`
    CacheEncryptionMethodMismatch,
    /// `Cache.RepositoryAccessAborted`
    CacheRepositoryAccessAborted,
    /// `Cache.RepositoryIDNotUnique`
    CacheRepositoryIDNotUnique,
    /// `Cache.RepositoryReplay`
    CacheRepositoryReplay,
    /// `LockError`
    LockError,
    /// `LockErrorT`
    LockErrorT,
    /// `LockFailed`
    LockFailed,
    /// `LockTimeout`
    LockTimeout,
    /// `NotLocked`
    NotLocked,
    /// `NotMyLock`
    NotMyLock,
    /// `ConnectionClosed`
    ConnectionClosed,
    /// `ConnectionClosedWithHint`
    ConnectionClosedWithHint,
    /// `InvalidRPCMethod`
    InvalidRPCMethod,
    /// `PathNotAllowed`
    PathNotAllowed,
    /// `RemoteRepository.RPCServerOutdated`
    RemoteRepositoryRPCServerOutdated,
    /// `UnexpectedRPCDataFormatFromClient`
    UnexpectedRPCDataFormatFromClient,
    /// `UnexpectedRPCDataFormatFromServer`
    UnexpectedRPCDataFormatFromServer,
    /// `ConnectionBrokenWithHint`
    ConnectionBrokenWithHint,
    /// `IntegrityError`
    IntegrityError,
    /// `FileIntegrityError`
    FileIntegrityError,
    /// `DecompressionError`
    DecompressionError,
    /// `ArchiveTAMInvalid`
    ArchiveTAMInvalid,
    /// `ArchiveTAMRequiredError`
    ArchiveTAMRequiredError,
    /// `TAMInvalid`
    TAMInvalid,
    /// `TAMRequiredError`
    TAMRequiredError,
    /// `TAMUnsupportedSuiteError`
    TAMUnsupportedSuiteError,
    /// `BackupError`
    BackupError,
    /// `BackupRaceConditionError`
    BackupRaceConditionError,
    /// `BackupOSError`
    BackupOSError,
    /// `BackupPermissionError`
    BackupPermissionError,
    /// `BackupIOError`
    BackupIOError,
    /// `BackupFileNotFoundError`
    BackupFileNotFoundError,
    /// `BackupSymlinkParentError`
    BackupSymlinkParentError,
    /// `BackupPathTraversalError`
    BackupPathTraversalError,
    /// `BackupHardlinkSourceError`
    BackupHardlinkSourceError,
    /// `BackupWarning`
    BackupWarning,
    /// `FileChangedWarning`
    FileChangedWarning,
    /// `IncludePatternNeverMatchedWarning`
    IncludePatternNeverMatchedWarning,
    /// `ImmutablePassphraseError`
    ImmutablePassphraseError,
    /// `ChunksIndexError`
    ChunksIndexError,
    /// An exception stock Borg does not expect: "Local Exception", traceback, code 2.
    Exception,
}

const fn error(
    kind: ErrorKind,
    class: &'static str,
    message: &'static str,
    modern_code: u8,
    traceback: bool,
) -> ErrorRow {
    ErrorRow {
        kind,
        class,
        message,
        modern_code,
        traceback,
        warning: false,
    }
}

const fn warning(
    kind: ErrorKind,
    class: &'static str,
    message: &'static str,
    modern_code: u8,
) -> ErrorRow {
    ErrorRow {
        kind,
        class,
        message,
        modern_code,
        traceback: false,
        warning: true,
    }
}

/// The table, in the order of [`ErrorKind`].
#[rustfmt::skip] // A row a line: it is a table.
pub const ERROR_ROWS: &[ErrorRow] = &[
    error(ErrorKind::BufferMemoryLimitExceeded, "Buffer.MemoryLimitExceeded", "Requested buffer size {} is above the limit of {}.", 2, false),
    error(ErrorKind::EfficientCollectionQueueSizeUnderflow, "EfficientCollectionQueue.SizeUnderflow", "Could not pop_front the first {} elements; collection only has {} elements.", 2, false),
    error(ErrorKind::Error, "Error", "Error: {}", 2, false),
    error(ErrorKind::ErrorWithTraceback, "ErrorWithTraceback", "Error: {}", 2, true),
    error(ErrorKind::RTError, "RTError", "Runtime Error: {}", 2, false),
    error(ErrorKind::CancelledByUser, "CancelledByUser", "Cancelled by user.", 3, false),
    error(ErrorKind::CommandError, "CommandError", "Command Error: {}", 4, false),
    error(ErrorKind::PlaceholderError, "PlaceholderError", "Formatting Error: \"{}\".format({}): {}({})", 5, false),
    error(ErrorKind::InvalidPlaceholder, "InvalidPlaceholder", "Invalid placeholder \"{}\" in string: {}", 6, false),
    error(ErrorKind::RepositoryAlreadyExists, "Repository.AlreadyExists", "A repository already exists at {}.", 10, false),
    error(ErrorKind::RepositoryAtticRepository, "Repository.AtticRepository", "Attic repository detected. Please run \"borg upgrade {}\".", 11, false),
    error(ErrorKind::RepositoryCheckNeeded, "Repository.CheckNeeded", "Inconsistency detected. Please run \"borg check {}\".", 12, true),
    error(ErrorKind::RepositoryDoesNotExist, "Repository.DoesNotExist", "Repository {} does not exist.", 13, false),
    error(ErrorKind::RepositoryInsufficientFreeSpaceError, "Repository.InsufficientFreeSpaceError", "Insufficient free space to complete transaction (required: {}, available: {}).", 14, false),
    error(ErrorKind::RepositoryInvalidRepository, "Repository.InvalidRepository", "{} is not a valid repository. Check repo config.", 15, false),
    error(ErrorKind::RepositoryInvalidRepositoryConfig, "Repository.InvalidRepositoryConfig", "{} does not have a valid configuration. Check repo config [{}].", 16, false),
    error(ErrorKind::RepositoryObjectNotFound, "Repository.ObjectNotFound", "Object with key {} not found in repository {}.", 17, true),
    error(ErrorKind::RepositoryParentPathDoesNotExist, "Repository.ParentPathDoesNotExist", "The parent path of the repo directory [{}] does not exist.", 18, false),
    error(ErrorKind::RepositoryPathAlreadyExists, "Repository.PathAlreadyExists", "There is already something at {}.", 19, false),
    error(ErrorKind::RepositoryStorageQuotaExceeded, "Repository.StorageQuotaExceeded", "The storage quota ({}) has been exceeded ({}). Try deleting some archives.", 20, false),
    error(ErrorKind::RepositoryPathPermissionDenied, "Repository.PathPermissionDenied", "Permission denied to {}.", 21, false),
    error(ErrorKind::MandatoryFeatureUnsupported, "MandatoryFeatureUnsupported", "Unsupported repository feature(s) {}. A newer version of Borg is required to access this repository.", 25, false),
    error(ErrorKind::NoManifestError, "NoManifestError", "Repository has no manifest.", 26, false),
    error(ErrorKind::UnsupportedManifestError, "UnsupportedManifestError", "Unsupported manifest envelope. A newer version is required to access this repository.", 27, false),
    error(ErrorKind::ArchiveAlreadyExists, "Archive.AlreadyExists", "Archive {} already exists", 30, false),
    error(ErrorKind::ArchiveDoesNotExist, "Archive.DoesNotExist", "Archive {} does not exist", 31, false),
    error(ErrorKind::ArchiveIncompatibleFilesystemEncodingError, "Archive.IncompatibleFilesystemEncodingError", "Failed to encode filename \"{}\" into file system encoding \"{}\". Consider configuring the LANG environment variable.", 32, false),
    error(ErrorKind::KeyfileInvalidError, "KeyfileInvalidError", "Invalid key data for repository {} found in {}.", 40, false),
    error(ErrorKind::KeyfileMismatchError, "KeyfileMismatchError", "Mismatch between repository {} and key file {}.", 41, false),
    error(ErrorKind::KeyfileNotFoundError, "KeyfileNotFoundError", "No key file for repository {} found in {}.", 42, false),
    error(ErrorKind::NotABorgKeyFile, "NotABorgKeyFile", "This file is not a Borg key backup, aborting.", 43, false),
    error(ErrorKind::RepoKeyNotFoundError, "RepoKeyNotFoundError", "No key entry found in the config of repository {}.", 44, false),
    error(ErrorKind::RepoIdMismatch, "RepoIdMismatch", "This key backup seems to be for a different backup repository, aborting.", 45, false),
    error(ErrorKind::UnencryptedRepo, "UnencryptedRepo", "Key management not available for unencrypted repositories.", 46, false),
    error(ErrorKind::UnknownKeyType, "UnknownKeyType", "Key type {0} is unknown.", 47, false),
    error(ErrorKind::UnsupportedPayloadError, "UnsupportedPayloadError", "Unsupported payload type {}. A newer version is required to access this repository.", 48, false),
    error(ErrorKind::NoPassphraseFailure, "NoPassphraseFailure", "Cannot acquire a passphrase: {}", 50, false),
    error(ErrorKind::PasscommandFailure, "PasscommandFailure", "Passcommand supplied in BORG_PASSCOMMAND failed: {}", 51, false),
    error(ErrorKind::PassphraseWrong, "PassphraseWrong", "Passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND, or via BORG_PASSPHRASE_FD is incorrect.", 52, false),
    error(ErrorKind::PasswordRetriesExceeded, "PasswordRetriesExceeded", "Exceeded the maximum password retries.", 53, false),
    error(ErrorKind::CacheCacheInitAbortedError, "Cache.CacheInitAbortedError", "Cache initialization aborted", 60, false),
    error(ErrorKind::CacheEncryptionMethodMismatch, "Cache.EncryptionMethodMismatch", "Repository encryption method changed since last access, refusing to continue", 61, false),
    error(ErrorKind::CacheRepositoryAccessAborted, "Cache.RepositoryAccessAborted", "Repository access aborted", 62, false),
    error(ErrorKind::CacheRepositoryIDNotUnique, "Cache.RepositoryIDNotUnique", "Cache is newer than repository - do you have multiple, independently updated repos with same ID?", 63, false),
    error(ErrorKind::CacheRepositoryReplay, "Cache.RepositoryReplay", "Cache, or information obtained from the security directory is newer than repository - this is either an attack or unsafe (multiple repos with same ID)", 64, false),
    error(ErrorKind::LockError, "LockError", "Failed to acquire the lock {}.", 70, false),
    error(ErrorKind::LockErrorT, "LockErrorT", "Failed to acquire the lock {}.", 71, true),
    error(ErrorKind::LockFailed, "LockFailed", "Failed to create/acquire the lock {} ({}).", 72, true),
    error(ErrorKind::LockTimeout, "LockTimeout", "Failed to create/acquire the lock {} (timeout).", 73, false),
    error(ErrorKind::NotLocked, "NotLocked", "Failed to release the lock {} (was not locked).", 74, true),
    error(ErrorKind::NotMyLock, "NotMyLock", "Failed to release the lock {} (was/is locked, but not by me).", 75, true),
    error(ErrorKind::ConnectionClosed, "ConnectionClosed", "Connection closed by remote host.", 80, false),
    error(ErrorKind::ConnectionClosedWithHint, "ConnectionClosedWithHint", "Connection closed by remote host. {}", 81, false),
    error(ErrorKind::InvalidRPCMethod, "InvalidRPCMethod", "RPC method {} is not valid.", 82, false),
    error(ErrorKind::PathNotAllowed, "PathNotAllowed", "Repository path not allowed: {}", 83, false),
    error(ErrorKind::RemoteRepositoryRPCServerOutdated, "RemoteRepository.RPCServerOutdated", "Borg server is too old for {}. Required version {}", 84, false),
    error(ErrorKind::UnexpectedRPCDataFormatFromClient, "UnexpectedRPCDataFormatFromClient", "Borg {}: Got unexpected RPC data format from client.", 85, false),
    error(ErrorKind::UnexpectedRPCDataFormatFromServer, "UnexpectedRPCDataFormatFromServer", "Got unexpected RPC data format from server:\n{}", 86, false),
    error(ErrorKind::ConnectionBrokenWithHint, "ConnectionBrokenWithHint", "Connection to remote host is broken. {}", 87, false),
    error(ErrorKind::IntegrityError, "IntegrityError", "Data integrity error: {}", 90, true),
    error(ErrorKind::FileIntegrityError, "FileIntegrityError", "File failed integrity check: {}", 91, true),
    error(ErrorKind::DecompressionError, "DecompressionError", "Decompression error: {}", 92, true),
    error(ErrorKind::ArchiveTAMInvalid, "ArchiveTAMInvalid", "Data integrity error: {}", 95, true),
    error(ErrorKind::ArchiveTAMRequiredError, "ArchiveTAMRequiredError", "Archive '{}' is unauthenticated, but it is required for this repository.", 96, true),
    error(ErrorKind::TAMInvalid, "TAMInvalid", "Data integrity error: {}", 97, true),
    error(ErrorKind::TAMRequiredError, "TAMRequiredError", "Manifest is unauthenticated, but it is required for this repository.", 98, true),
    error(ErrorKind::TAMUnsupportedSuiteError, "TAMUnsupportedSuiteError", "Could not verify manifest: Unsupported suite {!r}; a newer version is needed.", 99, true),
    warning(ErrorKind::BackupError, "BackupError", "{}: backup error", 102),
    warning(ErrorKind::BackupRaceConditionError, "BackupRaceConditionError", "{}: file type or inode changed while we backed it up (race condition, skipped file)", 103),
    warning(ErrorKind::BackupOSError, "BackupOSError", "{}: {}", 104),
    warning(ErrorKind::BackupPermissionError, "BackupPermissionError", "{}: {}", 105),
    warning(ErrorKind::BackupIOError, "BackupIOError", "{}: {}", 106),
    warning(ErrorKind::BackupFileNotFoundError, "BackupFileNotFoundError", "{}: {}", 107),
    warning(ErrorKind::BackupSymlinkParentError, "BackupSymlinkParentError", "{}: not extracted, a parent directory is a symlink (malicious or corrupted archive)", 108),
    warning(ErrorKind::BackupPathTraversalError, "BackupPathTraversalError", "{}: not extracted, path contains \"../\" (malicious or corrupted archive)", 109),
    warning(ErrorKind::BackupHardlinkSourceError, "BackupHardlinkSourceError", "{}: not extracted, hardlink source path is unsafe (malicious or corrupted archive)", 110),
    warning(ErrorKind::BackupWarning, "BackupWarning", "{}: {}", 1),
    warning(ErrorKind::FileChangedWarning, "FileChangedWarning", "{}: file changed while we backed it up", 100),
    warning(ErrorKind::IncludePatternNeverMatchedWarning, "IncludePatternNeverMatchedWarning", "Include pattern '{}' never matched.", 101),
    error(ErrorKind::ImmutablePassphraseError, "ImmutablePassphraseError", "The passphrase for this encryption key type can't be changed.", 2, false),
    error(ErrorKind::ChunksIndexError, "ChunksIndexError", "Chunk ID {} missing from chunks index, corrupted chunks index - aborting transaction.", 2, false),
    error(ErrorKind::Exception, "Exception", "Local Exception", 2, true),
];

impl ErrorKind {
    /// The kind's row.
    pub fn row(self) -> &'static ErrorRow {
        &ERROR_ROWS[self as usize]
    }

    /// Borg's class name: `msgid` in JSON, exception class on the wire.
    pub fn class(self) -> &'static str {
        self.row().class
    }

    /// Whether it says that stored bytes are not what they should be: Borg's `IntegrityErrorBase`.
    pub fn is_integrity(self) -> bool {
        matches!(
            self,
            Self::IntegrityError
                | Self::FileIntegrityError
                | Self::DecompressionError
                | Self::ArchiveTAMInvalid
                | Self::ArchiveTAMRequiredError
                | Self::TAMInvalid
                | Self::TAMRequiredError
                | Self::TAMUnsupportedSuiteError
        )
    }

    /// Finds the kind by Borg's class name; the outer class may be left out.
    pub fn from_class(class: &str) -> Option<Self> {
        ERROR_ROWS
            .iter()
            .find(|row| row.class == class)
            .or_else(|| {
                ERROR_ROWS
                    .iter()
                    .find(|row| row.class.rsplit('.').next() == Some(class))
            })
            .map(|row| row.kind)
    }

    /// Fills the message template's `{}`, `{0}`, `{1}` and `{!r}` fields with `arguments`, in order.
    pub fn message(self, arguments: &[&str]) -> String {
        let mut out = String::new();
        let mut next = arguments.iter();
        let mut rest = self.row().message;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((field, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            let argument = field
                .parse::<usize>()
                .map_or_else(|_| next.next(), |n| arguments.get(n));
            let argument = argument.copied().unwrap_or_default();
            if field == "!r" {
                out.push('\'');
                out.push_str(argument);
                out.push('\'');
            } else {
                out.push_str(argument);
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_row() {
        for row in ERROR_ROWS {
            assert_eq!(row.kind.row(), row);
            assert_eq!(
                ErrorKind::from_class(row.class),
                Some(row.kind),
                "{}",
                row.class
            );
        }
        assert_eq!(ERROR_ROWS.len(), ErrorKind::Exception as usize + 1);
    }

    #[test]
    fn the_table_is_the_one_captured_from_stock_borg() {
        let text = include_str!("../../../testdata/errors.json");
        let captured: serde_json::Value = serde_json::from_str(text).expect("the capture is JSON");
        let mut count = 0;
        for section in ["errors", "backup_errors_reported_as_warnings", "warnings"] {
            for entry in captured[section].as_array().expect("a list") {
                let class = entry["class"].as_str().expect("a name");
                let row = ErrorKind::from_class(class).expect(class).row();
                assert_eq!(row.message, entry["message"], "{class}");
                assert_eq!(
                    u64::from(row.modern_code),
                    entry["exit_mcode"].as_u64().expect("a code"),
                    "{class}"
                );
                assert_eq!(
                    row.traceback,
                    entry.get("traceback").is_some_and(|t| t == true),
                    "{class}"
                );
                assert_eq!(row.warning, section != "errors", "{class}");
                count += 1;
            }
        }
        assert!(count > 70);
    }

    #[test]
    fn message_templates_are_filled_in_order() {
        assert_eq!(
            ErrorKind::RepositoryObjectNotFound.message(&["ab", "/r"]),
            "Object with key ab not found in repository /r."
        );
        assert_eq!(
            ErrorKind::LockTimeout.message(&["/l"]),
            "Failed to create/acquire the lock /l (timeout)."
        );
    }
}
