//! Checking a repository: every entry against its checksum, and the index against what the segments
//! hold; and repairing it, by leaving out what cannot be read and building the index anew.
//!
//! Knows nothing of archives: an object that is lost here is missed there. Source: Borg 1.4,
//! `Repository.check`.

mod findings;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ironborg_format::config::parse_integer;
use ironborg_types::{Interrupt, Level, PercentProgress, SegmentId};

use super::{CheckOptions, LocalRepository, LockMode, Phase};
use crate::index::Index;
use crate::lock::Lock;
use crate::replay::Replay;
use crate::segments::Changes;
use crate::settings::SECTION;
use crate::state::State;
use crate::{Repository, RepositoryError};
use findings::{Findings, report_differences};

/// Names the progress.
const CHECK: &str = "repository.check";
/// Percent between two steps of it that are shown.
const CHECK_STEP: f64 = 0.1;
/// Where the config says how far a check of limited duration came.
const LAST_SEGMENT_CHECKED: &str = "last_segment_checked";

/// What is looked at.
struct Scope {
    /// The committed transaction, or what comes nearest to one: nothing behind it counts.
    transaction: SegmentId,
    /// Only segments behind this one.
    behind: i64,
    /// When to stop; `None` for never.
    time_limit: Option<TimeLimit>,
}

/// When a check of limited duration ends.
struct TimeLimit {
    started: Instant,
    duration: Duration,
}

impl TimeLimit {
    fn is_over(&self) -> bool {
        self.started.elapsed() > self.duration
    }
}

/// How far the reading of the segments came.
enum Reached {
    /// To the end; the number of the last segment there is, whether it counts or not.
    End(Option<SegmentId>),
    /// Time was over behind this segment.
    TimeLimit(SegmentId),
}

impl LocalRepository {
    /// Checks all segments and the index; with [`CheckOptions::repair`] mends what is wrong. Says whether
    /// the repository is sound, or was made so. What is found is logged.
    ///
    /// # Errors
    /// Damage is no error, unless what was repaired cannot be read even then. Refused are a repair in
    /// append-only mode, of limited duration or without an exclusive lock, and any check within a
    /// transaction.
    pub(super) fn check_segments_and_index(
        &mut self,
        options: &CheckOptions,
    ) -> Result<bool, RepositoryError> {
        self.refuse_check(options)?;
        self.info("Starting repository check");
        // What is in memory may be better than what is on disk.
        self.set_loaded(None);
        let result = self.run_check(options);
        self.log.abandon();
        self.set_loaded(None);
        result
    }

    fn refuse_check(&self, options: &CheckOptions) -> Result<(), RepositoryError> {
        if options.repair && self.settings.append_only {
            return Err(RepositoryError::AppendOnly {
                path: self.storage.path(""),
            });
        }
        let reason = if options.repair && options.max_duration_s != 0 {
            "a repair cannot be limited in time"
        } else if matches!(self.phase, Phase::Idle) {
            return self.lock_for_check(options.repair);
        } else {
            "a transaction is in progress"
        };
        Err(RepositoryError::CheckRefused { reason })
    }

    /// Others may neither write nor wait for a repair. Somebody who wants no lock may look only.
    fn lock_for_check(&self, repair: bool) -> Result<(), RepositoryError> {
        let not_exclusive = || RepositoryError::NotExclusive {
            location: self.location(),
        };
        let lock = self.lock.lock();
        let mut lock = lock.unwrap_or_else(std::sync::PoisonError::into_inner);
        match lock.as_mut() {
            None if self.mode == LockMode::None && !repair => Ok(()),
            None => Err(not_exclusive()),
            Some(lock) if Lock::is_exclusive(lock) => Ok(()),
            Some(lock) => lock.upgrade(),
        }
    }

    fn run_check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        let reporter = std::sync::Arc::clone(&self.reporter);
        let mut findings = Findings::new(&*reporter);
        let (committed, transaction) = self.committed_or_nearest()?;
        let Some(transaction) = transaction else {
            findings.report("This repository contains no valid data.");
            return Ok(false);
        };
        if options.repair {
            let count = self.log.begin_after(Some(transaction))?;
            self.debug(format!(
                "Cleaned up {count} uncommitted segment files (== everything after segment {transaction})."
            ));
        }
        let committed_segment = self.log.transaction_id()?;
        self.debug(format!(
            "Segment transaction is    {}",
            shown(committed_segment)
        ));
        self.debug(format!("Determined transaction is {transaction}"));

        let mut state = State::default();
        let limited = self.check_segments(options, transaction, &mut state, &mut findings)?;
        if options.repair && committed_segment.is_none() {
            findings.report(format!("Adding commit tag to segment {transaction}"));
            self.forget_hints()?;
            self.log.write_commit()?;
        }
        if !limited {
            self.info("Starting repository index check");
            if options.repair {
                let id = self.log.transaction_id()?;
                let id = id.ok_or_else(|| self.without_commit())?;
                self.write_state(&mut state, id)?;
            } else if let Some(committed) = committed.filter(|index| index.len() > 0) {
                report_differences(&mut findings, &committed, &state.index);
            }
        }
        let mode = if limited { "partial" } else { "full" };
        self.info_or_error(
            findings.any() && !options.repair,
            &match findings.any() {
                true if options.repair => {
                    format!("Finished {mode} repository check, errors found and repaired.")
                }
                true => format!("Finished {mode} repository check, errors found."),
                false => format!("Finished {mode} repository check, no problems found."),
            },
        );
        Ok(!findings.any() || options.repair)
    }

    /// The committed index and the transaction it is of. Where there is none, the transaction that comes
    /// nearest: without any commit that of an index, without that whatever there is.
    fn committed_or_nearest(&self) -> Result<(Option<Index>, Option<SegmentId>), RepositoryError> {
        let (index, mut transaction) = match self.load() {
            Ok(loaded) => {
                if let Some(id) = loaded.id {
                    self.debug(format!("Read committed index of transaction {id}"));
                }
                (Some(loaded.state.index), loaded.id)
            }
            Err(error) => {
                let transaction = self.log.transaction_id()?;
                self.debug(format!("Failed to read committed index ({error})"));
                (None, transaction)
            }
        };
        if transaction.is_none() {
            self.debug("No segments transaction found");
            transaction = self.recovery().index_id()?;
        }
        if transaction.is_none() {
            self.debug("No index transaction found, trying latest segment");
            transaction = self.log.last()?;
        }
        Ok((index, transaction))
    }

    fn without_commit(&self) -> RepositoryError {
        RepositoryError::CheckNeeded {
            what: self.storage.path("").display().to_string(),
        }
    }

    /// Reads the segments, from where a check of limited duration stopped if this is another one, and
    /// remembers how far it came. Says whether the duration is limited.
    fn check_segments(
        &mut self,
        options: &CheckOptions,
        transaction: SegmentId,
        state: &mut State,
        findings: &mut Findings<'_>,
    ) -> Result<bool, RepositoryError> {
        let segments = self.log.segments()?;
        self.debug(format!("Found {} segments", segments.len()));
        let limited = options.max_duration_s != 0;
        let behind = if limited {
            let last = self.last_segment_checked()?;
            let next = last.saturating_add(1);
            self.info(format!("skipping to segments >= {next}"));
            last
        } else {
            self.set_last_segment_checked(None)?;
            -1
        };
        let scope = Scope {
            transaction,
            behind,
            time_limit: limited.then(|| TimeLimit {
                started: Instant::now(),
                duration: Duration::from_secs(u64::try_from(options.max_duration_s).unwrap_or(0)),
            }),
        };
        let mut check = SegmentCheck {
            repository: self,
            options,
            scope: &scope,
            state,
            findings,
            progress: PercentProgress::start(
                &*self.reporter,
                CHECK,
                segments.len() as u64,
                CHECK_STEP,
            ),
            is_first_repair: true,
        };
        let reached = check.run(&segments)?;
        let progress = check.progress;
        match reached {
            Reached::End(last) => {
                let last = last.map_or(-1, |segment| i64::from(segment.0));
                self.info(format!("finished segment check at segment {last}"));
                self.set_last_segment_checked(None)?;
            }
            Reached::TimeLimit(segment) => {
                self.info(format!(
                    "finished partial segment check, last segment checked is {segment}"
                ));
                self.set_last_segment_checked(Some(segment))?;
            }
        }
        progress.finish(&*self.reporter);
        Ok(limited)
    }

    fn last_segment_checked(&self) -> Result<i64, RepositoryError> {
        let Some(text) = self.config.get(SECTION, LAST_SEGMENT_CHECKED) else {
            return Ok(-1);
        };
        parse_integer(text).ok_or_else(|| RepositoryError::MalformedConfig {
            reason: format!("invalid literal for int() with base 10: '{text}'"),
        })
    }

    /// Changes the config only if there is something to change: it may hold the key.
    fn set_last_segment_checked(
        &mut self,
        segment: Option<SegmentId>,
    ) -> Result<(), RepositoryError> {
        let mut config = self.config.clone();
        match segment {
            Some(segment) => config.set(SECTION, LAST_SEGMENT_CHECKED, segment.to_string()),
            None => {
                config.remove(SECTION, LAST_SEGMENT_CHECKED);
            }
        }
        if config == self.config {
            return Ok(());
        }
        self.save_config(config)
    }

    /// Removes the hints before segments are changed: until there is an index of the changed ones, readers
    /// go by the old one and find what is still where it was; but who wants to write, and might take what
    /// has moved for superseded, must look at the segments first.
    fn forget_hints(&self) -> Result<(), RepositoryError> {
        for entry in self.storage.list("")? {
            if entry.name.starts_with("hints.") {
                self.storage.remove(&entry.name)?;
            }
        }
        Ok(self.storage.sync_dir("")?)
    }

    fn debug(&self, message: impl Into<String>) {
        self.log_message(Level::Debug, message.into());
    }

    fn info(&self, message: impl Into<String>) {
        self.log_message(Level::Info, message.into());
    }

    fn info_or_error(&self, is_error: bool, message: &str) {
        let level = if is_error { Level::Error } else { Level::Info };
        self.log_message(level, message.to_owned());
    }
}

/// The reading of the segments.
struct SegmentCheck<'a, 'r> {
    repository: &'a LocalRepository,
    options: &'a CheckOptions,
    scope: &'a Scope,
    state: &'a mut State,
    findings: &'a mut Findings<'r>,
    progress: PercentProgress,
    /// Nothing was changed so far.
    is_first_repair: bool,
}

impl SegmentCheck<'_, '_> {
    fn run(&mut self, segments: &[SegmentId]) -> Result<Reached, RepositoryError> {
        let counts = |segment: &SegmentId| {
            i64::from(segment.0) > self.scope.behind && *segment <= self.scope.transaction
        };
        let wanted: Vec<SegmentId> = segments.iter().copied().filter(counts).collect();
        let mut unshown = segments.iter();
        let mut stopped_at = None;
        let log = &self.repository.log;
        log.for_each_changes(&wanted, self.options.threads, |segment, changes| {
            // Those passed over count too.
            while unshown
                .as_slice()
                .first()
                .is_some_and(|&next| next <= segment)
            {
                unshown.next();
                self.show_progress();
            }
            self.check_one(segment, changes)?;
            if self
                .scope
                .time_limit
                .as_ref()
                .is_some_and(TimeLimit::is_over)
            {
                stopped_at = Some(segment);
                return Ok(ControlFlow::Break(()));
            }
            let stop = self
                .options
                .interrupt
                .is_some_and(Interrupt::stop_requested);
            if stop {
                return Err(RepositoryError::Interrupted);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(segment) = stopped_at {
            return Ok(Reached::TimeLimit(segment));
        }
        for _ in unshown {
            self.show_progress();
        }
        Ok(Reached::End(segments.last().copied()))
    }

    fn show_progress(&mut self) {
        let reporter = &*self.repository.reporter;
        self.progress.advance(reporter, 1, None, |percent| {
            format!("Checking segments {percent:3.1}%")
        });
    }

    fn check_one(&mut self, segment: SegmentId, changes: Changes) -> Result<(), RepositoryError> {
        let repository = self.repository;
        let log = &repository.log;
        let path = log.path(segment);
        repository.debug(format!("checking segment file {}...", path.display()));
        let changes = match changes {
            Ok(changes) => changes,
            Err(error @ RepositoryError::BadEntry { .. }) => {
                self.findings.report(error.to_string());
                if self.options.repair {
                    repository.info(format!("attempting to recover {}", path.display()));
                    if std::mem::take(&mut self.is_first_repair) {
                        repository.forget_hints()?;
                    }
                    log.recover(segment)?;
                    log.changes(segment)?
                } else {
                    Vec::new()
                }
            }
            Err(error) => return Err(error),
        };
        if self.scope.time_limit.is_some() {
            // Without the segments before there is no index to compare.
            return Ok(());
        }
        let size = log.size(segment)?.unwrap_or(0);
        let mut replay = Replay {
            log,
            state: self.state,
        };
        replay.begin_segment(segment);
        for change in &changes {
            replay.apply(segment, change)?;
        }
        replay.end_segment(segment, size);
        Ok(())
    }
}

/// A transaction as Python shows it.
fn shown(transaction: Option<SegmentId>) -> String {
    transaction.map_or_else(|| "None".to_owned(), |id| id.to_string())
}
