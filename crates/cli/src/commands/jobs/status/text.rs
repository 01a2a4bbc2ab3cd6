//! How jobs are doing, for people.

use std::fmt::Write as _;
use std::time::Duration;

use ironborg_jobs::history::{Outcome, Run};
use ironborg_jobs::status::TargetStatus;
use ironborg_types::text as shown_text;
use jiff::{Timestamp, Zoned};

use super::{JobStatus, outcome_name};
use crate::context::Context;
use crate::output::size::format_count;

/// Lines of a log that are shown of a job that was asked for.
const LOG_LINE_COUNT_MAX: usize = 40;

/// A block for each of them. `with_log` adds the end of what a run that went wrong has said.
pub(super) fn text(
    all: &[JobStatus<'_>],
    context: &Context,
    now: &Zoned,
    with_log: bool,
) -> String {
    let mut out = String::new();
    for (index, status) in all.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        push_job(status, context, now, with_log, &mut out);
    }
    if all.is_empty() {
        out.push_str("There are no jobs.\n");
    }
    out
}

fn push_job(
    status: &JobStatus<'_>,
    context: &Context,
    now: &Zoned,
    with_log: bool,
    out: &mut String,
) {
    out.push_str(&status.job.name);
    if status.running == Some(true) {
        out.push_str(" (running)");
    }
    out.push('\n');
    let next = match status.next {
        Some(next) if next <= now.timestamp() => "now".to_owned(),
        Some(next) => {
            let left = next.duration_since(now.timestamp());
            let left = Duration::try_from(left).unwrap_or_default();
            format!("{} (in {})", moment(next, now), age(left))
        }
        None => "by hand".to_owned(),
    };
    push_line("next run", &next, out);
    match &status.targets {
        Ok(targets) => {
            for target in targets {
                push_target(target, status, context, now, with_log, out);
            }
        }
        Err(reason) => push_line("not known", reason, out),
    }
}

fn push_target(
    target: &TargetStatus,
    status: &JobStatus<'_>,
    context: &Context,
    now: &Zoned,
    with_log: bool,
    out: &mut String,
) {
    let size = |size: u64| format_count(size, context.units());
    writeln!(out, "  {}: {}", target.label, target.repository).expect("a text takes anything");
    let last = match (&target.last_success, target.age(now.timestamp())) {
        (Some(run), Some(found)) => {
            let made = run.ended.unwrap_or(run.begun);
            let archive = run.figures.archive.as_deref().unwrap_or_default();
            format!("{} ago ({}) {archive}", age(found), moment(made, now))
        }
        _ => "none yet".to_owned(),
    };
    push_line("  last backup", &last, out);
    if let Some(run) = &target.last_run {
        push_line("  last run", &ending(run, status.running, now), out);
    }
    if let Some(run) = &target.not_begun {
        let reason = run.message.as_deref().unwrap_or_default();
        let tried = run.ended.unwrap_or(run.begun);
        let line = format!(
            "{}, {}: {reason}",
            outcome_name(run, None),
            moment(tried, now)
        );
        push_line("  not begun", &line, out);
    }
    let figures = target.last_success.as_ref().map(|run| &run.figures);
    let sizes = figures.and_then(|it| Some((it.original_size?, it.deduplicated_size?)));
    if let Some((original, deduplicated)) = sizes {
        let mut line = format!("{}, {} new", size(original), size(deduplicated));
        if let Some(trend) = target.trend.filter(|trend| trend.count > 1) {
            let sign = if trend.growth < 0 { "-" } else { "+" };
            write!(
                line,
                "; over {} backups {sign}{}, {} new each",
                trend.count,
                size(trend.growth.unsigned_abs()),
                size(trend.added)
            )
            .expect("a text takes anything");
        }
        push_line("  size", &line, out);
    }
    if let Some(proven) = target.proven {
        let mut line = format!("{:.1} % of the data", proven.share * 100.0);
        if let Some(since) = proven.since {
            write!(line, ", since {}", moment(since, now)).expect("a text takes anything");
        }
        push_line("  proven", &line, out);
    }
    if with_log {
        push_log(target, out);
    }
}

/// How a run has ended, and why.
fn ending(run: &Run, running: Option<bool>, now: &Zoned) -> String {
    let mut line = outcome_name(run, running).to_owned();
    if let Some(code) = run.code.filter(|code| *code != 0) {
        write!(line, " ({code})").expect("a text takes anything");
    }
    write!(line, ", {}", moment(run.begun, now)).expect("a text takes anything");
    if run.attempts > 1 {
        write!(line, ", {} attempts", run.attempts).expect("a text takes anything");
    }
    if let Some(message) = &run.message {
        write!(line, ": {message}").expect("a text takes anything");
    }
    line
}

fn push_log(target: &TargetStatus, out: &mut String) {
    let Some(run) = &target.last_run else { return };
    if run.outcome.is_none_or(Outcome::is_success) && run.code == Some(0) {
        return;
    }
    let lines: Vec<&str> = run.log.lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINE_COUNT_MAX);
    for line in &lines[skipped..] {
        out.push_str("    | ");
        out.push_str(&harmless(line));
        out.push('\n');
    }
}

fn push_line(name: &str, value: &str, out: &mut String) {
    let value = harmless(value);
    writeln!(out, "  {name:<13} {}", value.trim_end()).expect("a text takes anything");
}

/// What a terminal would obey is not for it: names of files and words of servers are in it.
fn harmless(line: &str) -> String {
    let line = shown_text::display(line.as_bytes());
    line.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Date and time, where this machine is.
fn moment(time: Timestamp, now: &Zoned) -> String {
    let time = time.to_zoned(now.time_zone().clone());
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A length of time, as precisely as people want it.
pub(super) fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_precise_as_people_want_them() {
        let shown = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(shown(119), "119 s");
        assert_eq!(shown(120), "2 min");
        assert_eq!(shown(7199), "119 min");
        assert_eq!(shown(26 * 3600), "26 h");
        assert_eq!(shown(48 * 3600), "2 days");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        assert_eq!(harmless("\x1b[2Jgone\r"), "\u{fffd}[2Jgone\u{fffd}");
        assert_eq!(harmless("plain ä"), "plain ä");
    }
}
