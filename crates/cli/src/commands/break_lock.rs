//! `break-lock`: remove locks that a dead process left.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct BreakLockArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct BreakLockOptions {}

impl BreakLockArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<BreakLockOptions, ParseError> {
        Ok(BreakLockOptions {})
    }
}

impl Run for BreakLockOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("break-lock is not there yet."))
    }
}
