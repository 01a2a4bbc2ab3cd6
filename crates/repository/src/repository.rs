//! The seam between the program and where its objects are.

use std::ops::ControlFlow;
use std::sync::Arc;

use ironborg_storage::ScratchSpace;
use ironborg_types::{ChunkId, NonceStore, RepositoryId, SegmentId};

use crate::{CheckOptions, CompactOptions, RepositoryError, Witness};

/// An object that was stored or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub id: ChunkId,
    /// Length of the object that was stored; `None` if it was removed.
    pub stored: Option<u32>,
}

/// Which ids are stored, for threads that ask while the one that has the repository changes it.
pub trait StoredIds: Send + Sync + std::fmt::Debug {
    /// Whether an object is stored, what the transaction in progress has changed so far included.
    ///
    /// `false` once the transaction has failed: nothing may be taken for stored then.
    ///
    /// # Errors
    /// The index cannot be read.
    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError>;

    /// The same of each of `ids`, appended to `stored`.
    ///
    /// # Errors
    /// As above; `stored` may have some of the answers then.
    fn contains_each(
        &self,
        ids: &[ChunkId],
        stored: &mut Vec<bool>,
    ) -> Result<(), RepositoryError> {
        for id in ids {
            stored.push(self.contains(id)?);
        }
        Ok(())
    }
}

/// The ids that are stored, each with a number below [`IdPlaces::place_count`] that no other id has, as long as nothing is
/// stored or deleted.
pub trait IdPlaces: Send + Sync + std::fmt::Debug {
    /// How many ids there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all places are below of.
    fn place_count(&self) -> usize;

    /// Replaces what is in `places` by the place of each id, `None` for one that is not stored.
    ///
    /// # Errors
    /// The index cannot be read.
    fn locate(
        &self,
        ids: &[ChunkId],
        places: &mut Vec<Option<usize>>,
    ) -> Result<(), RepositoryError>;

    /// Shows all ids with their places, in the order of places.
    ///
    /// # Errors
    /// The index cannot be read; those of `look`.
    fn for_each(
        &self,
        look: &mut dyn FnMut(usize, ChunkId) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError>;
}

/// A transactional store of objects by id.
///
/// The first `put` or `delete` begins a transaction, [`Repository::commit`] ends it. Dropping the
/// repository, or [`Repository::rollback`], forgets what was not committed. Reading works from many
/// threads at once and sees what the transaction has done so far.
pub trait Repository: Send + Sync {
    /// The repository's own id.
    fn id(&self) -> RepositoryId;

    /// The repository as messages name it: the absolute path of a local one.
    fn location(&self) -> String;

    /// Whether the files are on this machine, reached without a server.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether whoever reads waits for a line, so that it pays to say beforehand what is going to be read.
    fn is_distant(&self) -> bool {
        !self.is_local()
    }

    /// Whether nothing may be removed from this repository for good.
    fn append_only(&self) -> bool {
        false
    }

    /// Whether somebody who wants to write has to wait until this is closed.
    fn holds_lock(&self) -> bool {
        true
    }

    /// Whether a transaction was committed since the manifest was read here. Looked up at each call, cheaply; always
    /// `false` where that cannot be.
    fn has_moved_on(&self) -> Result<bool, RepositoryError> {
        Ok(false)
    }

    /// Gives back memory, open files and the connection as far as they can be had again by themselves or by opening
    /// the repository anew: errors of later calls that say that there is no connection are to be expected.
    fn rest(&self) {}

    /// From now on indexes take about so much memory at most: larger ones stay in their files, or are made in others.
    /// Whoever is elsewhere has them there. `None`: as usual.
    fn keep_index_within(&mut self, space: Option<ScratchSpace>) {
        let _ = space;
    }

    /// How many objects are stored.
    fn len(&self) -> Result<usize, RepositoryError>;

    /// Whether no object is stored.
    fn is_empty(&self) -> Result<bool, RepositoryError> {
        Ok(self.len()? == 0)
    }

    /// Ids in index order after `marker`, at most `limit`.
    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError>;

    /// Ids in storage order after `marker`, at most `limit`.
    ///
    /// Only what the segments really hold is found: behind a damaged entry header the rest of a segment
    /// is left out.
    fn scan(&self, limit: usize, marker: Option<&ChunkId>)
    -> Result<Vec<ChunkId>, RepositoryError>;

    /// Whether an object is stored.
    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError>;

    /// A handle that answers which ids are stored, if asking one by one is cheap here. It stays good for as long as this
    /// repository is open.
    ///
    /// # Errors
    /// The index cannot be loaded.
    fn stored_ids(&self) -> Result<Option<Arc<dyn StoredIds>>, RepositoryError> {
        Ok(None)
    }

    /// What is stored now with a place for each id, if finding those one by one is cheap here.
    ///
    /// # Errors
    /// The index cannot be loaded.
    fn id_places(&self) -> Result<Option<Arc<dyn IdPlaces>>, RepositoryError> {
        Ok(None)
    }

    /// Reads one object into `out`, replacing what was there; its capacity is reused.
    ///
    /// Checks the entry's checksum and that it is for this id. Many threads may read at once.
    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError>;

    /// As [`Repository::get`], of an object that is no content of a file: where every read has its price, what this machine
    /// has kept will do. Whoever finds that it is not that object says so to [`Repository::reject_metadata`].
    fn get_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.get(id, out)
    }

    /// What [`Repository::get_metadata`] gave is not that object. Says whether something else may come the next time.
    fn reject_metadata(&self, id: &ChunkId) -> bool {
        let _ = id;
        false
    }

    /// As [`Repository::put`], of an object that is no content of a file.
    fn put_metadata(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.put(id, object)
    }

    /// Length of the stored object (csize) without reading it whole; `None` if it is not stored.
    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError>;

    /// A key to sort ids by for reading in storage order; `None` if unknown or not stored.
    fn storage_order(&self, id: &ChunkId) -> Option<u64>;

    /// The segment that holds an object, and the offset of its entry there; `None` if unknown or not stored.
    fn place(&self, id: &ChunkId) -> Option<(SegmentId, u64)> {
        let _ = id;
        None
    }

    /// A hint that these objects will be read soon, in this order, each once.
    fn will_need(&self, ids: &[ChunkId]) {
        let _ = ids;
    }

    /// As [`Repository::will_need`], with the stored lengths as far as they are known; others are 0.
    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        let ids: Vec<ChunkId> = objects.iter().map(|(id, _)| *id).collect();
        self.will_need(&ids);
    }

    /// As [`Repository::will_need_sized`], for [`Repository::get_metadata`].
    fn will_need_metadata(&self, objects: &[(ChunkId, u32)]) {
        self.will_need_sized(objects);
    }

    /// A hint that [`Repository::stored_size`] will be asked for these soon: a few hundred at most.
    fn will_need_sizes(&self, ids: &[ChunkId]) {
        let _ = ids;
    }

    /// Stores an object, superseding one of the same id. Begins a transaction if there is none.
    ///
    /// Through a pipe nobody waits for the answer: an error may be that of an earlier put, and the last one's is
    /// told by [`Repository::commit`] at the latest.
    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError>;

    /// Removes an object. Begins a transaction if there is none.
    fn delete(&mut self, id: &ChunkId) -> Result<(), RepositoryError>;

    /// Removes objects; gives those that were not stored. Through a pipe much faster than one by one.
    fn delete_many(&mut self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut missing = Vec::new();
        for id in ids {
            match self.delete(id) {
                Err(RepositoryError::ObjectNotFound { .. }) => missing.push(*id),
                other => other?,
            }
        }
        Ok(missing)
    }

    /// Has changes noted from now on, if finding out anew what is stored is expensive.
    fn note_changes(&mut self) {}

    /// What was changed since changes are noted, or since the last call, in that order; `None` if they are not.
    fn take_changes(&mut self) -> Option<Vec<Change>> {
        None
    }

    /// Whether the transaction is getting so long that it would be good to commit what there is.
    fn wants_commit(&self) -> bool {
        false
    }

    /// Makes the transaction durable, without compaction. Without a transaction nothing is done.
    fn commit(&mut self) -> Result<(), RepositoryError>;

    /// As [`Repository::commit`], and then frees what space can be freed.
    ///
    /// Without a transaction in progress one is begun, so that there is a commit to compact behind.
    /// In append-only mode this is a plain commit.
    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError>;

    /// Bytes that need not be stored any more since the last [`Repository::commit_compact`], if that is known.
    fn freed(&self) -> Option<u64> {
        None
    }

    /// Forgets the transaction.
    fn rollback(&mut self) -> Result<(), RepositoryError>;

    /// Checks what is stored, entry by entry, and the index; repairs it if asked to. What is found is
    /// logged. Says whether the repository is sound, or was made so.
    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError>;

    /// As [`Repository::check`]; who wants to see objects that are stored is shown them on the way, if that can be done.
    fn check_showing(
        &mut self,
        options: &CheckOptions,
        witness: &dyn Witness,
    ) -> Result<bool, RepositoryError> {
        let _ = witness;
        self.check(options)
    }

    /// Shows every object that is stored, in storage order, on `threads` threads, and calls `passed` behind each piece,
    /// in order, on this one, until that has enough. `false` if this cannot be done here; nothing was shown then.
    ///
    /// As by [`Repository::scan`], only what the segments really hold is found.
    fn show_all(
        &self,
        threads: usize,
        witness: &dyn Witness,
        passed: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, RepositoryError> {
        let _ = (threads, witness, passed);
        Ok(false)
    }

    /// Removes the whole repository.
    fn destroy(&mut self) -> Result<(), RepositoryError>;

    /// Removes the repository's lock whoever holds it.
    fn break_lock(&mut self) -> Result<(), RepositoryError>;

    /// Forgets what was not committed and gives the lock back, saying what went wrong if something did.
    fn close(self: Box<Self>) -> Result<(), RepositoryError>;

    /// The key blob kept with the repository, as text; empty if there is none.
    fn load_key(&self) -> Result<Vec<u8>, RepositoryError>;

    /// Keeps a key blob (text) with the repository; an empty one removes it.
    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError>;

    /// The repository's part of the nonce reservations.
    fn nonce_store(&self) -> Arc<dyn NonceStore>;
}
