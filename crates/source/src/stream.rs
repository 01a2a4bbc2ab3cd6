//! Input that is not a file of the tree: standard input, output of commands, lists of paths.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use ironborg_types::{BytePath, text};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use crate::error::{ErrorFile, SourceError, errno_text};
use crate::walk::SourceFile;

/// Standard input, to be read like a file.
pub fn stdin() -> Result<SourceFile, SourceError> {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .map(SourceFile::from)
        .map_err(|errno| SourceError::os_fd("read", errno))
}

/// Makes reads and writes of a pipe or socket return at once where they would have to wait.
///
/// Files and terminals, which others may share, are left as they are.
///
/// # Errors
/// The system does not say what it is, or refuses.
pub fn never_block(stream: BorrowedFd<'_>) -> std::io::Result<()> {
    let kind = FileType::from_raw_mode(fstat(stream)?.st_mode);
    if matches!(kind, FileType::Fifo | FileType::Socket) {
        fcntl_setfl(stream, fcntl_getfl(stream)? | OFlags::NONBLOCK)?;
    }
    Ok(())
}

/// A running command whose output is read.
#[derive(Debug)]
pub struct CommandOutput {
    child: Child,
    name: BytePath,
}

impl CommandOutput {
    /// Starts a command; its output is the file that comes with it. `environment` are changes to the
    /// environment: a value to set, or None to remove. The command ignores SIGINT.
    ///
    /// # Errors
    /// [`SourceError::CommandStart`]; also for an empty command line.
    pub fn start(
        command_line: &[OsString],
        environment: &[(OsString, Option<OsString>)],
    ) -> Result<(Self, SourceFile), SourceError> {
        let Some((program, arguments)) = command_line.split_first() else {
            return Err(SourceError::CommandStart {
                reason: "list index out of range".to_owned(),
            });
        };
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::piped());
        crate::filter::set_up(&mut command, environment);
        let name = BytePath::new(program.as_bytes());
        let mut child = command.spawn().map_err(|error| SourceError::CommandStart {
            reason: error.raw_os_error().map_or_else(
                || error.to_string(),
                |errno| errno_text(errno, &ErrorFile::Name(name.clone())),
            ),
        })?;
        let stdout = child.stdout.take().expect("the output is a pipe");
        let file = SourceFile::from(OwnedFd::from(stdout));
        Ok((Self { child, name }, file))
    }

    /// Waits for the command, whose output has been read and closed.
    ///
    /// # Errors
    /// [`SourceError::CommandStatus`] if it did not end with status 0.
    pub fn finish(mut self) -> Result<(), SourceError> {
        let status = self
            .child
            .wait()
            .map_err(|error| SourceError::CommandStart {
                reason: error.to_string(),
            })?;
        if status.success() {
            return Ok(());
        }
        Err(SourceError::CommandStatus {
            command: self.name,
            status: status
                .code()
                .or_else(|| status.signal().map(|signal| -signal))
                .unwrap_or(-1),
        })
    }
}

/// Bytes read at once from a list of paths.
const LIST_READ_SIZE: usize = 64 * 1024;
/// Longest path accepted in a list: sixteen times what Linux can open.
const LISTED_PATH_LEN_MAX: usize = 64 * 1024;

/// Paths out of a stream, each ended by the delimiter; the last one may do without.
///
/// With the delimiter `\n` the other line ends (`\r\n`, `\r`) count as well, as Python's text streams have
/// it. Empty paths between delimiters are given too. Source: Borg 1.4, `iter_separated`.
#[derive(Debug)]
pub struct PathList {
    file: SourceFile,
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    at_end: bool,
}

impl PathList {
    /// Reads paths from `file`. An empty delimiter stands for `\n`.
    pub fn new(file: SourceFile, delimiter: &[u8]) -> Self {
        let delimiter = if delimiter.is_empty() {
            b"\n"
        } else {
            delimiter
        };
        Self {
            file,
            delimiter: delimiter.to_vec(),
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            at_end: false,
        }
    }

    /// The next path.
    ///
    /// # Errors
    /// A failed read; a path that is far too long for any system (`ENAMETOOLONG`).
    pub fn next_path(&mut self) -> Result<Option<BytePath>, SourceError> {
        loop {
            if let Some((len, delimiter_len)) = self.find_end() {
                let path = BytePath::new(&self.buffer[self.start..self.start + len]);
                self.start += len + delimiter_len;
                self.scanned = self.start;
                return Ok(Some(path));
            }
            if self.at_end {
                let rest = BytePath::new(&self.buffer[self.start..]);
                self.start = self.buffer.len();
                self.scanned = self.start;
                return Ok((!rest.is_empty()).then_some(rest));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), SourceError> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let len = self.buffer.len();
        if len > LISTED_PATH_LEN_MAX {
            return Err(SourceError::os_fd("read", rustix::io::Errno::NAMETOOLONG));
        }
        self.buffer.resize(len + LIST_READ_SIZE, 0);
        let count = self.file.read(&mut self.buffer[len..])?;
        self.buffer.truncate(len + count);
        self.at_end = count == 0;
        Ok(())
    }

    /// Length of the path that begins at `start` and of the delimiter behind it, if all of it is here.
    fn find_end(&mut self) -> Option<(usize, usize)> {
        let scanned = self.scanned;
        let unseen = &self.buffer[scanned..];
        let found = if self.delimiter == b"\n" {
            unseen
                .iter()
                .position(|&b| b == b'\n' || b == b'\r')
                .and_then(|at| match unseen[at..] {
                    [b'\r', b'\n', ..] => Some((at, 2)),
                    // What follows a carriage return decides how long the delimiter is.
                    [b'\r'] if !self.at_end => None,
                    _ => Some((at, 1)),
                })
        } else {
            unseen
                .windows(self.delimiter.len())
                .position(|window| window == self.delimiter)
                .map(|at| (at, self.delimiter.len()))
        };
        if found.is_none() {
            // The end of what is here may be the beginning of a delimiter.
            let keep = self.delimiter.len().min(unseen.len());
            self.scanned = self.buffer.len() - keep;
        }
        found.map(|(at, len)| (scanned - self.start + at, len))
    }
}

/// The bytes a `--paths-delimiter` stands for: Python's escapes (`\n`, `\0`, `\x41`, `\u00e9`, octal),
/// everything else as it is. None for an escape that is cut off.
///
/// Source: Borg 1.4, `eval_escapes`, with the `unicode-escape` codec of Python.
pub fn unescape(delimiter: &[u8]) -> Option<Vec<u8>> {
    let decoded = text::decode(delimiter, |byte, out| out.push(char::from(byte)));
    let mut out = String::new();
    let mut rest: &str = &decoded;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.chars().next()?;
        rest = &after[code.len_utf8()..];
        let simple = match code {
            '\n' => continue,
            '\\' | '\'' | '"' => code,
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' | 'u' | 'U' => {
                let digits = match code {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let hex = rest.get(..digits)?;
                rest = &rest[digits..];
                char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
            }
            '0'..='7' => {
                let octal: String = after
                    .chars()
                    .take(3)
                    .take_while(|c| ('0'..='7').contains(c))
                    .collect();
                rest = &after[octal.len()..];
                char::from_u32(u32::from_str_radix(&octal, 8).ok()?)?
            }
            _ => {
                out.push('\\');
                code
            }
        };
        out.push(simple);
    }
    out.push_str(rest);
    Some(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn list(content: &[u8], delimiter: &[u8]) -> Vec<String> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // In small pieces, so that delimiters fall between two reads.
                for piece in content.chunks(3) {
                    let mut writer = &writer;
                    writer.write_all(piece).expect("the reader reads on");
                }
                drop(writer);
            });
            let mut paths = PathList::new(SourceFile::from(OwnedFd::from(reader)), delimiter);
            let mut all = Vec::new();
            while let Some(path) = paths.next_path().expect("pipes are readable") {
                all.push(path.to_string());
            }
            all
        })
    }

    #[test]
    fn paths_are_split_at_the_delimiter() {
        assert_eq!(list(b"a\nb c\n\nd", b""), ["a", "b c", "", "d"]);
        assert_eq!(list(b"one\r\ntwo\rthree\r", b"\n"), ["one", "two", "three"]);
        assert_eq!(list(b"a\nb\0c\r\0", b"\0"), ["a\nb", "c\r"]);
        assert_eq!(list(b"a--b-c--d--", b"--"), ["a", "b-c", "d"]);
        assert_eq!(list(b"", b"\n"), [""; 0]);
    }

    #[test]
    fn an_endless_path_is_refused() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Fails when the reader has gone, as it should.
                while writer.write_all(&[b'x'; 4096]).is_ok() {}
            });
            let mut paths = PathList::new(SourceFile::from(OwnedFd::from(reader)), b"\n");
            let error = paths.next_path().expect_err("no path is that long");
            assert_eq!(error.errno(), Some(libc::ENAMETOOLONG));
            drop(paths);
        });
    }

    #[test]
    fn delimiters_are_unescaped_as_python_does() {
        let check = |input: &str, expected: Option<&str>| {
            assert_eq!(
                unescape(input.as_bytes()),
                expected.map(|s| s.as_bytes().to_vec())
            );
        };
        check("\\0", Some("\0"));
        check("\\n", Some("\n"));
        check("\\x41\\102z", Some("ABz"));
        check("\\u00e9", Some("\u{e9}"));
        check("\\q", Some("\\q"));
        check("plain\u{e9}", Some("plain\u{e9}"));
        check("\\x4", None);
        check("\\", None);
    }

    #[test]
    fn output_of_a_command_is_read_and_its_status_seen() {
        let words = |line: &str| line.split('|').map(OsString::from).collect::<Vec<_>>();
        let environment = [
            (
                OsString::from("BORG_VERSION"),
                Some(OsString::from("1.4.5")),
            ),
            (OsString::from("PATH_NOT_THERE"), None),
        ];
        let (command, output) =
            CommandOutput::start(&words("sh|-c|printf $BORG_VERSION"), &environment).expect("sh");
        let mut buffer = [0; 16];
        assert_eq!(output.read_full(&mut buffer).expect("readable"), 5);
        assert_eq!(&buffer[..5], b"1.4.5");
        command.finish().expect("status 0");

        let (command, _output) = CommandOutput::start(&words("sh|-c|exit 3"), &[]).expect("sh");
        let error = command.finish().expect_err("status 3");
        assert_eq!(
            error.to_string(),
            "Command Error: Command 'sh' exited with status 3"
        );

        let error = CommandOutput::start(&words("/nonexistent/x"), &[]).expect_err("no such file");
        assert_eq!(
            error.to_string(),
            "Command Error: Failed to execute command: \
             [Errno 2] No such file or directory: '/nonexistent/x'"
        );
    }
}
