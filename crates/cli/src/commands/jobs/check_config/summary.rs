//! What a job comes to, in a few lines.

use std::fmt::Write as _;
use std::time::Duration;

use ironborg_jobs::job::{Job, Jobs, Passphrase, Source, Target};
use ironborg_jobs::schedule::Schedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::output::json::Json;

/// For people.
pub(super) fn text(job: &Job, jobs: &Jobs) -> String {
    let mut out = format!("{}\n", job.name);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<9} {value}");
    };
    line("what", source(&job.source));
    for target in &job.targets {
        line("where to", place(target));
    }
    line("archives", archives(job));
    line("when", when(job));
    if let Some(prune) = &job.prune {
        let rules = prune
            .keep
            .iter()
            .map(|(rule, value)| format!("{rule} {value}"));
        line("kept", rules.collect::<Vec<_>>().join(", "));
    }
    let checks = checks(job);
    if !checks.is_empty() {
        line("checked", checks.join(", "));
    }
    if let Some(user) = &job.user {
        line("run by", user.clone());
    }
    line("told", told(job, jobs));
    out
}

fn source(source: &Source) -> String {
    match source {
        Source::Paths {
            paths,
            exclude,
            patterns,
        } => {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let paths = paths.join(", ");
            match exclude.len() + patterns.len() {
                0 => paths,
                1 => format!("{paths} (1 pattern)"),
                count => format!("{paths} ({count} patterns)"),
            }
        }
        Source::Command(command) => format!("what this prints: {command}"),
    }
}

fn place(target: &Target) -> String {
    let passphrase = match &target.passphrase {
        None => String::new(),
        Some(Passphrase::Text(_)) => ", passphrase in the configuration".to_owned(),
        Some(Passphrase::Command(_)) => ", passphrase from a command".to_owned(),
        Some(Passphrase::File(path)) => format!(", passphrase in {}", path.display()),
        Some(Passphrase::Credential(name)) => format!(", passphrase is credential {name}"),
    };
    format!(
        "{} ({}: {}{passphrase})",
        target.repository, target.label, target.encryption
    )
}

fn archives(job: &Job) -> String {
    match &job.archive.date_format {
        None => job.archive.base.clone(),
        Some(date) if job.archive.base.is_empty() => date.clone(),
        Some(date) => format!("{}-{date}", job.archive.base),
    }
}

/// The next time it starts by itself, without the random delay.
fn next(job: &Job) -> Option<Timestamp> {
    let schedule = Schedule::parse(&job.schedule.start_at).ok()?;
    schedule.next_after(Timestamp::now(), &TimeZone::system())
}

fn when(job: &Job) -> String {
    if job.schedule.start_at.is_empty() {
        return "by hand".to_owned();
    }
    let expressions = job.schedule.start_at.join("; ");
    match next(job) {
        Some(time) => {
            let time = time.to_zoned(TimeZone::system());
            format!("{expressions} (next: {})", time.strftime("%a, %F %T"))
        }
        None => format!("{expressions} (never)"),
    }
}

fn checks(job: &Job) -> Vec<String> {
    let every = |what: &str, every: &Option<Duration>| {
        let every = (*every)?;
        Some(if every.is_zero() {
            format!("{what} each time")
        } else {
            format!("{what} every {}", span(every))
        })
    };
    let drill = job.checks.drill.as_ref().map(|drill| drill.every);
    let checks = [
        every("repository", &job.checks.repository),
        every("data", &job.checks.data),
        every("restore drill", &drill),
    ];
    checks.into_iter().flatten().collect()
}

/// A length of time in its largest whole unit.
fn span(length: Duration) -> String {
    const UNITS: [(u64, &str); 6] = [
        (31_557_600, "year"),
        (2_629_800, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let seconds = length.as_secs();
    let whole = UNITS.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = whole.copied().unwrap_or((1, "second"));
    match seconds / unit {
        1 => name.to_owned(),
        count => format!("{count} {name}s"),
    }
}

fn told(job: &Job, jobs: &Jobs) -> String {
    let by: Vec<&str> = job
        .notify
        .by
        .iter()
        .filter(|name| jobs.notifiers.contains_key(*name))
        .map(String::as_str)
        .collect();
    if by.is_empty() {
        return "nobody".to_owned();
    }
    let occasions = [
        (job.notify.failure, "failure"),
        (job.notify.recovery, "recovery"),
        (job.notify.success, "success"),
        (job.notify.max_age.is_some(), "silence"),
    ];
    let occasions = occasions.iter().filter(|(is_told, _)| *is_told);
    let occasions: Vec<&str> = occasions.map(|(_, name)| *name).collect();
    format!("{} (of {})", by.join(", "), occasions.join(", "))
}

/// For programs.
pub(super) fn json(job: &Job) -> Json {
    let texts = |texts: &[String]| Json::List(texts.iter().map(|it| it.as_str().into()).collect());
    let targets = job.targets.iter().map(|target| {
        Json::Object(vec![
            ("encryption", target.encryption.as_str().into()),
            ("label", target.label.as_str().into()),
            ("location", target.repository.as_str().into()),
        ])
    });
    let (paths, exclude, patterns, command) = match &job.source {
        Source::Paths {
            paths,
            exclude,
            patterns,
        } => {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            (texts(&paths), texts(exclude), texts(patterns), Json::Null)
        }
        Source::Command(command) => {
            let none = || Json::List(Vec::new());
            (none(), none(), none(), command.as_str().into())
        }
    };
    let next = next(job).map_or(Json::Null, |time| time.to_string().into());
    Json::Object(vec![
        ("archives", archives(job).into()),
        ("dump_command", command),
        ("exclude", exclude),
        ("name", job.name.as_str().into()),
        ("next", next),
        ("notify", texts(&job.notify.by)),
        ("paths", paths),
        ("patterns", patterns),
        ("repositories", Json::List(targets.collect())),
        ("start_at", texts(&job.schedule.start_at)),
        ("user", job.user.as_deref().map_or(Json::Null, Json::from)),
    ])
}
