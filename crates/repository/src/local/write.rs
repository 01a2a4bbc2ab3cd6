//! The life of a transaction: begin, change, commit or roll back.
//!
//! Order of a commit: segments durable, COMMIT entry durable, then hints, index and integrity replaced.
//! After a failed write the transaction is dead: no retry, no success. Layout and order:
//! docs/format.md, "Transactions".

use ironborg_format::integrity::{IntegrityFile, integrity_data};
use ironborg_types::limits::{OBJECT_SIZE_MAX, PUT_HEADER_SIZE};
use ironborg_types::{ChunkId, Level, SegmentId, Timestamp};

use super::{CompactOptions, Doom, Loaded, LocalRepository, Phase, StoredIndex};
use crate::RepositoryError;
use crate::recovery::Committed;
use crate::segments::{SegmentLog, WhenFull};
use crate::settings::CONFIG;
use crate::state::State;

/// Log of transactions, kept in append-only mode so that one can go back.
const TRANSACTIONS: &str = "transactions";
/// Files that belong to one transaction, `NAME.ID`.
const PER_TRANSACTION: [&str; 3] = ["index", "hints", "integrity"];

impl LocalRepository {
    pub(super) fn put_object(
        &mut self,
        id: &ChunkId,
        object: &[u8],
    ) -> Result<(), RepositoryError> {
        if object.len() > OBJECT_SIZE_MAX {
            return Err(RepositoryError::ObjectTooLarge {
                len: object.len(),
                max: OBJECT_SIZE_MAX,
            });
        }
        self.begin()?;
        let old = match self.find(id)? {
            Some(at) => Some((at, self.log.read_size(at, id)?)),
            None => None,
        };
        self.grows |= old.is_none();
        let size = u32::try_from(PUT_HEADER_SIZE + object.len()).expect("checked above");
        self.change(|log, state| {
            if let Some((at, old_size)) = old {
                // The DELETE is what keeps compaction from bringing the old PUT back.
                state.supersede(id, at, old_size);
                write_delete(log, state, id, old_size)?;
            }
            let at = log.write_put(id, object, WhenFull::Next)?;
            let at = at.expect("a new segment may be begun");
            state.put(id, at, size)
        })?;
        self.check_quota()
    }

    pub(super) fn delete_object(&mut self, id: &ChunkId) -> Result<(), RepositoryError> {
        self.begin()?;
        let at = self.find(id)?.ok_or_else(|| self.not_found(id))?;
        let size = self.log.read_size(at, id)?;
        self.change(|log, state| {
            state.index.remove(id)?;
            state.supersede(id, at, size);
            write_delete(log, state, id, size)
        })
    }

    /// Begins a transaction if there is none.
    pub(super) fn begin(&mut self) -> Result<(), RepositoryError> {
        match &self.phase {
            Phase::Active => return Ok(()),
            Phase::Doomed(doom) => return Err(doom.error()),
            Phase::Idle => {}
        }
        if self.planned.is_some() {
            let reason = "a repair was only planned";
            return Err(RepositoryError::CheckRefused { reason });
        }
        self.lock_for_writing()?;
        self.check_lock()?;
        let loaded = self.take_loaded();
        // What is in memory is what is on disk, unless somebody broke our lock meanwhile.
        let loaded = match (loaded, self.recovery().committed()?) {
            (Some(loaded), Committed::Indexed(id)) if loaded.id == Some(id) => loaded,
            (Some(loaded), Committed::Nothing) if loaded.id.is_none() => loaded,
            // Rebuilt already, but there was no room to write that down, or it was not worth it.
            (Some(loaded), Committed::Behind { to, .. }) if loaded.id == Some(to) => loaded,
            _ => {
                // Two at once would be one too many.
                self.set_loaded(None);
                self.load()?
            }
        };
        let loaded = self.with_hints(loaded)?;
        if let (Some(to), Some(lost)) = (loaded.id, self.recovery().lost_commit()?) {
            // What comes behind the last commit is removed now; this is no leftover of an interrupted transaction.
            return Err(self.lost_commit_error(lost, to));
        }
        if loaded.id.is_some() || self.created {
            let count = self.log.begin_after(loaded.id)?;
            self.log_message(
                Level::Debug,
                format!("Cleaned up {count} uncommitted segment files."),
            );
        } else {
            self.log.begin_first();
        }
        let rows = self.rows_of_use(&loaded);
        self.log.note_tables(rows);
        let is_first = loaded.id.is_none();
        self.grows = false;
        self.set_loaded(Some(loaded));
        self.phase = Phase::Active;
        if !is_first {
            self.log_quota();
        }
        Ok(())
    }

    /// Writes to the log and takes note of it. A failure half way dooms the transaction.
    pub(super) fn change<T>(
        &mut self,
        write: impl FnOnce(&mut SegmentLog, &mut State) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let loaded = self.loaded.get_mut();
        let loaded = loaded.unwrap_or_else(std::sync::PoisonError::into_inner);
        let loaded = loaded.as_mut().expect("loaded when the transaction began");
        let result = write(&mut self.log, &mut loaded.state);
        if let Err(error) = &result {
            self.doom(error);
        }
        result
    }

    fn doom(&mut self, error: &RepositoryError) {
        self.log.abandon();
        self.phase = Phase::Doomed(Doom::Failed {
            reason: error.to_string(),
            no_space: matches!(error, RepositoryError::Storage(e) if e.is_no_space()),
        });
    }

    pub(super) fn commit_transaction(
        &mut self,
        compact: Option<CompactOptions>,
    ) -> Result<(), RepositoryError> {
        match &self.phase {
            Phase::Idle => return Ok(()),
            Phase::Doomed(doom) => {
                let error = doom.error();
                self.roll_back()?;
                return Err(error);
            }
            Phase::Active => {}
        }
        self.check_free_space(compact.is_some())?;
        self.log_quota();
        match self.write_transaction(compact) {
            Ok(id) => {
                let mut loaded = self.take_loaded();
                if let Some(loaded) = &mut loaded {
                    loaded.id = Some(id);
                }
                self.set_loaded(loaded);
                self.phase = Phase::Idle;
                self.created = false;
                Ok(())
            }
            Err(error) => {
                // Whether the COMMIT reached the disk is not known: memory no longer counts, and not even
                // a first transaction may be taken back any more.
                self.doom(&error);
                self.set_loaded(None);
                if let Err(second) = self.roll_back() {
                    self.log_message(Level::Error, second.to_string());
                }
                Err(error)
            }
        }
    }

    /// Everything from the last segment's end to the removal of the old index.
    fn write_transaction(
        &mut self,
        compact: Option<CompactOptions>,
    ) -> Result<SegmentId, RepositoryError> {
        let mut id = self.change(|log, state| {
            let segment = log.write_commit()?;
            state.committed(segment);
            Ok(segment)
        })?;
        let compact = compact.filter(|_| !self.settings.append_only);
        let is_compacted = compact.is_some();
        if let Some(options) = compact {
            id = self.compact_segments(options)?.unwrap_or(id);
        }
        let written_len = self.log.written_len();
        let waits = self.with_loaded(|loaded| {
            let behind_len = loaded.stored.behind_len.saturating_add(written_len);
            let stored = StoredIndex {
                behind_len,
                ..loaded.stored
            };
            self.may_wait(&loaded.state, stored).then_some(stored)
        })?;
        let waits = waits.filter(|_| !is_compacted && !self.log.has_retired());
        let stored = if let Some(stored) = waits {
            self.note_transaction(id)?;
            self.log.keep_tables();
            stored
        } else {
            self.with_loaded(|loaded| self.write_state(&loaded.state, id))??;
            self.log.forget_tables(id);
            self.log.remove_retired()?;
            StoredIndex::of(id)
        };
        let mut loaded = self.take_loaded();
        if let Some(loaded) = &mut loaded {
            loaded.stored = stored;
        }
        self.set_loaded(loaded);
        Ok(id)
    }

    /// Whether the index of a state need not be written now: where files are far away and the one that is stored, with the
    /// segments behind it, says the same at less than twice the price.
    pub(super) fn may_wait(&self, state: &State, stored: StoredIndex) -> bool {
        let (Some(distant), Some(id)) = (self.storage.distant(), stored.id) else {
            return false;
        };
        let size = state.index.size();
        size > distant.index_always_max()
            && stored.behind_len <= size
            && !self.log.may_be_littered(id)
    }

    /// How many entries a transaction may have before its index is written in any case.
    fn rows_of_use(&self, loaded: &Loaded) -> usize {
        if !self.may_wait(&loaded.state, loaded.stored) {
            return 0;
        }
        let room = loaded.state.index.size() - loaded.stored.behind_len;
        usize::try_from(room / PUT_HEADER_SIZE as u64).unwrap_or(usize::MAX)
    }

    /// In append-only mode: notes that there is a transaction to which one can go back.
    fn note_transaction(&self, id: SegmentId) -> Result<(), RepositoryError> {
        if self.settings.append_only {
            let line = format!("transaction {id}, UTC time {}\n", Timestamp::now());
            self.storage.append(TRANSACTIONS, line.as_bytes())?;
        }
        Ok(())
    }

    /// Writes hints, index and integrity data of a committed transaction; removes those of others.
    pub(super) fn write_state(&self, state: &State, id: SegmentId) -> Result<(), RepositoryError> {
        self.note_transaction(id)?;
        let [index, hints, integrity] = PER_TRANSACTION.map(|name| format!("{name}.{id}"));

        let hints_bytes = state.hints.encode();
        let hints_integrity = integrity_data(&hints, &[&hints_bytes], false);
        self.storage.stage(&hints, &[&hints_bytes])?;

        let index_integrity = state.index.stage(&*self.storage, &index)?;

        let file = IntegrityFile {
            hints: hints_integrity,
            index: index_integrity.clone(),
        };
        self.storage.stage(&integrity, &[&file.encode()])?;

        // Integrity first: with the others still missing it does no harm, the other way round they
        // would go unchecked.
        self.storage.publish(&[&integrity])?;
        self.storage.publish(&[&hints, &index])?;
        state.index.settle(&index, &index_integrity);
        self.remove_other_states(id)
    }

    fn remove_other_states(&self, id: SegmentId) -> Result<(), RepositoryError> {
        self.check_lock()?;
        let current = format!(".{id}");
        let by_lease = self.storage.conditional().is_some();
        let mut others = Vec::new();
        for entry in self.storage.list("")? {
            let rest = PER_TRANSACTION
                .iter()
                .find_map(|name| entry.name.strip_prefix(name)?.strip_prefix('.'));
            let Some(rest) = rest else {
                continue;
            };
            // Were the lease lost by now, there might be those of a later one.
            let is_later = rest.parse::<u32>().is_ok_and(|number| number > id.0);
            let is_kept = entry.name.ends_with(&current) || by_lease && is_later;
            if !is_kept {
                others.push(entry.name);
            }
        }
        Ok(self.storage.remove_all(&others)?)
    }

    pub(super) fn roll_back(&mut self) -> Result<(), RepositoryError> {
        let no_space = matches!(
            &self.phase,
            Phase::Doomed(Doom::Failed { no_space: true, .. })
        );
        self.forget_transaction()?;
        if no_space {
            self.log_message(
                Level::Warning,
                "No space left on device, cleaning up partial transaction to free space."
                    .to_owned(),
            );
            self.remove_uncommitted()?;
        }
        Ok(())
    }

    /// Ends the transaction. What it wrote is ignored from now on and removed by the next one.
    pub(super) fn forget_transaction(&mut self) -> Result<(), RepositoryError> {
        self.log.abandon();
        if matches!(self.phase, Phase::Idle) {
            return Ok(());
        }
        self.phase = Phase::Idle;
        let loaded = self.take_loaded();
        self.set_loaded(None);
        match loaded {
            Some(loaded) if loaded.id.is_none() => Ok(self.log.undo_first()?),
            _ => Ok(()),
        }
    }

    /// Removes the segments of an unfinished transaction. What has no commit at all is left alone.
    pub(super) fn remove_uncommitted(&mut self) -> Result<(), RepositoryError> {
        if let Some(id) = self.log.transaction_id()? {
            self.log.begin_after(Some(id))?;
        }
        Ok(())
    }

    pub(super) fn remove_repository(&mut self) -> Result<(), RepositoryError> {
        if self.settings.append_only {
            return Err(RepositoryError::AppendOnly {
                path: self.storage.path(""),
            });
        }
        self.lock_for_writing()?;
        self.forget_transaction()?;
        self.set_loaded(None);
        if let Some(lock) = self.take_lock() {
            lock.release()?;
        }
        // Without its config it is no repository any more, should the rest take a while.
        self.storage.remove(CONFIG)?;
        // Best for good: after a crash it had better not be one with holes. The rest goes in any case.
        let _ = self.storage.sync_dir("");
        Ok(self.storage.remove_tree("")?)
    }
}

fn write_delete(
    log: &mut SegmentLog,
    state: &mut State,
    id: &ChunkId,
    superseded: u32,
) -> Result<(), RepositoryError> {
    let at = log.write_delete(id, superseded, WhenFull::Next)?;
    let at = at.expect("a new segment may be begun");
    let size = u32::try_from(PUT_HEADER_SIZE).expect("41");
    state.deleted(at, size);
    Ok(())
}
