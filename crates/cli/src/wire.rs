//! Standard input and output as the two directions of a connection, given up when a signal ends the program.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ironborg_source::stream;
use rustix::event::{PollFd, PollFlags, poll};

use crate::signals;

/// What the pipes hold, where the system allows it: fewer turns of the two processes.
const PIPE_LEN: usize = 1024 * 1024;

/// One end of the connection.
pub(crate) struct WireEnd {
    stream: BorrowedFd<'static>,
    /// Readable when the program is to end.
    wake: OwnedFd,
    /// What is waited for.
    ready: PollFlags,
}

impl WireEnd {
    /// The two directions: standard input and standard output.
    pub(crate) fn both() -> io::Result<(Self, Self)> {
        let wake = signals::wake_descriptor()?;
        let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        // Writing must not wait for the client where it cannot be interrupted.
        stream::never_block(stdout)?;
        // Where the system refuses it goes without.
        let _ = rustix::pipe::fcntl_setpipe_size(stdin, PIPE_LEN);
        let _ = rustix::pipe::fcntl_setpipe_size(stdout, PIPE_LEN);
        let end = |stream, wake, ready| Self {
            stream,
            wake,
            ready,
        };
        Ok((
            end(stdin, wake.try_clone()?, PollFlags::IN),
            end(stdout, wake, PollFlags::OUT),
        ))
    }

    /// Waits until something can be moved, or the program is to end.
    fn wait(&self) -> io::Result<()> {
        loop {
            let mut polled = [
                PollFd::new(&self.stream, self.ready),
                PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
            ];
            match poll(&mut polled, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if polled[1].revents().is_empty() => return Ok(()),
                Ok(_) => return Err(io::Error::other("a signal ends the server")),
            }
        }
    }
}

impl Read for WireEnd {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait()?;
            match rustix::io::read(self.stream, &mut *bytes) {
                // One socket may be both directions, and then neither blocks.
                Err(rustix::io::Errno::AGAIN) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl Write for WireEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match rustix::io::writev(self.stream, slices) {
                Err(rustix::io::Errno::AGAIN) => self.wait()?,
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
