//! `serve`: serves repositories to clients on other hosts.

use std::ffi::OsString;

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Serve only repositories in PATH and below it; may be given again
    #[arg(long, value_name = "PATH")]
    restrict_to_path: Vec<OsString>,
    /// Serve only the repository at PATH; may be given again
    #[arg(long, value_name = "PATH")]
    restrict_to_repository: Vec<OsString>,
    /// Let clients add data, but remove nothing for good
    #[arg(long)]
    append_only: bool,
    /// Let a repository hold at most QUOTA bytes (suffixes such as 5G; 0 for no limit)
    #[arg(long, value_name = "QUOTA", value_parser = values::storage_quota)]
    storage_quota: Option<u64>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ServeOptions;

impl ServeArgs {
    /// There is nothing to resolve: clients name the repositories.
    // The signature is that of all commands.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ServeOptions, ParseError> {
        Ok(ServeOptions)
    }
}

impl Run for ServeOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::missing_command("serve"))
    }
}
