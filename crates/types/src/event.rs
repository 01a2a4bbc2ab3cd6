//! What happens, as values: every message, list line and progress step travels upwards through one [`Reporter`].

use std::borrow::Cow;
use std::time::Duration;

use crate::error_kind::ErrorKind;
use crate::finding::{Finding, RepairChange};
use crate::text::BytePath;

/// Importance of a log message, as Python's logging names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers.
    Debug,
    /// What is being done.
    Info,
    /// Something is not as it should be; work goes on.
    Warning,
    /// The operation failed.
    Error,
    /// The program is in trouble.
    Critical,
}

/// Warnings that make the exit code non-zero; the code is in the row of the [`ErrorKind`].
pub type WarningKind = ErrorKind;

/// Figures of an archive being made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveProgress<'a> {
    /// Bytes of file content read or known from the files cache.
    pub original_size: u64,
    /// Their stored size, with repetitions.
    pub compressed_size: u64,
    /// Stored size of what was new to the repository.
    pub deduplicated_size: u64,
    /// Regular files.
    pub nfiles: u64,
    /// The path being processed.
    pub path: &'a [u8],
}

/// Somebody who has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Identifies the machine.
    pub host: String,
    /// Process id on it.
    pub pid: u64,
    /// It is this machine.
    pub is_local: bool,
    /// Keeps everybody else out.
    pub exclusive: bool,
    /// For how long, if that can be told.
    pub age: Option<Duration>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A log record. Does not influence the exit code.
    Log {
        /// Importance.
        level: Level,
        /// Dotted logger name as stock Borg has it, such as `borg.repository`.
        logger: &'static str,
        /// The text; may hold several lines.
        message: Cow<'a, str>,
        /// Class name of the error or warning it is about.
        msgid: Option<&'static str>,
    },
    /// A warning: logged at WARNING by `borg.archiver` with the kind's class name as `msgid`, and
    /// remembered for the exit code.
    Warning {
        /// Decides `msgid` and exit code.
        kind: WarningKind,
        /// The whole message, as shown.
        message: Cow<'a, str>,
    },
    /// There is no archive of a name; what there is, for a suggestion.
    NoSuchArchive {
        /// The name.
        name: &'a [u8],
        /// The names there are.
        known: &'a [BytePath],
    },
    /// Others have a lock that is wanted.
    LockHeld {
        /// Where the lock is.
        lock: Cow<'a, str>,
        /// Those who have it.
        holders: &'a [LockHolder],
        /// It is not waited for any longer.
        given_up: bool,
    },
    /// `X path` of `create --list` (logger `borg.output.list`, JSON `file_status`).
    FileStatus {
        /// Status letter.
        status: char,
        /// Path as walked.
        path: &'a [u8],
    },
    /// A line of `--list` that is not a file status (extract, delete): logger `borg.output.list`.
    List(Cow<'a, str>),
    /// Figures for `create --progress` (rate limiting is the printer's business).
    ArchiveProgress(ArchiveProgress<'a>),
    /// The end of an archive's progress.
    ArchiveProgressEnd,
    /// A progress operation begins.
    ProgressStart {
        /// Which operation, such as `extract`; docs/compat.md lists them.
        msgid: &'static str,
    },
    /// A step of a counted operation; the printer decides which steps are shown.
    ProgressPercent {
        /// Which operation.
        msgid: &'static str,
        /// Steps (bytes, archives, segments) done, this one included.
        current: u64,
        /// Steps in all.
        total: u64,
        /// Text as shown.
        message: Cow<'a, str>,
        /// What `info` holds in JSON.
        info: Option<Vec<Cow<'a, str>>>,
    },
    /// Something that a check has found; also a log record.
    Finding(&'a Finding),
    /// Something that a repair changes, or would change.
    RepairChange(&'a RepairChange),
    /// A log record of a server. Does not influence the exit code.
    RemoteLog {
        /// Importance.
        level: Level,
        /// Dotted name of the server's logger.
        logger: &'a str,
        /// The text, with the word that says where it comes from.
        message: Cow<'a, str>,
        /// The record as one JSON object, from servers that send such.
        record: Option<&'a str>,
    },
    /// A step of an operation on a server.
    RemoteProgress {
        /// The text as shown, if there is one.
        message: Option<Cow<'a, str>>,
        /// The step as one JSON object.
        record: &'a str,
    },
    /// A line of a server that is no record, with its end.
    RemoteLine(Cow<'a, str>),
    /// A step of an operation without a count.
    ProgressMessage {
        /// Which operation.
        msgid: &'static str,
        /// Text as shown.
        message: Cow<'a, str>,
    },
    /// A progress operation ends.
    ProgressEnd {
        /// Which operation.
        msgid: &'static str,
    },
}

impl<'a> Event<'a> {
    /// A log record without `msgid`.
    pub fn log(level: Level, logger: &'static str, message: impl Into<Cow<'a, str>>) -> Self {
        Self::Log {
            level,
            logger,
            message: message.into(),
            msgid: None,
        }
    }
}

/// Receives events; implemented by the command line (text or JSON) and by tests.
pub trait Reporter: Send + Sync {
    /// Takes note of one event. Called from any thread; must not block for long.
    fn report(&self, event: Event<'_>);

    /// Whether progress events are wanted at all: senders may skip making them.
    fn wants_progress(&self) -> bool {
        false
    }

    /// Whether list lines (file status, extract and delete lists) are wanted at all.
    fn wants_list(&self) -> bool {
        false
    }
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullReporter;

impl Reporter for NullReporter {
    fn report(&self, _: Event<'_>) {}
}
