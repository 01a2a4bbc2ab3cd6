//! `jobs check-config`: whether the configuration is in order.

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfigArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CheckConfigOptions {
    place: Place,
}

impl CheckConfigArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<CheckConfigOptions, ParseError> {
        Ok(CheckConfigOptions {
            place: self.place.resolve(parse),
        })
    }
}

impl Run for CheckConfigOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let _ = self.place;
        Err(CliError::generic("not there yet"))
    }
}
