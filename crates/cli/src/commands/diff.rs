//! `diff`: show what differs between two archives.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DiffOptions {}

impl DiffArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<DiffOptions, ParseError> {
        Ok(DiffOptions {})
    }
}

impl Run for DiffOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("diff is not there yet."))
    }
}
