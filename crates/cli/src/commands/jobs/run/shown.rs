//! What is printed about a run: the commands it would be made of, or what became of it.

use std::fmt::Write as _;

use ironborg_jobs::job::Job;
use ironborg_jobs::plan::{self, DueChecks, Step};
use ironborg_jobs::run::Finished;
use jiff::Zoned;
use serde_json::json;

use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::shell;

/// Prints the commands of a job, as a shell takes them. Passphrases are not among them.
pub(super) fn commands(_context: &Context, job: &Job) -> Result<(), CliError> {
    let mut out = String::new();
    let name = plan::archive_name(&job.archive, &Zoned::now());
    let name = name.map_err(|error| CliError::generic(error.to_string()))?;
    hook("pre_hook", job.hooks.pre.as_deref(), &mut out);
    for target in &job.targets {
        out.push_str("export BORG_REPO=");
        shell::push_quoted(&target.repository, &mut out);
        out.push('\n');
        // Which checks are due is seen when it runs.
        let due = DueChecks {
            repository: job.checks.repository.is_some(),
            data: job.checks.data.is_some(),
            drill: job.checks.drill.is_some(),
        };
        for step in plan::order(job, target, due, &name).steps {
            match step {
                Step::Command { words, .. } => {
                    let words = std::iter::once("ironborg").chain(words.iter().map(String::as_str));
                    out.push_str(&shell::join(words));
                    out.push('\n');
                }
                Step::Hook { name, script } => hook(&name, Some(&script), &mut out),
                Step::Drill { budget, .. } => {
                    writeln!(out, "# restore drill of at most {budget} s")
                        .expect("a text takes anything");
                }
            }
        }
    }
    hook("post_hook", job.hooks.post.as_deref(), &mut out);
    let mut stdout = Stdout::new();
    stdout.text(&out)?;
    stdout.finish()
}

fn hook(name: &str, script: Option<&str>, out: &mut String) {
    let Some(script) = script else { return };
    writeln!(out, "# {name}").expect("a text takes anything");
    out.push_str(&shell::join(["sh", "-c", script]));
    out.push('\n');
}

/// Prints what became of a job, on one line.
pub(super) fn finished(job: &Job, finished: &Finished) -> Result<(), CliError> {
    let targets = finished.targets.iter().map(|done| {
        let end = &done.end;
        json!({
            "repository": done.target,
            "begun": done.begun.to_string(),
            "ended": end.at.to_string(),
            "outcome": end.outcome.name(),
            "code": end.code,
            "msgid": end.msgid,
            "message": end.message,
            "attempts": end.attempts,
            "figures": end.figures,
            "steps": end.steps.iter().map(|step| json!({
                "name": step.name,
                "attempt": step.attempt,
                "code": step.code,
                "seconds": step.seconds,
                "message": step.message,
                "figures": step.figures,
            })).collect::<Vec<_>>(),
        })
    });
    let document = json!({
        "job": job.name,
        "code": finished.code,
        "repositories": targets.collect::<Vec<_>>(),
    });
    let mut stdout = Stdout::new();
    stdout.text(&format!("{document}\n"))?;
    stdout.finish()
}
