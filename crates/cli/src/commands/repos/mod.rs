//! `repos`: the repositories a server keeps for its clients.

pub(crate) mod apply;
pub(crate) mod status;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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

commands! {
    /// The commands of `repos`.
    ReposCommand
    /// Make directories, rights and keys as configured
    Apply(apply::ApplyArgs),
    /// Show size, last change and quota of each repository
    Status(status::StatusArgs),
}
