//! `recreate`: rewrite archives: leave files out, compress or cut them anew.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct RecreateArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RecreateOptions {}

impl RecreateArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<RecreateOptions, ParseError> {
        Ok(RecreateOptions {})
    }
}

impl Run for RecreateOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("recreate is not there yet."))
    }
}
