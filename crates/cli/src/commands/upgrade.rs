//! `upgrade`: bring an old repository up to date.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct UpgradeArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct UpgradeOptions {}

impl UpgradeArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<UpgradeOptions, ParseError> {
        Ok(UpgradeOptions {})
    }
}

impl Run for UpgradeOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("upgrade is not there yet."))
    }
}
