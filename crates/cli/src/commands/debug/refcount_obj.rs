//! `debug refcount-obj`: show how often objects are referred to.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugRefcountObjArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugRefcountObjOptions {}

impl DebugRefcountObjArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugRefcountObjOptions, ParseError> {
        Ok(DebugRefcountObjOptions {})
    }
}

impl Run for DebugRefcountObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug refcount-obj is not there yet."))
    }
}
