//! `key export-related-secrets`: write the secrets that make repositories related.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyExportRelatedSecretsArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyExportRelatedSecretsOptions {}

impl KeyExportRelatedSecretsArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<KeyExportRelatedSecretsOptions, ParseError> {
        Ok(KeyExportRelatedSecretsOptions {})
    }
}

impl Run for KeyExportRelatedSecretsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command(
            "key export-related-secrets is not there yet.",
        ))
    }
}
