//! `version`: shows the versions of client and server.

use std::ffi::OsString;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::program::BORG_VERSION;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// Repository whose server is asked; a local one has none [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct VersionOptions {
    location: Location,
}

impl VersionArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<VersionOptions, ParseError> {
        Ok(VersionOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
        })
    }
}

impl Run for VersionOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        // Without a server in between the program is its own. The repository need not be there.
        context.local_path(&self.location)?;
        let mut stdout = Stdout::new();
        stdout.text(&format!("{BORG_VERSION} / {BORG_VERSION}\n"))?;
        stdout.finish()
    }
}
