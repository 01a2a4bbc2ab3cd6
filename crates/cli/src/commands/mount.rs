//! `mount`: show archives as directories.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct MountArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct MountOptions {}

impl MountArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<MountOptions, ParseError> {
        Ok(MountOptions {})
    }
}

impl Run for MountOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("mount is not there yet."))
    }
}
