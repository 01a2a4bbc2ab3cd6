//! Figures for Prometheus, read as strictly as the format's description has it.
#![allow(clippy::unwrap_used)]

mod made_up;

use std::collections::{BTreeMap, BTreeSet};

use ironborg_jobs::metrics;
use ironborg_jobs::status::{Proven, TargetStatus};
use made_up::{Attempt, Scene, job};

/// A name, its labels and its value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads a file of metrics; anything that is not exactly as it should be is an error.
fn parse(text: &str) -> Result<Vec<Sample>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut current = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(line)?;
            if !seen.insert(name.to_owned()) || help.is_empty() {
                return Err(format!("twice, or without a help: {line}"));
            }
            current = (name.to_owned(), String::new());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(line)?;
            if name != current.0 || kind != "gauge" || !current.1.is_empty() {
                return Err(format!("not below its help: {line}"));
            }
            kind.clone_into(&mut current.1);
        } else {
            let sample = sample(line)?;
            if sample.0 != current.0 || current.1.is_empty() {
                return Err(format!("not below its type: {line}"));
            }
            let twice = |other: &Sample| (&other.0, &other.1) == (&sample.0, &sample.1);
            if samples.iter().any(twice) {
                return Err(format!("twice: {line}"));
            }
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample, String> {
    let wrong = || format!("not a sample: {line}");
    let (name, rest) = line.split_once('{').ok_or_else(wrong)?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(wrong());
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (label, after) = rest.split_once("=\"").ok_or_else(wrong)?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or_else(wrong)? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().ok_or_else(wrong)?.1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return Err(wrong()),
                }),
                (_, '\n') => return Err(wrong()),
                (_, c) => value.push(c),
            }
        };
        if !label.chars().all(is_name) || labels.insert(label.to_owned(), value).is_some() {
            return Err(wrong());
        }
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let value = rest.strip_prefix("} ").ok_or_else(wrong)?;
    let value: f64 = value.parse().map_err(|_| wrong())?;
    if !value.is_finite() {
        return Err(wrong());
    }
    Ok((name.to_owned(), labels, value))
}

#[test]
fn the_parser_takes_nothing_else() {
    let head = "# HELP a b\n# TYPE a gauge\n";
    for good in ["a{b=\"c\"} 1\n", "a{b=\"c\\\"\\\\\\n\",d=\"\"} 1.5e3\n"] {
        parse(&format!("{head}{good}")).unwrap();
    }
    for bad in [
        "a{b=\"c\"} 1",
        "a{b=\"c\"} x\n",
        "b{b=\"c\"} 1\n",
        "a 1\n",
        "a{b=\"c\"} NaN\n",
        "a{b=\"c\\t\"} 1\n",
        "a{b=\"c\"} 1\na{b=\"c\"} 2\n",
        "# HELP a b\n",
    ] {
        assert!(parse(&format!("{head}{bad}")).is_err(), "{bad:?}");
    }
    assert!(parse("a{b=\"c\"} 1\n").is_err());
}

#[test]
fn what_is_recorded_can_be_collected() {
    let mut scene = Scene::new(job(&["nas", "odd \"label\"\\\nwith lines"]));
    scene.job.notify.max_age = Some(std::time::Duration::from_hours(26));
    let nothing = TargetStatus::of_all(&scene.job, Some(&scene.history)).unwrap();
    // Of a job that never ran it is known how often it failed, and no more.
    let names = |text: &str| {
        let samples = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let names: BTreeSet<String> = samples.into_iter().map(|sample| sample.0).collect();
        names
    };
    let text = metrics::text(&scene.job, &nothing, None);
    let expected = [
        "ironborg_job_failures_since_success",
        "ironborg_job_max_age_seconds",
    ];
    assert_eq!(names(&text), expected.map(str::to_owned).into());

    scene.run();
    scene.clock.pass(std::time::Duration::from_hours(24));
    scene.worker.attempts = vec![Attempt::fails_at("prune", 2, Some("IntegrityError"))];
    scene.run();
    let mut targets = TargetStatus::of_all(&scene.job, Some(&scene.history)).unwrap();
    targets[0].proven = Some(Proven {
        share: 0.5,
        since: None,
    });
    let next = "2024-03-01T00:00:00Z".parse().unwrap();
    let text = metrics::text(&scene.job, &targets, Some(next));
    let samples = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let value = |name: &str, label: &str| {
        let found = samples.iter().find(|(known, labels, _)| {
            let repository = labels.get("repository").map_or("", String::as_str);
            known == name && labels["job"] == "home" && repository == label
        });
        found.map(|sample| sample.2)
    };
    let first = |second: i64| Some(1_709_157_600.0 + second as f64);
    let last_success = "ironborg_job_last_success_timestamp_seconds";
    assert_eq!(value(last_success, "nas"), first(0));
    let odd = "odd \"label\"\\\nwith lines";
    assert!(value(last_success, odd) > first(24 * 3600 - 1));
    assert_eq!(value("ironborg_job_last_run_success", "nas"), Some(0.0));
    assert_eq!(value("ironborg_job_last_run_success", odd), Some(1.0));
    assert_eq!(value("ironborg_job_last_run_exit_code", "nas"), Some(2.0));
    assert_eq!(
        value("ironborg_job_failures_since_success", "nas"),
        Some(1.0)
    );
    assert_eq!(value("ironborg_job_last_success_files", "nas"), Some(3.0));
    assert_eq!(value("ironborg_job_proven_ratio", "nas"), Some(0.5));
    assert_eq!(value("ironborg_job_proven_ratio", odd), None);
    let next = value("ironborg_job_next_run_timestamp_seconds", "");
    assert_eq!(next, Some(1_709_251_200.0));
    assert_eq!(value("ironborg_job_max_age_seconds", ""), Some(93_600.0));
}
