//! `key migrate-to-repokey`: give a repository in passphrase mode a key of its own.

use std::ffi::OsString;

use ironborg_archive::passphrase_mode::migrate_to_repokey;
use ironborg_types::Level;

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyMigrateToRepokeyArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyMigrateToRepokeyOptions {
    location: Location,
}

impl KeyMigrateToRepokeyArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<KeyMigrateToRepokeyOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(KeyMigrateToRepokeyOptions { location })
    }
}

impl Run for KeyMigrateToRepokeyOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Read)?;
        let client = context.client(&self.location);
        migrate_to_repokey(&client, &mut *repository)?;
        context.log(Level::Info, "Key updated");
        Ok(())
    }
}
