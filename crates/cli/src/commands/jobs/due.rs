//! Which jobs are due, by the clock and by what is recorded of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ironborg_jobs::history::History;
use ironborg_jobs::job::{Job, Jobs};
use ironborg_jobs::schedule::scheduler::Planned;
use ironborg_jobs::schedule::{Record, Timing};
use ironborg_source::named_file;
use ironborg_types::Level;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Place;
use crate::context::Context;
use crate::error::CliError;
use crate::output::time;

/// What tells machines apart.
const MACHINE_ID: &str = "/etc/machine-id";
/// When jobs were seen for the first time. No job is called so.
const FIRST_SEEN: &str = ".first-seen.json";

/// A job that is to start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueJob {
    /// Its name.
    pub(crate) job: String,
    /// When it should have started.
    pub(crate) planned: Timestamp,
}

/// The jobs that are due now, those first that have been for longest. What is seen for the first time is remembered: of a new
/// job, nothing was missed.
#[allow(clippy::unnecessary_wraps)] // What cannot be found out is said, and the others are run.
pub(crate) fn due_now(
    context: &Context,
    place: &Place,
    jobs: &Jobs,
) -> Result<Vec<DueJob>, CliError> {
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let mut due = Vec::new();
    for planned in planned(context, place, jobs, now, Seeing::Remembered) {
        if let Some(at) = planned.timing.due(&planned.record, now, &zone) {
            due.push(DueJob {
                job: planned.name,
                planned: at,
            });
        }
    }
    due.sort_by_key(|due| due.planned);
    Ok(due)
}

/// Whether looking at a job changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seeing {
    /// Its schedule counts from now on.
    Remembered,
    /// Somebody is only asking.
    Forgotten,
}

/// The jobs as a scheduler wants them.
pub(super) fn planned(
    context: &Context,
    place: &Place,
    jobs: &Jobs,
    now: Timestamp,
    seeing: Seeing,
) -> Vec<Planned> {
    let root = place.state_root(context);
    let machine = machine();
    let mut first_seen = FirstSeen::load(context, &root);
    let mut planned = Vec::new();
    for job in &jobs.jobs {
        let timing = match Timing::of(job, &machine) {
            Ok(timing) => timing,
            Err(error) => {
                context.log(Level::Warning, format!("{}: {error}", job.name));
                continue;
            }
        };
        planned.push(Planned {
            name: job.name.clone(),
            timing,
            repositories: repositories(job),
            record: Record {
                last: last_ended(context, &root.join(&job.name)),
                since: first_seen.of(&job.name, now),
            },
        });
    }
    if seeing == Seeing::Remembered {
        first_seen.keep(context);
    }
    planned
}

fn repositories(job: &Job) -> Vec<String> {
    let targets = job.targets.iter();
    targets.map(|target| target.repository.clone()).collect()
}

/// When the last run ended that is recorded in a job's directory, or began if it has not.
pub(super) fn last_ended(context: &Context, directory: &Path) -> Option<Timestamp> {
    let history = History::open_to_read(directory);
    let found = history.and_then(|history| history.map_or(Ok(None), |it| it.last_ended()));
    found.unwrap_or_else(|error| {
        context.log(Level::Warning, error.to_string());
        None
    })
}

/// As times are shown everywhere.
pub(super) fn local(at: Timestamp) -> String {
    let at = ironborg_types::Timestamp(at.as_microsecond());
    time::text(time::local_time(at))
}

/// Nothing where machines have no such thing.
fn machine() -> Vec<u8> {
    let id = named_file::read(MACHINE_ID.as_ref()).unwrap_or_default();
    id.trim_ascii().to_vec()
}

/// When jobs were seen for the first time.
struct FirstSeen {
    path: PathBuf,
    times: BTreeMap<String, Timestamp>,
    is_changed: bool,
}

impl FirstSeen {
    /// What is known; nothing if it cannot be read: then no job has missed anything.
    fn load(context: &Context, root: &Path) -> Self {
        let path = root.join(FIRST_SEEN);
        let times = match named_file::read(path.as_os_str()) {
            Ok(content) => parse(&content),
            Err(error) => {
                if !error.is_not_found() {
                    context.log(Level::Warning, error.to_string());
                }
                BTreeMap::new()
            }
        };
        Self {
            path,
            times,
            is_changed: false,
        }
    }

    fn of(&mut self, job: &str, now: Timestamp) -> Timestamp {
        *self.times.entry(job.to_owned()).or_insert_with(|| {
            self.is_changed = true;
            now
        })
    }

    /// Remembers what is new. If it cannot be, jobs that have never run start from scratch the next time.
    fn keep(&self, context: &Context) {
        if !self.is_changed {
            return;
        }
        let times = self.times.iter();
        let times: serde_json::Map<_, _> = times
            .map(|(job, at)| (job.clone(), at.to_string().into()))
            .collect();
        let text = serde_json::Value::Object(times).to_string();
        let root = self.path.parent().unwrap_or(Path::new("/"));
        // Others have directories of their own below it.
        let made = named_file::make_public_directories(root);
        let kept = made.and_then(|()| named_file::replace_private(&self.path, text.as_bytes()));
        if let Err(error) = kept {
            context.log(Level::Warning, error.to_string());
        }
    }
}

/// Nothing of what is no time.
fn parse(content: &[u8]) -> BTreeMap<String, Timestamp> {
    let times: BTreeMap<String, String> = serde_json::from_slice(content).unwrap_or_default();
    let times = times.into_iter();
    times
        .filter_map(|(job, at)| Some((job, at.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_of_first_times_counts_for_nothing() {
        let good = br#"{"home": "2026-01-01T00:00:00Z", "music": "soon"}"#;
        let times = parse(good);
        assert_eq!(times.len(), 1);
        assert_eq!(times["home"], "2026-01-01T00:00:00Z".parse().unwrap());
        for bad in [&b""[..], b"[]", b"{", b"{\"home\": 5}", b"\xff"] {
            assert_eq!(parse(bad), BTreeMap::new());
        }
    }
}
