//! `compact`: free the space of what was deleted.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CompactArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CompactOptions {}

impl CompactArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<CompactOptions, ParseError> {
        Ok(CompactOptions {})
    }
}

impl Run for CompactOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("compact is not there yet."))
    }
}
