//! `with-lock`: run a command while the repository is locked.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct WithLockArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct WithLockOptions {}

impl WithLockArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<WithLockOptions, ParseError> {
        Ok(WithLockOptions {})
    }
}

impl Run for WithLockOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("with-lock is not there yet."))
    }
}
