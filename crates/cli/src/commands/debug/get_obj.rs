//! `debug get-obj`: write one object to a file.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugGetObjArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugGetObjOptions {}

impl DebugGetObjArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugGetObjOptions, ParseError> {
        Ok(DebugGetObjOptions {})
    }
}

impl Run for DebugGetObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug get-obj is not there yet."))
    }
}
