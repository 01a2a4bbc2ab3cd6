//! The server: answers a client, one call after the other, with the repositories of this machine.
//!
//! The client is not trusted. `connection` moves bytes and bounds what is held of them, `session` does what is
//! asked for, `paths` decides which repositories there are for this client, `faults` says what went wrong as stock
//! Borg would. The lock is given back however the session ends.
//!
//! Source: Borg 1.4, `RepositoryServer`; `docs/rpc.md`.

mod connection;
mod elsewhere;
mod faults;
mod outgoing;
mod paths;
mod session;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_repository::{LockOwner, RepositoryError};
use ironborg_types::{Interrupt, Reporter};

use crate::message::Version;
pub use elsewhere::{Elsewhere, Purpose};

/// What the server asks of the process it runs in.
pub trait Host {
    /// Where paths that begin with `~/` are below.
    fn base_directory(&self) -> PathBuf;

    /// The home directory of a user; `None` if there is no such user. Without a name, of this one.
    fn home(&self, user: Option<&OsStr>) -> Option<PathBuf>;

    /// What goes along with errors to help those who look into them; may be empty.
    fn system_information(&self) -> String;

    /// Where repositories are if they are not directories of this machine. Paths of clients are paths there then, all of
    /// them below its root.
    fn elsewhere(&self) -> Option<&dyn Elsewhere> {
        None
    }

    /// Log lines are JSON from now on: the client understands them.
    fn log_as_json(&self);
}

/// What the administrator has decided.
#[derive(Clone)]
pub struct ServerOptions {
    /// Where relative paths begin, absolute.
    pub cwd: PathBuf,
    /// Only repositories in these directories and below them are served, if there are any.
    pub restrict_to_paths: Vec<PathBuf>,
    /// Only these repositories are served, if there are any.
    pub restrict_to_repositories: Vec<PathBuf>,
    /// Existing repositories are opened for adding only.
    pub append_only: bool,
    /// Overrides the quota of repositories, in bytes; 0 is no limit.
    pub storage_quota: Option<u64>,
    /// Who holds locks.
    pub owner: LockOwner,
    /// How many threads a check may use; at least 1.
    pub threads: usize,
    /// Ends long operations early.
    pub interrupt: Option<&'static Interrupt>,
    /// Receives warnings and progress, which are for the client to see.
    pub reporter: Arc<dyn Reporter>,
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What came is no call.
    #[error("Borg {}: Got unexpected RPC data format from client.", Version::own())]
    UnexpectedFormat,
    /// Calls cannot be read any more.
    #[error("cannot read calls: {0}")]
    Input(#[source] io::Error),
    /// Replies cannot be written any more.
    #[error("cannot write replies: {0}")]
    Output(#[source] io::Error),
    /// The repository could not be closed properly.
    #[error(transparent)]
    Close(RepositoryError),
}

/// Answers the calls of `input` on `output` until the input ends.
///
/// What was not committed is forgotten then, and the lock is given back. Memory: the longest message, one object,
/// and for a listing the ids listed.
///
/// # Errors
/// [`ServeError`]; the lock has been given back all the same.
pub fn serve(
    input: impl Read,
    output: impl Write,
    options: &ServerOptions,
    host: &dyn Host,
) -> Result<(), ServeError> {
    connection::run(input, output, options, host)
}
