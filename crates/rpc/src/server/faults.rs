//! What went wrong, as stock Borg's server says it: class, arguments, texts.
//!
//! Source: Borg 1.4, `RepositoryServer.serve`, `repository.py`; `docs/rpc.md`.

use std::path::{Path, PathBuf};

use ironborg_repository::RepositoryError;
use ironborg_storage::StorageError;
use ironborg_types::{ErrorKind, text};
use std::os::unix::ffi::OsStrExt;

use crate::message::{BadCall, Fault};

/// Why a call could not be answered.
#[derive(Debug)]
pub(super) enum CallError {
    /// The repository says so.
    Repository(RepositoryError),
    /// This client may not have the repository.
    PathNotAllowed(PathBuf),
    /// It asks for nothing there is.
    Call(BadCall),
    /// No repository is open for a method that needs one.
    NotOpen(&'static str),
    /// A value cannot be used.
    Value(String),
    /// A listing cannot go on behind an object that is not stored.
    NoMarker,
    /// A client tests what it makes of errors.
    Injected(Injected),
}

/// An error a client asked for.
#[derive(Debug)]
pub(super) enum Injected {
    /// One of Borg's.
    Kind(ErrorKind, &'static [&'static str]),
    /// A division by zero.
    Division,
}

impl From<RepositoryError> for CallError {
    fn from(error: RepositoryError) -> Self {
        Self::Repository(error)
    }
}

/// What is told about an error.
pub(super) struct Told {
    /// What the client gets, without the system information.
    pub(super) fault: Fault,
    /// For the log of a client that gets no text.
    pub(super) log: String,
    /// Whether it is no more than the client has to expect.
    pub(super) is_expected: bool,
}

impl CallError {
    /// The error as stock Borg has it.
    pub(super) fn told(&self) -> Told {
        match self {
            Self::Repository(error) => repository_error(error),
            Self::PathNotAllowed(path) => borg(ErrorKind::PathNotAllowed, vec![bytes(path)]),
            Self::Call(BadCall::Method(method)) => {
                borg(ErrorKind::InvalidRPCMethod, vec![method.clone()])
            }
            Self::Call(BadCall::Parameter { method, reason }) => {
                python("TypeError", None, format!("{method}() {reason}"), None)
            }
            Self::NotOpen(method) => {
                let text = format!("'NoneType' object has no attribute '{method}'");
                python("AttributeError", None, text, None)
            }
            Self::NoMarker => {
                let text = "marker not found".to_owned();
                python("KeyError", None, text, Some("'marker not found'"))
            }
            Self::Value(text) => python("ValueError", None, text.clone(), None),
            Self::Injected(Injected::Kind(kind, args)) => borg(
                *kind,
                args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            ),
            Self::Injected(Injected::Division) => {
                let text = "integer division or modulo by zero".to_owned();
                python("ZeroDivisionError", None, text, None)
            }
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// One of Borg's own errors.
fn borg(kind: ErrorKind, args: Vec<Vec<u8>>) -> Told {
    let words: Vec<_> = args.iter().map(|arg| text::display(arg)).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    borg_with(kind, kind.message(&words), args)
}

/// The same with a message that is whole already.
fn borg_with(kind: ErrorKind, message: String, args: Vec<Vec<u8>>) -> Told {
    let class = kind.class();
    // Its name on the wire is without that of the class around it.
    let name = class.rsplit('.').next().unwrap_or(class);
    let is_expected = matches!(
        kind,
        ErrorKind::RepositoryInvalidRepository
            | ErrorKind::RepositoryInvalidRepositoryConfig
            | ErrorKind::RepositoryDoesNotExist
            | ErrorKind::RepositoryAlreadyExists
            | ErrorKind::RepositoryPathAlreadyExists
            | ErrorKind::PathNotAllowed
            | ErrorKind::RepositoryInsufficientFreeSpaceError
            | ErrorKind::RepositoryStorageQuotaExceeded
    );
    let shown = message.clone().into_bytes();
    Told {
        fault: Fault {
            class: name.as_bytes().to_vec(),
            args: Some(args),
            full: vec![shown.clone()],
            short: vec![shown],
            trace: kind.row().traceback,
            ..Fault::default()
        },
        log: message,
        is_expected,
    }
}

/// An exception stock Borg does not expect; `shown` is its text if that is not its one argument.
fn python(class: &str, errno: Option<i64>, arg: String, shown: Option<&str>) -> Told {
    let line = format!("{class}: {}", shown.unwrap_or(&arg));
    Told {
        fault: Fault {
            class: class.as_bytes().to_vec(),
            errno,
            args: Some(vec![arg.into_bytes()]),
            full: vec![line.clone().into_bytes()],
            short: vec![format!("{line}\n").into_bytes()],
            trace: true,
            ..Fault::default()
        },
        log: format!("{class} Exception in RPC call"),
        is_expected: false,
    }
}

fn repository_error(error: &RepositoryError) -> Told {
    use RepositoryError as E;
    let message = error.to_string();
    let own = |args| borg_with(error.kind(), message.clone(), args);
    let unexpected = |class: &str| python(class, None, message.clone(), None);
    match error {
        E::AlreadyExists { path }
        | E::AtticRepository { path }
        | E::DoesNotExist { path }
        | E::InvalidRepository { path }
        | E::ParentPathDoesNotExist { path }
        | E::PathAlreadyExists { path }
        | E::PathPermissionDenied { path }
        | E::LockTimeout { path }
        | E::NotLocked { path }
        | E::NotMyLock { path } => own(vec![bytes(path)]),
        E::CheckNeeded { what } => own(vec![what.clone().into_bytes()]),
        E::InsufficientFreeSpace {
            required: first,
            available: second,
        }
        | E::StorageQuotaExceeded {
            quota: first,
            used: second,
        } => own(vec![
            first.clone().into_bytes(),
            second.clone().into_bytes(),
        ]),
        E::InvalidConfig { path, reason } | E::LockFailed { path, reason } => {
            own(vec![bytes(path), reason.clone().into_bytes()])
        }
        E::ObjectNotFound { id, location } => own(vec![
            id.to_string().into_bytes(),
            location.clone().into_bytes(),
        ]),
        E::BadEntry { .. } | E::ObjectTooLarge { .. } | E::InvalidNonceFile { .. } => {
            own(vec![argument(error.kind(), &message)])
        }
        E::Interrupted | E::MirrorRefused { .. } => own(vec![argument(error.kind(), &message)]),
        // Stock Borg goes on with such a transaction. Its clients show this one whole.
        E::TransactionDoomed { .. } => borg(ErrorKind::Error, vec![message.clone().into_bytes()]),
        E::AppendOnly { .. } | E::MalformedConfig { .. } | E::UnknownHintsVersion { .. } => {
            unexpected("ValueError")
        }
        E::NotExclusive { .. } | E::CheckRefused { .. } => unexpected("AssertionError"),
        E::NonceMismatch => unexpected("Exception"),
        E::Storage(error) => storage_error(error),
        E::Foreign(error) => unexpected(&error.class),
        E::Remote { kind, .. } => borg_with(*kind, message.clone(), vec![message.clone().into()]),
    }
}

/// The argument of a kind whose message begins with its own words and ends with it.
fn argument(kind: ErrorKind, message: &str) -> Vec<u8> {
    let own = kind.row().message;
    let own = own.strip_suffix("{}").unwrap_or(own);
    message
        .strip_prefix(own)
        .unwrap_or(message)
        .as_bytes()
        .to_vec()
}

/// An error of the operating system under the name Python has for it.
fn storage_error(error: &StorageError) -> Told {
    let Some(errno) = error.source_io().raw_os_error() else {
        return python("OSError", None, error.to_string(), None);
    };
    let class = match errno {
        libc::ENOENT => "FileNotFoundError",
        libc::EEXIST => "FileExistsError",
        libc::EACCES | libc::EPERM => "PermissionError",
        libc::EISDIR => "IsADirectoryError",
        libc::ENOTDIR => "NotADirectoryError",
        libc::EINTR => "InterruptedError",
        libc::EAGAIN => "BlockingIOError",
        libc::ETIMEDOUT => "TimeoutError",
        libc::EPIPE => "BrokenPipeError",
        _ => "OSError",
    };
    python(
        class,
        Some(i64::from(errno)),
        error.reason(),
        Some(&error.to_string()),
    )
}
