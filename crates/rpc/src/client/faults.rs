//! A server's errors as our own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ironborg_repository::{ForeignError, RepositoryError};
use ironborg_types::{ChunkId, ErrorKind, text};

use crate::message::Fault;

/// What stands for an argument that an old server did not send.
const NOT_AVAILABLE: &[u8] = b"(not available)";

/// The error a fault stands for; `location` is the client's own text for the repository.
///
/// Source: Borg 1.4, `RemoteRepository.call_many`.
pub(super) fn error(fault: &Fault, location: &str) -> RepositoryError {
    let arg = |at: usize| -> &[u8] {
        match (&fault.args, at) {
            (Some(args), at) => args.get(at).map_or(b"", Vec::as_slice),
            (None, 0) => NOT_AVAILABLE,
            (None, _) => b"",
        }
    };
    let words = |at| text::display(arg(at)).into_owned();
    let path = |at| PathBuf::from(OsStr::from_bytes(arg(at)));
    let here = || PathBuf::from(location);
    let remote = |kind: ErrorKind, message: String| RepositoryError::Remote { kind, message };
    let told = |kind: ErrorKind| {
        remote(
            kind,
            kind.row().message.replacen("{}", &text::display(arg(0)), 1),
        )
    };
    match fault.class.as_slice() {
        b"Error" => told(ErrorKind::Error),
        b"ErrorWithTraceback" => told(ErrorKind::ErrorWithTraceback),
        b"IntegrityError" => told(ErrorKind::IntegrityError),
        b"InvalidRPCMethod" => told(ErrorKind::InvalidRPCMethod),
        b"PathNotAllowed" if fault.args.is_none() => remote(
            ErrorKind::PathNotAllowed,
            "Repository path not allowed: (unknown)".to_owned(),
        ),
        b"PathNotAllowed" => told(ErrorKind::PathNotAllowed),
        b"InvalidRepository" => RepositoryError::InvalidRepository { path: here() },
        b"DoesNotExist" => RepositoryError::DoesNotExist { path: here() },
        b"AlreadyExists" => RepositoryError::AlreadyExists { path: here() },
        b"CheckNeeded" => RepositoryError::CheckNeeded {
            what: location.to_owned(),
        },
        b"AtticRepository" => RepositoryError::AtticRepository { path: path(0) },
        b"PathPermissionDenied" => RepositoryError::PathPermissionDenied { path: path(0) },
        b"PathAlreadyExists" => RepositoryError::PathAlreadyExists { path: path(0) },
        b"ParentPathDoesNotExist" => RepositoryError::ParentPathDoesNotExist { path: path(0) },
        b"LockTimeout" => RepositoryError::LockTimeout { path: path(0) },
        b"LockFailed" => RepositoryError::LockFailed {
            path: path(0),
            reason: words(1),
        },
        b"NotLocked" => RepositoryError::NotLocked { path: path(0) },
        b"NotMyLock" => RepositoryError::NotMyLock { path: path(0) },
        b"ObjectNotFound" => match words(0).parse::<ChunkId>() {
            Ok(id) => RepositoryError::ObjectNotFound {
                id,
                location: location.to_owned(),
            },
            Err(_) => remote(
                ErrorKind::RepositoryObjectNotFound,
                format!(
                    "Object with key {} not found in repository {location}.",
                    words(0)
                ),
            ),
        },
        b"InsufficientFreeSpaceError" => RepositoryError::InsufficientFreeSpace {
            required: words(0),
            available: words(1),
        },
        b"InvalidRepositoryConfig" => RepositoryError::InvalidConfig {
            path: here(),
            reason: words(1),
        },
        b"StorageQuotaExceeded" => RepositoryError::StorageQuotaExceeded {
            quota: words(0),
            used: words(1),
        },
        _ => foreign(fault),
    }
}

/// An error without a row of its own: shown as the server does.
fn foreign(fault: &Fault) -> RepositoryError {
    let shown = |lines: &[Vec<u8>]| text::display(&lines.join(&b'\n')).into_owned();
    let class = text::display(&fault.class).into_owned();
    let short = match fault.short.as_slice() {
        [] => class.clone(),
        lines => shown(lines),
    };
    let message = match fault.full.as_slice() {
        _ if !fault.trace => short,
        [] => format!("{short}\nRemote Exception (see remote log for the traceback)"),
        lines => shown(lines),
    };
    RepositoryError::Foreign(Box::new(ForeignError {
        class,
        message,
        traceback: fault.trace,
        system: text::display(&fault.sysinfo).into_owned(),
    }))
}
