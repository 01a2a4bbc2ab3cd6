//! `jobs notify-test`: tells everybody who would be told, as a test.

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct NotifyTestArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct NotifyTestOptions {
    place: Place,
}

impl NotifyTestArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<NotifyTestOptions, ParseError> {
        Ok(NotifyTestOptions {
            place: self.place.resolve(parse),
        })
    }
}

impl Run for NotifyTestOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let _ = self.place;
        Err(CliError::generic("not there yet"))
    }
}
