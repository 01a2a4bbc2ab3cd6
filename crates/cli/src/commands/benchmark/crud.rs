//! `benchmark crud`: measure creating, reading, updating and deleting.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchmarkCrudArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct BenchmarkCrudOptions {}

impl BenchmarkCrudArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<BenchmarkCrudOptions, ParseError> {
        Ok(BenchmarkCrudOptions {})
    }
}

impl Run for BenchmarkCrudOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("benchmark crud is not there yet."))
    }
}
