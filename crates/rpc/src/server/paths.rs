//! Which repository a client's path means, and whether the client may have it.
//!
//! A path is resolved once, symlinks and all, and what was looked at is what is opened. Whoever may change
//! directories above a repository while it is being opened can still put something else in its place; a client of this
//! server cannot, as all it can make are files inside of repositories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_storage::{StorageError, normal_path, real_path};

use super::faults::CallError;
use super::{Host, ServerOptions};

/// Resolves paths for one client.
pub(super) struct Paths<'a> {
    pub(super) options: &'a ServerOptions,
    pub(super) host: &'a dyn Host,
}

impl Paths<'_> {
    /// The real path of the repository a client names, if it may have it.
    ///
    /// What is refused is refused with the path as it is written: where its symlinks lead, which users there are
    /// and what exists is none of the client's business.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<PathBuf, CallError> {
        if path.contains(&0) {
            return Err(CallError::Value("embedded null byte".to_owned()));
        }
        let real = self.real(&self.absolute(path));
        if !self.is_restricted() {
            return real.map_err(|error| CallError::Repository(error.into()));
        }
        match real {
            Ok(real) if self.is_allowed(&real) => Ok(real),
            _ => Err(CallError::PathNotAllowed(self.shown(path))),
        }
    }

    /// The path that is meant; where there are no symlinks every path means itself.
    fn real(&self, path: &Path) -> Result<PathBuf, StorageError> {
        match self.host.elsewhere() {
            Some(_) => Ok(normal_path(path)),
            None => real_path(path),
        }
    }

    /// Where relative paths begin.
    fn root(&self) -> &Path {
        match self.host.elsewhere() {
            Some(_) => Path::new("/"),
            None => &self.options.cwd,
        }
    }

    fn is_restricted(&self) -> bool {
        !self.options.restrict_to_paths.is_empty()
            || !self.options.restrict_to_repositories.is_empty()
    }

    fn is_allowed(&self, path: &Path) -> bool {
        let (paths, repositories) = (
            &self.options.restrict_to_paths,
            &self.options.restrict_to_repositories,
        );
        (paths.is_empty() || self.any(paths, |allowed| path.starts_with(allowed)))
            && (repositories.is_empty() || self.any(repositories, |allowed| path == allowed))
    }

    fn any(&self, allowed: &[PathBuf], fits: impl Fn(&Path) -> bool) -> bool {
        allowed.iter().any(|allowed| {
            let real = self.real(&self.root().join(allowed));
            real.is_ok_and(|allowed| fits(&allowed))
        })
    }

    /// The path a client means, absolute, as it is written.
    ///
    /// Source: Borg 1.4, `RepositoryServer._resolve_path`.
    fn absolute(&self, path: &[u8]) -> PathBuf {
        let is_elsewhere = self.host.elsewhere().is_some();
        let in_base = |rest: &[u8]| {
            let base = if is_elsewhere {
                PathBuf::new()
            } else {
                self.host.base_directory()
            };
            base.join(OsStr::from_bytes(rest))
        };
        let meant = match path {
            // A location with a host and a slash always begins with one.
            [b'/', b'~', b'/', rest @ ..] | [b'~', b'/', rest @ ..] => in_base(rest),
            // Elsewhere nobody is at home.
            [b'/', b'~', rest @ ..] | [b'~', rest @ ..] if !is_elsewhere => self.in_home(rest),
            [b'/', b'.', b'/', rest @ ..] => PathBuf::from(OsStr::from_bytes(rest)),
            path => PathBuf::from(OsStr::from_bytes(path)),
        };
        self.root().join(meant)
    }

    /// `rest`: the user's name, then what is below the home directory.
    fn in_home(&self, rest: &[u8]) -> PathBuf {
        let end = rest.iter().position(|byte| *byte == b'/');
        let (user, below) = rest.split_at(end.unwrap_or(rest.len()));
        let user = (!user.is_empty()).then(|| OsStr::from_bytes(user));
        match self.host.home(user) {
            Some(home) => {
                let begin = below.iter().position(|byte| *byte != b'/');
                let below = &below[begin.unwrap_or(below.len())..];
                home.join(OsStr::from_bytes(below))
            }
            // An unknown user's is a name like any other.
            None => PathBuf::from(OsStr::from_bytes(&[b"~", rest].concat())),
        }
    }

    /// The path as a refusal shows it.
    fn shown(&self, path: &[u8]) -> PathBuf {
        let names_user = match path {
            [b'/', b'~', next, ..] | [b'~', next, ..] => *next != b'/',
            _ => false,
        };
        if names_user {
            return PathBuf::from(OsStr::from_bytes(path));
        }
        normal_path(&self.absolute(path))
    }
}
