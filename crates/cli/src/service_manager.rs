//! The service managers of the system and of the user, if they are running.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironborg_source::named_file;
use ironborg_types::text;

use crate::context::Context;
use crate::directories;
use crate::environment::DirectoryVariables;
use crate::error::CliError;
use crate::subprocess;

/// What talks to it.
const PROGRAM: &str = "systemctl";
/// Where the versions of programs lie on systems that keep many: paths below it do not last.
const VERSIONED_STORE: &[u8] = b"/nix/store/";

/// Variables a service does not have by itself but needs to find what the user meant; never a passphrase.
///
/// `PATH` is among them: where programs such as `fusermount3` are elsewhere the service manager does not know it.
const VARIABLES: &[&str] = &[
    "PATH",
    "BORG_BASE_DIR",
    "BORG_CONFIG_DIR",
    "BORG_CACHE_DIR",
    "BORG_KEYS_DIR",
    "BORG_SECURITY_DIR",
    "BORG_KEY_FILE",
    "BORG_HOST_ID",
    "BORG_LOGGING_CONF",
    "BORG_WORKAROUNDS",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
];

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceManager {
    /// The one of the system.
    System,
    /// The one of who runs this.
    User,
}

impl ServiceManager {
    fn command(self, words: &[&str]) -> Command {
        let mut command = subprocess::command(OsStr::new(PROGRAM));
        command.args(self.option()).args(words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn option(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::User => Some("--user"),
        }
    }

    /// Whether it answers.
    pub(crate) fn is_running(self) -> bool {
        let output = self.command(&["show", "--property=Version"]).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Has it do something.
    ///
    /// # Errors
    /// With its own words if it does not do it.
    pub(crate) fn order(self, words: &[&str]) -> Result<(), CliError> {
        let output = self
            .command(words)
            .output()
            .map_err(|error| CliError::generic(format!("{PROGRAM}: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let all: Vec<&str> = self
            .option()
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        Err(CliError::generic(format!(
            "{PROGRAM} {}: {}",
            all.join(" "),
            said.trim()
        )))
    }

    /// `active`, `failed` and so on; nothing if nobody knows.
    pub(crate) fn state(self, unit: &str) -> Option<String> {
        let output = self.command(&["is-active", "--", unit]).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(said).filter(|said| !said.is_empty())
    }
}

/// Those of the [`VARIABLES`] that are set, with their values.
pub(crate) fn lasting_environment() -> Vec<(String, OsString)> {
    let set = VARIABLES.iter().filter_map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(((*name).to_owned(), value))
    });
    set.collect()
}

/// The directory the user's manager reads units of the user's own from.
pub(crate) fn user_units(context: &Context) -> PathBuf {
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
pub(crate) fn program(context: &Context) -> Result<PathBuf, CliError> {
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
        CliError::generic(format!(
            "cannot find the program again: {}",
            text::display(called.as_bytes())
        ))
    })
}

/// The first file of that name where the shell would look for a command.
fn on_path(name: &OsStr, context: &Context) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| context.absolute(&dir).join(name));
    places.find(|place| named_file::exists(place))
}
