//! Objects that are no content of files, where they are far away: the same few are read again and again, so they are kept
//! on this machine, as stored.
//!
//! The manifest is not among them: it alone changes under its id. Nothing is believed because it was kept: whoever opens an
//! object finds out whether it is the one.

use ironborg_types::ChunkId;

use super::LocalRepository;
use super::announce::announce_headers;
use crate::{Repository, RepositoryError};

/// Objects whose sizes are asked for at a time.
const HEADERS_AT_ONCE: usize = 256;

impl LocalRepository {
    /// Takes an object that was kept, or `read`s it and keeps it.
    pub(super) fn metadata(
        &self,
        id: &ChunkId,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Vec<u8>) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let distant = self.storage.distant();
        let Some(distant) = distant.filter(|_| *id != ChunkId::MANIFEST) else {
            return read(out);
        };
        let name = id.to_string();
        if let Some(kept) = distant.kept_object(&name) {
            *out = kept;
            return Ok(());
        }
        read(out)?;
        distant.keep_object(&name, out);
        Ok(())
    }

    /// Bytes of an object that is stored, if it was kept.
    pub(super) fn kept_size(&self, id: &ChunkId) -> Option<u32> {
        let len = self.storage.distant()?.kept_len(&id.to_string())?;
        u32::try_from(len).ok()
    }

    /// Those objects that have to be read from where they are stored.
    pub(super) fn without_kept(&self, objects: &[(ChunkId, u32)]) -> Vec<(ChunkId, u32)> {
        let distant = self.storage.distant();
        let is_kept = |id: &ChunkId| distant.is_some_and(|d| d.kept_len(&id.to_string()).is_some());
        let objects = objects.iter().filter(|(id, _)| !is_kept(id));
        objects.copied().collect()
    }

    /// Announces the headers of objects, where each is a request, but for those that were kept.
    pub(super) fn ask_for_sizes(&self, ids: &[ChunkId]) {
        if !self.log.is_distant() {
            return;
        }
        let unknown = ids.iter().filter(|id| self.kept_size(id).is_none());
        let places = unknown.filter_map(|id| self.find(id).ok()?);
        announce_headers(&self.log, places.collect());
    }

    /// As `delete` for each of them. Gives those that were not stored.
    pub(super) fn delete_each(&mut self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut missing = Vec::new();
        for some in ids.chunks(HEADERS_AT_ONCE) {
            self.ask_for_sizes(some);
            for id in some {
                match self.delete_object(id) {
                    Err(RepositoryError::ObjectNotFound { .. }) => missing.push(*id),
                    other => other?,
                }
            }
        }
        Ok(missing)
    }

    /// What was kept is wrong; says whether there was anything.
    pub(super) fn reject_kept(&self, id: &ChunkId) -> bool {
        let Some(distant) = self.storage.distant() else {
            return false;
        };
        let name = id.to_string();
        let was_kept = distant.kept_len(&name).is_some();
        distant.drop_object(&name);
        was_kept
    }

    /// Stores an object, and keeps it. Should it never be committed, nobody asks for it.
    pub(super) fn put_and_keep(
        &mut self,
        id: &ChunkId,
        object: &[u8],
    ) -> Result<(), RepositoryError> {
        self.put(id, object)?;
        if let Some(distant) = self.storage.distant().filter(|_| *id != ChunkId::MANIFEST) {
            distant.keep_object(&id.to_string(), object);
        }
        Ok(())
    }
}
