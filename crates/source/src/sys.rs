//! The calls for which there is no safe wrapper: the user database, `*xattrat`, `fchmodat2`, a thread's usage.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::usage::ThreadUsage;

/// System call numbers that are the same on every architecture with a unified table.
const SYS_FCHMODAT2: libc::c_long = 452;
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_LISTXATTRAT: libc::c_long = 465;

/// First and last size of the buffer for an entry of the user database: a group may have many members.
const RECORD_SIZE: usize = 1024;
const RECORD_SIZE_MAX: usize = 16 * 1024 * 1024;

/// `struct xattr_args` of Linux 6.13.
#[repr(C, align(8))]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

const _: () = assert!(size_of::<XattrArgs>() == 16);

fn last_errno() -> Errno {
    let errno = std::io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(errno.unwrap_or(libc::EIO))
}

fn length(result: libc::c_long) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

/// `listxattrat`, symlinks not followed: names, each with a NUL behind it. `ENOSYS` before Linux 6.13.
pub(crate) fn list_xattr_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    list: &mut [u8],
) -> Result<usize, Errno> {
    // SAFETY: `name` ends with NUL; the kernel writes at most `list.len()` bytes to `list`.
    let result = unsafe {
        libc::syscall(
            SYS_LISTXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            list.as_mut_ptr(),
            list.len(),
        )
    };
    length(result)
}

/// `getxattrat`, symlinks not followed. `ENOSYS` before Linux 6.13.
pub(crate) fn get_xattr_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    attribute: &CStr,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut arguments = XattrArgs {
        value: value.as_mut_ptr().expose_provenance() as u64,
        size: u32::try_from(value.len()).map_err(|_| Errno::INVAL)?,
        flags: 0,
    };
    // SAFETY: both names end with NUL; `arguments` lives during the call and says how long `value` is,
    // to which the kernel writes.
    let result = unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            &raw mut arguments,
            size_of::<XattrArgs>(),
        )
    };
    length(result)
}

/// `setxattrat`, symlinks not followed. `ENOSYS` before Linux 6.13.
pub(crate) fn set_xattr_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    attribute: &CStr,
    value: &[u8],
) -> Result<(), Errno> {
    let arguments = XattrArgs {
        value: value.as_ptr().expose_provenance() as u64,
        size: u32::try_from(value.len()).map_err(|_| Errno::TOOBIG)?,
        flags: 0,
    };
    // SAFETY: both names end with NUL; `arguments` lives during the call and says how long `value` is,
    // which the kernel only reads.
    let result = unsafe {
        libc::syscall(
            SYS_SETXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            &raw const arguments,
            size_of::<XattrArgs>(),
        )
    };
    length(result).map(|_| ())
}

/// `fchmodat2` on the file an `O_PATH` descriptor stands for. `ENOSYS` before Linux 6.6.
pub(crate) fn chmod_handle(handle: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // SAFETY: the path is a static string that ends with NUL; no memory is written.
    let result = unsafe {
        libc::syscall(
            SYS_FCHMODAT2,
            handle.as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH,
        )
    };
    length(result).map(|_| ())
}

/// Calls one of the `get..._r` functions with a buffer that grows until the record fits.
fn record<T, R>(
    call: impl Fn(*mut T, &mut [libc::c_char], *mut *mut T) -> libc::c_int,
    take: impl Fn(&T) -> R,
) -> Option<R> {
    let mut buffer = vec![0; RECORD_SIZE];
    loop {
        let mut entry = MaybeUninit::<T>::uninit();
        let mut found = std::ptr::null_mut();
        match call(entry.as_mut_ptr(), &mut buffer, &raw mut found) {
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < RECORD_SIZE_MAX => buffer.resize(buffer.len() * 4, 0),
            // SAFETY: on success `found` is null or points to `entry`, which is filled in then; the
            // strings it points to lie in `buffer`, which lives until `take` has returned.
            0 => return unsafe { found.as_ref() }.map(take),
            _ => return None,
        }
    }
}

/// # Safety
/// `text` must point to a string that ends with NUL.
unsafe fn owned(text: *const libc::c_char) -> Vec<u8> {
    // SAFETY: the caller promises it.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

/// Name of a user, from the system's user database.
pub(crate) fn user_name(uid: u32) -> Option<Vec<u8>> {
    record(
        // SAFETY: all pointers are valid, the length is the buffer's.
        |entry, buffer, found| unsafe {
            libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found)
        },
        // SAFETY: a record that was found has a name.
        |entry: &libc::passwd| unsafe { owned(entry.pw_name) },
    )
}

/// Number of a user.
pub(crate) fn user_id(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    record(
        // SAFETY: all pointers are valid, the length is the buffer's.
        |entry, buffer, found| unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                found,
            )
        },
        |entry: &libc::passwd| entry.pw_uid,
    )
}

/// Name of a group.
pub(crate) fn group_name(gid: u32) -> Option<Vec<u8>> {
    record(
        // SAFETY: all pointers are valid, the length is the buffer's.
        |entry, buffer, found| unsafe {
            libc::getgrgid_r(gid, entry, buffer.as_mut_ptr(), buffer.len(), found)
        },
        // SAFETY: a record that was found has a name.
        |entry: &libc::group| unsafe { owned(entry.gr_name) },
    )
}

/// Number of a group.
pub(crate) fn group_id(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    record(
        // SAFETY: all pointers are valid, the length is the buffer's.
        |entry, buffer, found| unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                found,
            )
        },
        |entry: &libc::group| entry.gr_gid,
    )
}

/// Makes the command's process ignore SIGINT, as stock Borg does with the commands it reads from: an
/// interrupted backup saves what it has while the command goes on.
pub(crate) fn ignore_sigint(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec only `signal` is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            Ok(())
        });
    }
}

/// What this thread has used since it began; nothing if the system does not tell.
pub(crate) fn thread_usage() -> ThreadUsage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in the one structure it is given; all bits zero is a valid value of it too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| {
        let micros = u64::try_from(time.tv_usec).unwrap_or(0);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    ThreadUsage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        sleeps: u64::try_from(usage.ru_nvcsw).unwrap_or(0),
    }
}
