//! Every class of error Borg has: where ours comes from, what it says and how the program exits.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ironborg_archive::ArchiveError;
use ironborg_archive::client::PassphraseError;
use ironborg_cache::CacheError;
use ironborg_crypto::CryptoError;
use ironborg_object::ObjectError;
use ironborg_object::error::DecompressionFailure;
use ironborg_repository::RepositoryError;
use ironborg_source::{ErrorFile, SourceError};
use ironborg_types::error_kind::ERROR_ROWS;
use ironborg_types::{ChunkId, ErrorKind};
use regex::Regex;

use super::{Cause, CliError};
use crate::exit::ExitCodes;

/// Classes nothing here raises.
const NEVER_RAISED: &[(ErrorKind, &str)] = &[
    // Of stock Borg's own machinery.
    (
        ErrorKind::BufferMemoryLimitExceeded,
        "sizes are bounded by the formats instead",
    ),
    (
        ErrorKind::EfficientCollectionQueueSizeUnderflow,
        "an inner check of a buffer of its connections",
    ),
    (ErrorKind::LockError, BASE),
    (ErrorKind::LockErrorT, BASE),
    (
        ErrorKind::ArchiveIncompatibleFilesystemEncodingError,
        "file names are bytes here, whatever the locale",
    ),
    (
        ErrorKind::ChunksIndexError,
        "references are counted from the archives themselves, so that none can be missing",
    ),
    (
        ErrorKind::UnknownKeyType,
        "defined by stock Borg, but raised nowhere",
    ),
    (
        ErrorKind::ImmutablePassphraseError,
        "stock Borg opens a repository in passphrase mode as one with a repokey, which it then does not find",
    ),
];
const BASE: &str = "others are derived from it; it is not raised itself";

/// Names of the kinds that code other than tests and the table itself mentions.
fn mentioned(dir: &Path, mention: &Regex, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            mentioned(&path, mention, found);
        }
        let is_code = path.is_file() && path.extension().is_some_and(|end| end == "rs");
        if is_code && name != "tests.rs" && name != "error_kind.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let kinds = mention.captures_iter(code);
            found.extend(kinds.map(|kind| kind[1].to_owned()));
        }
    }
}

#[test]
fn every_class_is_raised_or_accounted_for() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mention = Regex::new(r"ErrorKind::(\w+)").unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(crates).unwrap() {
        let sources = entry.unwrap().path().join("src");
        if sources.is_dir() {
            mentioned(&sources, &mention, &mut found);
        }
    }
    for row in ERROR_ROWS {
        let raised = found.contains(&format!("{:?}", row.kind));
        let reason = NEVER_RAISED.iter().find(|(kind, _)| *kind == row.kind);
        assert_ne!(raised, reason.is_some(), "{}: {reason:?}", row.class);
    }
}

/// An error as it arrives here, its class, and what fills the class's message.
type Case = (ArchiveError, ErrorKind, &'static [&'static str]);

fn repository_errors() -> Vec<Case> {
    use RepositoryError as E;
    let path = || "/r".into();
    let text = |text: &str| text.to_owned();
    let id = ChunkId::MANIFEST;
    let zeros: &'static [&'static str] = &[
        "0000000000000000000000000000000000000000000000000000000000000000",
        "/r",
    ];
    let cases: Vec<(E, ErrorKind, &'static [&'static str])> = vec![
        (
            E::AlreadyExists { path: path() },
            ErrorKind::RepositoryAlreadyExists,
            &["/r"],
        ),
        (
            E::AtticRepository { path: path() },
            ErrorKind::RepositoryAtticRepository,
            &["/r"],
        ),
        (
            E::CheckNeeded { what: text("/r") },
            ErrorKind::RepositoryCheckNeeded,
            &["/r"],
        ),
        (
            E::DoesNotExist { path: path() },
            ErrorKind::RepositoryDoesNotExist,
            &["/r"],
        ),
        (
            E::InsufficientFreeSpace {
                required: text("2 kB"),
                available: text("1 kB"),
            },
            ErrorKind::RepositoryInsufficientFreeSpaceError,
            &["2 kB", "1 kB"],
        ),
        (
            E::InvalidRepository { path: path() },
            ErrorKind::RepositoryInvalidRepository,
            &["/r"],
        ),
        (
            E::InvalidConfig {
                path: path(),
                reason: text("why"),
            },
            ErrorKind::RepositoryInvalidRepositoryConfig,
            &["/r", "why"],
        ),
        (
            E::ObjectNotFound {
                id,
                location: text("/r"),
            },
            ErrorKind::RepositoryObjectNotFound,
            zeros,
        ),
        (
            E::ParentPathDoesNotExist { path: path() },
            ErrorKind::RepositoryParentPathDoesNotExist,
            &["/r"],
        ),
        (
            E::PathAlreadyExists { path: path() },
            ErrorKind::RepositoryPathAlreadyExists,
            &["/r"],
        ),
        (
            E::PathPermissionDenied { path: path() },
            ErrorKind::RepositoryPathPermissionDenied,
            &["/r"],
        ),
        (
            E::StorageQuotaExceeded {
                quota: text("1 kB"),
                used: text("2 kB"),
            },
            ErrorKind::RepositoryStorageQuotaExceeded,
            &["1 kB", "2 kB"],
        ),
        (
            E::LockFailed {
                path: path(),
                reason: text("why"),
            },
            ErrorKind::LockFailed,
            &["/r", "why"],
        ),
        (
            E::LockTimeout { path: path() },
            ErrorKind::LockTimeout,
            &["/r"],
        ),
        (E::NotLocked { path: path() }, ErrorKind::NotLocked, &["/r"]),
        (E::NotMyLock { path: path() }, ErrorKind::NotMyLock, &["/r"]),
        (
            E::ObjectTooLarge { len: 2, max: 1 },
            ErrorKind::IntegrityError,
            &["More than allowed put data [2 > 1]"],
        ),
        (
            E::InvalidNonceFile {
                reason: text("why"),
            },
            ErrorKind::Error,
            &["Repository has an invalid nonce file: why"],
        ),
    ];
    cases
        .into_iter()
        .map(|(error, kind, values)| (error.into(), kind, values))
        .collect()
}

fn key_errors() -> Vec<Case> {
    use ArchiveError as E;
    use CryptoError as C;
    let (location, file) = (|| "/r".to_owned(), || "/k".to_owned());
    let asked = |kind: ErrorKind| {
        let message = kind.message(&["why"]);
        E::from(PassphraseError { kind, message })
    };
    vec![
        (
            E::KeyfileInvalid {
                location: location(),
                file: file(),
            },
            ErrorKind::KeyfileInvalidError,
            &["/r", "/k"],
        ),
        (
            E::KeyfileMismatch {
                location: location(),
                file: file(),
            },
            ErrorKind::KeyfileMismatchError,
            &["/r", "/k"],
        ),
        (
            E::KeyfileNotFound {
                location: location(),
                keys_dir: "/k".into(),
            },
            ErrorKind::KeyfileNotFoundError,
            &["/r", "/k"],
        ),
        (E::NotAKeyBackup, ErrorKind::NotABorgKeyFile, &[]),
        (
            E::RepoKeyNotFound {
                location: location(),
            },
            ErrorKind::RepoKeyNotFoundError,
            &["/r"],
        ),
        (E::KeyOfOther, ErrorKind::RepoIdMismatch, &[]),
        (E::Unencrypted, ErrorKind::UnencryptedRepo, &[]),
        (E::PassphraseWrong, ErrorKind::PassphraseWrong, &[]),
        (
            E::PasswordRetriesExceeded,
            ErrorKind::PasswordRetriesExceeded,
            &[],
        ),
        (
            asked(ErrorKind::NoPassphraseFailure),
            ErrorKind::NoPassphraseFailure,
            &["why"],
        ),
        (
            asked(ErrorKind::PasscommandFailure),
            ErrorKind::PasscommandFailure,
            &["why"],
        ),
        (
            C::UnsupportedPayload(9).into(),
            ErrorKind::UnsupportedPayloadError,
            &["9"],
        ),
        (
            C::UnsupportedManifest.into(),
            ErrorKind::UnsupportedManifestError,
            &[],
        ),
        (C::TamRequired.into(), ErrorKind::TAMRequiredError, &[]),
        (
            C::TamInvalid.into(),
            ErrorKind::TAMInvalid,
            &["Manifest authentication did not verify"],
        ),
        (
            C::ArchiveTamRequired {
                archive: "a".to_owned(),
            }
            .into(),
            ErrorKind::ArchiveTAMRequiredError,
            &["a"],
        ),
        (
            C::ArchiveTamInvalid.into(),
            ErrorKind::ArchiveTAMInvalid,
            &["Archive authentication did not verify"],
        ),
        (
            ObjectError::Decompression(DecompressionFailure::Lz4).into(),
            ErrorKind::DecompressionError,
            &["lz4 decompress failed"],
        ),
    ]
}

fn archive_errors() -> Vec<Case> {
    use ArchiveError as E;
    vec![
        (E::NoManifest, ErrorKind::NoManifestError, &[]),
        (
            E::UnsupportedManifest,
            ErrorKind::UnsupportedManifestError,
            &[],
        ),
        (
            E::MandatoryFeature {
                features: "['x']".to_owned(),
            },
            ErrorKind::MandatoryFeatureUnsupported,
            &["['x']"],
        ),
        (
            E::AlreadyExists { name: "a".into() },
            ErrorKind::ArchiveAlreadyExists,
            &["a"],
        ),
        (
            E::DoesNotExist { name: "a".into() },
            ErrorKind::ArchiveDoesNotExist,
            &["a"],
        ),
        (
            CacheError::InitAborted.into(),
            ErrorKind::CacheCacheInitAbortedError,
            &[],
        ),
        (
            CacheError::EncryptionMethodMismatch.into(),
            ErrorKind::CacheEncryptionMethodMismatch,
            &[],
        ),
        (
            CacheError::RepositoryAccessAborted.into(),
            ErrorKind::CacheRepositoryAccessAborted,
            &[],
        ),
        (
            CacheError::RepositoryIdNotUnique.into(),
            ErrorKind::CacheRepositoryIDNotUnique,
            &[],
        ),
        (
            CacheError::RepositoryReplay.into(),
            ErrorKind::CacheRepositoryReplay,
            &[],
        ),
        (E::Cancelled, ErrorKind::CancelledByUser, &[]),
        (E::Interrupted, ErrorKind::Error, &["Got Ctrl-C / SIGINT."]),
        (
            E::Command {
                message: "x".to_owned(),
            },
            ErrorKind::CommandError,
            &["x"],
        ),
    ]
}

#[test]
fn errors_have_their_classes_words_and_codes() {
    let cases = [repository_errors(), key_errors(), archive_errors()];
    for (error, kind, values) in cases.into_iter().flatten() {
        let shown = CliError::from(error);
        assert_eq!(shown.cause, Cause::Kind(kind), "{shown}");
        assert_eq!(shown.message, kind.message(values));
        assert_eq!(shown.msgid(), Some(kind.class()));
        assert_eq!(shown.shows_traceback(), kind.row().traceback);
        assert_eq!(shown.exit_code(ExitCodes::Legacy), 2, "{shown}");
        assert_eq!(
            shown.exit_code(ExitCodes::Modern),
            kind.row().modern_code,
            "{shown}"
        );
    }
}

#[test]
fn warnings_have_their_classes_words_and_codes() {
    let os = |errno| SourceError::Os {
        op: "open",
        errno,
        file: ErrorFile::None,
    };
    let path = || "a".into();
    for (error, kind, code) in [
        (
            SourceError::Race { what: "x" },
            ErrorKind::BackupRaceConditionError,
            103,
        ),
        (os(40), ErrorKind::BackupOSError, 104),
        (os(13), ErrorKind::BackupPermissionError, 105),
        (os(5), ErrorKind::BackupIOError, 106),
        (os(2), ErrorKind::BackupFileNotFoundError, 107),
        (
            SourceError::SymlinkParent { path: path() },
            ErrorKind::BackupSymlinkParentError,
            108,
        ),
        (
            SourceError::PathTraversal { path: path() },
            ErrorKind::BackupPathTraversalError,
            109,
        ),
        (
            SourceError::HardlinkSource { path: path() },
            ErrorKind::BackupHardlinkSourceError,
            110,
        ),
    ] {
        assert_eq!(error.kind(), kind);
        assert_eq!(
            error.warning(b"a"),
            kind.message(&["a", &error.to_string()])
        );
        assert_eq!(ExitCodes::Legacy.warning(kind), 1, "{error}");
        assert_eq!(ExitCodes::Modern.warning(kind), code, "{error}");
    }
}
