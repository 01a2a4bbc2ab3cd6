//! `debug dump-archive`: write all of an archive as JSON.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpArchiveArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpArchiveOptions {}

impl DebugDumpArchiveArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDumpArchiveOptions, ParseError> {
        Ok(DebugDumpArchiveOptions {})
    }
}

impl Run for DebugDumpArchiveOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug dump-archive is not there yet."))
    }
}
