//! `jobs check-config`: whether the configuration is in order, and what it comes to.

mod doubts;
mod summary;

use ironborg_jobs::config::ConfigError;

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::{self, Stdout};
use crate::context::Context;
use crate::error::CliError;
use crate::output::json::Json;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfigArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CheckConfigOptions {
    json: bool,
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
            json: self.json,
            place: self.place.resolve(parse),
        })
    }
}

impl Run for CheckConfigOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let files = self.place.read(context)?;
        let jobs = match files.parse(&self.place.whose(context)) {
            Ok(jobs) => jobs,
            Err(errors) => {
                if self.json {
                    let errors = Json::List(errors.0.iter().map(place_json).collect());
                    context
                        .print_json(vec![("errors", errors), ("jobs", Json::List(Vec::new()))])?;
                }
                return Err(super::place::refused(&errors));
            }
        };
        let refused = doubts::refused_words(&jobs);
        let warnings = doubts::warnings(&jobs);
        if self.json {
            let told: Vec<Json> = jobs.jobs.iter().map(summary::json).collect();
            context.print_json(vec![
                (
                    "errors",
                    Json::List(refused.iter().map(|it| Json::from(it.as_str())).collect()),
                ),
                ("jobs", Json::List(told)),
                (
                    "warnings",
                    Json::List(warnings.iter().map(|it| Json::from(it.as_str())).collect()),
                ),
            ])?;
        } else {
            let mut stdout = Stdout::new();
            for job in &jobs.jobs {
                stdout.text(&summary::text(job, &jobs))?;
            }
            stdout.finish()?;
            for warning in &warnings {
                console::stderr_line(&format!("Warning: {warning}"));
            }
        }
        if !refused.is_empty() {
            return Err(CliError::generic(format!(
                "commands would be refused:\n{}",
                refused.join("\n")
            )));
        }
        if !self.json {
            console::stdout_line(&conclusion(jobs.jobs.len(), warnings.len()));
        }
        Ok(())
    }
}

fn conclusion(jobs: usize, warnings: usize) -> String {
    let count = |number: usize, one: &str| match number {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    };
    if warnings == 0 {
        format!("The configuration is in order: {}.", count(jobs, "job"))
    } else {
        format!(
            "The configuration can be used: {}, {}.",
            count(jobs, "job"),
            count(warnings, "warning")
        )
    }
}

fn place_json(error: &ConfigError) -> Json {
    let number = |number: usize| Json::Int(i128::try_from(number).unwrap_or(i128::MAX));
    Json::Object(vec![
        ("file", error.file.display().to_string().into()),
        ("line", number(error.line)),
        ("column", number(error.column)),
        ("key", error.key.as_str().into()),
        ("message", error.message.as_str().into()),
    ])
}
