//! Making and ending a mount: by system call for root, through `fusermount3` for everybody else.
//!
//! Source: libfuse 3, `mount.c` (`fuse_mount_sys`, `fuse_mount_fusermount`, `fuse_kern_unmount`).

use std::ffi::CString;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ironborg_source::fuse_device;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::words::MountRequest;

/// Programs that may mount though the user may not, by preference; the older one is all that some systems have.
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// Tells such a program the number of the socket it gives the device back through.
const HELPER_SOCKET: &str = "_FUSE_COMMFD";

/// A mount that was made.
pub(super) struct Device {
    /// Where its requests are read from.
    pub(super) fd: OwnedFd,
    /// Unmounts when this process has ended.
    pub(super) watch: Option<Watch>,
}

/// A program at the other end of a socket, which unmounts when the socket is closed.
pub(super) struct Watch {
    _socket: UnixStream,
    _program: Child,
}

/// Mounts; `mountpoint` is absolute.
///
/// # Errors
/// What libfuse says. Empty if the helper has said it already, on standard error.
pub(super) fn mount(request: &MountRequest, mountpoint: &Path) -> Result<Device, String> {
    if request.auto_unmount {
        return mount_with_helper(request, mountpoint);
    }
    match mount_directly(request, mountpoint)? {
        Some(fd) => Ok(Device { fd, watch: None }),
        None => mount_with_helper(request, mountpoint),
    }
}

/// `None` if this user may not.
fn mount_directly(request: &MountRequest, mountpoint: &Path) -> Result<Option<OwnedFd>, String> {
    let mode = fuse_device::mode_of(mountpoint).map_err(|error| {
        let mountpoint = mountpoint.display();
        let said = said(number(&error));
        format!("fuse: failed to access mountpoint {mountpoint}: {said}")
    })?;
    let fd = match fuse_device::open().map_err(|error| number(&error)) {
        Ok(fd) => fd,
        Err(Errno::NODEV | Errno::NOENT) => {
            return Err("fuse: device not found, try 'modprobe fuse' first".to_owned());
        }
        // The helper may be allowed to.
        Err(Errno::ACCESS | Errno::PERM) => return Ok(None),
        Err(error) => {
            return Err(format!(
                "fuse: failed to open {}: {}",
                fuse_device::PATH,
                said(error)
            ));
        }
    };
    let mut data = format!(
        "fd={},rootmode={:o},user_id={},group_id={}",
        fd.as_raw_fd(),
        mode & 0o170_000,
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    for word in &request.data {
        data.push(',');
        data.push_str(word);
    }
    let data = CString::new(data).map_err(|_| failed(Errno::INVAL))?;
    let (source, kind) = (request.source(), request.kind());
    match rustix::mount::mount(source, mountpoint, kind, request.flags, data.as_c_str()) {
        Ok(()) => Ok(Some(fd)),
        Err(Errno::PERM) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: Errno) -> String {
    format!("fuse: mount failed: {}", said(error))
}

/// The number of an error of the system.
fn number(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The system's words for an error, without the number.
fn said(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn mount_with_helper(request: &MountRequest, mountpoint: &Path) -> Result<Device, String> {
    let mut words = request.helper.clone();
    if request.on_block_device {
        words.push("blkdev".to_owned());
    }
    if request.auto_unmount {
        words.push("auto_unmount".to_owned());
    }
    let mut missing = None;
    for helper in HELPERS {
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| format!("fuse: failed to create socket pair: {error}"))?;
        let mut command = Command::new(helper);
        if !words.is_empty() {
            command.arg("-o").arg(words.join(","));
        }
        command.arg("--").arg(mountpoint).stdout(Stdio::null());
        let kept = give_socket(&mut command, theirs, request.auto_unmount)?;
        let mut program = match command.spawn() {
            Ok(program) => program,
            Err(error) => {
                missing.get_or_insert(error);
                continue;
            }
        };
        // Only the program may hold the other end, or its death would not be seen.
        drop((command, kept));
        let received = receive_device(&ours);
        let watch = if request.auto_unmount && received.is_some() {
            Some(Watch {
                _socket: ours,
                _program: program,
            })
        } else {
            // It ends by itself; how, does not matter any more.
            let _ = program.wait();
            None
        };
        return received
            .map(|fd| Device { fd, watch })
            .ok_or_else(String::new);
    }
    let why = said(missing.as_ref().map_or(Errno::NOENT, number));
    Err(format!("fuse: failed to exec {}: {why}", HELPERS[0]))
}

/// Gives the helper its end of the socket; what is returned must live until it was started.
///
/// As its standard input it has the socket without a file descriptor being made to survive. One that goes on to watch
/// closes what is not that socket, the device above all, but only if the number is none of the standard ones.
fn give_socket(
    command: &mut Command,
    theirs: UnixStream,
    watches: bool,
) -> Result<Option<UnixStream>, String> {
    if !watches {
        command.env(HELPER_SOCKET, "0").stdin(OwnedFd::from(theirs));
        return Ok(None);
    }
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty())
        .map_err(|error| format!("fuse: failed to create socket pair: {}", said(error)))?;
    command.env(HELPER_SOCKET, theirs.as_raw_fd().to_string());
    command.stdin(Stdio::null());
    Ok(Some(theirs))
}

/// The device as the helper passes it; `None` if it ended without.
fn receive_device(socket: &UnixStream) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        let mut parts = [IoSliceMut::new(&mut byte)];
        match recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

/// Unmounts. Who still has files open there gets errors from now on; the directory is free at once.
///
/// # Errors
/// It could not be unmounted.
pub(super) fn unmount(mountpoint: &Path) -> Result<(), String> {
    match rustix::mount::unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::FORCE) {
        Ok(()) => return Ok(()),
        Err(Errno::PERM) => {}
        Err(error) => return Err(said(error)),
    }
    for helper in HELPERS {
        let mut command = Command::new(helper);
        command.args(["-u", "-q", "-z", "--"]).arg(mountpoint);
        match command.stdin(Stdio::null()).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => return Err(said(Errno::PERM)),
            Err(_) => {}
        }
    }
    Err(format!("failed to exec {}", HELPERS[0]))
}
