//! Files named by the user, or kept for them: pattern lists, secrets, passphrases, tarballs.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use ironborg_types::BytePath;
use rustix::fs::{Access, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::error::{ErrorFile, errno_text};
use crate::walk::SourceFile;

/// Largest file accepted; pattern lists of millions of lines fit.
const FILE_LEN_MAX: usize = 256 << 20;
/// Bytes asked for at once.
const READ_LEN: usize = 64 * 1024;

/// Why a file could not be read or made; shown as Python shows an `OSError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFileError {
    errno: Errno,
    path: BytePath,
}

impl NamedFileError {
    pub(crate) fn new(errno: Errno, path: &OsStr) -> Self {
        Self {
            errno,
            path: BytePath::new(path.as_bytes()),
        }
    }
}

impl NamedFileError {
    /// Whether there is a directory where a file is wanted.
    pub fn is_a_directory(&self) -> bool {
        self.errno == Errno::ISDIR
    }

    /// Whether it is in a file system whose program is no more.
    pub fn is_disconnected(&self) -> bool {
        self.errno == Errno::NOTCONN
    }

    /// Whether it was refused, by the system or because it was not what it should be.
    pub fn is_refused(&self) -> bool {
        matches!(self.errno, Errno::PERM | Errno::LOOP | Errno::NOTDIR)
    }

    /// Whether there is something already where a new file is wanted.
    pub fn is_there_already(&self) -> bool {
        self.errno == Errno::EXIST
    }

    /// Whether there is nothing of that name.
    pub fn is_not_found(&self) -> bool {
        self.errno == Errno::NOENT
    }
}

impl fmt::Display for NamedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&errno_text(
            self.errno.raw_os_error(),
            &ErrorFile::Name(self.path.clone()),
        ))
    }
}

impl std::error::Error for NamedFileError {}

/// The C library's words for an error number, after `[Errno N]` as Python has it.
pub fn error_text(number: i32) -> String {
    errno_text(number, &ErrorFile::None)
}

/// Reads a whole file.
pub fn read(path: &OsStr) -> Result<Vec<u8>, NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path);
    let file =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    read_descriptor(file.as_fd()).map_err(fail)
}

/// Opens a file to be read as a stream.
pub fn open(path: &OsStr) -> Result<SourceFile, NamedFileError> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.map_err(|errno| NamedFileError::new(errno, path))?;
    Ok(SourceFile::from(file))
}

/// Opens a file to be written as a stream: made if it is not there, emptied if it is.
pub fn create(path: &OsStr) -> Result<OutputFile, NamedFileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666));
    let file = file.map_err(|errno| NamedFileError::new(errno, path))?;
    Ok(OutputFile(file))
}

/// Standard output, without a buffer.
pub fn stdout() -> Result<OutputFile, NamedFileError> {
    let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3);
    let copy = copy.map_err(|errno| NamedFileError::new(errno, OsStr::new("-")))?;
    Ok(OutputFile(copy))
}

/// A file that is written as a stream.
#[derive(Debug)]
pub struct OutputFile(OwnedFd);

impl io::Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<OutputFile> for OwnedFd {
    fn from(file: OutputFile) -> Self {
        file.0
    }
}

/// Opens a file for lines of a log: at its end, or emptied.
pub fn open_log(path: &Path, appends: bool) -> Result<OutputFile, NamedFileError> {
    let place = if appends {
        OFlags::APPEND
    } else {
        OFlags::TRUNC
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | place;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666));
    opened
        .map(OutputFile)
        .map_err(|errno| NamedFileError::new(errno, path.as_os_str()))
}

/// Reads an open descriptor to its end.
pub fn read_descriptor(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut buffer = vec![0_u8; READ_LEN];
    loop {
        match rustix::io::read(file, &mut buffer) {
            Ok(0) => return Ok(content),
            Ok(len) => content.extend_from_slice(&buffer[..len]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if content.len() > FILE_LEN_MAX {
            return Err(Errno::FBIG);
        }
    }
}

/// Creates a file that must not exist, readable and writable by its owner only, and makes it durable.
/// Missing directories above it are made for the owner only.
pub fn create_private(path: &Path, content: &[u8]) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let directory = path.parent().unwrap_or(Path::new("/"));
    make_directories(directory, 0o700)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?;
    write_all(&file, content).map_err(fail)?;
    rustix::fs::fsync(&file).map_err(fail)?;
    sync_directory(directory).map_err(fail)
}

pub(crate) fn write_all(file: impl AsFd, content: &[u8]) -> Result<(), Errno> {
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    rustix::fs::fsync(&directory)
}

/// Writes a file the user names, new or in the place of what was in it, with the permissions the umask leaves, and
/// makes it durable. It may as well be a device or a pipe.
pub fn write(path: &OsStr, content: &[u8]) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)).map_err(fail)?;
    write_all(&file, content).map_err(fail)?;
    match rustix::fs::fsync(&file) {
        // What a pipe or a terminal says, where nothing can be made durable.
        Ok(()) | Err(Errno::INVAL | Errno::ROFS | Errno::NOTSUP) => Ok(()),
        Err(errno) => Err(fail(errno)),
    }
}

/// Puts other content in the place of a private file: at any time the old or the new one is there, whole.
pub fn replace_private(path: &Path, content: &[u8]) -> Result<(), NamedFileError> {
    replace(path, content, Mode::RUSR | Mode::WUSR)
}

/// The same for a file that everybody may read, whatever the umask. Missing directories are made for everybody, too.
pub fn replace_public(path: &Path, content: &[u8]) -> Result<(), NamedFileError> {
    make_public_directories(path.parent().unwrap_or(Path::new("/")))?;
    replace(path, content, Mode::from_raw_mode(0o644))
}

fn replace(path: &Path, content: &[u8], mode: Mode) -> Result<(), NamedFileError> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = Path::new(&staged);
    remove(staged)?;
    create_private(staged, content)?;
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    rustix::fs::chmod(staged, mode).map_err(fail)?;
    rustix::fs::rename(staged, path).map_err(fail)?;
    sync_directory(path.parent().unwrap_or(Path::new("/"))).map_err(fail)
}

/// Puts a private file where there must be none: it is there whole or not at all.
///
/// # Errors
/// There is something already ([`NamedFileError::is_there_already`]), or it cannot be made.
pub fn publish_private(path: &Path, content: &[u8]) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = Path::new(&staged);
    remove(staged)?;
    create_private(staged, content)?;
    let at = rustix::fs::CWD;
    let mut renamed =
        rustix::fs::renameat_with(at, staged, at, path, rustix::fs::RenameFlags::NOREPLACE);
    if matches!(renamed, Err(Errno::INVAL | Errno::NOSYS)) {
        // A file system that cannot do that can make another name.
        renamed = rustix::fs::link(staged, path);
        remove(staged)?;
    }
    if let Err(errno) = renamed {
        remove(staged)?;
        return Err(fail(errno));
    }
    sync_directory(path.parent().unwrap_or(Path::new("/"))).map_err(fail)
}

/// Makes a directory and those above it that are missing, with these permission bits less the umask.
pub fn make_directories(path: &Path, permissions: u32) -> Result<(), NamedFileError> {
    let mode = Mode::from_raw_mode(permissions);
    match rustix::fs::mkdir(path, mode) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            let fail = |errno| NamedFileError::new(errno, path.as_os_str());
            make_directories(
                path.parent().ok_or_else(|| fail(Errno::NOENT))?,
                permissions,
            )?;
            match rustix::fs::mkdir(path, mode) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(fail(errno)),
            }
        }
        Err(errno) => Err(NamedFileError::new(errno, path.as_os_str())),
    }
}

/// The same for everybody to pass, whatever the umask; those that are there stay as they are.
pub fn make_public_directories(path: &Path) -> Result<(), NamedFileError> {
    if exists(path) {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_public_directories(above)?;
    }
    make_directories(path, 0o755)?;
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::chmod(path, mode).map_err(|errno| NamedFileError::new(errno, path.as_os_str()))
}

/// Makes a directory, and the files right in it, those of a user. It was root's or another user's before.
///
/// No link is followed, and files that have other names too, or another owner, may be anybody's: they are left alone, and
/// so are directories in it.
pub fn give_directory(path: &Path, uid: u32, gid: u32) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(fail)?;
    let before = rustix::fs::fstat(&directory).map_err(fail)?;
    if (before.st_uid, before.st_gid) == (uid, gid) {
        return Ok(());
    }
    let owner = Some(Uid::from_raw(uid));
    let group = Some(Gid::from_raw(gid));
    // While they change hands nobody but root puts anything there.
    rustix::fs::fchown(&directory, Some(Uid::ROOT), None).map_err(fail)?;
    let names = names_in(path)?;
    for name in names {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&directory, name.as_os_str(), flags, Mode::empty())
        else {
            continue;
        };
        let stat = rustix::fs::fstat(&file).map_err(fail)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && stat.st_nlink == 1 && stat.st_uid == before.st_uid {
            rustix::fs::fchown(&file, owner, group).map_err(fail)?;
        }
    }
    rustix::fs::fchown(&directory, owner, group).map_err(fail)
}

/// Whether reading it twice gives the same: so it is unless it exists and is a pipe, a terminal or the like.
pub fn can_be_read_again(path: &OsStr) -> bool {
    match rustix::fs::stat(path) {
        Ok(stat) => matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::RegularFile | FileType::Directory
        ),
        Err(_) => true,
    }
}

/// Whether there is anything at a path, be it a dangling symlink.
pub fn exists(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok()
}

/// Whether there is a file at a path, and no link, pipe or the like.
pub fn is_regular_file(path: &Path) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Gives a file another name in the same file system, in the place of whatever file has that name.
pub fn rename(path: &Path, to: &Path) -> Result<(), NamedFileError> {
    let renamed = rustix::fs::rename(path, to);
    renamed.map_err(|errno| NamedFileError::new(errno, path.as_os_str()))
}

/// A file that is locked, by the process and no longer than that lives.
#[derive(Debug)]
pub struct LockedFile {
    _file: OwnedFd,
}

/// Locks a file, made if it is not there; `None` if another process has locked it.
pub fn try_lock(path: &Path) -> Result<Option<LockedFile>, NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let flags = flags | OFlags::NONBLOCK; // For what is a pipe against all expectation.
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(LockedFile { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(fail(errno)),
    }
}

/// Whether a process has locked a file; `None` if that cannot be told. Nothing is made or changed.
pub fn is_locked(path: &Path) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Some(false),
        Err(_) => return None,
    };
    // Shared and for an instant: who comes to lock it in that instant has to look twice.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(false),
        Err(Errno::WOULDBLOCK) => Some(true),
        Err(_) => None,
    }
}

/// Removes a file; one that is not there is no error.
pub fn remove(path: &Path) -> Result<(), NamedFileError> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(NamedFileError::new(errno, path.as_os_str())),
    }
}

/// Removes an empty directory; one that is not there is no error.
pub fn remove_directory(path: &Path) -> Result<(), NamedFileError> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(NamedFileError::new(errno, path.as_os_str())),
    }
}

/// The names in a directory.
pub fn names_in(path: &Path) -> Result<Vec<OsString>, NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(fail)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// The path of a directory without symlinks.
pub fn resolved_directory(path: &Path) -> Result<PathBuf, NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(fail)?;
    let number = directory.as_raw_fd();
    let found =
        rustix::fs::readlink(format!("/proc/self/fd/{number}"), Vec::new()).map_err(fail)?;
    Ok(PathBuf::from(OsString::from_vec(found.into_bytes())))
}

/// Puts a symlink in the place of whatever file is there; at any time the old or the new one is.
pub fn replace_symlink(path: &Path, target: &OsStr) -> Result<(), NamedFileError> {
    let fail = |errno| NamedFileError::new(errno, path.as_os_str());
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = Path::new(&staged);
    remove(staged)?;
    make_directories(path.parent().unwrap_or(Path::new("/")), 0o700)?;
    rustix::fs::symlink(target, staged).map_err(fail)?;
    rustix::fs::rename(staged, path).map_err(fail)
}

/// Whether a directory is there and has nothing in it; `None` if it is not there.
pub fn is_empty_directory(path: &Path) -> Result<Option<bool>, NamedFileError> {
    match names_in(path) {
        Ok(names) => Ok(Some(names.is_empty())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// When a file was last modified: seconds since 1970 and nanoseconds; `None` if there is none.
pub fn modified(path: &OsStr) -> Option<(i64, i64)> {
    let status = rustix::fs::stat(path).ok()?;
    Some((
        status.st_mtime,
        i64::try_from(status.st_mtime_nsec).unwrap_or(0),
    ))
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Who may do what with it.
    pub mode: u32,
}

/// Whose the file is that a path leads to; `None` if there is none.
pub fn ownership(path: &Path) -> Option<Ownership> {
    let status = rustix::fs::stat(path).ok()?;
    Some(Ownership {
        uid: status.st_uid,
        gid: status.st_gid,
        mode: status.st_mode & 0o7777,
    })
}

/// Whether there is a directory at a path, and not a symlink to one.
pub fn is_real_directory(path: &Path) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Whether a directory can be read, written to and entered by who runs this.
pub fn is_open_directory(path: &Path) -> bool {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    path.is_dir() && rustix::fs::access(path, access).is_ok()
}

/// Whether a directory can be entered by who runs this.
pub fn can_enter(path: &Path) -> bool {
    rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// What is always empty, and takes everything.
///
/// # Errors
/// The system has no such thing here.
pub fn null_device() -> std::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open(
        "/dev/null",
        flags,
        rustix::fs::Mode::empty(),
    )?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_file_is_named_as_python_names_it() {
        let error = super::read("no/such'file".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "[Errno 2] No such file or directory: \"no/such'file\""
        );
    }

    #[test]
    fn a_file_is_written_over_and_a_directory_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        super::write(path.as_os_str(), b"some more content").unwrap();
        super::write(path.as_os_str(), b"content").unwrap();
        assert_eq!(super::read(path.as_os_str()).unwrap(), b"content");
        let error = super::write(dir.path().as_os_str(), b"").unwrap_err();
        assert!(error.is_a_directory());
        super::write("/dev/null".as_ref(), b"content").unwrap();
    }

    #[test]
    fn a_directory_is_found_behind_links() {
        let dir = tempfile::tempdir().unwrap();
        let real = super::resolved_directory(dir.path()).unwrap();
        let link = dir.path().join("below/link");
        for _ in 0..2 {
            super::replace_symlink(&link, real.as_os_str()).unwrap();
            assert_eq!(super::resolved_directory(&link).unwrap(), real);
        }
        assert_eq!(super::is_empty_directory(&real), Ok(Some(false)));
        assert_eq!(super::is_empty_directory(&real.join("no")), Ok(None));
        assert!(
            super::resolved_directory(&real.join("no"))
                .unwrap_err()
                .is_not_found()
        );
    }

    #[test]
    fn a_file_is_locked_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(super::is_locked(&path), Some(false));
        let first = super::try_lock(&path).unwrap();
        assert!(first.is_some());
        assert!(super::try_lock(&path).unwrap().is_none());
        assert_eq!(super::is_locked(&path), Some(true));
        drop(first);
        assert_eq!(super::is_locked(&path), Some(false));
        assert!(super::try_lock(&path).unwrap().is_some());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(super::try_lock(&link).is_err());
        assert!(super::is_regular_file(&path) && !super::is_regular_file(&link));
    }

    #[test]
    fn what_is_given_away_is_what_was_the_owners_own() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
            return; // Only root gives anything away.
        }
        let path = dir.path().join("state");
        let elsewhere = dir.path().join("elsewhere");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(&elsewhere, "").unwrap();
        std::fs::write(path.join("own"), "").unwrap();
        std::fs::hard_link(&elsewhere, path.join("hard")).unwrap();
        symlink(&elsewhere, path.join("soft")).unwrap();
        super::give_directory(&path, 4711, 4712).unwrap();
        let owner = |path: &std::path::Path| {
            let found = std::fs::symlink_metadata(path).unwrap();
            (found.uid(), found.gid())
        };
        assert_eq!(owner(&path), (4711, 4712));
        assert_eq!(owner(&path.join("own")), (4711, 4712));
        assert_eq!(owner(&path.join("soft")).0, 0);
        assert_eq!(owner(&elsewhere).0, 0);
    }

    #[test]
    fn a_private_file_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/secret");
        super::create_private(&path, b"content").unwrap();
        assert_eq!(super::read(path.as_os_str()).unwrap(), b"content");
        assert!(super::create_private(&path, b"other").is_err());
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path) & 0o777, 0o600);
        assert_eq!(mode(path.parent().unwrap()) & 0o777, 0o700);
        super::replace_private(&path, b"other").unwrap();
        assert_eq!(super::read(path.as_os_str()).unwrap(), b"other");
        assert_eq!(mode(&path) & 0o777, 0o600);
        assert!(
            super::publish_private(&path, b"third")
                .unwrap_err()
                .is_there_already()
        );
        assert_eq!(super::read(path.as_os_str()).unwrap(), b"other");
        super::remove(&path).unwrap();
        super::remove(&path).unwrap();
        assert!(!super::exists(&path));
        super::publish_private(&path, b"third").unwrap();
        assert_eq!(super::read(path.as_os_str()).unwrap(), b"third");
        assert_eq!(super::ownership(&path).unwrap().mode, 0o600);
        assert_eq!(super::names_in(path.parent().unwrap()).unwrap().len(), 1);
    }
}
