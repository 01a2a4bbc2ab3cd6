//! `jobs work`: does the steps of one run, for one repository (`jobs run` starts it).
//!
//! The order comes as JSON on standard input; what is told of the steps goes to standard output, a line of JSON each
//! (`ironborg_jobs::report`); what commands and hooks print goes to standard error, all of it. The commands are those of the
//! command line, with the words a command line would have; but the repository is opened, locked and unlocked once, and
//! kept from step to step. For hooks, in which people list or mount, it is closed.
//!
//! The exit code is that of the gravest step.

mod hook;
mod outcome;
mod ready;
mod steps;
mod told;

use ironborg_jobs::plan::WorkOrder;
use ironborg_source::named_file;
use rustix::stdio;

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::signals;
use told::Listener;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct WorkOptions {
    place: Place,
}

impl WorkArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<WorkOptions, ParseError> {
        Ok(WorkOptions {
            place: self.place.resolve(parse),
        })
    }
}

impl Run for WorkOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let order = read_order()?;
        let listener = Listener::on_standard_output().map_err(|error| {
            CliError::generic(format!("standard output cannot be used: {error}"))
        })?;
        let code = steps::work(context, &self.place, &order, listener);
        context.reporter.exit.set_code(code);
        // If a signal has ended a step, that was said there.
        signals::has_ended();
        Ok(())
    }
}

/// The order. Nothing is left on standard input for the steps: whoever asks there gets no answer.
fn read_order() -> Result<WorkOrder, CliError> {
    let text = named_file::read_descriptor(stdio::stdin())
        .map_err(|error| CliError::generic(format!("no order on standard input: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| CliError::generic(format!("not an order: {error}")))
}
