//! Which transaction a check is about, where the last one does not say so itself.

use std::collections::BTreeSet;

use ironborg_types::SegmentId;

use super::super::LocalRepository;
use crate::RepositoryError;
use crate::index::SharedIndex;
use crate::replay::{Change, Replay};
use crate::segments::SegmentChanges;
use crate::state::State;

/// What there is to begin with.
pub(super) struct Nearest {
    /// The committed index, if it could be read or made.
    pub(super) index: Option<SharedIndex>,
    /// Whether it is the one on disk.
    pub(super) is_on_disk: bool,
    pub(super) transaction: Option<SegmentId>,
    /// A transaction that was committed, and whose segment does not say so any more.
    pub(super) lost: Option<SegmentId>,
}

impl LocalRepository {
    /// The committed index and the transaction it is of. Where there is none, the transaction that comes
    /// nearest: without any commit that of an index, without that whatever there is.
    ///
    /// A transaction that has lost its COMMIT counts if its index agrees with the segments: all it has stored is there.
    pub(super) fn committed_or_nearest(&self) -> Result<Nearest, RepositoryError> {
        let lost = self.recovery().lost_commit()?;
        if let Some(lost) = lost
            && let Some(index) = self.recovery().open_index(lost, self.index_policy)
            && self.is_borne_out(&index, lost)?
        {
            self.debug(format!(
                "The index of transaction {lost} agrees with the segments"
            ));
            return Ok(Nearest {
                index: Some(index),
                is_on_disk: true,
                transaction: Some(lost),
                lost: Some(lost),
            });
        }
        let mut is_on_disk = false;
        let (index, mut transaction) = match self.load() {
            Ok(loaded) => {
                if let Some(id) = loaded.id {
                    self.debug(format!("Read committed index of transaction {id}"));
                }
                // What was made anew comes with its hints.
                is_on_disk = !loaded.has_hints;
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
        Ok(Nearest {
            index,
            is_on_disk,
            transaction,
            lost,
        })
    }

    /// Whether the segments up to a transaction say what its index says, but for what lies in damaged ones.
    fn is_borne_out(
        &self,
        index: &SharedIndex,
        transaction: SegmentId,
    ) -> Result<bool, RepositoryError> {
        let mut state = State {
            index: self.index_anew(0),
            ..State::default()
        };
        let mut damaged = BTreeSet::new();
        let replayed = self.replay_what_is_whole(transaction, &mut state, &mut damaged);
        if replayed.is_err() {
            return Ok(false);
        }
        let mut is_same = true;
        index.for_each(|id, at| {
            is_same &= match state.index.get(&id)? {
                Some(found) => found == at,
                None => damaged.contains(&at.segment),
            };
            Ok(())
        })?;
        state.index.for_each(|id, _| {
            is_same &= index.contains(&id)?;
            Ok(())
        })?;
        Ok(is_same)
    }

    /// Builds a state of the segments up to a transaction; of damaged ones, which are noted, what is whole.
    fn replay_what_is_whole(
        &self,
        transaction: SegmentId,
        state: &mut State,
        damaged: &mut BTreeSet<SegmentId>,
    ) -> Result<(), RepositoryError> {
        let segments = self.log.segments()?;
        for segment in segments
            .into_iter()
            .filter(|segment| *segment <= transaction)
        {
            let changes = match self.log.changes(segment, self.noted_max()) {
                Err(RepositoryError::BadEntry { .. }) => {
                    damaged.insert(segment);
                    SegmentChanges::Noted(self.log.salvage(segment)?.changes)
                }
                other => other?,
            };
            let mut replay = Replay {
                log: &self.log,
                state,
            };
            let apply = |change: &Change| replay.apply(segment, change);
            self.log.apply_changes(segment, &changes, apply)?;
        }
        Ok(())
    }
}
