//! How a job is doing, from what is recorded of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::history::{History, HistoryError, RUN_COUNT_MAX, Run};
use crate::job::Job;

/// Over how many backups a trend goes.
pub const TREND_COUNT_MAX: usize = 10;

/// How a repository of a job is doing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetStatus {
    /// Its label.
    pub label: String,
    /// Its location.
    pub repository: String,
    /// The last run that left a backup.
    pub last_success: Option<Run>,
    /// The last run that was begun.
    pub last_run: Option<Run>,
    /// What came after that and was not even begun.
    pub not_begun: Option<Run>,
    /// Runs that have failed since the last backup.
    pub failures: usize,
    /// How sizes develop.
    pub trend: Option<Trend>,
    /// What restore drills have proven.
    pub proven: Option<Proven>,
}

/// How sizes developed over the last backups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Over so many.
    pub count: usize,
    /// How much larger the files have become; negative: smaller.
    pub growth: i64,
    /// How much each backup has added to the repository, on average.
    pub added: u64,
}

/// What restore drills have proven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proven {
    /// Share of the data, 0 to 1.
    pub share: f64,
    /// When the oldest of the proofs was made.
    pub since: Option<Timestamp>,
}

impl TargetStatus {
    /// That of a repository, from a job's history.
    pub fn of(label: &str, repository: &str, history: &History) -> Result<Self, HistoryError> {
        let runs = history.runs(Some(label), RUN_COUNT_MAX)?;
        let was_begun = |run: &&Run| run.outcome.is_none_or(super::history::Outcome::was_begun);
        let is_success = |run: &Run| run.outcome.is_some_and(super::history::Outcome::is_success);
        let failed = runs.iter().filter(was_begun);
        // One that runs has not failed.
        let failed = failed.filter(|run| run.outcome.is_some());
        let failures = failed.take_while(|run| !is_success(run)).count();
        let newest = runs.first();
        Ok(Self {
            label: label.to_owned(),
            repository: repository.to_owned(),
            last_success: history.last_success(label)?,
            last_run: runs.iter().find(was_begun).cloned(),
            not_begun: newest.filter(|run| !was_begun(run)).cloned(),
            failures,
            trend: trend(runs.iter().filter(|run| is_success(run))),
            proven: runs.iter().find_map(proven),
        })
    }

    /// Those of all repositories of a job. Without a history nothing is known of them.
    pub fn of_all(job: &Job, history: Option<&History>) -> Result<Vec<Self>, HistoryError> {
        let targets = job.targets.iter().map(|target| match history {
            Some(history) => Self::of(&target.label, &target.repository, history),
            None => Ok(Self {
                label: target.label.clone(),
                repository: target.repository.clone(),
                ..Self::default()
            }),
        });
        targets.collect()
    }

    /// How old the last backup is. One of the future, made while a clock was wrong, is new.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let run = self.last_success.as_ref()?;
        let made = run.ended.unwrap_or(run.begun);
        Some(
            now.duration_since(made)
                .try_into()
                .unwrap_or(Duration::ZERO),
        )
    }
}

/// Newest first.
fn trend<'a>(successes: impl Iterator<Item = &'a Run>) -> Option<Trend> {
    let recent: Vec<&Run> = successes.take(TREND_COUNT_MAX).collect();
    let size = |run: &&Run| run.figures.original_size;
    let newest = recent.iter().find_map(size)?;
    let oldest = recent.iter().rev().find_map(size)?;
    let signed = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let added: Vec<u64> = recent
        .iter()
        .filter_map(|run| run.figures.deduplicated_size)
        .collect();
    let sum = added
        .iter()
        .fold(0_u64, |sum, &size| sum.saturating_add(size));
    let count = u64::try_from(added.len()).unwrap_or(u64::MAX);
    Some(Trend {
        count: recent.len(),
        growth: signed(newest).saturating_sub(signed(oldest)),
        added: sum.checked_div(count).unwrap_or(0),
    })
}

fn proven(run: &Run) -> Option<Proven> {
    let share = run.figures.proven_share?;
    let since = run.figures.proven_since;
    Some(Proven {
        share: share.clamp(0.0, 1.0),
        since: since.and_then(|second| Timestamp::from_second(second).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Outcome, RunEnd};
    use crate::report::Figures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn record(history: &mut History, second: i64, outcome: Outcome, figures: Figures) {
        let end = RunEnd {
            at: at(second + 5),
            outcome,
            code: 0,
            msgid: None,
            message: Some("reason".to_owned()),
            attempts: 1,
            figures,
            log: String::new(),
            steps: Vec::new(),
        };
        if outcome.was_begun() {
            let run = history.begin("nas", at(second)).unwrap();
            history.end(run, &end).unwrap();
        } else {
            history.not_begun("nas", &end).unwrap();
        }
    }

    fn sizes(original: u64, deduplicated: u64) -> Figures {
        Figures {
            original_size: Some(original),
            deduplicated_size: Some(deduplicated),
            ..Figures::default()
        }
    }

    #[test]
    fn nothing_is_known_of_what_never_ran() {
        let history = History::in_memory();
        let status = TargetStatus::of("nas", "/r", &history).unwrap();
        assert_eq!(status.age(at(0)), None);
        assert_eq!(
            (status.trend, status.proven, status.failures),
            (None, None, 0)
        );
        assert_eq!(status.last_run, None);
    }

    #[test]
    fn it_is_the_last_backup_that_counts() {
        let mut history = History::in_memory();
        for number in 0..12_u32 {
            let second = i64::from(number) * 100;
            let size = u64::from(number);
            record(
                &mut history,
                second,
                Outcome::Success,
                sizes(1000 + size, size),
            );
        }
        let mut drilled = sizes(900, 30);
        drilled.proven_share = Some(0.25);
        drilled.proven_since = Some(at(3).as_second());
        record(&mut history, 2000, Outcome::Warning, drilled);
        record(&mut history, 3000, Outcome::Failure, Figures::default());
        record(&mut history, 4000, Outcome::Killed, Figures::default());
        record(&mut history, 5000, Outcome::Unmet, Figures::default());
        let status = TargetStatus::of("nas", "/r", &history).unwrap();
        assert_eq!(status.age(at(2065)), Some(Duration::from_mins(1)));
        // A clock that was wrong.
        assert_eq!(status.age(at(0)), Some(Duration::ZERO));
        assert_eq!(status.failures, 2);
        assert_eq!(status.last_run.unwrap().outcome, Some(Outcome::Killed));
        assert_eq!(status.not_begun.unwrap().outcome, Some(Outcome::Unmet));
        let trend = status.trend.unwrap();
        // The last ten: 900, and 1011 down to 1003.
        assert_eq!((trend.count, trend.growth), (10, -103));
        assert_eq!(trend.added, (30 + (3..=11).sum::<u64>()) / 10);
        let proven = status.proven.unwrap();
        assert_eq!((proven.share, proven.since), (0.25, Some(at(3))));

        history.begin("nas", at(6000)).unwrap();
        let status = TargetStatus::of("nas", "/r", &history).unwrap();
        assert_eq!(status.failures, 2);
        assert_eq!(status.not_begun, None);
        assert_eq!(status.last_run.unwrap().outcome, None);
    }
}
