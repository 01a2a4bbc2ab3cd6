//! `serve`: serve repositories to clients on other hosts.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ServeOptions {}

impl ServeArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ServeOptions, ParseError> {
        Ok(ServeOptions {})
    }
}

impl Run for ServeOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("serve is not there yet."))
    }
}
