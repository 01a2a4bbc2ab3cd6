//! Notices in words: ours, or those of the notifier's templates.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::amounts::{age_text, ordinal, size_text, span_text, time_text};
use super::harmless;
use super::notice::{Kind, Message, Notice};
use super::rules::Failing;
use super::template;
use crate::job::{Job, Notifier, Passphrase};

/// Bytes of a log that are told: what fits a screen or two.
const LOG_LEN_MAX: usize = 12 * 1024;
/// Characters of a subject, or of another thing that has to be one line.
const LINE_LEN_MAX: usize = 200;
/// Bytes of an error message; some contain whole replies of servers.
const MESSAGE_LEN_MAX: usize = 4 * 1024;
/// What stands where a secret was.
const HIDDEN: &str = "[secret]";

/// Takes out what is in the configuration as a secret, and makes the rest fit to be shown and kept.
pub(super) fn without_secrets(notice: &mut Notice, job: &Job) {
    let own = job
        .targets
        .iter()
        .filter_map(|target| match &target.passphrase {
            Some(Passphrase::Text(text)) => Some(text.as_str()),
            _ => None,
        });
    let targets = job.targets.iter().map(|target| &target.environment);
    let variables = std::iter::once(&job.environment).chain(targets).flatten();
    let in_variables = variables.filter(|(name, _)| is_secret(name));
    let secrets: Vec<&str> = own
        .chain(in_variables.map(|(_, value)| value.as_str()))
        // One letter is not a secret, and would leave nothing of the text.
        .filter(|secret| secret.len() >= 4)
        .collect();
    hide(notice, &secrets);
    notice.repository = without_password(&notice.repository);
    make_harmless(notice);
}

/// Whether a variable of this name holds what is to be told to nobody.
fn is_secret(name: &str) -> bool {
    matches!(name, "BORG_PASSPHRASE" | "BORG_NEW_PASSPHRASE")
        || ["PASSWORD", "TOKEN", "SECRET"]
            .iter()
            .any(|word| name.contains(word))
}

/// Takes `secrets` out of a notice.
pub(crate) fn hide(notice: &mut Notice, secrets: &[&str]) {
    let hidden = |text: &mut String| {
        for secret in secrets {
            if text.contains(secret) {
                *text = text.replace(secret, HIDDEN);
            }
        }
    };
    hidden(&mut notice.log_tail);
    hidden(&mut notice.repository);
    if let Some(message) = &mut notice.message {
        hidden(message);
    }
    if let Some(archive) = &mut notice.figures.archive {
        hidden(archive);
    }
}

/// A location whose password, if somebody has put one there, is not shown.
fn without_password(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else {
        return location.to_owned();
    };
    let authority_len = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    let Some((login, host)) = authority.rsplit_once('@') else {
        return location.to_owned();
    };
    let user = login.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}{path}")
}

fn make_harmless(notice: &mut Notice) {
    let log = harmless::tail(&notice.log_tail, LOG_LEN_MAX);
    notice.log_tail = harmless::text(log);
    if let Some(message) = &mut notice.message {
        *message = harmless::text(harmless::head(message, MESSAGE_LEN_MAX));
    }
    if let Some(archive) = &mut notice.figures.archive {
        *archive = harmless::line(archive, LINE_LEN_MAX);
    }
    for text in [&mut notice.job, &mut notice.target, &mut notice.host] {
        *text = harmless::line(text, LINE_LEN_MAX);
    }
    notice.repository = harmless::line(&notice.repository, 1000);
}

/// A notice in the notifier's words, or ours.
pub(super) fn message(
    mut notice: Notice,
    notifier: &Notifier,
    failing: Option<Failing>,
    zone: &TimeZone,
) -> Message {
    make_harmless(&mut notice);
    let mut fields = fields(&notice, failing, zone);
    let as_it_is = |text: &str| text.to_owned();
    let subject = match &notifier.subject {
        Some(subject) => template::fill(subject, &fields, as_it_is),
        None => our_subject(&notice, failing),
    };
    let subject = harmless::line(&subject, LINE_LEN_MAX);
    fields.push(("subject", subject.clone()));
    let body = match &notifier.body {
        Some(body) => template::fill(body, &fields, as_it_is),
        None => our_body(&notice, failing, zone),
    };
    fields.push(("body", body.clone()));
    Message {
        subject,
        body,
        short: short(&notice, failing, zone),
        notice,
        fields,
        user: None,
        failures: failing.map_or(0, |failing| failing.count),
        failing_since: failing.map(|failing| failing.since),
    }
}

fn fields(
    notice: &Notice,
    failing: Option<Failing>,
    zone: &TimeZone,
) -> Vec<(&'static str, String)> {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let size = |bytes: Option<u64>| bytes.map(size_text).unwrap_or_default();
    let time = |at: Option<Timestamp>| at.map(|at| time_text(at, zone)).unwrap_or_default();
    let figures = &notice.figures;
    let age = notice.last_success.map(|last| age_text(last, notice.at));
    vec![
        ("job", notice.job.clone()),
        ("target", notice.target.clone()),
        ("repository", notice.repository.clone()),
        ("host", notice.host.clone()),
        ("kind", notice.kind.name().to_owned()),
        ("time", time(Some(notice.at))),
        ("code", number(notice.code.map(u64::from))),
        ("message", notice.message.clone().unwrap_or_default()),
        ("log", notice.log_tail.clone()),
        ("log_command", log_command(notice)),
        (
            "duration",
            notice.duration.map(span_text).unwrap_or_default(),
        ),
        ("archive", figures.archive.clone().unwrap_or_default()),
        ("files", number(figures.files)),
        ("size", size(figures.original_size)),
        ("new_size", size(figures.deduplicated_size)),
        ("last_success", time(notice.last_success)),
        ("age", age.unwrap_or_default()),
        (
            "failures",
            number(Some(failing.map_or(0, |failing| failing.count))),
        ),
        ("since", time(failing.map(|failing| failing.since))),
        ("run", notice.run.clone().unwrap_or_default()),
    ]
}

fn our_subject(notice: &Notice, failing: Option<Failing>) -> String {
    let Notice { job, host, .. } = notice;
    match notice.kind {
        Kind::Failure => match failing {
            Some(Failing { count, .. }) if count > 1 => {
                format!("Backup {job} on {host} failed, the {} time", ordinal(count))
            }
            _ => format!("Backup {job} on {host} failed"),
        },
        Kind::Silence => match notice.last_success {
            Some(last) => {
                format!(
                    "No backup {job} on {host} for {}",
                    age_text(last, notice.at)
                )
            }
            None => format!("There never was a backup {job} on {host}"),
        },
        Kind::Recovery => format!("Backup {job} on {host} works again"),
        Kind::Success => format!("Backup {job} on {host} made"),
        Kind::Warning => format!("Backup {job} on {host} made, with warnings"),
        Kind::Started => format!("Backup {job} on {host} begins"),
        Kind::Test => format!("Test: notices from {host} arrive here"),
    }
}

fn our_body(notice: &Notice, failing: Option<Failing>, zone: &TimeZone) -> String {
    let mut paragraphs = vec![first_line(notice, zone)];
    let mut facts = facts(notice, failing, zone);
    facts.extend(figures(notice));
    paragraphs.push(facts.join("\n"));
    if notice.kind.is_bad() {
        paragraphs.push(format!(
            "To see what happened:  {}\nTo try again now:      ironborg jobs run {}",
            log_command(notice),
            notice.job
        ));
    }
    let log = notice.log_tail.trim_end();
    if notice.kind != Kind::Started && !log.is_empty() {
        paragraphs.push(format!("The end of the log:\n{log}"));
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    format!("{}\n", paragraphs.join("\n\n"))
}

/// What fits the corner of a screen.
fn short(notice: &Notice, failing: Option<Failing>, zone: &TimeZone) -> String {
    let mut lines = vec![first_line(notice, zone)];
    if notice.kind.is_bad() {
        lines.extend(facts(notice, failing, zone));
        lines.push(format!("Details: {}", log_command(notice)));
    }
    lines.join("\n")
}

/// `Name: value`, if there is a value.
fn fact(name: &str, value: Option<String>) -> Option<String> {
    let value = value.filter(|value| !value.is_empty())?;
    Some(format!("{name}: {value}"))
}

fn facts(notice: &Notice, failing: Option<Failing>, zone: &TimeZone) -> Vec<String> {
    let failing = failing.filter(|failing| failing.count > 1).map(|failing| {
        let since = time_text(failing.since, zone);
        match notice.kind {
            Kind::Failure => format!("{since}, this was the {} time", ordinal(failing.count)),
            Kind::Silence => format!("{since}, {} times", failing.count),
            _ => format!("{since}, {} times, until now", failing.count),
        }
    });
    let last = notice.last_success.map(|last| {
        let age = age_text(last, notice.at);
        format!("{}, {age} before this", time_text(last, zone))
    });
    let last = last.unwrap_or_else(|| "none".to_owned());
    let facts = [
        fact("Repository", Some(notice.repository.clone())),
        fact("Error", notice.message.clone()),
        fact("Failing since", failing),
        fact("Last backup", notice.kind.is_bad().then_some(last)),
    ];
    facts.into_iter().flatten().collect()
}

fn figures(notice: &Notice) -> Vec<String> {
    let figures = &notice.figures;
    let size = figures
        .original_size
        .map(|size| match figures.deduplicated_size {
            Some(new) => format!("{}, {} of it new", size_text(size), size_text(new)),
            None => size_text(size),
        });
    let facts = [
        fact("Archive", figures.archive.clone()),
        fact("Files", figures.files.map(|files| files.to_string())),
        fact("Size", size),
        fact("Duration", notice.duration.map(span_text)),
    ];
    facts.into_iter().flatten().collect()
}

fn first_line(notice: &Notice, zone: &TimeZone) -> String {
    let Notice { job, host, .. } = notice;
    let time = time_text(notice.at, zone);
    match notice.kind {
        Kind::Failure => match notice.code {
            Some(code) => {
                format!("The backup job {job} on {host} failed at {time} with exit code {code}.")
            }
            None => format!("The backup job {job} on {host} failed at {time}."),
        },
        Kind::Silence => {
            format!("The backup job {job} on {host} has not made a backup for too long.")
        }
        Kind::Recovery => format!("The backup job {job} on {host} works again: {time}."),
        Kind::Success => format!("The backup job {job} on {host} made a backup: {time}."),
        Kind::Warning => format!(
            "The backup job {job} on {host} made a backup, but has something to say: {time}."
        ),
        Kind::Started => format!("The backup job {job} on {host} begins: {time}."),
        Kind::Test => format!(
            "This is a test, sent at {time} by \"ironborg jobs notify-test\" on {host}. Nothing has failed. \
             Should a backup fail, you will be told the same way."
        ),
    }
}

fn log_command(notice: &Notice) -> String {
    match &notice.log_command {
        Some(command) => harmless::line(command, LINE_LEN_MAX),
        None => format!("ironborg jobs status {}", notice.job),
    }
}
