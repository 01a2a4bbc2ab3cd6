//! A committed state of the repository, found while others may be writing.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ironborg_storage::Storage;
use ironborg_types::{ChunkId, SegmentId};

use super::index_file::IndexFile;
use super::tail::{Care, Change, Tail};
use crate::index::{EntryLocation, SharedIndex};
use crate::{LocalRepository, RepositoryError};

/// How often it is looked for a state that does not change while it is looked at.
const ATTEMPTS: u32 = 8;
/// The pause before the second look; it doubles with every one.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Where the objects of a transaction are.
#[derive(Debug)]
pub(super) struct State {
    /// The newest transaction there was an index of when it was looked.
    pub(super) index_id: Option<SegmentId>,
    /// The transaction.
    pub(super) upto: Option<SegmentId>,
    base: Base,
    tail: Tail,
    /// Whether it was compared with all digests: what is not found then is not there.
    pub(super) is_proven: bool,
}

/// An index.
#[derive(Debug, Clone)]
enum Base {
    Nothing,
    File(IndexFile),
    /// Made from the segments, as there is no sound one.
    Memory(SharedIndex),
}

impl State {
    /// Where an object is.
    pub(super) fn get(
        &self,
        storage: &dyn Storage,
        id: &ChunkId,
    ) -> Result<Option<EntryLocation>, RepositoryError> {
        match self.tail.get(id) {
            Change::Put(at) => return Ok(Some(at)),
            Change::Deleted => return Ok(None),
            Change::None => {}
        }
        match &self.base {
            Base::Nothing => Ok(None),
            Base::File(file) => Ok(file.get(storage, id)?),
            Base::Memory(index) => index.get(id),
        }
    }

    /// Whether it is the same transaction, with the objects where they were.
    fn is_same(&self, other: &Self) -> bool {
        (self.index_id, self.upto) == (other.index_id, other.upto)
    }
}

impl LocalRepository {
    /// Finds what is committed. `known` is what was found before, which is returned if it still is that.
    ///
    /// Others write meanwhile: a segment that was listed may be gone when it is to be read, and an index be replaced. So
    /// it is looked again until everything fits together. A state that never does is that of a damaged repository, which is
    /// read as it would be under a lock.
    pub(super) fn look(&self, known: Option<&Arc<State>>) -> Result<Arc<State>, RepositoryError> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            match self.try_to_look(known.map(Arc::as_ref)) {
                Ok(Some(found)) => {
                    return Ok(match known {
                        Some(known) if known.is_same(&found) => Arc::clone(known),
                        _ => Arc::new(found),
                    });
                }
                Err(error) if !may_pass(&error) => return Err(error),
                Ok(None) | Err(_) => {}
            }
            if let Some(known) = known
                && self.is_still(known).unwrap_or(false)
            {
                return Ok(Arc::clone(known));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.load_proven()
    }

    /// Whether what was found before by looking at everything is all there still is to be found.
    fn is_still(&self, known: &State) -> Result<bool, RepositoryError> {
        Ok(known.is_proven
            && known.index_id == self.recovery().index_id()?
            && known.upto == self.log.transaction_id()?)
    }

    /// One look; `None` if what was seen does not fit together.
    fn try_to_look(&self, known: Option<&State>) -> Result<Option<State>, RepositoryError> {
        let recovery = self.recovery();
        let index_id = recovery.index_id()?;
        let base = match index_id {
            None => Base::Nothing,
            Some(id) => match IndexFile::find(&*self.storage, id)? {
                Some(file) => Base::File(file),
                None => return Ok(None),
            },
        };
        if let Some(id) = index_id
            && known.is_none_or(|known| known.index_id != index_id)
        {
            self.log.forget_tables(id);
        }
        // Nobody needs to know what was committed before the transaction of the index.
        let first = index_id.unwrap_or(SegmentId(0));
        let upto = self
            .log
            .last_committed_from(first, known.and_then(|known| known.upto))?;
        let mut tail = Tail::default();
        match upto {
            None if index_id.is_some() => return Ok(None),
            Some(upto) if Some(upto) != index_id => {
                let nothing = Tail::default();
                let known = known.filter(|known| known.index_id == index_id);
                let known = known.map_or(&nothing, |known| &known.tail);
                tail = Tail::read(&self.log, index_id, upto, Care::Headers, known)?;
                // A segment that went before it was listed has left its objects behind the commit that was found.
                if !tail.is_as_listed(&self.log, index_id, upto)?
                    || recovery.index_id()? != index_id
                {
                    return Ok(None);
                }
            }
            _ => {}
        }
        Ok(Some(State {
            is_proven: upto.is_none(),
            index_id,
            upto,
            base,
            tail,
        }))
    }

    /// The same state after everything was compared with its digests and checksums, or another one if that shows damage.
    pub(super) fn prove(&self, state: &State) -> Result<Arc<State>, RepositoryError> {
        if let (Base::File(file), Some(upto)) = (&state.base, state.upto)
            && self.recovery().index_is_sound(file.id)
        {
            let from = Some(file.id);
            let checked = Tail::read(&self.log, from, upto, Care::Checksums, &Tail::default());
            if let Ok(tail) = checked
                && tail.is_as_listed(&self.log, from, upto)?
            {
                return Ok(Arc::new(State {
                    index_id: state.index_id,
                    upto: state.upto,
                    base: state.base.clone(),
                    tail,
                    is_proven: true,
                }));
            }
        }
        self.load_proven()
    }

    /// Loads what is committed as it is done under a lock; damaged parts are made anew in memory.
    fn load_proven(&self) -> Result<Arc<State>, RepositoryError> {
        let mut pause = FIRST_PAUSE;
        let mut left = ATTEMPTS;
        loop {
            let index_id = self.recovery().index_id()?;
            match self.load() {
                Ok(loaded) => {
                    return Ok(Arc::new(State {
                        index_id,
                        upto: loaded.id,
                        base: Base::Memory(loaded.state.index),
                        tail: Tail::default(),
                        is_proven: true,
                    }));
                }
                Err(error) if left == 0 || !may_pass(&error) => return Err(error),
                Err(_) => {}
            }
            left -= 1;
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Whether an error may be one of the moment, because files go and come while they are looked at.
pub(super) fn may_pass(error: &RepositoryError) -> bool {
    matches!(
        error,
        RepositoryError::Storage(_)
            | RepositoryError::BadEntry { .. }
            | RepositoryError::CheckNeeded { .. }
    )
}
