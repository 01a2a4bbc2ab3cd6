//! One line for a monitoring system, in the way of the Monitoring Plugins: state, text, figures.

use std::fmt::Write as _;
use std::time::Duration;

use ironborg_jobs::history::Outcome;
use jiff::Timestamp;

use super::JobStatus;
use super::text::age;

/// A line, and the exit code that goes with it.
pub(super) struct Report {
    pub(super) line: String,
    pub(super) code: u8,
}

/// States, in the order of their codes.
const STATES: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
const OK: u8 = 0;
const WARNING: u8 = 1;
const CRITICAL: u8 = 2;
const UNKNOWN: u8 = 3;

/// Nothing could be found out.
pub(super) fn unknown(reason: &str) -> Report {
    report_of(UNKNOWN, reason, "")
}

/// What the jobs come to. Critical is worse than unknown: what is known to be bad is.
pub(super) fn report(all: &[JobStatus<'_>], max_age: Duration) -> Report {
    report_at(all, max_age, Timestamp::now())
}

fn report_at(all: &[JobStatus<'_>], max_age: Duration, now: Timestamp) -> Report {
    let severity = |code: u8| [0, 1, 3, 2][usize::from(code.min(UNKNOWN))];
    let mut worst = OK;
    let mut complaints: Vec<String> = Vec::new();
    let mut figures = String::new();
    let mut count = 0;
    let mut complain = |code: u8, text: String| {
        if severity(code) > severity(worst) {
            worst = code;
        }
        complaints.push(text);
    };
    for status in all {
        let job = &status.job.name;
        let targets = match &status.targets {
            Ok(targets) => targets,
            Err(reason) => {
                complain(UNKNOWN, format!("{job}: {reason}"));
                continue;
            }
        };
        for target in targets {
            count += 1;
            let label = &target.label;
            match target.age(now) {
                None => complain(CRITICAL, format!("{job}/{label}: no backup yet")),
                Some(found) => {
                    let seconds = found.as_secs();
                    let limit = max_age.as_secs();
                    write!(figures, " '{job}/{label}'={seconds}s;;{limit};0")
                        .expect("a text takes anything");
                    if found > max_age {
                        let old = age(found);
                        complain(CRITICAL, format!("{job}/{label}: last backup {old} ago"));
                    }
                }
            }
            let outcome = target.last_run.as_ref().and_then(|run| run.outcome);
            // Warnings count as failure where the job says so, and are recorded as such.
            if let Some(Outcome::Failure | Outcome::Killed) = outcome {
                complain(WARNING, format!("{job}/{label}: the last run failed"));
            }
        }
    }
    if count == 0 && complaints.is_empty() {
        return unknown("there are no jobs");
    }
    let text = if complaints.is_empty() {
        let limit = age(max_age);
        format!("{count} of {count} backups are younger than {limit}")
    } else {
        complaints.join(", ")
    };
    report_of(worst, &text, &figures)
}

fn report_of(code: u8, text: &str, figures: &str) -> Report {
    // What separates text and figures must not be in the text, and there is one line.
    let text: String = text
        .chars()
        .map(|c| if c == '|' || c.is_control() { ' ' } else { c })
        .collect();
    let state = STATES[usize::from(code.min(UNKNOWN))];
    let bar = if figures.is_empty() { "" } else { " |" };
    Report {
        line: format!("{state} - {text}{bar}{figures}\n"),
        code,
    }
}
