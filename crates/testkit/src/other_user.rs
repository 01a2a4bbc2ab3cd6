//! A user who is not root: what most people are.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::{Home, Invocation, Program, Scratch};

/// Debian's `nobody` and `nogroup`: in every list of users, owner of nothing.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// An ordinary user with a home and a copy of our program, called `borg`.
///
/// Where the tests themselves do not run as root, it is whoever runs them.
#[derive(Debug)]
pub struct OtherUser {
    home: Home,
    borg: PathBuf,
    ids: Option<(u32, u32)>,
}

impl OtherUser {
    /// A home and a program in the scratch directory, which becomes open to everyone.
    ///
    /// # Panics
    /// When there is no room for a copy of the program.
    pub fn new(scratch: &Scratch, home: &Home) -> Self {
        let root = rustix::process::geteuid().is_root();
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(scratch.path(), open).expect("our own directory");
        let base = scratch.dir("other user");
        // Programs of the workspace may be below a directory that is closed to others.
        let borg = base.join("borg");
        let program = Program::Ours.path();
        fs::hard_link(program, &borg)
            .or_else(|_| fs::copy(program, &borg).map(drop))
            .expect("room for a copy of the program");
        let user = Self {
            home: home.based_at(&base),
            borg,
            ids: root.then_some(NOBODY),
        };
        user.give(&base);
        user
    }

    /// Its machine.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Our program, where this user may start it.
    pub fn borg(&self) -> &Path {
        &self.borg
    }

    /// Makes a file or directory this user's own.
    ///
    /// # Panics
    /// When it is not there.
    pub fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.ids {
            chown(path, Some(uid), Some(gid)).expect("something of our own");
        }
    }

    /// A new directory of this user's.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.home.base().join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.give(&path);
        path
    }

    /// A run of ours as this user, being prepared.
    pub fn invocation<I, S>(&self, args: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.tool(&self.borg, args)
    }

    /// A run of some other program as this user, being prepared.
    pub fn tool<I, S>(&self, program: &Path, args: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let invocation = self.home.tool(program, args).dir(self.home.base());
        match self.ids {
            Some((uid, gid)) => invocation.as_user(uid, gid),
            None => invocation,
        }
    }
}
