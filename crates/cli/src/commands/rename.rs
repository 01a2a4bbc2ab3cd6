//! `rename`: gives an archive another name.

use std::ffi::OsString;

use ironborg_archive::rename::rename;
use ironborg_format::Operation;
use ironborg_types::text;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// Archive to rename
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// Its new name
    #[arg(value_name = "NEWNAME", required = true)]
    name: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RenameOptions {
    location: Location,
    name: Vec<u8>,
}

impl RenameArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<RenameOptions, ParseError> {
        Ok(RenameOptions {
            location: parse.location("ARCHIVE", &self.location, ArchivePart::Required, None)?,
            name: parse.archive_name("NEWNAME", &self.name)?,
        })
    }
}

impl Run for RenameOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut session =
            context.open_session(&self.location, Access::Write, &[Operation::Check])?;
        let old = self.location.archive.as_deref().unwrap_or_default();
        rename(&mut session, old, &self.name)?;
        context.note(|figures| {
            figures.archive = Some(text::display(&self.name).into_owned());
        });
        Ok(())
    }
}
