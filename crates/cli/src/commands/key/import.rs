//! `key import`: bring a key back from where it was kept.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyImportArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyImportOptions {}

impl KeyImportArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<KeyImportOptions, ParseError> {
        Ok(KeyImportOptions {})
    }
}

impl Run for KeyImportOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("key import is not there yet."))
    }
}
