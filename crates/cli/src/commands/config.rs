//! `config`: show or change a repository's settings.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ConfigOptions {}

impl ConfigArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ConfigOptions, ParseError> {
        Ok(ConfigOptions {})
    }
}

impl Run for ConfigOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("config is not there yet."))
    }
}
