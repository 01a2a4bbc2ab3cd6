//! The database of a job: what ran when and how it ended, and what is remembered from one run to the next.
//!
//! One file for each job, `history.sqlite` in its directory. It is written at the beginning and at the end of a run and
//! when somebody was told something; a rollback journal makes each of that whole or nothing, whenever the power goes. (A
//! write-ahead log would save two syncs a run, but could not be read from a directory that one may not write to.)
//!
//! A backup never fails because of its history: a database that is damaged is set aside and begun anew, one that cannot
//! be used at all is replaced by one in memory.

mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_source::named_file;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, limits::Limit};

use crate::report::Figures;

/// Name of the database in the directory of a job.
pub const FILE_NAME: &str = "history.sqlite";
/// Runs of one repository that are kept.
pub const RUN_COUNT_MAX: u32 = 400;
/// Runs of one repository whose logs are kept.
pub const LOG_COUNT_MAX: u32 = 30;
/// Most that is kept of a log: its end.
pub const LOG_LEN_MAX: usize = 64 * 1024;
/// A value longer than this is not read: we never write one.
const VALUE_LEN_MAX: i32 = 4 << 20;
/// How long it is waited for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All went well.
    Success,
    /// There is an archive, and something to be looked at.
    Warning,
    /// It failed.
    Failure,
    /// Somebody has ended it.
    Interrupted,
    /// It ended without a word: killed, or the power went.
    Killed,
    /// It was not begun: its conditions were not met in time.
    Unmet,
    /// It was not begun: the device of its repository is not there.
    Absent,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Warning,
        Self::Failure,
        Self::Interrupted,
        Self::Killed,
        Self::Unmet,
        Self::Absent,
    ];

    /// As it is recorded and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Unmet => "unmet",
            Self::Absent => "absent",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether there is a backup.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Warning)
    }

    /// Whether anything was begun at all.
    pub fn was_begun(self) -> bool {
        !matches!(self, Self::Unmet | Self::Absent)
    }
}

/// Names a run within its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(i64);

/// What is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Which one.
    pub id: RunId,
    /// The label of the repository.
    pub target: String,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended, if that was noticed.
    pub ended: Option<Timestamp>,
    /// How; nothing: it runs, or ran when its process ended without a word.
    pub outcome: Option<Outcome>,
    /// Borg's exit code.
    pub code: Option<u8>,
    /// The class of the error.
    pub msgid: Option<String>,
    /// The error, or why it was not begun.
    pub message: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it did.
    pub figures: Figures,
    /// The end of its log, as far as that is kept.
    pub log: String,
}

/// How a run has ended, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Borg's exit code.
    pub code: u8,
    /// The class of the error.
    pub msgid: Option<String>,
    /// The error, or why it was not begun.
    pub message: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it did.
    pub figures: Figures,
    /// The end of its log.
    pub log: String,
    /// The steps of all attempts.
    pub steps: Vec<StepEnd>,
}

/// A step that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEnd {
    /// In which attempt, from 1.
    pub attempt: u32,
    /// Its name.
    pub name: String,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Borg's exit code.
    pub code: u8,
    /// The class of the error.
    pub msgid: Option<String>,
    /// The error.
    pub message: Option<String>,
    /// What it did.
    pub figures: Figures,
}

/// Why something is not recorded, or not known.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A newer program has changed its layout.
    #[error("{} was written by a newer version of this program (layout {version})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout.
        version: i64,
    },
    /// It is no file that could be opened safely.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// What should be the database.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot {op} {}: {source}", path.display())]
    Database {
        /// What was to be done.
        op: &'static str,
        /// The database.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
}

impl HistoryError {
    /// Whether the file is no database, or not a whole one.
    fn is_damage(&self) -> bool {
        let Self::Database { source, .. } = self else {
            return false;
        };
        let code = source.sqlite_error_code();
        let damaged = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        // A table that is missing, or a value of another type, is not what we have written either.
        code.is_some_and(|code| damaged.contains(&code))
            || matches!(
                source,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::QueryReturnedNoRows
            )
            || source.to_string().contains("no such")
    }
}

/// The database of one job.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
}

/// A history, and what was wrong with the one that was there.
#[derive(Debug)]
pub struct Opened {
    /// It works.
    pub history: History,
    /// What people should know: the old one was set aside, or nothing will be remembered.
    pub complaint: Option<String>,
}

impl History {
    /// Opens or makes the one in the directory of a job, which must exist, to be written to.
    ///
    /// Never fails: see [`Opened::complaint`]. The caller holds the job's lock.
    pub fn open(directory: &Path) -> Opened {
        let path = database(directory);
        let complaint = match Self::open_whole(&path) {
            Ok(history) => {
                return Opened {
                    history,
                    complaint: None,
                };
            }
            Err(error) if error.is_damage() => match set_aside(&path) {
                Ok(aside) => match Self::open_whole(&path) {
                    Ok(history) => {
                        let aside = aside.display();
                        let complaint =
                            format!("{error}; it was set aside as {aside} and begun anew");
                        return Opened {
                            history,
                            complaint: Some(complaint),
                        };
                    }
                    Err(second) => second.to_string(),
                },
                Err(second) => format!("{error}; {second}"),
            },
            Err(error) => error.to_string(),
        };
        Opened {
            history: Self::in_memory(),
            complaint: Some(format!("{complaint}; nothing of this run is recorded")),
        }
    }

    /// Opens what is there, for looking at it; `None` if there is nothing. It may belong to somebody else, and be on a
    /// file system that cannot be written to.
    pub fn open_to_read(directory: &Path) -> Result<Option<Self>, HistoryError> {
        let path = database(directory);
        if !named_file::exists(&path) {
            return Ok(None);
        }
        refuse_other_than_file(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let history = Self::connect(&path, flags)?;
        match history.version() {
            Ok(version) => history.refuse_newer(version)?,
            // A crash has left a journal, and we may not undo what it says. What is there is good enough to be shown.
            Err(error) if !error.is_damage() => return Self::open_as_it_is(&path).map(Some),
            Err(error) => return Err(error),
        }
        Ok(Some(history))
    }

    /// One that is gone with the process.
    pub fn in_memory() -> Self {
        let connection = Connection::open_in_memory().expect("memory is there");
        let mut history = Self {
            connection,
            path: PathBuf::from(FILE_NAME),
        };
        history.migrate().expect("a new database takes any layout");
        history
    }

    /// Opens it and looks through all of it.
    fn open_whole(path: &Path) -> Result<Self, HistoryError> {
        if named_file::exists(path) {
            refuse_other_than_file(path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut history = Self::connect(path, flags)?;
        // Emptying the journal instead of removing it needs no sync of the directory.
        history.pragma("PRAGMA journal_mode = TRUNCATE")?;
        history.pragma("PRAGMA synchronous = NORMAL")?;
        history.pragma("PRAGMA foreign_keys = ON")?;
        let version = history.version()?;
        history.refuse_newer(version)?;
        history.check()?;
        history.migrate()?;
        history.runs(None, 1)?;
        Ok(history)
    }

    /// Opens it as one that nobody changes meanwhile.
    fn open_as_it_is(path: &Path) -> Result<Self, HistoryError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let history = Self::connect_as(path, immutable_uri(path), flags)?;
        let version = history.version()?;
        history.refuse_newer(version)?;
        Ok(history)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, HistoryError> {
        Self::connect_as(path, path, flags)
    }

    fn connect_as(
        path: &Path,
        name: impl AsRef<Path>,
        flags: OpenFlags,
    ) -> Result<Self, HistoryError> {
        let connect = || {
            let connection = Connection::open_with_flags(name, flags)?;
            connection.busy_timeout(BUSY_LIMIT)?;
            // It may be another user's: what it says is data, whatever it contains.
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_LEN_MAX)?;
            connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")?;
            Ok(connection)
        };
        let connection = connect().map_err(|source| failed("open", path, source))?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// Says something that may answer with a row or none.
    fn pragma(&self, text: &str) -> Result<(), HistoryError> {
        let said = self.connection.query_row(text, [], |_| Ok(()));
        match said {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(source) => Err(self.failed("open", source)),
        }
    }

    /// Looks through all of it. It is small: logs of old runs are not kept.
    fn check(&self) -> Result<(), HistoryError> {
        let found: Result<String, _> =
            self.connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        let damage = |text: String| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            rusqlite::Error::SqliteFailure(code, Some(text))
        };
        match found {
            Ok(answer) if answer == "ok" => Ok(()),
            Ok(answer) => Err(self.failed("read", damage(answer))),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    fn failed(&self, op: &'static str, source: rusqlite::Error) -> HistoryError {
        failed(op, &self.path, source)
    }
}

fn failed(op: &'static str, path: &Path, source: rusqlite::Error) -> HistoryError {
    let path = path.to_owned();
    HistoryError::Database { op, path, source }
}

/// The database of a job's directory. SQLite, told to follow no link, means those on the way there as well.
fn database(directory: &Path) -> PathBuf {
    let resolved = named_file::resolved_directory(directory);
    resolved
        .unwrap_or_else(|_| directory.to_owned())
        .join(FILE_NAME)
}

/// A pipe in its place would keep whoever opens it waiting for ever.
fn refuse_other_than_file(path: &Path) -> Result<(), HistoryError> {
    if named_file::is_regular_file(path) {
        return Ok(());
    }
    let path = path.to_owned();
    Err(HistoryError::NotAFile { path })
}

/// Gives a damaged database another name, and what belongs to it.
fn set_aside(path: &Path) -> Result<PathBuf, named_file::NamedFileError> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = beside(".damaged");
    named_file::rename(path, &aside)?;
    // The journal is of no use to the new one, and would be taken for its own.
    named_file::remove(&beside("-journal"))?;
    Ok(aside)
}

/// A path as a URI of SQLite's.
fn immutable_uri(path: &Path) -> PathBuf {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a text takes whatever is written");
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}
