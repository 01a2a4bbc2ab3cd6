//! `debug id-hash`: show the id a file would have as a chunk.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugIdHashArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugIdHashOptions {}

impl DebugIdHashArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugIdHashOptions, ParseError> {
        Ok(DebugIdHashOptions {})
    }
}

impl Run for DebugIdHashOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug id-hash is not there yet."))
    }
}
