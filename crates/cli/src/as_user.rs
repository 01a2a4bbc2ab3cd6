//! Small programs run as another user: for what root must not do itself in places that are the user's.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::subprocess;
use crate::sys::{self, UserEntry};

/// Runs a program as a user, without any group but his own.
///
/// # Errors
/// With what it said.
pub(crate) fn run(user: &UserEntry, program: &str, words: &[&OsStr]) -> Result<(), String> {
    let mut command = subprocess::command(OsStr::new(program));
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/");
    if user.uid != sys::effective_uid() {
        command.uid(user.uid).gid(user.gid);
    }
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Makes directories with the rights of a user: what leads there may be his, and lead elsewhere.
///
/// # Errors
/// With what `mkdir` said.
pub(crate) fn make_directories(user: &UserEntry, paths: &[&OsStr]) -> Result<(), String> {
    let script = "umask 077; exec mkdir -p -- \"$@\"";
    let words = ["-c", script, "sh"].map(OsStr::new);
    let words: Vec<&OsStr> = words.into_iter().chain(paths.iter().copied()).collect();
    run(user, "sh", &words)
}

/// Makes one directory with the rights of a user.
///
/// # Errors
/// With what `mkdir` said.
pub(crate) fn make_directory(user: &UserEntry, path: &Path) -> Result<(), String> {
    let script = "umask 077; exec mkdir -- \"$1\"";
    let words = ["-c", script, "sh"].map(OsStr::new);
    run(user, "sh", &[&words[..], &[path.as_os_str()]].concat())
}
