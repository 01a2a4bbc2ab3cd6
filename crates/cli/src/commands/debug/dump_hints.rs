//! `debug dump-hints`: write the repository's hints as JSON.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpHintsArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpHintsOptions {}

impl DebugDumpHintsArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDumpHintsOptions, ParseError> {
        Ok(DebugDumpHintsOptions {})
    }
}

impl Run for DebugDumpHintsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug dump-hints is not there yet."))
    }
}
