//! Which chunks are stored, in a file, so that the next run need not ask a distant repository for all of them.
//!
//! Body, numbers little-endian (frame: `cache_file`): id hash of the manifest it was in step with (32), number
//! of chunks (8), then for each: id (32), stored length or 0 (4).
//!
//! A chunk that is believed to be stored and is not is a file lost. So a table is good only for the very
//! manifest it was kept with, and only as long as the repository has as many objects: a manifest is written by
//! whatever adds or removes chunks, and what removes some without one (a repair, `debug delete-obj`) changes the
//! number. (Objects put in by hand for just as many taken out by hand are not noticed; stock Borg's cache, which
//! goes by the manifest alone, notices neither.)

use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::{ChunkId, Reporter, RepositoryId};

use super::{ChunkTable, Counts, GONE, is_stored, lock};
use crate::CacheError;
use crate::cache_file::{BODY_OFFSET, CacheFiles, Fields, FileKind};

const FILE: &str = "stored";
const KIND: FileKind = FileKind {
    tag: *b"stor",
    version: 1,
    description: "list of stored chunks",
};
/// id, csize
const RECORD_LEN: usize = 36;

/// A table as a run before kept it.
#[derive(Debug)]
pub struct KeptTable {
    /// Id hash of the manifest it was in step with.
    pub manifest: ChunkId,
    /// Without any counts.
    pub table: ChunkTable,
}

impl ChunkTable {
    /// Keeps what is stored for the next run, as it is with the manifest whose id hash is `manifest`.
    ///
    /// To be called after a commit and before anything else is changed. Chunks in flight are left out.
    pub fn keep(
        &self,
        storage: &Arc<dyn Storage>,
        repository: RepositoryId,
        manifest: &ChunkId,
    ) -> Result<(), CacheError> {
        let mut records = Vec::with_capacity(self.len() * RECORD_LEN);
        for shard in &self.shards {
            for slot in lock(&shard.slots).iter() {
                if is_stored(slot) {
                    records.extend_from_slice(slot.id.as_bytes());
                    records.extend_from_slice(&slot.csize.to_le_bytes());
                }
            }
        }
        let count = (records.len() / RECORD_LEN) as u64;
        CacheFiles::new(Arc::clone(storage), repository).save_unsynced(
            KIND,
            FILE,
            &[manifest.as_bytes(), &count.to_le_bytes(), &records],
        )
    }

    /// The table a run before kept, whatever it was in step with; whole or not at all.
    pub fn kept(
        storage: &Arc<dyn Storage>,
        repository: RepositoryId,
        reporter: &dyn Reporter,
    ) -> Option<KeptTable> {
        let files = CacheFiles::new(Arc::clone(storage), repository);
        let bytes = files.load(KIND, FILE, reporter)?;
        decode(bytes.get(BODY_OFFSET..)?)
    }
}

pub(super) fn decode(body: &[u8]) -> Option<KeptTable> {
    let mut fields = Fields(body);
    let manifest = ChunkId(fields.array()?);
    let count = fields.u64()?;
    let records = fields.records(count, RECORD_LEN)?;
    let table = ChunkTable::new(usize::try_from(count).ok()?, Counts::Partial);
    for record in records.chunks_exact(RECORD_LEN) {
        let mut fields = Fields(record);
        let id = ChunkId(fields.array()?);
        let csize = fields.u32()?;
        if id == ChunkId::MANIFEST || csize >= GONE {
            return None;
        }
        table.note_stored(&id, csize);
    }
    (fields.0.is_empty() && table.len() as u64 == count).then_some(KeptTable { manifest, table })
}
