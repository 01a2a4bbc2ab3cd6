//! `check`: check a repository and its archives.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CheckOptions {}

impl CheckArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<CheckOptions, ParseError> {
        Ok(CheckOptions {})
    }
}

impl Run for CheckOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("check is not there yet."))
    }
}
