//! Programs a stream goes through: compressors and decompressors of the user's choice.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::walk::SourceFile;

/// Why a filter could not be started.
#[derive(Debug)]
pub enum FilterStartError {
    /// There is no such program.
    NotFound,
    /// It may not be run.
    PermissionDenied,
    /// Anything else.
    Other(io::Error),
}

/// A running filter. Dropping it kills the program.
#[derive(Debug)]
pub struct FilterProcess {
    child: Child,
}

/// What a filter reads.
#[derive(Debug)]
pub struct FilterInput(ChildStdin);

impl Write for FilterInput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl FilterProcess {
    /// Starts a filter that writes to `output` what it makes of what it is given.
    ///
    /// `environment` are changes to the environment: a value to set, or None to remove. The program ignores
    /// SIGINT.
    ///
    /// # Panics
    /// If there is not even a program's name.
    pub fn outbound(
        words: &[OsString],
        environment: &[(OsString, Option<OsString>)],
        output: OwnedFd,
    ) -> Result<(Self, FilterInput), FilterStartError> {
        let mut command = command(words, environment);
        command.stdin(Stdio::piped()).stdout(output);
        let mut child = start(command)?;
        let input = child.stdin.take().expect("the input is a pipe");
        Ok((Self { child }, FilterInput(input)))
    }

    /// Starts a filter that reads from `input`; what it makes of it is the file that comes with it.
    ///
    /// # Panics
    /// If there is not even a program's name.
    pub fn inbound(
        words: &[OsString],
        environment: &[(OsString, Option<OsString>)],
        input: OwnedFd,
    ) -> Result<(Self, SourceFile), FilterStartError> {
        let mut command = command(words, environment);
        command.stdin(input).stdout(Stdio::piped());
        let mut child = start(command)?;
        let output = child.stdout.take().expect("the output is a pipe");
        Ok((Self { child }, SourceFile::from(OwnedFd::from(output))))
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the program; its status as Python has it: a signal is a negative number.
    pub fn wait(mut self) -> io::Result<i32> {
        let status = self.child.wait()?;
        let signal = || status.signal().map(|signal| -signal);
        Ok(status.code().or_else(signal).unwrap_or(-1))
    }
}

impl Drop for FilterProcess {
    fn drop(&mut self) {
        // After `wait` neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(words: &[OsString], environment: &[(OsString, Option<OsString>)]) -> Command {
    let (program, arguments) = words.split_first().expect("a program's name");
    let mut command = Command::new(program);
    command.args(arguments);
    set_up(&mut command, environment);
    command
}

fn start(mut command: Command) -> Result<Child, FilterStartError> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FilterStartError::NotFound,
        io::ErrorKind::PermissionDenied => FilterStartError::PermissionDenied,
        _ => FilterStartError::Other(error),
    })
}

/// Gives a program the changed environment, and lets it ignore SIGINT.
pub(crate) fn set_up(command: &mut Command, environment: &[(OsString, Option<OsString>)]) {
    for (key, value) in environment {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    crate::sys::ignore_sigint(command);
}
