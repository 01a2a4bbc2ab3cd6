//! `automount`: repositories as directories that open when they are entered, for any user.
//!
//! ```text
//! enable, disable, list   what people type
//! serve, clean            what the service runs
//! config                  what is shown where: a file for each directory
//! unit                    the service, as a unit of the user's service manager
//! notify                  what it is told
//! mounts                  what is mounted on a directory
//! ```

pub(crate) mod clean;
mod config;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod list;
mod mounts;
pub(crate) mod serve;
mod unit;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_source::named_file;
use ironborg_types::text;

use self::config::{Config, ConfigError};
use super::backup::absolute;
use crate::context::Context;
use crate::error::CliError;

commands! {
    /// The commands of `automount`.
    AutomountCommand
    /// Show a repository below a directory, from now on
    Enable(enable::EnableArgs),
    /// Show it no longer
    Disable(disable::DisableArgs),
    /// List what is shown where
    List(list::ListArgs),
    /// Show what is enabled for a directory, in the foreground
    Serve(serve::ServeArgs),
    /// Take away what a dead process left mounted
    Clean(clean::CleanArgs),
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::generic(error.to_string())
    }
}

/// The directory as typed, absolute and without symlinks above it. It need not be there, nor answer.
fn directory(typed: &OsStr, cwd: &[u8]) -> Result<PathBuf, CliError> {
    let path = PathBuf::from(OsString::from_vec(absolute(typed.as_bytes(), cwd).0));
    let Some((above, name)) = path.parent().zip(path.file_name()) else {
        return Err(CliError::generic(
            "the root directory is in use for other things",
        ));
    };
    match named_file::resolved_directory(above) {
        Ok(above) => Ok(above.join(name)),
        Err(error) if error.is_not_found() => Ok(path),
        Err(error) => Err(CliError::generic(error.to_string())),
    }
}

/// What is enabled for a directory.
fn enabled(context: &Context, directory: &Path) -> Result<Config, CliError> {
    let found = Config::load(&context.config(), directory)?;
    found.ok_or_else(|| {
        CliError::generic(format!(
            "nothing is enabled for {}",
            shown(directory.as_os_str())
        ))
    })
}

/// Bytes as people read them.
fn shown(text: &OsStr) -> String {
    text::display(text.as_bytes()).into_owned()
}

/// Units of lengths of time, in seconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("s", 1),
    ("sec", 1),
    ("m", 60),
    ("min", 60),
    ("h", 60 * 60),
    ("d", 24 * 60 * 60),
];

/// A length of time such as `90s`, `10min`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("not a length of time: {text} (such as 90s, 10min, 2h)");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = TIME_UNITS.iter().find(|(name, _)| *name == unit.trim());
    let (_, seconds) = unit.ok_or_else(refuse)?;
    let number: u64 = number.parse().map_err(|_| refuse())?;
    let seconds = number.checked_mul(*seconds).filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10 min"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for text in [
            "",
            "min",
            "0",
            "-1s",
            "1.5h",
            "10 parsecs",
            "99999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_is_named_by_its_real_path() {
        let dir = tempfile::tempdir().unwrap();
        let real = named_file::resolved_directory(dir.path()).unwrap();
        named_file::replace_symlink(&real.join("link"), real.as_os_str()).unwrap();
        let cwd = real.join("link");
        let found = directory("not/../there".as_ref(), cwd.as_os_str().as_bytes()).unwrap();
        assert_eq!(found, real.join("there"));
        assert!(directory("/".as_ref(), b"/").is_err());
    }
}
