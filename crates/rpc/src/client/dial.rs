//! Starting a server and getting hold of its pipes.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;

use super::sys;

/// What pipes to a server hold, where the system allows it.
const PIPE_LEN: usize = 1024 * 1024;
/// How long a server may take to end after its input ended.
const END_WAIT: Duration = Duration::from_secs(30);
/// How often that is looked at.
const END_POLL: Duration = Duration::from_millis(2);
/// How long lines that were written before the end may take to be read.
const LOG_WAIT: Duration = Duration::from_millis(500);

/// A way to a server; used again when a connection is lost.
pub trait Dial: Send + Sync {
    /// Starts a server.
    ///
    /// # Errors
    /// The program that leads there cannot be started.
    fn dial(&self) -> io::Result<Wire>;
}

/// A connection to a server.
pub struct Wire {
    /// Calls go here.
    pub to_server: Box<dyn Write + Send>,
    /// Replies come from here.
    pub from_server: Box<dyn Read + Send>,
    /// Lines of log come from here.
    pub log: Box<dyn Read + Send>,
    /// The process at this end of the connection, if there is one.
    pub process: Option<ServerProcess>,
}

/// The process at this end of a connection: `ssh`, or the server itself.
pub struct ServerProcess {
    child: Child,
    /// Ends the reading of the log when dropped.
    log_end: Option<OwnedFd>,
    /// The log, to see whether lines wait in it.
    log: Option<OwnedFd>,
}

impl ServerProcess {
    /// Waits for the end of the process, whose input was closed before; ends it if that takes too long.
    ///
    /// Lines and replies come through different pipes, and `ssh` keeps no order between them: the last words of a
    /// server that has answered are only there for sure when it has ended.
    pub(super) fn wait(&mut self) {
        let deadline = Instant::now() + END_WAIT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(END_POLL),
                _ => return self.end_log(),
            }
        }
        self.kill();
    }

    /// Ends the process now.
    pub(super) fn kill(&mut self) {
        self.end_log();
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What was written up to now is read, and nothing after it.
    fn end_log(&mut self) {
        if let Some(log) = self.log.take() {
            let deadline = Instant::now() + LOG_WAIT;
            while rustix::io::ioctl_fionread(&log).is_ok_and(|waiting| waiting > 0)
                && Instant::now() < deadline
            {
                std::thread::sleep(END_POLL);
            }
        }
        self.log_end = None;
    }
}

/// The standard error of a process, which ends for its reader when the process is waited for.
///
/// Not every writer is gone with the process: `ssh` may leave one behind that keeps the connection for later.
struct Log {
    stderr: ChildStderr,
    end: OwnedFd,
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waited = [
            PollFd::new(&self.stderr, PollFlags::IN),
            PollFd::new(&self.end, PollFlags::IN),
        ];
        rustix::event::poll(&mut waited, None)?;
        if !waited[1].revents().is_empty() {
            return Ok(0);
        }
        self.stderr.read(buffer)
    }
}

/// A server that is a program to be started: `ssh HOST borg serve`.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// The words of the command line; there is at least one.
    pub words: Vec<OsString>,
    /// Changes to the environment: a value to set, or `None` to remove.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The directory it is started in: that of the user, where this process may leave it.
    pub directory: Option<PathBuf>,
}

impl Dial for ServerCommand {
    fn dial(&self) -> io::Result<Wire> {
        let (program, arguments) = self
            .words
            .split_first()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        sys::ignore_terminal(&mut command);
        let mut child = command.spawn().map_err(|error| {
            let program = program.display();
            io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // Fewer turns of the two processes; where the system refuses it goes without.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE_LEN);
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_LEN);
        let (end, log_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let process = ServerProcess {
            child,
            log_end: Some(log_end),
            log: Some(stderr.as_fd().try_clone_to_owned()?),
        };
        Ok(Wire {
            to_server: Box::new(stdin),
            from_server: Box::new(stdout),
            log: Box::new(Log { stderr, end }),
            process: Some(process),
        })
    }
}
