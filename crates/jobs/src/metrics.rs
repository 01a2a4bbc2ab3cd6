//! Figures of a job for Prometheus, in the text format that its node exporter collects from a directory.
//!
//! Source: Prometheus, "Exposition formats". One file for each job: jobs of several users share a directory and no file.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::job::Job;
use crate::report::Figures;
use crate::status::TargetStatus;

/// What is known of one metric: its name, what it is, and how it is had.
struct Metric {
    name: &'static str,
    help: &'static str,
    value: fn(&TargetStatus) -> Option<f64>,
}

/// The metrics of a repository of a job.
const METRICS: &[Metric] = &[
    Metric {
        name: "ironborg_job_last_success_timestamp_seconds",
        help: "When the last backup was completed.",
        value: |status| status.last_success.as_ref()?.ended.map(seconds),
    },
    Metric {
        name: "ironborg_job_last_run_timestamp_seconds",
        help: "When the last run began.",
        value: |status| Some(seconds(status.last_run.as_ref()?.begun)),
    },
    Metric {
        name: "ironborg_job_last_run_success",
        help: "Whether the last run left a backup: 1 or 0.",
        value: |status| {
            let outcome = status.last_run.as_ref()?.outcome?;
            Some(f64::from(u8::from(outcome.is_success())))
        },
    },
    Metric {
        name: "ironborg_job_last_run_exit_code",
        help: "The exit code of the last run.",
        value: |status| Some(f64::from(status.last_run.as_ref()?.code?)),
    },
    Metric {
        name: "ironborg_job_last_run_duration_seconds",
        help: "How long the last run took.",
        value: |status| {
            let run = status.last_run.as_ref()?;
            Some(run.ended?.duration_since(run.begun).as_secs_f64().max(0.0))
        },
    },
    Metric {
        name: "ironborg_job_last_run_attempts",
        help: "How often the last run was tried.",
        value: |status| Some(f64::from(status.last_run.as_ref()?.attempts)),
    },
    Metric {
        name: "ironborg_job_failures_since_success",
        help: "How many runs have failed since the last backup.",
        value: |status| Some(status.failures as f64),
    },
    Metric {
        name: "ironborg_job_last_success_files",
        help: "Number of files in the last backup.",
        value: |status| figure(status, |figures| figures.files),
    },
    Metric {
        name: "ironborg_job_last_success_original_bytes",
        help: "Size of the files in the last backup.",
        value: |status| figure(status, |figures| figures.original_size),
    },
    Metric {
        name: "ironborg_job_last_success_compressed_bytes",
        help: "The same, compressed.",
        value: |status| figure(status, |figures| figures.compressed_size),
    },
    Metric {
        name: "ironborg_job_last_success_deduplicated_bytes",
        help: "What the last backup added to the repository.",
        value: |status| figure(status, |figures| figures.deduplicated_size),
    },
    Metric {
        name: "ironborg_job_proven_ratio",
        help: "Share of the data that restore drills have proven restorable, 0 to 1.",
        value: |status| Some(status.proven?.share),
    },
    Metric {
        name: "ironborg_job_proven_since_timestamp_seconds",
        help: "When the oldest of these proofs was made.",
        value: |status| status.proven?.since.map(seconds),
    },
];

/// Name of the metric about a job, whatever its repository.
const NEXT_RUN: &str = "ironborg_job_next_run_timestamp_seconds";
/// The same about how long there may be no backup.
const MAX_AGE: &str = "ironborg_job_max_age_seconds";

/// The name of a job's file.
pub fn file_name(job: &str) -> String {
    format!("ironborg-{job}.prom")
}

/// A job's file.
pub fn text(job: &Job, targets: &[TargetStatus], next: Option<Timestamp>) -> String {
    let mut out = String::new();
    for metric in METRICS {
        let samples = targets.iter().filter_map(|status| {
            let value = (metric.value)(status)?;
            Some((status, value))
        });
        let samples: Vec<_> = samples.collect();
        if samples.is_empty() {
            continue;
        }
        push_head(metric.name, metric.help, &mut out);
        for (status, value) in samples {
            out.push_str(metric.name);
            push_labels(
                &[("job", &job.name), ("repository", &status.label)],
                &mut out,
            );
            push_value(value, &mut out);
        }
    }
    let of_job = [
        (NEXT_RUN, "When it runs next by itself.", next.map(seconds)),
        (
            MAX_AGE,
            "How old the last backup may become.",
            job.notify.max_age.map(|age| age.as_secs_f64()),
        ),
    ];
    for (name, help, value) in of_job {
        let Some(value) = value else { continue };
        push_head(name, help, &mut out);
        out.push_str(name);
        push_labels(&[("job", &job.name)], &mut out);
        push_value(value, &mut out);
    }
    out
}

fn seconds(time: Timestamp) -> f64 {
    // Below a second there is nothing to be seen, and numbers stay whole.
    time.as_second() as f64
}

fn figure(status: &TargetStatus, figure: fn(&Figures) -> Option<u64>) -> Option<f64> {
    let run = status.last_success.as_ref()?;
    figure(&run.figures).map(|value| value as f64)
}

fn push_head(name: &str, help: &str, out: &mut String) {
    write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n").expect("a text takes anything");
}

fn push_labels(labels: &[(&str, &str)], out: &mut String) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
}

fn push_value(value: f64, out: &mut String) {
    writeln!(out, " {value}").expect("a text takes anything");
}
