//! The only two places where text leaves the process: standard output and standard error.
//!
//! Errors of writing to standard error are dropped, as nobody could be told. Errors of writing to
//! standard output are values: a full disk behind a redirected listing must not look like success.

use std::io::{self, IsTerminal, Write};

use crate::error::CliError;
use crate::signals;

/// Writes `text` to standard error at once, without adding a line feed.
pub(crate) fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Writes one line to standard error.
pub(crate) fn stderr_line(text: &str) {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    write_stderr(&line);
}

/// Writes one line to standard output at once. Errors are dropped: it is for messages, not for data.
pub(crate) fn stdout_line(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(format!("{text}\n").as_bytes());
    let _ = stdout.flush();
}

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Buffered standard output. Nothing is lost on drop but only [`Stdout::finish`] reports errors.
pub(crate) struct Stdout {
    buffer: String,
}

/// Collected before it is written, in bytes: few system calls for a listing, little delay for a reader.
const BUFFER_LEN: usize = 64 * 1024;

impl Stdout {
    /// Starts with an empty buffer.
    pub(crate) fn new() -> Self {
        Self {
            buffer: String::with_capacity(BUFFER_LEN + 4096),
        }
    }

    /// The buffer to append to; call [`Stdout::flush_if_full`] between records.
    pub(crate) fn buffer(&mut self) -> &mut String {
        &mut self.buffer
    }

    /// Hands the buffer on when it has grown to its size.
    pub(crate) fn flush_if_full(&mut self) -> Result<(), CliError> {
        if self.buffer.len() >= BUFFER_LEN {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Appends `text`.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.buffer.push_str(text);
        self.flush_if_full()
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        let _output = signals::Output::begin();
        let mut stdout = io::stdout().lock();
        let result = stdout
            .write_all(self.buffer.as_bytes())
            .and_then(|()| stdout.flush());
        self.buffer.clear();
        match result {
            // Whoever reads has had enough; stock Borg does not take that for an error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(CliError::stdout),
        }
    }

    /// Hands everything on and reports what went wrong.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.flush()
    }
}

impl Drop for Stdout {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            let _ = self.flush();
        }
    }
}

/// Standard output without a buffer of its own, for large pieces of content.
pub(crate) struct RawStdout;

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _output = signals::Output::begin();
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
