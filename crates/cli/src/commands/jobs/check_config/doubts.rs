//! What the texts alone do not show: commands that would be refused, files that others can read or that nobody can,
//! times that never come.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use ironborg_jobs::job::{Job, Jobs, Passphrase, Source};
use ironborg_jobs::plan::{self, DueChecks, Step};
use ironborg_jobs::schedule::Schedule;
use ironborg_source::named_file;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::command_line::{Meaning, Reader};
use crate::sys;

/// The permission of others to read.
const OTHERS_READ: u32 = 0o004;
/// The permission of the group to read.
const GROUP_READS: u32 = 0o040;

/// Commands of the jobs that would be refused if they were run, and why.
pub(super) fn refused_words(jobs: &Jobs) -> Vec<String> {
    let mut refused = BTreeSet::new();
    for job in &jobs.jobs {
        let Ok(archive) = plan::archive_name(&job.archive, &Zoned::now()) else {
            continue;
        };
        let due = DueChecks {
            repository: job.checks.repository.is_some(),
            data: job.checks.data.is_some(),
            drill: false,
        };
        for target in &job.targets {
            let reader = Reader::for_repository("ironborg", &target.repository);
            for step in plan::order(job, target, due, &archive).steps {
                let Step::Command { name, words } = step else {
                    continue;
                };
                let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
                let why = match reader.meaning(&words) {
                    Meaning::Accepted(_) => continue,
                    Meaning::Refused(why) => why,
                    Meaning::Version | Meaning::Help => "it does not do its work".to_owned(),
                };
                refused.insert(format!("jobs.{}: {name}: {why}", job.name));
            }
        }
    }
    refused.into_iter().collect()
}

/// What works, though it may not be meant.
pub(super) fn warnings(jobs: &Jobs) -> Vec<String> {
    let mut warnings: Vec<String> = jobs.remarks.iter().map(ToString::to_string).collect();
    for secret in &jobs.secrets {
        let ownership = named_file::ownership(&secret.file);
        if ownership.is_some_and(|file| file.mode & (OTHERS_READ | GROUP_READS) != 0) {
            warnings.push(format!("{secret}, and others can read the file"));
        }
    }
    for job in &jobs.jobs {
        let about = |text: String| format!("jobs.{}: {text}", job.name);
        warnings.extend(never(job).into_iter().map(about));
        warnings.extend(unreadable(job, &jobs.files).into_iter().map(about));
        warnings.extend(missing(job).into_iter().map(about));
    }
    warnings
}

/// A schedule that has no time in it.
fn never(job: &Job) -> Option<String> {
    let schedule = Schedule::parse(&job.schedule.start_at).ok()?;
    let now = jiff::Timestamp::now();
    let ends = !schedule.is_empty() && schedule.next_after(now, &TimeZone::system()).is_none();
    ends.then(|| "what `start_at` says never comes (again)".to_owned())
}

/// Files that who runs the job cannot read.
fn unreadable(job: &Job, files: &[std::path::PathBuf]) -> Vec<String> {
    let Some(user) = job.user.as_deref().filter(|user| *user != "root") else {
        return Vec::new();
    };
    let Some(entry) = sys::user_by_name(OsStr::new(user)) else {
        return vec![format!("there is no user \"{user}\" on this machine")];
    };
    let readable = |path: &Path| {
        named_file::ownership(path).is_none_or(|file| {
            file.mode & OTHERS_READ != 0
                || file.uid == entry.uid
                || (file.gid == entry.gid && file.mode & GROUP_READS != 0)
        })
    };
    let files = files.iter().filter(|path| !readable(path));
    let shown = files.map(|path| format!("{user}, who runs it, cannot read {}", path.display()));
    shown.collect()
}

/// Files that are not there, as far as who checks would see them.
fn missing(job: &Job) -> Vec<String> {
    let mut missing = Vec::new();
    let mut look = |what: &str, path: &Path| {
        if !named_file::exists(path) {
            missing.push(format!("{what} is not there: {}", path.display()));
        }
    };
    if let Source::Paths { paths, .. } = &job.source
        && sys::effective_uid() == 0
    {
        for path in paths {
            look("what is to be backed up", path);
        }
    }
    for target in &job.targets {
        if let Some(Passphrase::File(path)) = &target.passphrase {
            look("the file with the passphrase", path);
        }
    }
    missing
}
