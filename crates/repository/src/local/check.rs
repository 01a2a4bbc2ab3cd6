//! Checking a repository: every entry against its checksum, and the index against what the segments
//! hold; and repairing it, by leaving out what cannot be read and building the index anew.
//!
//! Knows nothing of archives: an object that is lost here is missed there. Source: Borg 1.4,
//! `Repository.check`.

mod compared;
mod findings;
mod mending;
mod nearest;
mod planned;
mod reading;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ironborg_format::config::parse_integer;
use ironborg_types::{ChunkId, FindingKind, Level, PercentProgress, Place, SegmentId};

use super::{CheckMode, CheckOptions, Loaded, LocalRepository, LockMode, Phase};
use crate::index::{EntryLocation, SharedIndex};
use crate::lock::Lock;
use crate::segments::{Damage, Showing};
use crate::settings::SECTION;
use crate::state::State;
use crate::{Repository, RepositoryError, Witness};
use compared::Compared;
use findings::{Findings, report_differences, report_same_count};
use mending::{Mending, in_segment};
use nearest::Nearest;
use reading::SegmentCheck;

/// Names the progress.
const CHECK: &str = "repository.check";
/// Percent between two steps of it that are shown.
const CHECK_STEP: f64 = 0.1;
/// Where the config says how far a check of limited duration came.
const LAST_SEGMENT_CHECKED: &str = "last_segment_checked";
/// Changes of a segment that are noted until it is known to be whole; where there are more it is read twice.
const NOTED_MAX: usize = 1 << 20;
/// The same where there is little memory.
const NOTED_MAX_TIGHT: usize = 1 << 17;
/// And where there is hardly any: one for so many bytes.
const NOTED_SHARE: u64 = 8;

/// What is looked at.
struct Scope {
    /// The committed transaction, or what comes nearest to one: nothing behind it counts.
    transaction: SegmentId,
    /// Only segments behind this one.
    behind: i64,
    /// When to stop; `None` for never.
    time_limit: Option<TimeLimit>,
}

/// What is made of what the segments say.
enum Purpose<'a> {
    /// Nothing: there is nothing to compare it with, or not all of it is read.
    Nothing,
    Compare(Box<Compared<'a>>),
    Build(Box<Built>),
}

/// What the segments say.
#[derive(Default)]
struct Built {
    state: State,
    /// Whether some of it lies in damaged segments, as it would not after a repair.
    any_salvaged: bool,
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
    /// Checks all segments and the index; in [`CheckMode::Repair`] mends what is wrong. Says whether
    /// the repository is sound, or was made so. What is found, and changed, is told.
    ///
    /// # Errors
    /// Damage is no error, unless what was repaired cannot be read even then. Refused are a repair in
    /// append-only mode, of limited duration or without an exclusive lock, and any check within a
    /// transaction.
    pub(super) fn check_segments_and_index(
        &mut self,
        options: &CheckOptions,
        witness: Option<&dyn Witness>,
    ) -> Result<bool, RepositoryError> {
        self.refuse_check(options)?;
        self.info("Starting repository check");
        // What is in memory may be better than what is on disk.
        self.set_loaded(None);
        if options.mode == CheckMode::Plan {
            // From now on nothing is written, not even an index that had to be made anew.
            self.planned = Some(Vec::new());
        }
        let (result, index) = match self.run_check(options, witness) {
            Ok((is_sound, index)) => (Ok(is_sound), index),
            Err(error) => (Err(error), None),
        };
        self.log.abandon();
        if index.is_some() || options.mode != CheckMode::Plan {
            self.set_loaded(index);
        }
        result
    }

    fn refuse_check(&self, options: &CheckOptions) -> Result<(), RepositoryError> {
        if options.mode != CheckMode::Look && self.settings.append_only {
            return Err(RepositoryError::AppendOnly {
                path: self.storage.path(""),
            });
        }
        let reason = if options.mode != CheckMode::Look && options.max_duration_s != 0 {
            "a repair cannot be limited in time"
        } else if self.planned.is_some() {
            "a repair was planned before"
        } else if matches!(self.phase, Phase::Idle) {
            return self.lock_for_check(options.mode == CheckMode::Repair);
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

    /// Also gives the index, if it need not be read again.
    fn run_check(
        &mut self,
        options: &CheckOptions,
        witness: Option<&dyn Witness>,
    ) -> Result<(bool, Option<Loaded>), RepositoryError> {
        let reporter = std::sync::Arc::clone(&self.reporter);
        let mut findings = Findings::new(&*reporter);
        let mending = Mending {
            reporter: &*reporter,
            mode: options.mode,
        };
        let Nearest {
            index: committed,
            is_on_disk,
            transaction,
            lost,
        } = self.committed_or_nearest()?;
        let Some(transaction) = transaction else {
            let message = "This repository contains no valid data.";
            findings.report(FindingKind::NoData, Place::default(), message);
            return Ok((false, None));
        };
        if let Some(lost) = lost {
            let message = format!(
                "Transaction {lost} was committed, but segment {lost} does not say so any more."
            );
            findings.report(FindingKind::CommitMissing, in_segment(lost), message);
        }
        self.remove_behind(transaction, &mending)?;
        let committed_segment = self.log.transaction_id()?;
        self.debug(format!(
            "Segment transaction is    {}",
            shown(committed_segment)
        ));
        self.debug(format!("Determined transaction is {transaction}"));

        let (witness, committed) = self.interested(options, witness, (committed, transaction));
        let heard = (&mut findings, &mending);
        let (agrees, built) =
            self.read_segments(options, transaction, (witness, committed.as_ref()), heard)?;
        let limited = options.max_duration_s != 0;
        let lacks_commit = committed_segment.is_none_or(|committed| committed < transaction);
        if options.mode != CheckMode::Look && lacks_commit {
            let message = format!("Adding commit tag to segment {transaction}");
            let place = in_segment(transaction);
            findings.report(FindingKind::CommitMissing, place, message);
            mending.commit_added(transaction);
            if options.mode == CheckMode::Repair {
                self.forget_hints()?;
                self.log.write_commit()?;
            }
        }
        let is_mended = options.mode == CheckMode::Repair;
        if !limited {
            self.info("Starting repository index check");
            if let Some(built) = &built {
                let on_disk = committed.as_ref().filter(|_| is_on_disk);
                mending.index_rebuilt(on_disk, &built.state.index)?;
            }
            if let (true, Some(built)) = (is_mended, &built) {
                let id = self.log.transaction_id()?;
                let id = id.ok_or_else(|| self.without_commit())?;
                self.write_state(&built.state, id)?;
                self.log.forget_originals()?;
            } else if let Some(committed) = committed.as_ref().filter(|index| index.len() > 0) {
                if agrees {
                    report_same_count(&findings);
                } else if let Some(built) = &built {
                    report_differences(&mut findings, committed, &built.state.index)?;
                } else {
                    let state =
                        self.state_of_whole_segments(transaction, committed.len(), options)?;
                    report_differences(&mut findings, committed, &state.index)?;
                }
                // Now the committed index is known to be that of the segments, and they are whole.
                if let Some(witness) = witness.filter(|_| !findings.any()) {
                    witness.has_seen_all();
                }
            }
        }
        if let (CheckMode::Plan, Some(built)) = (options.mode, built) {
            self.read_as_planned(transaction, *built)?;
        }
        let mode = if limited { "partial" } else { "full" };
        self.info_or_error(
            findings.any() && !is_mended,
            &match findings.any() {
                true if is_mended => {
                    format!("Finished {mode} repository check, errors found and repaired.")
                }
                true => format!("Finished {mode} repository check, errors found."),
                false => format!("Finished {mode} repository check, no problems found."),
            },
        );
        let is_sound = !findings.any();
        let keeps = is_sound && is_on_disk && options.mode == CheckMode::Look;
        let index = committed.filter(|index| keeps && self.keeps_in_memory(index));
        let loaded = index.map(|index| Loaded::of_index(transaction, index));
        Ok((is_sound || is_mended, loaded))
    }

    /// Reads the segments and shows what the index leads to. Says whether they were found to agree with it, or gives what
    /// they say.
    fn read_segments<'r>(
        &mut self,
        options: &CheckOptions,
        transaction: SegmentId,
        (witness, committed): (Option<&dyn Witness>, Option<&SharedIndex>),
        heard: (&mut Findings<'r>, &Mending<'r>),
    ) -> Result<(bool, Option<Box<Built>>), RepositoryError> {
        if let (Some(committed), None) = (committed, &self.scratch) {
            // Every entry of it is asked for.
            committed.load()?;
        }
        let view = committed.map(SharedIndex::view);
        let unreadable = Mutex::new(None);
        let wanted = |id: &ChunkId, at: EntryLocation| {
            let found = view.as_ref().map_or(Ok(None), |view| view.get(id));
            found.map_or_else(
                |error| {
                    let mut slot = unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                    slot.get_or_insert(error);
                    false
                },
                |found| found == Some(at),
            )
        };
        let showing = witness.map(|witness| Showing {
            witness,
            wanted: &wanted,
            damage: Damage::Ends,
        });
        let compared_with = committed.filter(|index| index.len() > 0);
        let mut purpose = match (options.mode, compared_with) {
            (CheckMode::Look, Some(committed)) if options.max_duration_s == 0 => {
                let unknown = self.index_anew(0);
                Purpose::Compare(Box::new(Compared::new(committed, unknown)))
            }
            (CheckMode::Look, _) => Purpose::Nothing,
            _ => Purpose::Build(Box::new(Built {
                state: self.state_anew(0),
                any_salvaged: false,
            })),
        };
        self.check_segments((options, showing), transaction, &mut purpose, heard)?;
        let unreadable = unreadable.into_inner();
        if let Some(error) = unreadable.unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(match purpose {
            Purpose::Nothing => (false, None),
            Purpose::Compare(compared) => (compared.agrees(), None),
            Purpose::Build(built) => (false, Some(built)),
        })
    }

    /// Whether an index is small enough to be left in memory.
    fn keeps_in_memory(&self, index: &SharedIndex) -> bool {
        self.mode != LockMode::None && index.size() <= self.index_policy.in_memory_max
    }

    /// Who wants to see objects while the segments are read, if anybody: only those the committed index leads to are
    /// shown, so there must be one; and in a repair they may move.
    fn interested<'w>(
        &mut self,
        options: &CheckOptions,
        witness: Option<&'w dyn Witness>,
        (committed, transaction): (Option<SharedIndex>, SegmentId),
    ) -> (Option<&'w dyn Witness>, Option<SharedIndex>) {
        let is_wanted = options.mode == CheckMode::Look && options.max_duration_s == 0;
        let Some(witness) = witness.filter(|_| is_wanted) else {
            return (None, committed);
        };
        let Some(index) = committed.filter(|index| index.len() > 0) else {
            return (None, None);
        };
        self.set_loaded(Some(Loaded::of_index(transaction, index.clone())));
        let is_interested = witness.is_interested(&*self);
        self.set_loaded(None);
        (Some(witness).filter(|_| is_interested), Some(index))
    }

    /// What is behind the last transaction goes in a repair.
    fn remove_behind(
        &mut self,
        transaction: SegmentId,
        mending: &Mending<'_>,
    ) -> Result<(), RepositoryError> {
        if mending.mode == CheckMode::Look {
            return Ok(());
        }
        for segment in self.log.segments()? {
            if segment > transaction {
                mending.segment_removed(segment, self.log.size(segment)?.unwrap_or(0));
            }
        }
        if mending.mode == CheckMode::Repair {
            let count = self.log.begin_after(Some(transaction))?;
            self.debug(format!(
                "Cleaned up {count} uncommitted segment files (== everything after segment {transaction})."
            ));
        }
        Ok(())
    }

    fn without_commit(&self) -> RepositoryError {
        RepositoryError::CheckNeeded {
            what: self.storage.path("").display().to_string(),
        }
    }

    /// Reads the segments, from where a check of limited duration stopped if this is another one, and
    /// remembers how far it came.
    fn check_segments<'r>(
        &mut self,
        (options, showing): (&CheckOptions, Option<Showing<'_>>),
        transaction: SegmentId,
        purpose: &mut Purpose<'_>,
        (findings, mending): (&mut Findings<'r>, &Mending<'r>),
    ) -> Result<(), RepositoryError> {
        let segments = self.log.segments()?;
        self.debug(format!("Found {} segments", segments.len()));
        let limited = options.max_duration_s != 0;
        let behind = if limited {
            let last = self.last_segment_checked()?;
            let next = last.saturating_add(1);
            self.info(format!("skipping to segments >= {next}"));
            last
        } else {
            self.set_last_segment_checked(None, options.mode)?;
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
            showing,
            scope: &scope,
            purpose,
            findings,
            mending,
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
                self.set_last_segment_checked(None, options.mode)?;
            }
            Reached::TimeLimit(segment) => {
                self.info(format!(
                    "finished partial segment check, last segment checked is {segment}"
                ));
                self.set_last_segment_checked(Some(segment), options.mode)?;
            }
        }
        progress.finish(&*self.reporter);
        Ok(())
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
        mode: CheckMode,
    ) -> Result<(), RepositoryError> {
        let mut config = self.config.clone();
        match segment {
            Some(segment) => config.set(SECTION, LAST_SEGMENT_CHECKED, segment.to_string()),
            None => {
                config.remove(SECTION, LAST_SEGMENT_CHECKED);
            }
        }
        if config == self.config || mode == CheckMode::Plan {
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

/// A transaction as Python shows it.
fn shown(transaction: Option<SegmentId>) -> String {
    transaction.map_or_else(|| "None".to_owned(), |id| id.to_string())
}
