//! Lines of a crontab, where there is no systemd.

use std::fmt::Write as _;

use super::Setting;

/// How our lines begin and end, so that they can be found again.
const BEGIN: &str = "# BEGIN ironborg jobs";
const END: &str = "# END ironborg jobs";
/// How often jobs that cron has no words for are looked at.
const EVERY: &str = "*/10 * * * *";
/// When it is looked whether backups are overdue.
const WATCH: &str = "7 * * * *";

/// A job as a crontab sees it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub job: String,
    /// When it runs, if cron can say that and nothing is caught up with or delayed.
    pub times: Option<Vec<String>>,
}

/// The lines.
pub fn lines(setting: &Setting<'_>, jobs: &[Line], watches: bool) -> String {
    let mut out = format!("{BEGIN}\n");
    let mut push = |when: &str, words: &[&str]| {
        let _ = writeln!(out, "{when} {}", command(setting, words));
    };
    for job in jobs {
        for when in job.times.iter().flatten() {
            push(when, &["run", "--scheduled", "--", &job.job]);
        }
    }
    let others: Vec<&str> = jobs
        .iter()
        .filter(|job| job.times.is_none())
        .map(|job| job.job.as_str())
        .collect();
    if !others.is_empty() {
        push(
            EVERY,
            &[&["run", "--due", "--"], others.as_slice()].concat(),
        );
    }
    if watches {
        push(WATCH, &["status", "--notify"]);
    }
    let _ = writeln!(out, "{END}");
    out
}

/// A command for the shell, as a crontab holds it: `%` would end it.
fn command(setting: &Setting<'_>, words: &[&str]) -> String {
    let (verb, rest) = words.split_first().expect("every command has a verb");
    let mut all = vec![
        setting.program.as_os_str().to_string_lossy().into_owned(),
        "jobs".into(),
    ];
    all.push((*verb).to_owned());
    for (option, path) in [("--config", setting.config), ("--state", setting.state)] {
        if let Some(path) = path {
            all.extend([option.to_owned(), path.to_string_lossy().into_owned()]);
        }
    }
    all.extend(rest.iter().map(|word| (*word).to_owned()));
    let quoted: Vec<String> = all.iter().map(|word| quoted(word)).collect();
    quoted.join(" ").replace('%', "\\%")
}

/// A word for a shell, quoted if that is needed.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
