//! Setting a restored file's attributes.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use ironborg_types::{BytePath, Event, Level, Reporter, text};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{AttributesSet, RestoreRoot};
use crate::attributes::{AccessList, Handle, replace_flags};
use crate::error::{ErrorFile, SourceError, errno_text};
use crate::sys;
use crate::walk::FileKind;

/// Attributes of an item, to be set on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeValues<'a> {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner's number; a negative one becomes 0.
    pub uid: i64,
    /// Group's number; a negative one becomes 0.
    pub gid: i64,
    /// Owner's name, which comes before the number unless ids are numeric.
    pub user: Option<&'a [u8]>,
    /// Group's name, likewise.
    pub group: Option<&'a [u8]>,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Access time; None: as the modification time.
    pub atime_ns: Option<i64>,
    /// BSD flags.
    pub flags: Option<u64>,
    /// Extended attributes; None is an empty value.
    pub xattrs: &'a [(Vec<u8>, Option<Vec<u8>>)],
    /// Access ACL as Borg's text.
    pub acl_access: Option<&'a [u8]>,
    /// Default ACL as Borg's text.
    pub acl_default: Option<&'a [u8]>,
}

/// What is restored, and how owners are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// `--numeric-ids`: numbers, not names.
    pub numeric_ids: bool,
    /// Without `--noacls`.
    pub acls: bool,
    /// Without `--noxattrs`.
    pub xattrs: bool,
    /// Without `--noflags`.
    pub flags: bool,
}

/// The file whose attributes are set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// An open regular file.
    Open(BorrowedFd<'a>),
    /// An entry of a directory; symlinks are not followed.
    Entry(BorrowedFd<'a>, &'a [u8]),
}

/// Sets everything, see [`super::Target::set_attributes`].
pub(super) fn set(
    root: &RestoreRoot,
    subject: Subject<'_>,
    item_path: &[u8],
    values: &AttributeValues<'_>,
    reporter: &dyn Reporter,
) -> Result<AttributesSet, SourceError> {
    let setter = Setter {
        root,
        subject,
        item_path,
        values,
    };
    let is_symlink = FileKind::of_mode(values.mode) == FileKind::Symlink;
    setter.owner();
    let mut result = Ok(AttributesSet::All);
    if !is_symlink {
        result = result.and(setter.mode());
        if root.options.acls {
            // An error of the mode is told, not this one; the ACL is set all the same.
            let acls = setter.acls();
            result = result.and(acls);
        }
    }
    // A change of owner removes capabilities, which are an extended attribute: these come later.
    if root.options.xattrs && setter.xattrs(reporter) == AttributesSet::WithWarnings {
        result = result.and(Ok(AttributesSet::WithWarnings));
    }
    setter.times();
    // Nothing can be changed any more once the file is immutable.
    if !is_symlink && root.options.flags {
        setter.flags();
    }
    result
}

struct Setter<'a> {
    root: &'a RestoreRoot,
    subject: Subject<'a>,
    item_path: &'a [u8],
    values: &'a AttributeValues<'a>,
}

impl Setter<'_> {
    /// Only root can give files away: failing is silent.
    fn owner(&self) {
        let options = &self.root.options;
        let names = &self.root.names;
        let number = |id: i64| u32::try_from(id.max(0)).ok();
        let local = |name: Option<&[u8]>, look_up: &dyn Fn(&[u8]) -> Option<u32>| {
            name.filter(|name| !options.numeric_ids && !name.is_empty())
                .and_then(look_up)
        };
        let uid = local(self.values.user, &|name| names.user_id(name)).or(number(self.values.uid));
        let gid =
            local(self.values.group, &|name| names.group_id(name)).or(number(self.values.gid));
        // The largest number means "leave it" to the system; nobody owns anything by it.
        let (Some(uid), Some(gid)) = (uid, gid) else {
            return;
        };
        if uid == u32::MAX || gid == u32::MAX {
            return;
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let _ = match self.subject {
            Subject::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Subject::Entry(dir, name) => {
                rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        };
    }

    fn mode(&self) -> Result<AttributesSet, SourceError> {
        let bits = self.values.mode & 0o7777;
        match self.subject {
            Subject::Open(fd) => rustix::fs::fchmod(fd, Mode::from_raw_mode(bits))
                .map_err(|errno| self.root.nameless_error(errno)),
            Subject::Entry(dir, name) => {
                chmod_entry(dir, name, bits).map_err(|errno| self.root.error(errno, self.item_path))
            }
        }
        .map(|()| AttributesSet::All)
    }

    /// Sets the access ACL, then the default ACL. A file system without ACLs is no error.
    ///
    /// Source: Borg 1.4, `acl_set`.
    fn acls(&self) -> Result<AttributesSet, SourceError> {
        let lists = [
            (&b"system.posix_acl_access"[..], self.values.acl_access),
            (&b"system.posix_acl_default"[..], self.values.acl_default),
        ];
        for (attribute, acl) in lists {
            let Some(acl) = acl.filter(|acl| !acl.is_empty()) else {
                continue;
            };
            let numeric_ids = self.root.options.numeric_ids;
            let result = AccessList::from_text(acl, &self.root.names, numeric_ids)
                .map_err(|_| Errno::INVAL)
                .and_then(|acl| self.set_xattr(attribute, &acl.to_binary()));
            match result {
                Ok(()) => {}
                Err(Errno::NOTSUP) => break,
                Err(errno) => return Err(self.root.error(errno, self.item_path)),
            }
        }
        Ok(AttributesSet::All)
    }

    /// Source: Borg 1.4, `xattr.set_all`.
    fn xattrs(&self, reporter: &dyn Reporter) -> AttributesSet {
        let mut result = AttributesSet::All;
        for (name, value) in self.values.xattrs {
            let value = value.as_deref().unwrap_or_default();
            let Err(errno) = self.set_xattr(name, value) else {
                continue;
            };
            result = AttributesSet::WithWarnings;
            let error = errno_text(errno.raw_os_error(), &self.xattr_file());
            let reason = match errno {
                Errno::TOOBIG => format!("too big for this filesystem ({error})"),
                Errno::NOSPC => format!(
                    "fs full or xattr too big? [xattr len = {}] ({error})",
                    value.len()
                ),
                _ => error,
            };
            let name = text::display(name);
            reporter.report(Event::log(
                Level::Warning,
                "borg.xattr",
                format!("when setting extended attribute {name}: {reason}"),
            ));
        }
        result
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        let handle = match self.subject {
            Subject::Open(fd) => Handle::Fd(fd),
            Subject::Entry(dir, name) => Handle::At(dir, name),
        };
        self.root.calls.set(handle, name, value)
    }

    /// How stock Borg names the file in warnings about extended attributes.
    fn xattr_file(&self) -> ErrorFile {
        match self.subject {
            Subject::Open(fd) => ErrorFile::Name(BytePath::new(format!("<FD {}>", fd.as_raw_fd()))),
            Subject::Entry(..) => ErrorFile::Bytes(self.root.full_path(self.item_path)),
        }
    }

    /// Failing is silent: some systems cannot do it for symlinks.
    fn times(&self) {
        let times = Timestamps {
            last_access: timespec(self.values.atime_ns.unwrap_or(self.values.mtime_ns)),
            last_modification: timespec(self.values.mtime_ns),
        };
        let _ = match self.subject {
            Subject::Open(fd) => rustix::fs::futimens(fd, &times),
            Subject::Entry(dir, name) => {
                rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        };
    }

    /// Failing is silent. Only regular files and directories have flags: devices are not opened for it.
    fn flags(&self) {
        let Some(flags) = self.values.flags else {
            return;
        };
        match self.subject {
            Subject::Open(fd) => set_flags(fd, flags),
            Subject::Entry(dir, name) => {
                let open_flags =
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(fd) = rustix::fs::openat(dir, name, open_flags, Mode::empty()) {
                    set_flags(std::os::fd::AsFd::as_fd(&fd), flags);
                }
            }
        }
    }
}

fn timespec(nanoseconds: i64) -> Timespec {
    Timespec {
        tv_sec: nanoseconds.div_euclid(1_000_000_000),
        tv_nsec: nanoseconds.rem_euclid(1_000_000_000),
    }
}

/// Where the flags cannot be read they are not set either: others might get lost.
fn set_flags(fd: BorrowedFd<'_>, flags: u64) {
    let Ok(before) = rustix::fs::ioctl_getflags(fd) else {
        return;
    };
    let after = replace_flags(before, flags);
    if after != before {
        let _ = rustix::fs::ioctl_setflags(fd, after);
    }
}

/// Changes the mode of a directory entry, but not through a symlink.
///
/// The old call follows symlinks, so a handle is opened and changed: by `fchmodat2`, or by its path in
/// `/proc` before Linux 6.6.
pub(crate) fn chmod_entry(dir: BorrowedFd<'_>, name: &[u8], bits: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&handle)?;
    if FileKind::of_mode(found.st_mode) == FileKind::Symlink {
        return Err(Errno::LOOP);
    }
    let handle = std::os::fd::AsFd::as_fd(&handle);
    match sys::chmod_handle(handle, bits) {
        // A sandbox that does not know the call refuses it.
        Err(Errno::NOSYS | Errno::PERM) => chmod_by_path(handle, bits),
        result => result,
    }
}

fn chmod_by_path(handle: BorrowedFd<'_>, bits: u32) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    rustix::fs::chmod(path, Mode::from_raw_mode(bits))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_mode_is_changed_on_any_kernel() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let dir = std::fs::File::open(temp.path()).expect("there");
        std::fs::create_dir(temp.path().join("d")).expect("made");
        let mode = || {
            let found = std::fs::metadata(temp.path().join("d")).expect("there");
            found.permissions().mode() & 0o7777
        };
        chmod_entry(dir.as_fd(), b"d", 0o1751).expect("changed");
        assert_eq!(mode(), 0o1751);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&dir, "d", flags, Mode::empty()).expect("there");
        chmod_by_path(handle.as_fd(), 0o700).expect("changed");
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn times_before_1970_have_positive_nanoseconds() {
        let time = timespec(-1);
        assert_eq!((time.tv_sec, time.tv_nsec), (-1, 999_999_999));
    }
}
