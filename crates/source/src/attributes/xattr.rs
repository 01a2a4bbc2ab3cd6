//! Extended attributes of open files and of directory entries.

use std::borrow::Cow;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, XattrFlags};
use rustix::io::Errno;
use rustix::path::Arg as _;

use crate::sys;

/// A file whose attributes are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handle<'a> {
    /// An open file, not of `O_PATH`.
    Fd(BorrowedFd<'a>),
    /// An entry of a directory (or a path from the current one), symlinks not followed.
    At(BorrowedFd<'a>, &'a [u8]),
}

/// Which way leads to the attributes of directory entries: `listxattrat` and its like since Linux
/// 6.13, before that the path `/proc/self/fd/N/NAME`.
#[derive(Debug, Default)]
pub(crate) struct XattrCalls {
    no_at_calls: AtomicBool,
}

impl XattrCalls {
    /// Names of all attributes, each with a NUL behind it, into `list`.
    pub(crate) fn list(&self, handle: Handle<'_>, list: &mut [u8]) -> Result<usize, Errno> {
        let (dir, name) = match handle {
            Handle::Fd(fd) => return rustix::fs::flistxattr(fd, list),
            Handle::At(dir, name) => (dir, name),
        };
        let at_call = || name.into_with_c_str(|name| sys::list_xattr_at(dir, name, &mut *list));
        match self.try_at_call(at_call) {
            Some(result) => result,
            None => rustix::fs::llistxattr(path_of(dir, name).as_ref(), list),
        }
    }

    /// Value of one attribute, into `value`.
    pub(crate) fn get(
        &self,
        handle: Handle<'_>,
        attribute: &[u8],
        value: &mut [u8],
    ) -> Result<usize, Errno> {
        let (dir, name) = match handle {
            Handle::Fd(fd) => return rustix::fs::fgetxattr(fd, attribute, value),
            Handle::At(dir, name) => (dir, name),
        };
        let at_call = || {
            name.into_with_c_str(|name| {
                attribute.into_with_c_str(|attribute| {
                    sys::get_xattr_at(dir, name, attribute, &mut *value)
                })
            })
        };
        match self.try_at_call(at_call) {
            Some(result) => result,
            None => rustix::fs::lgetxattr(path_of(dir, name).as_ref(), attribute, value),
        }
    }

    /// Sets one attribute, whether it exists or not.
    pub(crate) fn set(
        &self,
        handle: Handle<'_>,
        attribute: &[u8],
        value: &[u8],
    ) -> Result<(), Errno> {
        let flags = XattrFlags::empty();
        let (dir, name) = match handle {
            Handle::Fd(fd) => return rustix::fs::fsetxattr(fd, attribute, value, flags),
            Handle::At(dir, name) => (dir, name),
        };
        let at_call = || {
            name.into_with_c_str(|name| {
                attribute
                    .into_with_c_str(|attribute| sys::set_xattr_at(dir, name, attribute, value))
            })
        };
        match self.try_at_call(at_call) {
            Some(result) => result,
            None => rustix::fs::lsetxattr(path_of(dir, name).as_ref(), attribute, value, flags),
        }
    }

    /// Makes a call relative to a directory; None if the path has to be tried instead.
    fn try_at_call<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Option<Result<T, Errno>> {
        if self.no_at_calls.load(Ordering::Relaxed) {
            return None;
        }
        match call() {
            Err(Errno::NOSYS) => {
                self.no_at_calls.store(true, Ordering::Relaxed);
                None
            }
            // A sandbox may refuse calls it does not know with this error: the old call decides.
            Err(Errno::PERM) => None,
            result => Some(result),
        }
    }
}

/// A path to a directory entry that needs no directory descriptor.
fn path_of<'a>(dir: BorrowedFd<'_>, name: &'a [u8]) -> Cow<'a, [u8]> {
    if dir.as_raw_fd() == CWD.as_raw_fd() || name.starts_with(b"/") {
        return Cow::Borrowed(name);
    }
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    Cow::Owned(path)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    /// Both ways to an entry's attributes, whatever this kernel has.
    #[test]
    fn the_old_way_does_what_the_new_one_does() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let dir = std::fs::File::open(temp.path()).expect("there");
        std::fs::write(temp.path().join("f"), b"").expect("written");
        std::os::unix::fs::symlink("f", temp.path().join("link")).expect("linked");
        let at = |name| Handle::At(dir.as_fd(), name);
        let new = XattrCalls::default();
        let old = XattrCalls::default();
        old.no_at_calls.store(true, Ordering::Relaxed);
        if new.set(at(b"f"), b"user.a", b"1").is_err() {
            eprintln!(
                "skipped: no extended attributes in {}",
                temp.path().display()
            );
            return;
        }
        old.set(at(b"f"), b"user.b", b"22").expect("set");
        for calls in [&new, &old] {
            let mut buffer = [0; 4096];
            let len = calls.list(at(b"f"), &mut buffer).expect("listed");
            let mut names: Vec<&[u8]> = buffer[..len].split(|&b| b == 0).collect();
            names.retain(|name| name.starts_with(b"user."));
            names.sort_unstable();
            assert_eq!(names, [b"user.a", b"user.b"]);
            let len = calls.get(at(b"f"), b"user.b", &mut buffer).expect("there");
            assert_eq!(&buffer[..len], b"22");
            let error = calls.get(at(b"f"), b"user.c", &mut buffer);
            assert_eq!(error, Err(Errno::NODATA));
            let error = calls.get(at(b"f"), b"user.b", &mut buffer[..1]);
            assert_eq!(error, Err(Errno::RANGE));
            // The symlink is not the file.
            let error = calls.get(at(b"link"), b"user.a", &mut buffer);
            assert!(
                matches!(error, Err(Errno::NODATA | Errno::PERM)),
                "{error:?}"
            );
            let error = calls.list(at(b"none"), &mut buffer);
            assert_eq!(error, Err(Errno::NOENT));
        }
    }
}
