//! The device that the requests of a mount come from, and the directory they are about.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Where the kernel has it.
pub const PATH: &str = "/dev/fuse";

/// Opens the device; programs that are started do not inherit it.
///
/// # Errors
/// The system's.
pub fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open(PATH, flags, Mode::empty())?)
}

/// `st_mode` of what is to be mounted on.
///
/// # Errors
/// The system's.
pub fn mode_of(mountpoint: &Path) -> io::Result<u32> {
    Ok(rustix::fs::stat(mountpoint)?.st_mode)
}
