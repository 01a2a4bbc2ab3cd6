//! `mount`: shows archives as directories.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::{Run, Traits};
use crate::args::filters::ArchiveFilterArgs;
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct MountArgs {
    /// Repository or archive to mount
    #[arg(value_name = "REPOSITORY_OR_ARCHIVE", required = true)]
    location: OsString,
    /// Directory to mount it on
    #[arg(value_name = "MOUNTPOINT", required = true)]
    mountpoint: OsString,
    /// Paths or patterns to show [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// Show checkpoint archives too
    #[arg(long)]
    consider_checkpoints: bool,
    /// Stay in the foreground until it is unmounted
    #[arg(short = 'f', long)]
    foreground: bool,
    /// Mount options, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Option<String>,
    /// Use user and group numbers only
    #[arg(long, alias = "numeric-owner")]
    numeric_ids: bool,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
    #[command(flatten)]
    patterns: PatternArgs,
    /// Leave NUMBER leading components of each path out
    #[arg(long, value_name = "NUMBER", value_parser = values::int, default_value = "0",
          hide_default_value = true, help_heading = "Include/Exclude options")]
    strip_components: i64,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct MountOptions;

impl MountArgs {
    /// Resolves location, placeholders and patterns.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<MountOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        parse.location(name, &self.location, ArchivePart::Optional, None)?;
        self.filters.resolve(parse)?;
        self.patterns.resolve()?;
        Ok(MountOptions)
    }
}

impl Run for MountOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::missing_command("mount"))
    }
}
