//! `umount`: take a mounted archive away.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct UmountArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct UmountOptions {}

impl UmountArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<UmountOptions, ParseError> {
        Ok(UmountOptions {})
    }
}

impl Run for UmountOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("umount is not there yet."))
    }
}
