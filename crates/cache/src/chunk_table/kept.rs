//! The chunk table in a file, so that the next run need not count again.
//!
//! Body, numbers little-endian (frame: `cache_file`): id hash of the manifest it was in sync with (32), 1
//! if counts are complete (8), number of chunks (8), then for each: id (32), references (4), size (4),
//! csize (4).

use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::{ChunkId, Reporter, RepositoryId};

use super::{ChunkTable, Counts, IN_FLIGHT, lock};
use crate::CacheError;
use crate::cache_file::{BODY_OFFSET, CacheFiles, Fields, FileKind};

const FILE: &str = "chunks";
const KIND: FileKind = FileKind {
    tag: *b"chnk",
    version: 1,
    description: "chunks cache",
};
/// id, refs, size, csize
const RECORD_LEN: usize = 44;

impl ChunkTable {
    /// Keeps the table for the next run, as it is with the manifest whose id hash is `manifest`.
    ///
    /// No chunk may be in flight.
    pub fn save(
        &self,
        storage: &Arc<dyn Storage>,
        repository: RepositoryId,
        manifest: &ChunkId,
    ) -> Result<(), CacheError> {
        let count = self.len();
        let mut body = Vec::with_capacity(48 + count * RECORD_LEN);
        body.extend_from_slice(manifest.as_bytes());
        body.extend_from_slice(&u64::from(self.counts == Counts::Complete).to_le_bytes());
        body.extend_from_slice(&(count as u64).to_le_bytes());
        for shard in &self.shards {
            for slot in lock(&shard.slots).iter() {
                assert!(slot.csize != IN_FLIGHT, "saved after everything is stored");
                body.extend_from_slice(slot.id.as_bytes());
                for number in [slot.refs, slot.size, slot.csize] {
                    body.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        CacheFiles::new(Arc::clone(storage), repository).save(KIND, FILE, &[&body])
    }

    /// The table a run before kept, if it belongs to this very manifest; whole or not at all.
    pub fn load(
        storage: &Arc<dyn Storage>,
        repository: RepositoryId,
        manifest: &ChunkId,
        reporter: &dyn Reporter,
    ) -> Option<Self> {
        let files = CacheFiles::new(Arc::clone(storage), repository);
        let bytes = files.load(KIND, FILE, reporter)?;
        Self::decode(bytes.get(BODY_OFFSET..)?, manifest)
    }

    pub(super) fn decode(body: &[u8], manifest: &ChunkId) -> Option<Self> {
        let mut fields = Fields(body);
        if fields.array()? != manifest.0 {
            return None;
        }
        let counts = match fields.u64()? {
            0 => Counts::Partial,
            1 => Counts::Complete,
            _ => return None,
        };
        let count = fields.u64()?;
        let records = fields.records(count, RECORD_LEN)?;
        let table = Self::new(usize::try_from(count).ok()?, counts);
        for record in records.chunks_exact(RECORD_LEN) {
            let mut fields = Fields(record);
            let id = ChunkId(fields.array()?);
            if id == ChunkId::MANIFEST {
                return None;
            }
            let mut slots = table.slots(&id);
            let (slot, _) = slots.entry(&id);
            (slot.refs, slot.size, slot.csize) = (fields.u32()?, fields.u32()?, fields.u32()?);
        }
        (fields.0.is_empty() && table.len() as u64 == count).then_some(table)
    }
}
