//! How a step has ended.

use ironborg_jobs::report::Figures;

use crate::error::{Cause, CliError};
use crate::exit::{self, ExitCodes};

/// How a step has ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The exit code.
    pub(super) code: u8,
    /// The class of the error, if there was one.
    pub(super) msgid: Option<String>,
    /// Its message.
    pub(super) message: Option<String>,
    /// What was done.
    pub(super) figures: Figures,
}

impl Outcome {
    /// It was ended by an error.
    pub(super) fn failed(error: &CliError, codes: ExitCodes) -> Self {
        // Where the message only says that something happened, the detail says what.
        let detail = error.detail.lines().next();
        let message = match (&error.cause, detail) {
            (Cause::Unexpected, Some(detail)) => detail,
            _ => &error.message,
        };
        Self {
            code: error.exit_code(codes),
            msgid: error.msgid().map(str::to_owned),
            message: Some(message.to_owned()),
            ..Self::default()
        }
    }

    /// It failed, and there is no error of Borg's for that.
    pub(super) fn with_msgid(msgid: &str, message: String) -> Self {
        Self {
            code: exit::ERROR,
            msgid: Some(msgid.to_owned()),
            message: Some(message),
            ..Self::default()
        }
    }
}
