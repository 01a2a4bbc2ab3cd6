//! `debug dump-manifest`: write the manifest as JSON.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpManifestArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpManifestOptions {}

impl DebugDumpManifestArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDumpManifestOptions, ParseError> {
        Ok(DebugDumpManifestOptions {})
    }
}

impl Run for DebugDumpManifestOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug dump-manifest is not there yet."))
    }
}
