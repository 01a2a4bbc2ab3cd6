//! Who listens to what is told of the steps.

use std::io;
use std::os::fd::OwnedFd;

use ironborg_jobs::report::Told;
use rustix::io::Errno;
use rustix::stdio;

/// Lowest number of the descriptor: those of the standard streams stay theirs, even if one of them was closed.
const DESCRIPTOR_MIN: i32 = 3;

/// The end of a pipe that lines are told into.
pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Takes standard output for itself. What is printed there from now on, by this program or by those it starts, goes
    /// to standard error.
    pub(super) fn on_standard_output() -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(stdio::stdout(), DESCRIPTOR_MIN)?;
        stdio::dup2_stdout(stdio::stderr())?;
        Ok(Self(own))
    }

    /// Tells a line, at once. If nobody listens any more, the work is done all the same.
    pub(super) fn tell(&self, told: &Told) {
        let mut line = serde_json::to_vec(told).expect("text and numbers are always JSON");
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.0, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
