//! `debug dump-archive-items`: write an archive's item stream to files.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpArchiveItemsArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpArchiveItemsOptions {}

impl DebugDumpArchiveItemsArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDumpArchiveItemsOptions, ParseError> {
        Ok(DebugDumpArchiveItemsOptions {})
    }
}

impl Run for DebugDumpArchiveItemsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command(
            "debug dump-archive-items is not there yet.",
        ))
    }
}
