//! `jobs disable`: ends that.

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DisableOptions {
    place: Place,
}

impl DisableArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DisableOptions, ParseError> {
        Ok(DisableOptions {
            place: self.place.resolve(parse),
        })
    }
}

impl Run for DisableOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let _ = self.place;
        Err(CliError::generic("not there yet"))
    }
}
