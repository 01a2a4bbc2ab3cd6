//! How the committed state comes into memory: from its index, or rebuilt from the segments.

use ironborg_types::{Level, SegmentId};

use super::{Loaded, LocalRepository, LockMode, StoredIndex};
use crate::RepositoryError;
use crate::index::SharedIndex;
use crate::recovery::Committed;
use crate::state::State;

impl LocalRepository {
    /// Loads the committed state, rebuilding it from the segments if need be.
    pub(super) fn load(&self) -> Result<Loaded, RepositoryError> {
        let recovery = self.recovery();
        let committed = recovery.committed()?;
        if let Some(id) = committed.index_id() {
            self.log.forget_tables(id);
        }
        let (from, to) = match committed {
            Committed::Nothing => {
                return Ok(Loaded {
                    id: None,
                    state: State::default(),
                    has_hints: true,
                    stored: StoredIndex::default(),
                });
            }
            Committed::Indexed(id) => match self.open_index(id) {
                Some(index) => {
                    let state = State {
                        index,
                        ..State::default()
                    };
                    return Ok(Loaded {
                        id: Some(id),
                        state,
                        has_hints: false,
                        stored: StoredIndex::of(id),
                    });
                }
                None => (None, id),
            },
            Committed::Behind { from, to } => (from, to),
        };
        // Far away an index that is behind is nothing to be mended by whoever only reads.
        if self.storage.distant().is_none() && self.upgrade_lock() {
            // While waiting for the others one of them may have done the work.
            match self.recovery().committed()? {
                Committed::Behind { from, to } => return self.rebuild(from, to),
                Committed::Indexed(id) if id == to && from.is_none() => {}
                _ => return self.load(),
            }
        }
        self.rebuild(from, to)
    }

    fn open_index(&self, id: SegmentId) -> Option<SharedIndex> {
        match self.mode {
            LockMode::None => self.recovery().load_index(id).map(SharedIndex::from),
            _ => self.recovery().open_index(id, self.index_policy),
        }
    }

    /// Rebuilds index and hints of transaction `to` from the segments, beginning with the files of
    /// `from` if they are sound.
    fn rebuild(&self, from: Option<SegmentId>, to: SegmentId) -> Result<Loaded, RepositoryError> {
        let mut state = State {
            index: self.index_anew(0),
            ..State::default()
        };
        let mut begin = None;
        if let Some(id) = from
            && let Some(found) = self.load_whole(id)?
        {
            state = found;
            begin = Some(id);
        }
        let behind_len = self.recovery().replay(&mut state, begin, to)?;
        let mut stored = StoredIndex {
            id: begin,
            behind_len,
        };
        if let Some(lost) = self.recovery().lost_commit()? {
            // The index of that transaction is the only witness. It must not go before somebody has decided.
            let error = self.lost_commit_error(lost, to);
            self.recovery().warn(error.to_string());
        } else if self.is_exclusive()
            && self.planned.is_none()
            && !self.may_wait(&state, stored)
            && self.save_rebuilt(&state, to)?
        {
            stored = StoredIndex::of(to);
        }
        Ok(Loaded {
            id: Some(to),
            state,
            has_hints: true,
            stored,
        })
    }

    /// Writes down what was rebuilt; says whether it did. A full disk is no reason not to read, nor not to make room on it.
    fn save_rebuilt(&self, state: &State, id: SegmentId) -> Result<bool, RepositoryError> {
        match self.write_state(state, id) {
            Err(RepositoryError::Storage(error)) if error.is_no_space() => {
                let message = format!("The rebuilt index could not be saved: {error}");
                self.log_message(Level::Warning, message);
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    /// Transaction `lost` cannot be seen any more; there is what `to` committed.
    pub(super) fn lost_commit_error(&self, lost: SegmentId, to: SegmentId) -> RepositoryError {
        let path = self.storage.path("");
        let path = path.display();
        RepositoryError::CheckNeeded {
            // The quotes close and open those of the message around it.
            what: format!(
                "{path}\": transaction {lost} was committed, but segment {lost} is damaged and does not say so any \
                 more, so that the last one seen is {to}. To have it back, as far as that can be, run \"borg check --repair {path}"
            ),
        }
    }

    fn load_whole(&self, id: SegmentId) -> Result<Option<State>, RepositoryError> {
        let recovery = self.recovery();
        let index = match self.scratch {
            Some(_) => recovery.open_index(id, self.index_policy),
            None => recovery.load_index(id).map(SharedIndex::from),
        };
        let Some(index) = index else {
            return Ok(None);
        };
        let hints = recovery.load_hints(id, &index)?;
        Ok(hints.map(|hints| {
            let mut state = State { index, hints };
            state.forget_uncommitted(id);
            state
        }))
    }

    /// Completes what was loaded for reading with what writing needs.
    pub(super) fn with_hints(&self, mut loaded: Loaded) -> Result<Loaded, RepositoryError> {
        let (false, Some(id)) = (loaded.has_hints, loaded.id) else {
            return Ok(loaded);
        };
        let hints = self.recovery().load_hints(id, &loaded.state.index)?;
        let Some(hints) = hints else {
            return self.rebuild(None, id);
        };
        loaded.state.hints = hints;
        loaded.state.forget_uncommitted(id);
        loaded.has_hints = true;
        Ok(loaded)
    }
}
