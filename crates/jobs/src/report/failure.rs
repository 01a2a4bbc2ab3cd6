//! What kind of failure it was, and whether another attempt may end otherwise.

use ironborg_types::ErrorKind;
use serde::{Deserialize, Serialize};

/// The `msgid` of a check that has found something.
pub const CHECK_FAILED: &str = "CheckFailed";
/// The `msgid` of a hook that has failed.
pub const HOOK_FAILED: &str = "HookFailed";

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The other host, or the way to it.
    Network,
    /// Somebody else has the repository.
    Lock,
    /// What is stored is not what it should be.
    Damage,
    /// No passphrase, or a wrong one.
    Passphrase,
    /// The key is not there, or not that of the repository.
    Key,
    /// The repository is not the one this machine knows, or nobody was there to say that it may be used.
    Refused,
    /// What was asked for makes no sense, or not here.
    Configuration,
    /// There is no room, on the disk or within the quota.
    Space,
    /// A signal has ended it.
    Interrupted,
    /// A command of the user's has failed.
    Hook,
    /// There were warnings, and they count.
    Warnings,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Whether another attempt may go well with nobody having done anything about it.
    pub fn is_worth_another_attempt(self) -> bool {
        matches!(self, Self::Network | Self::Lock)
    }
}

/// Where warnings begin that have a code of their own.
const MODERN_WARNINGS: std::ops::RangeInclusive<u8> = 100..=127;
/// Codes from here on are those of signals.
const SIGNALS: u8 = 128;

/// Whether a step that ended so has failed, and how.
pub fn failure(
    code: u8,
    msgid: Option<&str>,
    message: Option<&str>,
    fail_on_warnings: bool,
) -> Option<FailureKind> {
    let is_warning = code == 1 || MODERN_WARNINGS.contains(&code);
    match (code, msgid) {
        (0, _) => None,
        (_, None) if is_warning => fail_on_warnings.then_some(FailureKind::Warnings),
        _ => Some(classify(msgid, code, message)),
    }
}

/// The kind of a failure, by class and message of the error and by exit code. Without an error's class not much is
/// known.
pub fn classify(msgid: Option<&str>, code: u8, message: Option<&str>) -> FailureKind {
    if code >= SIGNALS {
        return FailureKind::Interrupted;
    }
    match msgid {
        Some(HOOK_FAILED) => return FailureKind::Hook,
        Some(CHECK_FAILED) => return FailureKind::Damage,
        _ => {}
    }
    // What the operating system says has no class of its own.
    if message.is_some_and(|message| message.contains("No space left on device")) {
        return FailureKind::Space;
    }
    msgid
        .and_then(ErrorKind::from_class)
        .map_or(FailureKind::Other, of_kind)
}

/// The kind of one of Borg's errors.
fn of_kind(kind: ErrorKind) -> FailureKind {
    use ErrorKind as E;
    match kind {
        E::ConnectionClosed | E::ConnectionClosedWithHint | E::ConnectionBrokenWithHint => {
            FailureKind::Network
        }
        E::LockError
        | E::LockErrorT
        | E::LockFailed
        | E::LockTimeout
        | E::NotLocked
        | E::NotMyLock => FailureKind::Lock,
        E::RepositoryCheckNeeded
        | E::RepositoryInvalidRepositoryConfig
        | E::RepositoryObjectNotFound
        | E::NoManifestError
        | E::IntegrityError
        | E::FileIntegrityError
        | E::DecompressionError
        | E::ArchiveTAMInvalid
        | E::ArchiveTAMRequiredError
        | E::TAMInvalid
        | E::TAMRequiredError
        | E::TAMUnsupportedSuiteError
        | E::ChunksIndexError => FailureKind::Damage,
        E::NoPassphraseFailure
        | E::PasscommandFailure
        | E::PassphraseWrong
        | E::PasswordRetriesExceeded => FailureKind::Passphrase,
        E::KeyfileInvalidError
        | E::KeyfileMismatchError
        | E::KeyfileNotFoundError
        | E::NotABorgKeyFile
        | E::RepoKeyNotFoundError
        | E::RepoIdMismatch
        | E::UnencryptedRepo
        | E::UnknownKeyType
        | E::UnsupportedPayloadError
        | E::ImmutablePassphraseError => FailureKind::Key,
        E::CancelledByUser
        | E::CacheCacheInitAbortedError
        | E::CacheEncryptionMethodMismatch
        | E::CacheRepositoryAccessAborted
        | E::CacheRepositoryIDNotUnique
        | E::CacheRepositoryReplay => FailureKind::Refused,
        E::CommandError
        | E::PlaceholderError
        | E::InvalidPlaceholder
        | E::RepositoryAlreadyExists
        | E::RepositoryAtticRepository
        | E::RepositoryDoesNotExist
        | E::RepositoryInvalidRepository
        | E::RepositoryParentPathDoesNotExist
        | E::RepositoryPathAlreadyExists
        | E::RepositoryPathPermissionDenied
        | E::MandatoryFeatureUnsupported
        | E::UnsupportedManifestError
        | E::ArchiveAlreadyExists
        | E::ArchiveDoesNotExist
        | E::ArchiveIncompatibleFilesystemEncodingError
        | E::InvalidRPCMethod
        | E::PathNotAllowed
        | E::RemoteRepositoryRPCServerOutdated => FailureKind::Configuration,
        E::RepositoryInsufficientFreeSpaceError | E::RepositoryStorageQuotaExceeded => {
            FailureKind::Space
        }
        E::BackupError
        | E::BackupRaceConditionError
        | E::BackupOSError
        | E::BackupPermissionError
        | E::BackupIOError
        | E::BackupFileNotFoundError
        | E::BackupSymlinkParentError
        | E::BackupPathTraversalError
        | E::BackupHardlinkSourceError
        | E::BackupWarning
        | E::FileChangedWarning
        | E::IncludePatternNeverMatchedWarning => FailureKind::Warnings,
        // What a server prints instead of answering, such as a message of its login shell, does not pass by itself.
        E::UnexpectedRPCDataFormatFromClient | E::UnexpectedRPCDataFormatFromServer => {
            FailureKind::Configuration
        }
        E::BufferMemoryLimitExceeded
        | E::EfficientCollectionQueueSizeUnderflow
        | E::Error
        | E::ErrorWithTraceback
        | E::RTError
        | E::Exception => FailureKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_types::error_kind::ERROR_ROWS;

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let mut again = Vec::new();
        for row in ERROR_ROWS {
            let code = if row.warning { 1 } else { 2 };
            let kind = classify(Some(row.class), code, Some(row.message));
            assert_eq!(
                kind == FailureKind::Warnings,
                row.warning,
                "{} is {kind:?}",
                row.class
            );
            if row.kind.is_integrity() {
                assert_eq!(kind, FailureKind::Damage, "{}", row.class);
            }
            // The scheme of codes must not matter.
            assert_eq!(classify(Some(row.class), row.modern_code, None), kind);
            if kind.is_worth_another_attempt() {
                again.push(row.class);
            }
        }
        assert_eq!(
            again,
            [
                "LockError",
                "LockErrorT",
                "LockFailed",
                "LockTimeout",
                "NotLocked",
                "NotMyLock",
                "ConnectionClosed",
                "ConnectionClosedWithHint",
                "ConnectionBrokenWithHint",
            ]
        );
    }

    #[test]
    fn codes_count_where_there_is_no_error() {
        let check = |code, msgid, fail_on_warnings, expected| {
            assert_eq!(
                failure(code, msgid, None, fail_on_warnings),
                expected,
                "{code} {msgid:?} {fail_on_warnings}"
            );
        };
        check(0, None, true, None);
        check(1, None, false, None);
        check(1, None, true, Some(FailureKind::Warnings));
        check(107, None, false, None);
        check(107, None, true, Some(FailureKind::Warnings));
        check(1, Some(CHECK_FAILED), false, Some(FailureKind::Damage));
        check(3, Some(HOOK_FAILED), false, Some(FailureKind::Hook));
        check(1, Some(HOOK_FAILED), false, Some(FailureKind::Hook));
        check(2, None, false, Some(FailureKind::Other));
        check(143, None, false, Some(FailureKind::Interrupted));
        check(
            130,
            Some("Signal.SIGINT"),
            false,
            Some(FailureKind::Interrupted),
        );
        check(
            2,
            Some("SomethingOfAServer"),
            false,
            Some(FailureKind::Other),
        );
    }

    #[test]
    fn a_full_disk_is_known_by_its_words() {
        let message = "cannot write /r/data/0/1: No space left on device (os error 28)";
        assert_eq!(
            classify(Some("Exception"), 2, Some(message)),
            FailureKind::Space
        );
    }
}
