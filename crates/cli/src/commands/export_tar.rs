//! `export-tar`: write an archive as a tarball.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportTarArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ExportTarOptions {}

impl ExportTarArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ExportTarOptions, ParseError> {
        Ok(ExportTarOptions {})
    }
}

impl Run for ExportTarOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("export-tar is not there yet."))
    }
}
