//! `key migrate-to-repokey`: give a repository in passphrase mode a key of its own.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyMigrateToRepokeyArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyMigrateToRepokeyOptions {}

impl KeyMigrateToRepokeyArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<KeyMigrateToRepokeyOptions, ParseError> {
        Ok(KeyMigrateToRepokeyOptions {})
    }
}

impl Run for KeyMigrateToRepokeyOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command(
            "key migrate-to-repokey is not there yet.",
        ))
    }
}
