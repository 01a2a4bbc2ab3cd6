//! The one error a command ends with, whatever crate it came from.

#[cfg(test)]
mod tests;

use std::io;

use ironborg_repository::ForeignError;
use ironborg_types::ErrorKind;

/// What made the program end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// One of Borg's errors.
    Kind(ErrorKind),
    /// Something Borg has no name for ("Local Exception").
    Unexpected,
    /// An error of a server that is known there only.
    Foreign {
        /// Name of its class.
        class: String,
        /// Whether the server would show a traceback.
        traceback: bool,
    },
    /// A signal, by number.
    Signal(u8),
}

/// The end of a command that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    /// Decides `msgid`, exit code and whether system information is shown.
    pub(crate) cause: Cause,
    /// As shown.
    pub(crate) message: String,
    /// More about it, shown where stock Borg shows a traceback; may be empty.
    pub(crate) detail: String,
}

impl CliError {
    /// An error of a kind with its arguments put into the kind's message.
    pub(crate) fn new(kind: ErrorKind, arguments: &[&str]) -> Self {
        Self::with_message(kind, kind.message(arguments))
    }

    /// An error of a kind whose message is already whole.
    pub(crate) fn with_message(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            cause: Cause::Kind(kind),
            message: message.into(),
            detail: String::new(),
        }
    }

    /// `Error: TEXT`
    pub(crate) fn generic(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Error, &[text.as_ref()])
    }

    /// `Command Error: TEXT`
    pub(crate) fn command(text: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::CommandError, &[text.as_ref()])
    }

    /// What stock Borg would end with as an exception nobody caught.
    pub(crate) fn unexpected(detail: impl Into<String>) -> Self {
        Self {
            cause: Cause::Unexpected,
            message: "Local Exception".to_owned(),
            detail: detail.into(),
        }
    }

    /// What a server ended with and only a server knows.
    pub(crate) fn foreign(error: &ForeignError) -> Self {
        let system: Vec<String> = error
            .system
            .lines()
            .map(|line| format!("Borg server: {line}"))
            .collect();
        Self {
            cause: Cause::Foreign {
                class: error.class.clone(),
                traceback: error.traceback,
            },
            message: error.message.clone(),
            detail: system.join("\n"),
        }
    }

    /// The end by a signal.
    pub(crate) fn signal(number: u8) -> Self {
        let message = match number {
            1 => "Received SIGHUP.",
            2 => "Keyboard interrupt",
            _ => "Received SIGTERM",
        };
        Self {
            cause: Cause::Signal(number),
            message: message.to_owned(),
            detail: String::new(),
        }
    }

    /// Writing to standard output failed.
    // Taken by value because that is what `map_err` hands over.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn stdout(error: io::Error) -> Self {
        Self::unexpected(format!("cannot write to standard output: {error}"))
    }

    /// Whether it says that there is no repository, but that one may be made. An empty directory is none.
    pub(crate) fn is_no_repository(&self) -> bool {
        matches!(
            self.cause,
            Cause::Kind(
                ErrorKind::RepositoryDoesNotExist
                    | ErrorKind::RepositoryParentPathDoesNotExist
                    | ErrorKind::RepositoryInvalidRepository
            )
        )
    }

    /// Class name for JSON records.
    pub(crate) fn msgid(&self) -> Option<&str> {
        match &self.cause {
            Cause::Kind(kind) => Some(kind.class()),
            Cause::Unexpected => Some("Exception"),
            Cause::Foreign { class, .. } => Some(class),
            Cause::Signal(15) => Some("Signal.SIGTERM"),
            Cause::Signal(1) => Some("Signal.SIGHUP"),
            Cause::Signal(_) => None,
        }
    }

    /// Whether stock Borg would show a traceback: ours is the detail and the system information.
    pub(crate) fn shows_traceback(&self) -> bool {
        match self.cause {
            Cause::Kind(kind) => kind.row().traceback,
            Cause::Unexpected => true,
            Cause::Foreign { traceback, .. } => traceback,
            Cause::Signal(_) => false,
        }
    }

    /// The exit code it stands for.
    pub(crate) fn exit_code(&self, scheme: crate::exit::ExitCodes) -> u8 {
        match self.cause {
            Cause::Kind(kind) => scheme.error(kind),
            Cause::Unexpected | Cause::Foreign { .. } => crate::exit::ERROR,
            Cause::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}
