//! `jobs check-config`: whether the configuration is in order, and what it comes to.

use ironborg_jobs::config::ConfigError;
use ironborg_jobs::job::{Job, Jobs, Source};

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
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
        let jobs = self.place.load(context)?;
        if self.json {
            return context.print_json(vec![
                ("jobs", Json::List(jobs.jobs.iter().map(job_json).collect())),
                (
                    "warnings",
                    Json::List(jobs.remarks.iter().map(remark_json).collect()),
                ),
            ]);
        }
        let mut stdout = Stdout::new();
        for job in &jobs.jobs {
            stdout.text(&summary(job))?;
        }
        stdout.text(&conclusion(&jobs))?;
        stdout.finish()
    }
}

fn summary(job: &Job) -> String {
    let source = match &job.source {
        Source::Paths { paths, exclude, .. } => {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            format!("{} ({} excluded)", paths.join(" "), exclude.len())
        }
        Source::Command(command) => format!("output of: {command}"),
    };
    let mut out = format!("{}: {source}\n", job.name);
    for target in &job.targets {
        out.push_str(&format!("  to {} ({})\n", target.repository, target.encryption));
    }
    let when = if job.schedule.start_at.is_empty() {
        "by hand".to_owned()
    } else {
        job.schedule.start_at.join(", ")
    };
    out.push_str(&format!("  when: {when}\n"));
    out
}

fn conclusion(jobs: &Jobs) -> String {
    let count = jobs.jobs.len();
    let many = if count == 1 { "job" } else { "jobs" };
    format!("The configuration is in order: {count} {many}.\n")
}

fn job_json(job: &Job) -> Json {
    let targets = job.targets.iter().map(|target| {
        Json::Object(vec![
            ("label", target.label.as_str().into()),
            ("repository", target.repository.as_str().into()),
            ("encryption", target.encryption.as_str().into()),
        ])
    });
    Json::Object(vec![
        ("name", job.name.as_str().into()),
        ("repositories", Json::List(targets.collect())),
    ])
}

fn remark_json(remark: &ConfigError) -> Json {
    Json::Object(vec![
        ("file", remark.file.display().to_string().into()),
        ("key", remark.key.as_str().into()),
        ("message", remark.message.as_str().into()),
    ])
}
