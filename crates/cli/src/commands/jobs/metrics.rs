//! The file of figures that a monitoring system collects, written after each run.

use ironborg_jobs::history::History;
use ironborg_jobs::job::{Job, Jobs};
use ironborg_jobs::metrics;
use ironborg_jobs::run::Voice;
use ironborg_jobs::status::TargetStatus;
use ironborg_source::named_file;
use ironborg_types::Level;
use jiff::Timestamp;

/// Writes it, if that is wanted. That it cannot be is no reason for a backup to fail.
pub(super) fn write(
    jobs: &Jobs,
    job: &Job,
    history: &History,
    next: Option<Timestamp>,
    voice: &dyn Voice,
) {
    let Some(directory) = &jobs.metrics else {
        return;
    };
    let path = directory.join(metrics::file_name(&job.name));
    let result = match TargetStatus::of_all(job, Some(history)) {
        Ok(targets) => {
            let text = metrics::text(job, &targets, next);
            let written = named_file::replace_public(&path, text.as_bytes());
            written.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(reason) = result {
        voice.say(Level::Warning, &format!("metrics: {reason}"));
    }
}
