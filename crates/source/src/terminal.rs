//! The terminal a person sits at, wherever standard input and output lead.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

/// Opens the process's controlling terminal for reading and writing.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn controlling_terminal() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty())?)
}
