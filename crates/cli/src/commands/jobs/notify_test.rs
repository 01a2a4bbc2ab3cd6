//! `jobs notify-test`: tells everybody who would be told, as a test.

use std::collections::BTreeMap;

use ironborg_jobs::job::Notifier;
use ironborg_jobs::notify::{self, Delivery, Kind, Notice, TIMEOUT};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::notify::{host, sender};
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct NotifyTestArgs {
    /// Notifiers [default: all there are]
    #[arg(value_name = "NOTIFIER")]
    notifiers: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct NotifyTestOptions {
    notifiers: Vec<String>,
    place: Place,
}

impl NotifyTestArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<NotifyTestOptions, ParseError> {
        Ok(NotifyTestOptions {
            notifiers: self.notifiers,
            place: self.place.resolve(parse),
        })
    }
}

impl Run for NotifyTestOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let jobs = self.place.load(context)?;
        let notifiers = self.chosen(jobs.notifiers)?;
        let notice = Notice::new(Kind::Test, "test", "test", &host(context), Timestamp::now());
        let deliveries = notify::test(
            &notifiers,
            &sender(context),
            &notice,
            &TimeZone::system(),
            TIMEOUT,
        );
        let mut stdout = Stdout::new();
        for delivery in &deliveries {
            stdout.text(&line(delivery))?;
        }
        stdout.finish()?;
        let failed = deliveries
            .iter()
            .filter(|delivery| delivery.outcome.is_err())
            .count();
        if failed > 0 {
            let all = deliveries.len();
            return Err(CliError::generic(format!(
                "{failed} of {all} notifiers did not work"
            )));
        }
        Ok(())
    }
}

impl NotifyTestOptions {
    /// Those that were named, or all.
    fn chosen(
        &self,
        mut all: BTreeMap<String, Notifier>,
    ) -> Result<BTreeMap<String, Notifier>, CliError> {
        if all.is_empty() {
            return Err(CliError::generic(
                "no notifiers are configured: there is no [notify.NAME]",
            ));
        }
        for name in &self.notifiers {
            if !all.contains_key(name) {
                let known: Vec<&str> = all.keys().map(String::as_str).collect();
                return Err(CliError::generic(format!(
                    "there is no notifier \"{name}\"; configured: {}",
                    known.join(", ")
                )));
            }
        }
        if !self.notifiers.is_empty() {
            all.retain(|name, _| self.notifiers.contains(name));
        }
        Ok(all)
    }
}

fn line(delivery: &Delivery) -> String {
    match &delivery.outcome {
        Ok(()) => format!("{}: ok\n", delivery.notifier),
        Err(reason) => format!("{}: failed: {reason}\n", delivery.notifier),
    }
}
