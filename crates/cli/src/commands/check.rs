//! `check`: checks a repository and its archives.

use std::ffi::OsString;

use super::{Run, Traits};
use crate::args::filters::ArchiveFilterArgs;
use crate::args::{ParseError, values};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Repository or archive [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Check the segments and the index only
    #[arg(long)]
    repository_only: bool,
    /// Check the archives only
    #[arg(long)]
    archives_only: bool,
    /// Also read, decrypt and verify all data (slow)
    #[arg(long)]
    verify_data: bool,
    /// Repair what is found to be wrong; what cannot be repaired is lost
    #[arg(long)]
    repair: bool,
    /// Accepted: takes no space while it works anyway
    #[arg(long)]
    save_space: bool,
    /// Stop after SECONDS and go on from there next time [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = values::int, default_value = "0",
          hide_default_value = true)]
    max_duration: i64,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CheckOptions;

impl CheckArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<CheckOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        parse.location(name, &self.location, ArchivePart::Optional, None)?;
        self.filters.resolve(parse)?;
        Ok(CheckOptions)
    }
}

impl Run for CheckOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::missing_command("check"))
    }
}
