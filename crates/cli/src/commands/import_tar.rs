//! `import-tar`: make an archive of a tarball.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportTarArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ImportTarOptions {}

impl ImportTarArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ImportTarOptions, ParseError> {
        Ok(ImportTarOptions {})
    }
}

impl Run for ImportTarOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("import-tar is not there yet."))
    }
}
