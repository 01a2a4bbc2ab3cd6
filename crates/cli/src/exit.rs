//! Exit codes: the two schemes, and how warnings fold into one code.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use ironborg_types::ErrorKind;

/// Nothing to complain about.
pub(crate) const SUCCESS: u8 = 0;
/// Any warning; with modern codes: warnings of several kinds.
pub(crate) const WARNING: u8 = 1;
/// Any error; with modern codes: an error without a code of its own.
pub(crate) const ERROR: u8 = 2;

/// Which codes are wanted; `BORG_EXIT_CODES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ExitCodes {
    /// 0, 1, 2 and 128 + signal.
    #[default]
    Legacy,
    /// A code for each kind of error (3 to 99) and warning (100 to 127).
    Modern,
}

impl ExitCodes {
    /// What the variable says.
    pub(crate) fn from_variable(value: Option<&str>) -> Self {
        if value == Some("modern") {
            Self::Modern
        } else {
            Self::Legacy
        }
    }

    /// The code of an error that ended the program.
    pub(crate) fn error(self, kind: ErrorKind) -> u8 {
        match self {
            Self::Legacy => ERROR,
            Self::Modern => kind.row().modern_code,
        }
    }

    /// The code of a warning, even if the kind is an error elsewhere.
    pub(crate) fn warning(self, kind: ErrorKind) -> u8 {
        match self {
            Self::Legacy => WARNING,
            Self::Modern => kind.row().modern_code,
        }
    }
}

/// How grave a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// 0
    Success,
    /// 1, 100 to 127
    Warning,
    /// 2 to 99
    Error,
    /// From 128 on.
    Signal,
}

/// Classifies a code.
pub(crate) fn severity(code: u8) -> Severity {
    match code {
        SUCCESS => Severity::Success,
        WARNING | 100..=127 => Severity::Warning,
        ERROR..=99 => Severity::Error,
        128.. => Severity::Signal,
    }
}

/// What has happened so far, as far as the exit code is concerned. Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct ExitStatus {
    codes: ExitCodes,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    explicit: u8,
    warnings: BTreeSet<u8>,
}

impl ExitStatus {
    /// Nothing has happened yet.
    pub(crate) fn new(codes: ExitCodes) -> Self {
        Self {
            codes,
            state: Mutex::default(),
        }
    }

    /// Notes a warning.
    pub(crate) fn add_warning(&self, kind: ErrorKind) {
        self.lock().warnings.insert(self.codes.warning(kind));
    }

    /// Notes a warning that has no kind.
    pub(crate) fn add_generic_warning(&self) {
        self.lock().warnings.insert(WARNING);
    }

    /// Notes that the code is to be 1, whatever kinds of warnings there are.
    pub(crate) fn set_warning(&self) {
        self.lock().explicit = WARNING;
    }

    /// Notes an error that did not end the command.
    pub(crate) fn set_error(&self, kind: ErrorKind) {
        self.set_code(self.codes.error(kind));
    }

    /// Notes the exit code of a program that ran for this one; a graver code noted before stays.
    pub(crate) fn set_code(&self, code: u8) {
        let mut state = self.lock();
        if severity(code) > severity(state.explicit) {
            state.explicit = code;
        }
    }

    /// The code to end with when no error ended the command: an explicit one wins over collected
    /// warnings; warnings of one kind give its code, of several kinds 1.
    pub(crate) fn code(&self) -> u8 {
        let state = self.lock();
        if state.explicit != SUCCESS {
            return state.explicit;
        }
        match state.warnings.len() {
            0 => SUCCESS,
            1 => state.warnings.first().copied().unwrap_or(WARNING),
            _ => WARNING,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_warning_gives_its_code_and_several_give_one() {
        let status = ExitStatus::new(ExitCodes::Modern);
        assert_eq!(status.code(), 0);
        status.add_warning(ErrorKind::BackupFileNotFoundError);
        status.add_warning(ErrorKind::BackupFileNotFoundError);
        assert_eq!(status.code(), 107);
        status.add_warning(ErrorKind::FileChangedWarning);
        assert_eq!(status.code(), 1);
    }

    #[test]
    fn the_gravest_code_of_other_programs_counts() {
        let status = ExitStatus::new(ExitCodes::Legacy);
        for (code, expected) in [
            (0, 0),
            (1, 1),
            (107, 1),
            (3, 3),
            (2, 3),
            (200, 200),
            (0, 200),
        ] {
            status.set_code(code);
            assert_eq!(status.code(), expected, "after {code}");
        }
    }

    #[test]
    fn legacy_codes_are_one_and_two() {
        let status = ExitStatus::new(ExitCodes::Legacy);
        status.add_warning(ErrorKind::BackupFileNotFoundError);
        assert_eq!(status.code(), 1);
        assert_eq!(ExitCodes::Legacy.error(ErrorKind::PassphraseWrong), 2);
        assert_eq!(ExitCodes::Modern.error(ErrorKind::PassphraseWrong), 52);
        assert_eq!(severity(107), Severity::Warning);
        assert_eq!(severity(52), Severity::Error);
        assert_eq!(severity(143), Severity::Signal);
    }
}
