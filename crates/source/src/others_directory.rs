//! Directories and files of somebody else, kept by root without being led astray.
//!
//! Whoever owns a directory may put symlinks, pipes or other people's files into it at any moment. So a directory is
//! opened once and everything is done in what was opened; nothing is followed, nothing is read that is not its owner's,
//! and nothing is given to anybody that was not made here.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use crate::named_file::{self, NamedFileError};

/// Bits of permissions that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// The bit that lets others add to a directory, but not take away.
const STICKY: u32 = 0o1000;
/// All bits of permissions.
const PERMISSIONS: u32 = 0o7777;

/// Somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Number.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// A directory of somebody's.
#[derive(Debug)]
pub struct OthersDirectory {
    directory: OwnedFd,
    path: PathBuf,
    owner: Owner,
}

fn is_trusted(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl OthersDirectory {
    /// Opens the directory `name` in a directory of its owner's; `None` if there is none.
    ///
    /// # Errors
    /// It is somebody else's, no directory, or others may write to it: sshd would not trust it either.
    pub fn open(above: &Path, name: &str, owner: Owner) -> Result<Option<Self>, NamedFileError> {
        let path = above.join(name);
        let fail = |errno| NamedFileError::new(errno, path.as_os_str());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let outer = match rustix::fs::open(above, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(fail)?,
        };
        let opened = rustix::fs::openat(&outer, name, flags | OFlags::NOFOLLOW, Mode::empty());
        let directory = match opened {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(fail)?,
        };
        let stat = rustix::fs::fstat(&directory).map_err(fail)?;
        let is_own = stat.st_uid == owner.uid || stat.st_uid == 0;
        if !is_own || stat.st_mode & OTHERS_WRITE != 0 {
            return Err(fail(Errno::PERM));
        }
        Ok(Some(Self {
            directory,
            path,
            owner,
        }))
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// It is not a file of the owner's, or longer than `len_max`.
    pub fn read(&self, name: &str, len_max: usize) -> Result<Option<Vec<u8>>, NamedFileError> {
        let path = self.path.join(name);
        let fail = |errno| NamedFileError::new(errno, path.as_os_str());
        // A pipe would not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = rustix::fs::openat(
            &self.directory,
            name,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let file = match opened {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(fail)?,
        };
        let stat = rustix::fs::fstat(&file).map_err(fail)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // A second name of a file of root's could have been given to it by anybody.
        let is_own = stat.st_uid == self.owner.uid || (stat.st_uid == 0 && stat.st_nlink == 1);
        if !is_file || !is_own {
            return Err(fail(Errno::PERM));
        }
        if usize::try_from(stat.st_size).is_ok_and(|len| len > len_max) {
            return Err(fail(Errno::FBIG));
        }
        named_file::read_descriptor(file.as_fd())
            .map(Some)
            .map_err(fail)
    }

    /// Puts a file in the place of another, or where there was none: the owner's, private, durable, and at any time
    /// the old or the new one, whole.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<(), NamedFileError> {
        let path = self.path.join(name);
        let fail = |errno| NamedFileError::new(errno, path.as_os_str());
        let staged = format!(".{name}.ironborg");
        let directory = &self.directory;
        match rustix::fs::unlinkat(directory, staged.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(directory, staged.as_str(), flags | OFlags::CLOEXEC, mode)
            .map_err(fail)?;
        named_file::write_all(&file, content).map_err(fail)?;
        give(&file, self.owner).map_err(fail)?;
        rustix::fs::fchmod(&file, mode).map_err(fail)?;
        rustix::fs::fsync(&file).map_err(fail)?;
        rustix::fs::renameat(directory, staged.as_str(), directory, name).map_err(fail)?;
        rustix::fs::fsync(directory).map_err(fail)
    }
}

fn give(file: impl AsFd, owner: Owner) -> Result<(), Errno> {
    rustix::fs::fchown(
        file,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
    )
}

/// What there is where a directory of somebody's is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A directory of his.
    His,
    /// A directory of somebody else's.
    Others {
        /// Whose.
        uid: u32,
        /// Whether there is nothing in it.
        empty: bool,
    },
    /// No directory.
    NoDirectory,
}

/// Looks what is at a path.
///
/// # Errors
/// The system does not let it be looked at.
pub fn look(path: &Path, uid: u32) -> Result<Found, NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) if rustix::fs::lstat(path).is_ok() => return Ok(Found::NoDirectory),
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(errno) => return Err(fail(errno)),
    };
    if !is_directory(&stat) {
        return Ok(Found::NoDirectory);
    }
    if stat.st_uid == uid {
        return Ok(Found::His);
    }
    let empty = named_file::is_empty_directory(path)? == Some(true);
    Ok(Found::Others {
        uid: stat.st_uid,
        empty,
    })
}

/// Whether nobody but root and who runs this can change where a path leads, above its last component.
///
/// Each directory on the way has to be theirs, and each symlink; a directory where anybody may add something is good
/// enough for what is in it and theirs.
pub fn is_guarded(path: &Path) -> bool {
    let Some(above) = path.parent() else {
        return false;
    };
    let no_others_write = |stat: &Stat| {
        !is_directory(stat) || stat.st_mode & OTHERS_WRITE == 0 || stat.st_mode & STICKY != 0
    };
    let is_theirs = |path: &Path| match rustix::fs::lstat(path) {
        Ok(stat) => is_trusted(&stat) && no_others_write(&stat),
        Err(Errno::NOENT) => true,
        Err(_) => false,
    };
    let existing = above.ancestors().find(|path| named_file::exists(path));
    let Some(existing) = existing else {
        return false;
    };
    let Ok(real) = named_file::resolved_directory(existing) else {
        return false;
    };
    above.ancestors().all(is_theirs) && real.ancestors().all(is_theirs)
}

/// Makes a directory for somebody, with these permissions whatever the umask, or gives him an empty one that is there.
/// Directories above it that are missing are for everybody to pass.
///
/// # Errors
/// Where it leads is not [guarded](is_guarded): who owns the way there could have anything given to him. It is there,
/// somebody else's and not empty.
pub fn make_for(path: &Path, permissions: u32, owner: Owner) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let (above, name) = path
        .parent()
        .zip(path.file_name())
        .ok_or(fail(Errno::INVAL))?;
    if !is_guarded(path) {
        return Err(fail(Errno::PERM));
    }
    named_file::make_public_directories(above)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::open(above, flags, Mode::empty()).map_err(fail)?;
    match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(fail(errno)),
    }
    let made = rustix::fs::openat(&above, name, flags | OFlags::NOFOLLOW, Mode::empty());
    let made = made.map_err(fail)?;
    let stat = rustix::fs::fstat(&made).map_err(fail)?;
    if stat.st_uid == owner.uid && stat.st_gid == owner.gid {
        return set_permissions(&made, &stat, permissions).map_err(fail);
    }
    let mut entries = rustix::fs::Dir::read_from(&made).map_err(fail)?;
    let is_dots = |name: &OsStr| name == "." || name == "..";
    let has_more = entries.any(|entry| {
        use std::os::unix::ffi::OsStrExt;
        entry.is_ok_and(|entry| !is_dots(OsStr::from_bytes(entry.file_name().to_bytes())))
    });
    if has_more && stat.st_uid != owner.uid {
        return Err(fail(Errno::NOTEMPTY));
    }
    give(&made, owner).map_err(fail)?;
    set_permissions(&made, &stat, permissions).map_err(fail)
}

fn set_permissions(directory: &OwnedFd, stat: &Stat, permissions: u32) -> Result<(), Errno> {
    if stat.st_mode & PERMISSIONS == permissions {
        return Ok(());
    }
    rustix::fs::fchmod(directory, Mode::from_raw_mode(permissions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn myself() -> Owner {
        Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_in_the_directory_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OthersDirectory::open(dir.path(), "keys", myself());
        assert!(open().unwrap().is_none());
        fs::create_dir(dir.path().join("keys")).unwrap();
        let keys = open().unwrap().unwrap();
        assert_eq!(keys.read("file", 10).unwrap(), None);
        keys.replace("file", b"one").unwrap();
        keys.replace("file", b"two").unwrap();
        assert_eq!(keys.read("file", 10).unwrap(), Some(b"two".to_vec()));
        assert!(keys.read("file", 2).is_err(), "too long");
        assert_eq!(mode(&dir.path().join("keys/file")), 0o600);
        assert_eq!(
            named_file::names_in(&dir.path().join("keys")).unwrap(),
            ["file"]
        );
    }

    #[test]
    fn nothing_that_leads_elsewhere_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("secrets")).unwrap();
        fs::write(path("secrets/file"), "secret").unwrap();
        symlink("secrets", path("link")).unwrap();
        assert!(OthersDirectory::open(dir.path(), "link", myself()).is_err());
        fs::create_dir(path("keys")).unwrap();
        symlink("../secrets/file", path("keys/file")).unwrap();
        let keys = OthersDirectory::open(dir.path(), "keys", myself())
            .unwrap()
            .unwrap();
        assert!(keys.read("file", 10).is_err());
        // What was staged by somebody else is not written through either.
        symlink("../secrets/file", path("keys/.file.ironborg")).unwrap();
        keys.replace("file", b"new").unwrap();
        assert_eq!(fs::read(path("secrets/file")).unwrap(), b"secret");
        assert_eq!(fs::read(path("keys/file")).unwrap(), b"new");
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(OthersDirectory::open(dir.path(), "keys", myself()).is_err());
    }

    #[test]
    fn a_directory_is_made_for_somebody_where_nobody_else_decides_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("a/b/repo");
        make_for(&wanted, 0o700, myself()).unwrap();
        make_for(&wanted, 0o700, myself()).unwrap();
        assert_eq!(mode(&wanted), 0o700);
        assert_eq!(mode(wanted.parent().unwrap()) & 0o055, 0o055);
        assert_eq!(look(&wanted, myself().uid).unwrap(), Found::His);
        assert_eq!(look(&dir.path().join("no"), 0).unwrap(), Found::Nothing);
        let open = dir.path().join("a");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_for(&open.join("c"), 0o700, myself()).is_err());
        symlink(&open, dir.path().join("way")).unwrap();
        assert!(make_for(&dir.path().join("way/c"), 0o700, myself()).is_err());
    }

    #[test]
    fn root_gives_away_what_is_empty_only() {
        if !rustix::process::geteuid().is_root() {
            return; // Nobody else can give anything away.
        }
        let nobody = Owner {
            uid: 65_534,
            gid: 65_534,
        };
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        make_for(&empty, 0o700, nobody).unwrap();
        assert_eq!(fs::metadata(&empty).unwrap().uid(), nobody.uid);
        let full = dir.path().join("full");
        fs::create_dir_all(full.join("x")).unwrap();
        assert!(make_for(&full, 0o700, nobody).is_err());
        assert_eq!(fs::metadata(&full).unwrap().uid(), 0);
        // A way that leads through his own directory is his to bend.
        assert!(make_for(&empty.join("x"), 0o700, nobody).is_err());
        let found = look(&full, nobody.uid).unwrap();
        assert_eq!(
            found,
            Found::Others {
                uid: 0,
                empty: false
            }
        );

        let inside = OthersDirectory::open(dir.path(), "empty", nobody)
            .unwrap()
            .unwrap();
        inside.replace("own", b"x").unwrap();
        assert_eq!(fs::metadata(empty.join("own")).unwrap().uid(), nobody.uid);
        fs::write(empty.join("roots"), "secret").unwrap();
        fs::hard_link(empty.join("roots"), empty.join("second name")).unwrap();
        assert!(inside.read("second name", 100).is_err());
    }
}
