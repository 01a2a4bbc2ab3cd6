//! Environment of the programs that are started: never the passphrase, always the version.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::program::BORG_VERSION;

/// Changes to the environment of every subprocess: a value to set, or `None` to remove.
pub(crate) fn environment() -> Vec<(OsString, Option<OsString>)> {
    vec![
        ("BORG_PASSPHRASE".into(), None),
        ("BORG_VERSION".into(), Some(BORG_VERSION.into())),
    ]
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
