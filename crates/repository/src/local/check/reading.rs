//! Reading the segments, each once, and what is made of what they say.

use std::ops::ControlFlow;
use std::path::Path;

use ironborg_types::{Interrupt, PercentProgress, SegmentId};

use super::findings::Findings;
use super::mending::Mending;
use super::{NOTED_MAX, NOTED_MAX_TIGHT, NOTED_SHARE, Purpose, Reached, Scope, TimeLimit};
use crate::RepositoryError;
use crate::local::{CheckMode, CheckOptions, LocalRepository};
use crate::replay::{Change, Replay};
use crate::segments::{Changes, SegmentChanges, Showing};
use crate::state::State;

/// The reading of the segments.
pub(super) struct SegmentCheck<'a, 'b, 'r> {
    pub(super) repository: &'a LocalRepository,
    pub(super) options: &'a CheckOptions,
    pub(super) showing: Option<Showing<'a>>,
    pub(super) scope: &'a Scope,
    pub(super) purpose: &'a mut Purpose<'b>,
    pub(super) findings: &'a mut Findings<'r>,
    pub(super) mending: &'a Mending<'r>,
    pub(super) progress: PercentProgress,
    /// Nothing was changed so far.
    pub(super) is_first_repair: bool,
}

impl SegmentCheck<'_, '_, '_> {
    /// Reads them in order.
    pub(super) fn run(&mut self, segments: &[SegmentId]) -> Result<Reached, RepositoryError> {
        let counts = |segment: &SegmentId| {
            i64::from(segment.0) > self.scope.behind && *segment <= self.scope.transaction
        };
        let wanted: Vec<SegmentId> = segments.iter().copied().filter(counts).collect();
        let mut unshown = segments.iter();
        let mut stopped_at = None;
        let log = &self.repository.log;
        let bounds = (self.options.threads, self.repository.noted_max());
        log.for_each_changes(&wanted, bounds, self.showing, |segment, changes| {
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
                self.findings.report_damage(&error);
                self.changes_of_damaged(segment, &path)?
            }
            Err(error) => return Err(error),
        };
        if self.scope.time_limit.is_some() {
            // Without the segments before there is no index to compare.
            return Ok(());
        }
        match self.purpose {
            Purpose::Nothing => Ok(()),
            Purpose::Compare(compared) => {
                log.apply_changes(segment, &changes, |change| compared.apply(segment, change))
            }
            Purpose::Build(built) => repository.replay_one(&mut built.state, segment, &changes),
        }
    }
}

impl LocalRepository {
    pub(super) fn noted_max(&self) -> usize {
        self.scratch.as_ref().map_or(NOTED_MAX, |space| {
            let share = usize::try_from(space.memory_len / NOTED_SHARE);
            share.map_or(NOTED_MAX_TIGHT, |share| share.min(NOTED_MAX_TIGHT))
        })
    }

    /// An empty state whose index takes so many entries without growing.
    pub(super) fn state_anew(&self, capacity: usize) -> State {
        State {
            index: self.index_anew(capacity),
            ..State::default()
        }
    }

    /// What a segment does to a state.
    fn replay_one(
        &self,
        state: &mut State,
        segment: SegmentId,
        changes: &SegmentChanges,
    ) -> Result<(), RepositoryError> {
        let log = &self.log;
        let size = log.size(segment)?.unwrap_or(0);
        let mut replay = Replay { log, state };
        replay.begin_segment(segment);
        let apply = |change: &Change| replay.apply(segment, change);
        log.apply_changes(segment, changes, apply)?;
        replay.end_segment(segment, size);
        Ok(())
    }

    /// The state the segments lead to, damaged ones, which were told, left out.
    pub(super) fn state_of_whole_segments(
        &self,
        transaction: SegmentId,
        capacity: usize,
        options: &CheckOptions,
    ) -> Result<State, RepositoryError> {
        let mut state = self.state_anew(capacity);
        let mut segments = self.log.segments()?;
        segments.retain(|segment| *segment <= transaction);
        let bounds = (options.threads, self.noted_max());
        let log = &self.log;
        log.for_each_changes(&segments, bounds, None, |segment, changes| {
            if options.interrupt.is_some_and(Interrupt::stop_requested) {
                return Err(RepositoryError::Interrupted);
            }
            match changes {
                Ok(changes) => self.replay_one(&mut state, segment, &changes)?,
                Err(RepositoryError::BadEntry { .. }) => {}
                Err(error) => return Err(error),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(state)
    }
}

impl SegmentCheck<'_, '_, '_> {
    /// What is left of a damaged segment: nothing, unless it is repaired, or is to be.
    fn changes_of_damaged(
        &mut self,
        segment: SegmentId,
        path: &Path,
    ) -> Result<SegmentChanges, RepositoryError> {
        let repository = self.repository;
        let log = &repository.log;
        match self.options.mode {
            CheckMode::Look => Ok(SegmentChanges::Noted(Vec::new())),
            CheckMode::Plan => {
                let salvage = log.salvage(segment)?;
                self.mending.segment_recovered(segment, &salvage);
                if let Purpose::Build(built) = self.purpose {
                    built.any_salvaged = true;
                }
                Ok(SegmentChanges::Noted(salvage.changes))
            }
            CheckMode::Repair => {
                repository.info(format!("attempting to recover {}", path.display()));
                if std::mem::take(&mut self.is_first_repair) {
                    repository.forget_hints()?;
                }
                let salvage = log.recover(segment, !self.options.save_space)?;
                self.mending.segment_recovered(segment, &salvage);
                log.changes(segment, repository.noted_max())
            }
        }
    }
}
