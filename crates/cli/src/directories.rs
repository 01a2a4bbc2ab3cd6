//! Where configuration, keys, security records and caches are kept.
//!
//! Source: Borg 1.4, `helpers/fs.py`. The directories are only named here; who writes creates them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::environment::DirectoryVariables;
use crate::sys::{self, UserEntry};

/// The directories of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directories {
    /// `CONFIG`
    pub(crate) config: PathBuf,
    /// `CACHE`
    pub(crate) cache: PathBuf,
    /// Key files.
    pub(crate) keys: PathBuf,
    /// Security records, a directory for each repository.
    pub(crate) security: PathBuf,
    /// Where Attic kept key files.
    pub(crate) attic_keys: PathBuf,
    /// Where Borg kept them before 1.0.
    pub(crate) old_keys: PathBuf,
    /// Where `backup` keeps its repository when nobody names one.
    pub(crate) data: PathBuf,
    /// `BORG_KEY_FILE`, absolute.
    pub(crate) key_file: Option<PathBuf>,
}

impl Directories {
    /// Resolves the variables; looks into the user database where they are not enough.
    pub(crate) fn resolve(variables: &DirectoryVariables, cwd: &Path) -> Self {
        Self::resolve_with(
            variables,
            cwd,
            sys::user_by_id,
            sys::user_by_name,
            sys::effective_uid(),
        )
    }

    fn resolve_with(
        variables: &DirectoryVariables,
        cwd: &Path,
        by_id: impl Fn(u32) -> Option<UserEntry>,
        by_name: impl Fn(&OsStr) -> Option<UserEntry>,
        uid: u32,
    ) -> Self {
        let base = base_directory(variables, cwd, by_id, by_name, uid);
        let home_of = |own: &Option<PathBuf>, xdg: &Option<PathBuf>, default: &str| {
            own.clone().unwrap_or_else(|| {
                let xdg = xdg.clone().filter(|_| variables.base.is_none());
                xdg.unwrap_or_else(|| base.join(default)).join("borg")
            })
        };
        let config = home_of(&variables.config, &variables.xdg_config, ".config");
        let cache = home_of(&variables.cache, &variables.xdg_cache, ".cache");
        let data = variables
            .xdg_data
            .clone()
            .filter(|_| variables.base.is_none());
        Self {
            keys: variables
                .keys
                .clone()
                .unwrap_or_else(|| config.join("keys")),
            security: variables
                .security
                .clone()
                .unwrap_or_else(|| config.join("security")),
            attic_keys: variables
                .attic_keys
                .clone()
                .unwrap_or_else(|| base.join(".attic/keys")),
            old_keys: variables
                .keys
                .clone()
                .unwrap_or_else(|| base.join(".borg/keys")),
            data: data
                .unwrap_or_else(|| base.join(".local/share"))
                .join("ironborg"),
            key_file: variables.key_file.as_ref().map(|path| cwd.join(path)),
            config,
            cache,
        }
    }

    /// The directory of key files, absolute; empty if it has no name: the current directory is not meant.
    pub(crate) fn keys_in(&self, cwd: &[u8]) -> PathBuf {
        if self.keys.as_os_str().is_empty() {
            return PathBuf::new();
        }
        Path::new(OsStr::from_bytes(cwd)).join(&self.keys)
    }
}

/// The directory the others are below of unless told otherwise.
pub(crate) fn base(variables: &DirectoryVariables, cwd: &Path) -> PathBuf {
    base_directory(
        variables,
        cwd,
        sys::user_by_id,
        sys::user_by_name,
        sys::effective_uid(),
    )
}

fn base_directory(
    variables: &DirectoryVariables,
    cwd: &Path,
    by_id: impl Fn(u32) -> Option<UserEntry>,
    by_name: impl Fn(&OsStr) -> Option<UserEntry>,
    uid: u32,
) -> PathBuf {
    if let Some(base) = &variables.base {
        return base.clone();
    }
    if let Some(home) = &variables.home {
        // Mount helpers run for a user with root's HOME: the user's own directory is meant then.
        let is_roots =
            uid != 0 && by_id(0).is_some_and(|root| cwd.join(&root.home) == cwd.join(home));
        if !is_roots {
            return home.clone();
        }
        if let Some(user) = by_id(uid) {
            return user.home;
        }
    }
    if let Some(user) = &variables.user {
        // An unknown user stays as written, as Python's expanduser leaves it.
        return by_name(user).map_or_else(
            || {
                let mut literal = std::ffi::OsString::from("~");
                literal.push(user);
                PathBuf::from(literal)
            },
            |user| user.home,
        );
    }
    by_id(uid).map_or_else(|| PathBuf::from("~"), |user| user.home)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, home: &str) -> UserEntry {
        UserEntry {
            name: name.into(),
            home: home.into(),
            uid: 1000,
            gid: 1000,
        }
    }

    fn resolve(variables: &DirectoryVariables, uid: u32) -> Directories {
        Directories::resolve_with(
            variables,
            Path::new("/cwd"),
            |id| match id {
                0 => Some(user("root", "/root")),
                1000 => Some(user("me", "/home/me")),
                _ => None,
            },
            |name| (name == "me").then(|| user("me", "/home/me")),
            uid,
        )
    }

    #[test]
    fn the_base_directory_switches_the_xdg_variables_off() {
        let variables = DirectoryVariables {
            base: Some("/base".into()),
            xdg_config: Some("/xdg".into()),
            xdg_cache: Some("/xdg".into()),
            ..Default::default()
        };
        let directories = resolve(&variables, 0);
        assert_eq!(directories.config, Path::new("/base/.config/borg"));
        assert_eq!(directories.cache, Path::new("/base/.cache/borg"));
        assert_eq!(
            directories.security,
            Path::new("/base/.config/borg/security")
        );
    }

    #[test]
    fn roots_home_is_not_used_by_others() {
        let variables = DirectoryVariables {
            home: Some("/root/".into()),
            ..Default::default()
        };
        assert_eq!(
            resolve(&variables, 1000).config,
            Path::new("/home/me/.config/borg")
        );
        assert_eq!(
            resolve(&variables, 0).config,
            Path::new("/root/.config/borg")
        );
    }

    #[test]
    fn without_a_home_the_user_database_decides() {
        let variables = DirectoryVariables {
            user: Some("me".into()),
            ..Default::default()
        };
        assert_eq!(
            resolve(&variables, 0).cache,
            Path::new("/home/me/.cache/borg")
        );
        assert_eq!(
            resolve(&DirectoryVariables::default(), 0).cache,
            Path::new("/root/.cache/borg")
        );
    }
}
