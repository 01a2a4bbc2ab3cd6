//! Jobs of other users: root runs this program again as that user. By hand and by a daemon that is then what a unit with
//! `User=` does.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};

use ironborg_jobs::job::Job;
use ironborg_jobs::run::Clock;
use ironborg_source::named_file;
use rustix::process::{Pid, Signal, kill_process};

use super::worker::itself;
use crate::error::CliError;
use crate::sys::{self, UserEntry};

/// How often it is looked whether this one is to end.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);
/// Variables that a service has of its manager, too.
const KEPT: &[&str] = &[
    "PATH",
    "TERM",
    "TZ",
    "CREDENTIALS_DIRECTORY",
    "TMPDIR",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];
/// Those about languages begin so.
const LANGUAGE: &[&str] = &["LANG", "LC_"];
/// For users the database has no shell of.
const SHELL: &str = "/bin/sh";

/// Who is to run a job, if that is not who runs this.
///
/// # Errors
/// There is no such user or group, or only root could become that user.
pub(in crate::commands::jobs) fn other_user(job: &Job) -> Result<Option<UserEntry>, CliError> {
    let own = sys::effective_uid();
    let missing = |what: &str, name: &str| {
        CliError::generic(format!("job {}: there is no {what} {name}", job.name))
    };
    let mut user = match &job.user {
        Some(name) => sys::user_by_name(OsStr::new(name)).ok_or_else(|| missing("user", name))?,
        None if job.group.is_none() => return Ok(None),
        None => sys::user_by_id(own).ok_or_else(|| missing("user", &own.to_string()))?,
    };
    let own_group = rustix::process::getegid().as_raw();
    let mut is_other = user.uid != own;
    if let Some(group) = &job.group {
        let found = sys::group_by_name(OsStr::new(group));
        user.gid = found.ok_or_else(|| missing("group", group))?;
        is_other |= user.gid != own_group;
    }
    if !is_other {
        return Ok(None);
    }
    if own != 0 {
        let name = user.name.to_string_lossy();
        return Err(CliError::generic(format!(
            "job {} is run by user {name}: only root can start it for somebody else",
            job.name
        )));
    }
    Ok(Some(user))
}

/// A command line of this program, to be run as that user. The directory of the job's records becomes the user's.
pub(in crate::commands::jobs) fn command_as(
    user: &UserEntry,
    state: &Path,
    words: Vec<OsString>,
) -> Result<Command, CliError> {
    let failed = |error: named_file::NamedFileError| CliError::generic(error.to_string());
    if let Some(root) = state.parent() {
        // Others have to get to what is theirs in it.
        named_file::make_public_directories(root).map_err(failed)?;
    }
    named_file::make_directories(state, 0o700).map_err(failed)?;
    named_file::give_directory(state, user.uid, user.gid).map_err(failed)?;
    let mut command = itself(words);
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        let kept = KEPT.contains(&&*shown) || LANGUAGE.iter().any(|begin| shown.starts_with(begin));
        if kept {
            command.env(name, value);
        }
    }
    command
        .env("HOME", &user.home)
        .env("USER", &user.name)
        .env("LOGNAME", &user.name)
        .env("SHELL", SHELL)
        .current_dir("/");
    sys::start_as_user(&mut command, user, sys::groups_of(user));
    // After that: changing the user forgets it.
    sys::start_as_dependent(&mut command, sys::Priority::default());
    Ok(command)
}

/// Runs it to its end; gives its exit code.
pub(in crate::commands::jobs) fn wait(
    mut command: Command,
    clock: &dyn Clock,
) -> Result<u8, CliError> {
    let failed = |error: std::io::Error| {
        CliError::generic(format!("cannot run this program as another user: {error}"))
    };
    let mut child = command.spawn().map_err(failed)?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
            return Ok(code.unwrap_or_else(|| 128_u8.saturating_add(signal.unwrap_or(0))));
        }
        match clock.ending() {
            // It ends what it has started by itself.
            Some(code) if !told && code != 130 => {
                told = true;
                tell_to_end(&child);
            }
            Some(_) => std::thread::sleep(LOOK_INTERVAL),
            None => clock.sleep(LOOK_INTERVAL),
        }
    }
}

fn tell_to_end(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It has not been waited for: the number is still its own.
    let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
}
