//! Keeping the promise that segments stay for some time, where a place can make it: renewed while they are in use.
//!
//! A segment gets its time when it is written. What is in use for longer than half of it is prolonged, all segments together: the
//! file `retention` says when that was done last, so that it is known without asking for each. Layout: docs/format.md,
//! "Retention".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ironborg_storage::{Retention, Storage};

use crate::RepositoryError;

/// Name of the file.
const RENEWED: &str = "retention";
/// First word of its one line; the second is seconds since 1970.
const WORD: &str = "renewed";

/// Sees to it that none of these segments runs out within half of the time from now on. Returns for how many that had to be
/// done.
///
/// # Errors
/// The place refuses, or cannot be asked. What has been prolonged by then stays so.
pub(crate) fn renew_if_due(
    storage: &dyn Storage,
    retention: Retention,
    segments: &[String],
) -> Result<usize, RepositoryError> {
    let Some(conditional) = storage.conditional() else {
        return Ok(0);
    };
    let now = SystemTime::now();
    let last = match storage.read(RENEWED) {
        Ok(content) => read(&content),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let age = last.and_then(|last| now.duration_since(last).ok());
    if age.is_some_and(|age| age < retention.period() / 2) {
        return Ok(0);
    }
    conditional.prolong(segments, retention.mode, now + retention.period())?;
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let line = format!("{WORD} {seconds}\n");
    storage.replace(RENEWED, &[line.as_bytes()])?;
    Ok(segments.len())
}

fn read(content: &[u8]) -> Option<SystemTime> {
    let line = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let (word, seconds) = line.split_once(' ')?;
    let seconds = seconds.parse().ok().filter(|_| word == WORD)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
