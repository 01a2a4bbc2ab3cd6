//! How jobs are doing, for programs.

use ironborg_jobs::history::Run;
use ironborg_jobs::status::TargetStatus;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{JobStatus, outcome_name};
use crate::context::Context;

/// One document about all of them.
pub(super) fn document(all: &[JobStatus<'_>], _context: &Context) -> String {
    let now = Timestamp::now();
    let jobs: Vec<Value> = all.iter().map(|status| job(status, now)).collect();
    let mut text = serde_json::to_string_pretty(&json!({ "jobs": jobs }))
        .expect("texts and numbers can be written as JSON");
    text.push('\n');
    text
}

fn job(status: &JobStatus<'_>, now: Timestamp) -> Value {
    let (targets, error) = match &status.targets {
        Ok(targets) => (targets.as_slice(), None),
        Err(reason) => (&[][..], Some(reason)),
    };
    let targets = targets.iter().map(|it| target(it, status.running, now));
    json!({
        "job": status.job.name,
        "running": status.running,
        "next": status.next.map(|time| time.to_string()),
        "error": error,
        "repositories": targets.collect::<Vec<_>>(),
    })
}

fn target(status: &TargetStatus, running: Option<bool>, now: Timestamp) -> Value {
    let age = status.age(now).map(|age| age.as_secs());
    let shown = |found: &Option<Run>| found.as_ref().map(|found| run(found, running));
    json!({
        "label": status.label,
        "repository": status.repository,
        "age_seconds": age,
        "last_success": shown(&status.last_success),
        "last_run": shown(&status.last_run),
        "not_begun": shown(&status.not_begun),
        "failures_since_success": status.failures,
        "trend": status.trend.map(|trend| json!({
            "backups": trend.count,
            "growth_bytes": trend.growth,
            "added_bytes_average": trend.added,
        })),
        "proven": status.proven.map(|proven| json!({
            "share": proven.share,
            "since": proven.since.map(|time| time.to_string()),
        })),
    })
}

fn run(run: &Run, running: Option<bool>) -> Value {
    json!({
        "begun": run.begun.to_string(),
        "ended": run.ended.map(|time| time.to_string()),
        "outcome": outcome_name(run, running),
        "code": run.code,
        "msgid": run.msgid,
        "message": run.message,
        "attempts": run.attempts,
        "figures": run.figures,
        "log": run.log,
    })
}
