//! Where plaintexts come from.

use ironborg_object::Opener;
use ironborg_types::ChunkId;

use crate::MountError;

/// What one thread needs to read objects: states and buffers, used again and again.
#[derive(Debug, Default)]
pub struct ChunkOpener {
    /// Opens objects.
    pub opener: Opener,
    /// The object as it is stored.
    pub object: Vec<u8>,
}

/// Something that chunks can be read from, by many threads at once.
pub trait ChunkSource: Send + Sync + 'static {
    /// Fetches, opens and verifies one chunk; its plaintext replaces what is in `out`, whose capacity is used.
    ///
    /// # Errors
    /// It is not there, or not what it should be.
    fn read_chunk(
        &self,
        opener: &mut ChunkOpener,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError>;

    /// A hint that these objects will be read soon, in this order, each once; with their stored lengths or 0.
    fn will_need(&self, objects: &[(ChunkId, u32)]);
}
