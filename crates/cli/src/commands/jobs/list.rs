//! `jobs list`: which jobs there are: what, where to, when next, how it went last.

use ironborg_jobs::history::{History, Outcome};
use ironborg_jobs::job::{Job, Source};
use ironborg_jobs::schedule::scheduler::Planned;
use ironborg_types::Level;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::due::{self, Seeing, local};
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::json::Json;
use crate::parse::ParseContext;

/// How many of the last runs are looked at for one that was begun.
const RUNS_LOOKED_AT: u32 = 50;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ListOptions {
    json: bool,
    place: Place,
}

impl ListArgs {
    /// Finds the files.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ListOptions, ParseError> {
        Ok(ListOptions {
            json: self.json,
            place: self.place.resolve(parse),
        })
    }
}

impl Run for ListOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let jobs = self.place.load(context)?;
        let (now, zone) = (Timestamp::now(), TimeZone::system());
        let planned = due::planned(context, &self.place, &jobs, now, Seeing::Forgotten);
        let rows = jobs.jobs.iter().map(|job| {
            let known = planned.iter().find(|planned| planned.name == job.name);
            let next = |it: &Planned| it.timing.next_start(&it.record, now, &zone);
            Row {
                job,
                next: known.and_then(next),
                last: self.last(context, job),
            }
        });
        let rows: Vec<Row<'_>> = rows.collect();
        if self.json {
            let rows = rows.iter().map(Row::json).collect();
            return context.print_json(vec![("jobs", Json::List(rows))]);
        }
        let mut stdout = Stdout::new();
        for row in &rows {
            stdout.text(&row.text(now))?;
        }
        stdout.finish()
    }
}

impl ListOptions {
    /// The last run that was begun.
    fn last(&self, context: &Context, job: &Job) -> Option<Last> {
        let history = History::open_to_read(&self.place.state_of(context, &job.name));
        let runs = history.and_then(|history| match history {
            Some(history) => history.runs(None, RUNS_LOOKED_AT),
            None => Ok(Vec::new()),
        });
        let runs = runs.unwrap_or_else(|error| {
            context.log(Level::Warning, error.to_string());
            Vec::new()
        });
        let was_begun = |outcome: Option<Outcome>| outcome.is_none_or(Outcome::was_begun);
        let last = runs.into_iter().find(|run| was_begun(run.outcome))?;
        Some(Last {
            begun: last.begun,
            outcome: last.outcome.map_or("unfinished", Outcome::name),
        })
    }
}

/// A run, in short.
struct Last {
    begun: Timestamp,
    outcome: &'static str,
}

/// A job, as it is shown.
struct Row<'a> {
    job: &'a Job,
    next: Option<Timestamp>,
    last: Option<Last>,
}

impl Row<'_> {
    fn text(&self, now: Timestamp) -> String {
        let next = match self.next {
            None if self.job.schedule.start_at.is_empty() => "not by itself".to_owned(),
            None => "never again".to_owned(),
            Some(next) if next <= now => "now".to_owned(),
            Some(next) => local(next),
        };
        let last = self.last.as_ref().map_or_else(
            || "never".to_owned(),
            |last| format!("{} ({})", local(last.begun), last.outcome),
        );
        let name = &self.job.name;
        let mut lines = vec![format!("{name}: next: {next}, last: {last}")];
        let what = match &self.job.source {
            Source::Paths { paths, .. } => {
                let paths = paths.iter().map(|path| path.display().to_string());
                paths.collect::<Vec<_>>().join(" ")
            }
            Source::Command(command) => format!("the output of: {command}"),
        };
        lines.push(format!("  from  {what}"));
        for target in &self.job.targets {
            lines.push(format!("  to    {}", target.repository));
        }
        let start_at = self.job.schedule.start_at.join(", ");
        if !start_at.is_empty() {
            lines.push(format!("  at    {start_at}"));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn json(&self) -> Json {
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let (paths, command) = match &self.job.source {
            Source::Paths { paths, .. } => {
                let path = |path: &std::path::PathBuf| path.display().to_string().into();
                (Json::List(paths.iter().map(path).collect()), Json::Null)
            }
            Source::Command(command) => (Json::List(Vec::new()), command.as_str().into()),
        };
        let repositories = self.job.targets.iter().map(|target| {
            Json::Object(vec![
                ("label", target.label.as_str().into()),
                ("location", target.repository.as_str().into()),
            ])
        });
        let last = self.last.as_ref().map_or(Json::Null, |last| {
            Json::Object(vec![
                ("begun", last.begun.to_string().into()),
                ("outcome", last.outcome.into()),
            ])
        });
        let user = self.job.user.as_deref().map_or(Json::Null, Json::from);
        Json::Object(vec![
            ("name", self.job.name.as_str().into()),
            ("user", user),
            ("paths", paths),
            ("command", command),
            ("repositories", Json::List(repositories.collect())),
            ("start_at", Json::List(texts(&self.job.schedule.start_at))),
            (
                "next",
                self.next.map_or(Json::Null, |at| at.to_string().into()),
            ),
            ("last", last),
        ])
    }
}
