//! `version`: shows the versions of client and server.

use std::ffi::OsString;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::console::Stdout;
use crate::context::{Access, Context};
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
        let server = if self.location.is_remote() {
            let repository = context.open_remote(&self.location, Access::Read)?;
            repository.server_version().to_string()
        } else {
            BORG_VERSION.to_owned()
        };
        let mut stdout = Stdout::new();
        stdout.text(&format!("{BORG_VERSION} / {server}\n"))?;
        stdout.finish()
    }
}
