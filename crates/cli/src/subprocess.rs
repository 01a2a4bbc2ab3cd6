//! Environment of the programs that are started: never the passphrase, always the version, and the libraries of the
//! system rather than those of a bundle that we may have been started from.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use crate::program::BORG_VERSION;

/// Changes to the environment of every subprocess: a value to set, or `None` to remove.
pub(crate) fn environment() -> Vec<(OsString, Option<OsString>)> {
    let mut changes = vec![
        ("BORG_PASSPHRASE".into(), None),
        ("BORG_VERSION".into(), Some(BORG_VERSION.into())),
    ];
    // What packers of programs leave behind where they have set another path.
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH_ORIG") {
        changes.push(("LD_LIBRARY_PATH".into(), Some(path)));
    }
    changes
}

/// A command with that environment.
pub(crate) fn command(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, value) in environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The exit code of a program that ran, to be passed on.
///
/// # Errors
/// Stock Borg's words for a program that a signal ended: that is no exit code.
pub(crate) fn exit_code(status: ExitStatus) -> Result<u8, String> {
    let code = status
        .code()
        .unwrap_or_else(|| -status.signal().unwrap_or(0));
    u8::try_from(code).map_err(|_| format!("invalid error code: {code}"))
}
