//! What can go wrong with files and patterns, in stock Borg's words.

use std::fmt::Write as _;
use std::sync::LazyLock;

use ironborg_types::{BytePath, ErrorKind, text};
use rustix::io::Errno;

/// Which file an operating system error is about, as Python attaches it to an `OSError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorFile {
    /// None: calls on an open descriptor.
    None,
    /// The name given to the call.
    Name(BytePath),
    /// Where stock Borg passes a bytes object, shown as `b'...'`.
    Bytes(BytePath),
    /// A call with two names, shown as `'from' -> 'to'`.
    Pair(BytePath, BytePath),
}

/// An error about one file that is being backed up or restored.
///
/// All but [`SourceError::NotRelative`] and [`SourceError::UnknownItemType`] concern that file only:
/// they become warnings and the operation goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A call to the operating system failed.
    #[error("{}", os_text(op, *errno, file))]
    Os {
        /// What was being done, in stock Borg's words; empty where stock names nothing.
        op: &'static str,
        /// The error number.
        errno: i32,
        /// What it was about.
        file: ErrorFile,
    },
    /// The file was replaced between two looks at it; the text says what changed.
    #[error("{}", ErrorKind::BackupRaceConditionError.message(&[what]))]
    Race {
        /// What changed.
        what: &'static str,
    },
    /// An item's path goes through something that is not a directory.
    #[error("{}", ErrorKind::BackupSymlinkParentError.message(&[&path.to_string()]))]
    SymlinkParent {
        /// The item's path.
        path: BytePath,
    },
    /// An item's path has a `..` component.
    #[error("{}", ErrorKind::BackupPathTraversalError.message(&[&path.to_string()]))]
    PathTraversal {
        /// The item's path.
        path: BytePath,
    },
    /// The source of a hard link lies outside, or behind a symlink.
    #[error("{}", ErrorKind::BackupHardlinkSourceError.message(&[&path.to_string()]))]
    HardlinkSource {
        /// The item's path.
        path: BytePath,
    },
    /// An item's path starts with `/` or `../`: the archive is not one Borg made. Ends the operation.
    #[error("Path should be relative and local")]
    NotRelative {
        /// The item's path.
        path: BytePath,
    },
    /// An item's mode is of no known file type. Ends the operation.
    #[error("Unknown archive item type {mode}")]
    UnknownItemType {
        /// The item's mode.
        mode: u32,
    },
    /// A command whose output is wanted could not be started.
    #[error("{}", ErrorKind::CommandError.message(&[&format!("Failed to execute command: {reason}")]))]
    CommandStart {
        /// The system's reason, in Python's words.
        reason: String,
    },
    /// A command whose output is wanted failed.
    #[error("{}", ErrorKind::CommandError.message(
        &[&format!("Command {} exited with status {status}", repr(command))]))]
    CommandStatus {
        /// First word of the command.
        command: BytePath,
        /// Exit status, negative for the number of a signal.
        status: i32,
    },
}

impl SourceError {
    /// An operating system error about a name.
    pub(crate) fn os(op: &'static str, errno: Errno, name: &[u8]) -> Self {
        Self::Os {
            op,
            errno: errno.raw_os_error(),
            file: ErrorFile::Name(name.into()),
        }
    }

    /// An operating system error of a call on a descriptor.
    pub(crate) fn os_fd(op: &'static str, errno: Errno) -> Self {
        Self::Os {
            op,
            errno: errno.raw_os_error(),
            file: ErrorFile::None,
        }
    }

    /// Borg's class of the error. Source: Borg 1.4, `BackupIO.__exit__`.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Os { errno, .. } => match Errno::from_raw_os_error(*errno) {
                Errno::PERM | Errno::ACCESS | Errno::BUSY => ErrorKind::BackupPermissionError,
                Errno::NOENT => ErrorKind::BackupFileNotFoundError,
                Errno::IO => ErrorKind::BackupIOError,
                _ => ErrorKind::BackupOSError,
            },
            Self::Race { .. } => ErrorKind::BackupRaceConditionError,
            Self::SymlinkParent { .. } => ErrorKind::BackupSymlinkParentError,
            Self::PathTraversal { .. } => ErrorKind::BackupPathTraversalError,
            Self::HardlinkSource { .. } => ErrorKind::BackupHardlinkSourceError,
            Self::NotRelative { .. } | Self::UnknownItemType { .. } => ErrorKind::Exception,
            Self::CommandStart { .. } | Self::CommandStatus { .. } => ErrorKind::CommandError,
        }
    }

    /// The whole warning as stock Borg prints it for the file at `path` (`PATH: OP: [Errno N] ...`).
    ///
    /// Every class has its own template, filled with the path and the error's text.
    pub fn warning(&self, path: &[u8]) -> String {
        self.kind()
            .message(&[&text::display(path), &self.to_string()])
    }

    /// The error number of an operating system error.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Os { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

/// A pattern, or a line of a pattern file, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Two letters and a colon that name no style.
    #[error("Unknown pattern style: {0}")]
    UnknownStyle(String),
    /// A `P` line that names no style.
    #[error("Invalid pattern style: {0}")]
    InvalidStyle(String),
    /// Not a regular expression (also a bad character range of a shell pattern).
    #[error("{0}")]
    BadRegex(String),
    /// No text at all.
    #[error("A pattern/command must not be empty.")]
    Empty,
    /// The first character is no command.
    #[error("A pattern/command must start with any of: -, !, +, R, r, P, p")]
    UnknownCommand,
    /// A command without a value.
    #[error("A pattern/command must have a value part.")]
    NoValue,
}

impl PatternError {
    /// Borg's class of the error when it comes from `--pattern` or a file: syntax errors are reported,
    /// the others stock Borg does not expect. (With `-e` they all are usage errors.)
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownStyle(_) | Self::BadRegex(_) => ErrorKind::Exception,
            Self::InvalidStyle(_) | Self::Empty | Self::UnknownCommand | Self::NoValue => {
                ErrorKind::CommandError
            }
        }
    }
}

/// `OP: [Errno N] TEXT: 'FILE'`, as Python prints an `OSError` and Borg puts the operation before it.
fn os_text(op: &str, errno: i32, file: &ErrorFile) -> String {
    let mut out = String::new();
    if !op.is_empty() {
        out.push_str(op);
        out.push_str(": ");
    }
    out.push_str(&errno_text(errno, file));
    out
}

/// `[Errno N] TEXT: 'FILE'`.
pub(crate) fn errno_text(errno: i32, file: &ErrorFile) -> String {
    let mut out = format!("[Errno {errno}] {}", strerror(errno));
    match file {
        ErrorFile::None => {}
        ErrorFile::Name(name) => {
            out.push_str(": ");
            out.push_str(&repr(name));
        }
        ErrorFile::Bytes(name) => {
            out.push_str(": ");
            out.push_str(&bytes_repr(name));
        }
        ErrorFile::Pair(from, to) => {
            let _ = write!(out, ": {} -> {}", repr(from), repr(to));
        }
    }
    out
}

/// The C library's text for an error number.
fn strerror(errno: i32) -> String {
    let mut text = std::io::Error::from_raw_os_error(errno).to_string();
    if let Some(at) = text.rfind(" (os error ") {
        text.truncate(at);
    }
    text
}

/// Python's `repr` of a string that was decoded from these bytes with `surrogateescape`.
pub(crate) fn repr(bytes: &[u8]) -> String {
    static NOT_PRINTABLE: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r"^[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]$")
            .expect("the expression is fixed")
    });
    // Undecodable bytes travel through the text as characters no file name can hold by itself:
    // the decoder hands them out one by one, so the parts between them are escaped one by one.
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ if c == quote => {
                    out.push('\\');
                    out.push(c);
                }
                ' '..='~' => out.push(c),
                _ if c.is_ascii() || NOT_PRINTABLE.is_match(c.encode_utf8(&mut [0; 4])) => {
                    let code = u32::from(c);
                    let _ = match code {
                        0..=0xff => write!(out, "\\x{code:02x}"),
                        0x100..=0xffff => write!(out, "\\u{code:04x}"),
                        _ => write!(out, "\\U{code:08x}"),
                    };
                }
                _ => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\udc{byte:02x}");
        }
    }
    out.push(quote);
    out
}

/// Python's `repr` of a bytes object.
fn bytes_repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut out = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if char::from(byte) == quote => {
                out.push('\\');
                out.push(quote);
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_errors_read_as_pythons() {
        let error = SourceError::os("stat", Errno::NOENT, b"nosuch");
        assert_eq!(
            error.warning(b"a/nosuch"),
            "a/nosuch: stat: [Errno 2] No such file or directory: 'nosuch'"
        );
        assert_eq!(error.kind(), ErrorKind::BackupFileNotFoundError);
        let link = SourceError::Os {
            op: "link",
            errno: 1,
            file: ErrorFile::Pair("/a".into(), "/b".into()),
        };
        assert_eq!(
            link.to_string(),
            "link: [Errno 1] Operation not permitted: '/a' -> '/b'"
        );
        assert_eq!(
            SourceError::os_fd("read", Errno::IO).to_string(),
            "read: [Errno 5] Input/output error"
        );
    }

    #[test]
    fn every_class_has_its_own_warning() {
        assert_eq!(
            SourceError::Race {
                what: "file type changed"
            }
            .warning(b"x"),
            "x: file type or inode changed while we backed it up (race condition, skipped file)"
        );
        assert_eq!(
            SourceError::PathTraversal {
                path: "a/../b".into()
            }
            .warning(b"a/../b"),
            "a/../b: not extracted, path contains \"../\" (malicious or corrupted archive)"
        );
    }

    #[track_caller]
    fn check_repr(bytes: &[u8], expected: &str) {
        assert_eq!(repr(bytes), expected);
    }

    #[test]
    fn names_are_quoted_as_python_quotes_them() {
        check_repr(b"plain", "'plain'");
        check_repr(b"it's", "\"it's\"");
        check_repr(b"it's \"x\"", "'it\\'s \"x\"'");
        check_repr(b"a\nb\\\x01\x7f", "'a\\nb\\\\\\x01\\x7f'");
        check_repr(
            "caf\u{e9}\u{ad}\u{3000}\u{1f600}".as_bytes(),
            "'caf\u{e9}\\xad\\u3000\u{1f600}'",
        );
        check_repr(b"bad-\xff\xe2\x82", "'bad-\\udcff\\udce2\\udc82'");
        assert_eq!(bytes_repr(b"a'\xff"), "b\"a'\\xff\"");
    }
}
