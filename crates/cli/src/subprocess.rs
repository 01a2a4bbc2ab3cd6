//! Environment of the programs that are started: never the passphrase, always the version, and the libraries of the
//! system rather than those of a bundle that we may have been started from.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::BORG_VERSION;
use crate::signals;

/// Longest pause between two looks at a command.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// How long a command may take to end by itself when the program is told to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

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

/// Waits for a command; ends it when the program is told to end.
pub(crate) fn wait_or_end(child: &mut Child) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    let mut told: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match told {
            None if signals::ending().is_some() => {
                told = Some(Instant::now());
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                // A child that is gone already needs no signal.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            Some(since) if since.elapsed() > STOP_LIMIT => child.kill()?,
            _ => {}
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_INTERVAL_MAX);
    }
}
