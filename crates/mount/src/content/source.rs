//! Where plaintexts come from.

use ironborg_types::ChunkId;

use crate::MountError;
use crate::follow::{ChunkReader, Follower};

/// Something that chunks can be read from, by many threads at once.
pub trait ChunkSource: Send + Sync + 'static {
    /// Fetches, opens and verifies one chunk, which should have `len` bytes; its plaintext replaces what is in `out`, whose
    /// capacity is used.
    ///
    /// # Errors
    /// It is not there, or not what it should be; the repository cannot be reached.
    fn read_chunk(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError>;

    /// A hint that these objects will be read soon, in this order, each once; with their stored lengths or 0.
    fn will_need(&self, objects: &[(ChunkId, u32)]);
}

impl ChunkSource for Follower {
    fn read_chunk(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        self.read_sized(reader, id, len, out)
    }

    fn will_need(&self, objects: &[(ChunkId, u32)]) {
        Self::will_need(self, objects);
    }
}
