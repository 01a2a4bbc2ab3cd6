//! `jobs daemon`: runs jobs when they are due, where nothing else does.
//!
//! Each run is a process of its own, the same one that a service or a person starts. SIGTERM and ^C are passed on to those that
//! run, and waited for; SIGHUP has the configuration read again, which is looked at every minute anyway.

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::signals;
use ironborg_jobs::schedule::scheduler;

use self::surroundings::Surroundings;

mod surroundings;

/// What may be typed.
///
/// Where systemd runs, `jobs enable` is the better choice. This is for other systems and for
/// containers.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    /// Run as many jobs at the same time, never two of one repository [default: 1]
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        hide_default_value = true
    )]
    parallel: u16,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DaemonOptions {
    parallel: usize,
    place: Place,
}

impl DaemonArgs {
    /// Finds the files.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DaemonOptions, ParseError> {
        if self.parallel == 0 {
            return Err(ParseError::argument("--parallel", "must be at least 1"));
        }
        Ok(DaemonOptions {
            parallel: self.parallel.into(),
            place: self.place.resolve(parse),
        })
    }
}

impl Run for DaemonOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut surroundings = Surroundings::new(context, &self.place)?;
        scheduler::serve(self.parallel, &mut surroundings);
        surroundings.ended();
        // That was what the signal wanted.
        signals::has_ended();
        Ok(())
    }
}
