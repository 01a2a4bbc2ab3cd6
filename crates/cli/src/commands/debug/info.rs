//! `debug info`: show what to put into a bug report.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugInfoArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugInfoOptions {}

impl DebugInfoArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<DebugInfoOptions, ParseError> {
        Ok(DebugInfoOptions {})
    }
}

impl Run for DebugInfoOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug info is not there yet."))
    }
}
