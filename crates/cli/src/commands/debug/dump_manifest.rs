//! `debug dump-manifest`: write the manifest as JSON.

use std::ffi::OsString;

use super::object::TextTarget;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::dump;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpManifestArgs {
    /// Repository whose manifest is dumped
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// File to write, or "-" for standard output
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpManifestOptions {
    location: Location,
    path: OsString,
}

impl DebugDumpManifestArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDumpManifestOptions, ParseError> {
        Ok(DebugDumpManifestOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            path: self.path,
        })
    }
}

impl Run for DebugDumpManifestOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[])?;
        let manifest = ironborg_archive::debug::manifest(&session)?;
        let mut target = TextTarget::open(&self.path)?;
        let mut out = String::new();
        dump::push(&manifest, "", &mut out);
        target.text(&out)?;
        target.finish()
    }
}
