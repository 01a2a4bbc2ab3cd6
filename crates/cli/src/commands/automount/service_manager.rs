//! The service manager of the user, if one is running.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironborg_source::named_file;

use super::shown;
use crate::context::Context;
use crate::directories;
use crate::environment::DirectoryVariables;
use crate::error::CliError;
use crate::subprocess;

/// What talks to it.
const PROGRAM: &str = "systemctl";
/// Where the versions of programs lie on systems that keep many: paths below it do not last.
const VERSIONED_STORE: &[u8] = b"/nix/store/";

fn command(words: &[&str]) -> Command {
    let mut command = subprocess::command(OsStr::new(PROGRAM));
    command.arg("--user").args(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether there is one that answers.
pub(super) fn is_running() -> bool {
    let output = command(&["show", "--property=Version"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Has it do something.
///
/// # Errors
/// With its own words if it does not do it.
pub(super) fn order(words: &[&str]) -> Result<(), CliError> {
    let output = command(words)
        .output()
        .map_err(|error| CliError::generic(format!("{PROGRAM}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(CliError::generic(format!(
        "{PROGRAM} --user {}: {}",
        words.join(" "),
        said.trim()
    )))
}

/// `active`, `failed` and so on; nothing if nobody knows.
pub(super) fn state(unit: &str) -> Option<String> {
    let output = command(&["is-active", "--", unit]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some(said).filter(|said| !said.is_empty())
}

/// The directory it reads units of the user's own from.
pub(super) fn units(context: &Context) -> PathBuf {
    let variables = &context.environment.directories;
    let config = variables
        .xdg_config
        .clone()
        .filter(|path| path.is_absolute());
    let home = || {
        // Where Borg's own directories are is another question.
        let variables = DirectoryVariables {
            base: None,
            ..variables.clone()
        };
        directories::base(&variables, context.cwd_as_os_str().as_ref()).join(".config")
    };
    context
        .absolute(&config.unwrap_or_else(home))
        .join("systemd/user")
}

/// The program by a path that stays when it is installed anew: as it was found, not where links lead.
///
/// # Errors
/// It cannot be found out.
pub(super) fn program(context: &Context) -> Result<PathBuf, CliError> {
    let called = context.command_line.first().cloned().unwrap_or_default();
    let found = if called.as_bytes().contains(&b'/') {
        Some(context.absolute(Path::new(&called)))
    } else {
        on_path(&called, context)
    };
    let lasts = |path: &PathBuf| !path.as_os_str().as_bytes().starts_with(VERSIONED_STORE);
    let lasting = found.clone().filter(lasts).or_else(|| {
        let name = found.as_deref().and_then(Path::file_name)?;
        on_path(name, context).filter(lasts)
    });
    let itself = || std::env::current_exe().ok();
    lasting.or(found).or_else(itself).ok_or_else(|| {
        CliError::generic(format!("cannot find the program again: {}", shown(&called)))
    })
}

/// The first file of that name where the shell would look for a command.
fn on_path(name: &OsStr, context: &Context) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| context.absolute(&dir).join(name));
    places.find(|place| named_file::exists(place))
}
