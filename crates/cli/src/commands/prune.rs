//! `prune`: delete archives that no rule keeps.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct PruneOptions {}

impl PruneArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<PruneOptions, ParseError> {
        Ok(PruneOptions {})
    }
}

impl Run for PruneOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("prune is not there yet."))
    }
}
