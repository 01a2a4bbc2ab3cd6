//! Shell commands of the user's.

use std::process::{Command, Stdio};

use ironborg_jobs::report::HOOK_FAILED;

use super::outcome::Outcome;
use crate::signals::PolledOperation;
use crate::subprocess;

/// What hooks are told in variables, named as by the NixOS module.
pub(super) struct Variables<'a> {
    /// What the archive is called.
    pub(super) archive: &'a str,
    /// The gravest exit code so far.
    pub(super) code: u8,
}

/// Runs a script: it ends with its first command that fails. It has the passphrase in its environment, if that is where
/// it is, as it has to work with the repository.
pub(super) fn run(script: &str, variables: &Variables<'_>) -> Outcome {
    let _polled = PolledOperation::begin();
    let status = Command::new("sh")
        .args(["-e", "-c", script])
        .env("archiveName", variables.archive)
        .env("exitStatus", variables.code.to_string())
        .stdin(Stdio::null())
        .spawn()
        .and_then(|mut child| subprocess::wait_or_end(&mut child));
    match status {
        Ok(status) if status.success() => Outcome::default(),
        Ok(status) => Outcome::with_msgid(HOOK_FAILED, status.to_string()),
        Err(error) => Outcome::with_msgid(HOOK_FAILED, format!("sh: {error}")),
    }
}
