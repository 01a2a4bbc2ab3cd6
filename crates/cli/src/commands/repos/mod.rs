//! `repos`: the repositories a server keeps for its clients.
//!
//! ```text
//! apply       directories, rights and keys as configured
//! accounts    the users that repositories belong to
//! keys        files of keys, and which of them have lines of ours
//! status      size, last change and quota of each repository
//! ```

mod accounts;
pub(crate) mod apply;
mod keys;
pub(crate) mod status;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::repos::{Repo, config};
use ironborg_source::named_file;

use crate::error::CliError;
use crate::parse::ParseContext;

/// Where the configuration is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/ironborg/repos.toml")]
    config: OsString,
}

/// Where the configuration is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file.
    pub(crate) config: PathBuf,
}

impl PlaceArgs {
    /// Makes the path absolute.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Place {
        let cwd = Path::new(std::ffi::OsStr::from_bytes(parse.cwd));
        Place {
            config: cwd.join(self.config),
        }
    }
}

impl Place {
    /// Reads the configuration.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it: all of that is said then.
    fn load(&self) -> Result<Vec<Repo>, CliError> {
        let content = named_file::read(self.config.as_os_str());
        let content = content.map_err(|error| CliError::generic(error.to_string()))?;
        let Ok(text) = String::from_utf8(content) else {
            let message = format!("{}: not text in UTF-8", self.config.display());
            return Err(CliError::generic(message));
        };
        config::load(&(self.config.clone(), text))
            .map_err(|errors| CliError::generic(errors.to_string()))
    }
}

commands! {
    /// The commands of `repos`.
    ReposCommand
    /// Make directories, rights and keys as configured
    Apply(apply::ApplyArgs),
    /// Show size, last change and quota of each repository
    Status(status::StatusArgs),
}
