//! `version`: show the versions of client and server.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct VersionOptions {}

impl VersionArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<VersionOptions, ParseError> {
        Ok(VersionOptions {})
    }
}

impl Run for VersionOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("version is not there yet."))
    }
}
