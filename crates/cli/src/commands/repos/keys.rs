//! Files of keys, and which of them have lines of ours.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ironborg_source::named_file::{self, NamedFileError};
use ironborg_source::others_directory::{OthersDirectory, Owner};

use crate::error::CliError;
use crate::sys::{self, UserEntry};

/// Largest file of keys.
const LEN_MAX: usize = 64 << 20;
/// The directory in a home.
const SSH: &str = ".ssh";
/// The file in it.
const AUTHORIZED_KEYS: &str = "authorized_keys";
/// The list of files that have lines of ours, among the records.
const RECORD: &str = "repos.files";

/// A file of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeysFile {
    /// In the home of a user.
    Home(String),
    /// In a directory of root's, by the name of the user.
    Directory(PathBuf, String),
}

fn fail(path: &Path, error: &NamedFileError) -> CliError {
    if error.is_refused() {
        return CliError::generic(format!(
            "{}: it is not the user's own, no ordinary file, or others may write to it: sshd would not trust it either",
            path.display()
        ));
    }
    CliError::generic(error.to_string())
}

fn owner(user: &UserEntry) -> Owner {
    Owner {
        uid: user.uid,
        gid: user.gid,
    }
}

impl KeysFile {
    /// The one of a user.
    pub(super) fn of(user: &str, directory: Option<&Path>) -> Self {
        match directory {
            Some(directory) => Self::Directory(directory.to_path_buf(), user.to_owned()),
            None => Self::Home(user.to_owned()),
        }
    }

    fn user(&self) -> Option<UserEntry> {
        match self {
            Self::Home(user) | Self::Directory(_, user) => sys::user_by_name(OsStr::new(user)),
        }
    }

    /// Its path; `None` if it was in the home of a user that is no more.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Home(_) => Some(self.user()?.home.join(SSH).join(AUTHORIZED_KEYS)),
            Self::Directory(directory, user) => Some(directory.join(user)),
        }
    }

    /// What is in it; nothing if it is not there.
    pub(super) fn read(&self) -> Result<Vec<u8>, CliError> {
        let Some(path) = self.path() else {
            return Ok(Vec::new());
        };
        let content = match self {
            Self::Directory(..) => match named_file::read(path.as_os_str()) {
                Err(error) if error.is_not_found() => Ok(None),
                other => other.map(Some),
            },
            Self::Home(_) => match self.user() {
                Some(user) => OthersDirectory::open(&user.home, SSH, owner(&user))
                    .and_then(|ssh| ssh.map_or(Ok(None), |ssh| ssh.read(AUTHORIZED_KEYS, LEN_MAX))),
                None => Ok(None),
            },
        };
        Ok(content
            .map_err(|error| fail(&path, &error))?
            .unwrap_or_default())
    }

    /// Puts other content in its place.
    pub(super) fn replace(&self, content: &[u8]) -> Result<(), CliError> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        match (self, self.user()) {
            (Self::Directory(..), _) => named_file::replace_public(&path, content),
            (Self::Home(_), None) => Ok(()),
            (Self::Home(_), Some(user)) => {
                let open = || OthersDirectory::open(&user.home, SSH, owner(&user));
                let mut ssh = open().map_err(|error| fail(&path, &error))?;
                if ssh.is_none() {
                    // Made by the user: what is at that place when root gets there may be anything.
                    let directory = user.home.join(SSH);
                    crate::as_user::make_directory(&user, &directory).map_err(CliError::generic)?;
                    ssh = open().map_err(|error| fail(&path, &error))?;
                }
                match ssh {
                    Some(ssh) => ssh.replace(AUTHORIZED_KEYS, content),
                    None => {
                        return Err(CliError::generic(format!(
                            "{} is gone again",
                            path.display()
                        )));
                    }
                }
            }
        }
        .map_err(|error| fail(&path, &error))
    }

    fn line(&self) -> String {
        match self {
            Self::Home(user) => format!("home\t{user}\n"),
            Self::Directory(directory, user) => format!("{}\t{user}\n", directory.display()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (place, user) = line.rsplit_once('\t')?;
        Some(match place {
            "home" => Self::Home(user.to_owned()),
            directory => Self::Directory(PathBuf::from(directory), user.to_owned()),
        })
    }
}

/// The files that were given lines of ours.
pub(super) fn recorded(state: &Path) -> Result<BTreeSet<KeysFile>, CliError> {
    let path = state.join(RECORD);
    let content = match named_file::read(path.as_os_str()) {
        Err(error) if error.is_not_found() => return Ok(BTreeSet::new()),
        other => other.map_err(|error| CliError::generic(error.to_string()))?,
    };
    let content = String::from_utf8_lossy(&content);
    Ok(content.lines().filter_map(KeysFile::parse).collect())
}

/// Remembers the files that have lines of ours.
pub(super) fn record(state: &Path, files: &BTreeSet<KeysFile>) -> Result<(), CliError> {
    let content: String = files.iter().map(KeysFile::line).collect();
    named_file::make_public_directories(state)
        .and_then(|()| named_file::replace_private(&state.join(RECORD), content.as_bytes()))
        .map_err(|error| CliError::generic(error.to_string()))
}
