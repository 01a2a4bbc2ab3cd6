//! `debug dump-archive-items`: write an archive's item stream to files.

use std::ffi::OsString;

use ironborg_archive::debug::for_each_metadata_chunk;

use super::object::dump;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpArchiveItemsArgs {
    /// Archive whose item stream is dumped
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpArchiveItemsOptions {
    location: Location,
}

impl DebugDumpArchiveItemsArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDumpArchiveItemsOptions, ParseError> {
        Ok(DebugDumpArchiveItemsOptions {
            location: parse.location("ARCHIVE", &self.location, ArchivePart::Required, None)?,
        })
    }
}

impl Run for DebugDumpArchiveItemsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[])?;
        let name = self.location.archive.as_deref().unwrap_or_default();
        let mut stdout = Stdout::new();
        for_each_metadata_chunk(&session, name, |number, id, plaintext| {
            dump(&mut stdout, &format!("{number:06}_{id}.items"), plaintext)
        })?;
        stdout.text("Done.\n")?;
        stdout.finish()
    }
}
