//! `jobs run`: runs jobs: one by name, or all that are due.

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RunOptions {
    place: Place,
}

impl RunArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<RunOptions, ParseError> {
        Ok(RunOptions {
            place: self.place.resolve(parse),
        })
    }
}

impl Run for RunOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let _ = self.place;
        Err(CliError::generic("not there yet"))
    }
}
