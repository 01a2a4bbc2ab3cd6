//! `key export`: write the key to a file for safe keeping.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyExportArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyExportOptions {}

impl KeyExportArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<KeyExportOptions, ParseError> {
        Ok(KeyExportOptions {})
    }
}

impl Run for KeyExportOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("key export is not there yet."))
    }
}
