//! `key change-passphrase`: change the key's passphrase.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyChangePassphraseArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyChangePassphraseOptions {}

impl KeyChangePassphraseArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<KeyChangePassphraseOptions, ParseError> {
        Ok(KeyChangePassphraseOptions {})
    }
}

impl Run for KeyChangePassphraseOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("key change-passphrase is not there yet."))
    }
}
