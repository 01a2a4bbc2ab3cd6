//! `debug put-obj`: store a file as an object.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugPutObjArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugPutObjOptions {}

impl DebugPutObjArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugPutObjOptions, ParseError> {
        Ok(DebugPutObjOptions {})
    }
}

impl Run for DebugPutObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug put-obj is not there yet."))
    }
}
