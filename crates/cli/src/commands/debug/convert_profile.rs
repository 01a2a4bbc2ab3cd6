//! `debug convert-profile`: turn a profile of stock Borg into another format.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugConvertProfileArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugConvertProfileOptions {}

impl DebugConvertProfileArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugConvertProfileOptions, ParseError> {
        Ok(DebugConvertProfileOptions {})
    }
}

impl Run for DebugConvertProfileOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug convert-profile is not there yet."))
    }
}
