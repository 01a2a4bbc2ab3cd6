//! `debug delete-obj`: delete objects.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDeleteObjArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDeleteObjOptions {}

impl DebugDeleteObjArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDeleteObjOptions, ParseError> {
        Ok(DebugDeleteObjOptions {})
    }
}

impl Run for DebugDeleteObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug delete-obj is not there yet."))
    }
}
