//! `jobs status`: how the jobs are doing, for people, for programs, for monitoring systems; and the notices about those of
//! which nothing is heard.

mod json;
mod plugin;
mod silence;
mod text;

use std::time::Duration;

use ironborg_jobs::history::{History, Outcome, Run as RunRecord};
use ironborg_jobs::job::Job;
use ironborg_jobs::schedule::parse_duration;
use ironborg_jobs::status::TargetStatus;
use ironborg_source::named_file;
use ironborg_types::Level;
use jiff::{Timestamp, Zoned};

use super::place::no_such_job;
use super::run::LOCK_NAME;
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Jobs to show [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// For a monitoring system: one line, and exit code 0, 1, 2 or 3 for OK, warning, critical (a backup is older
    /// than AGE) or unknown
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<Duration>,
    /// Tell those who want to know of jobs that have been silent for too long, or were killed
    #[arg(long)]
    notify: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct StatusOptions {
    place: Place,
    names: Vec<String>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Text,
    Json,
    Plugin(Duration),
    Notices,
}

impl StatusArgs {
    /// Finds the files.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<StatusOptions, ParseError> {
        let form = match (self.json, self.max_age, self.notify) {
            (false, None, false) => Form::Text,
            (true, None, false) => Form::Json,
            (false, Some(max_age), false) => Form::Plugin(max_age),
            (false, None, true) => Form::Notices,
            (true, Some(_), _) => {
                let text = "not allowed with argument --json";
                return Err(ParseError::argument("--max-age", text));
            }
            _ => {
                let text = "not allowed with arguments --json and --max-age";
                return Err(ParseError::argument("--notify", text));
            }
        };
        Ok(StatusOptions {
            place: self.place.resolve(parse),
            names: self.names,
            form,
        })
    }
}

/// How a job is doing.
struct JobStatus<'a> {
    job: &'a Job,
    /// Whether it is running; nothing if that cannot be seen.
    running: Option<bool>,
    /// When it runs next by itself.
    next: Option<Timestamp>,
    /// Its repositories, or why nothing is known of them.
    targets: Result<Vec<TargetStatus>, String>,
}

impl Run for StatusOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        if let Form::Plugin(max_age) = self.form {
            // Whatever is wrong is told in the way of these programs.
            let report = match self.all(context, |all| plugin::report(&all, max_age)) {
                Ok(report) => report,
                Err(error) => plugin::unknown(&error.message),
            };
            context.reporter.exit.set_code(report.code);
            return print(&report.line);
        }
        if matches!(self.form, Form::Notices) {
            return self.notify(context);
        }
        let shown = self.all(context, |all| match self.form {
            Form::Json => json::document(&all, context),
            _ => text::text(&all, context, &Zoned::now(), !self.names.is_empty()),
        })?;
        print(&shown)
    }
}

fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = crate::console::Stdout::new();
    stdout.text(text)?;
    stdout.finish()
}

impl StatusOptions {
    /// Looks at the jobs.
    fn all<T>(
        &self,
        context: &Context,
        show: impl FnOnce(Vec<JobStatus<'_>>) -> T,
    ) -> Result<T, CliError> {
        let jobs = self.place.load(context)?;
        for name in &self.names {
            if !jobs.jobs.iter().any(|job| job.name == *name) {
                return Err(no_such_job(&jobs, name));
            }
        }
        let next = super::next::next_starts(context, &self.place, &jobs, Timestamp::now());
        let wanted = |job: &&Job| self.names.is_empty() || self.names.contains(&job.name);
        let all = jobs.jobs.iter().filter(wanted).map(|job| {
            let state = self.place.state_of(context, &job.name);
            let history = History::open_to_read(&state);
            let targets = history.and_then(|history| TargetStatus::of_all(job, history.as_ref()));
            JobStatus {
                job,
                running: named_file::is_locked(&state.join(LOCK_NAME)),
                next: next.get(&job.name).copied(),
                targets: targets.map_err(|error| error.to_string()),
            }
        });
        Ok(show(all.collect()))
    }

    /// Tells of silence, each job by who runs it.
    fn notify(&self, context: &Context) -> Result<(), CliError> {
        let jobs = self.place.load(context)?;
        for name in &self.names {
            if !jobs.jobs.iter().any(|job| job.name == *name) {
                return Err(no_such_job(&jobs, name));
            }
        }
        for job in &jobs.jobs {
            if !self.names.is_empty() && !self.names.contains(&job.name) {
                continue;
            }
            // What is wrong with one is no reason to say nothing of the others.
            if let Err(error) = silence::tell(context, &self.place, &jobs, job) {
                context.log(Level::Warning, format!("{}: {}", job.name, error.message));
            }
        }
        Ok(())
    }
}

/// How a run is doing or has ended: one that has not ended runs, or was killed if nobody runs the job.
fn outcome_name(run: &RunRecord, running: Option<bool>) -> &'static str {
    match (run.outcome, running) {
        (Some(outcome), _) => outcome.name(),
        (None, Some(false)) => Outcome::Killed.name(),
        (None, _) => "running",
    }
}
