//! Where plaintexts come from.

use ironborg_types::ChunkId;

use crate::MountError;
use crate::follow::{ChunkReader, Follower};

/// A chunk to be read together with others.
#[derive(Debug)]
pub struct WantedChunk {
    /// Which one.
    pub id: ChunkId,
    /// How many bytes it should have.
    pub len: usize,
    /// Takes its plaintext in place of what is there.
    pub plaintext: Vec<u8>,
}

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

    /// As [`ChunkSource::read_chunk`], for several chunks: for each how it went.
    fn read_chunks(
        &self,
        reader: &mut ChunkReader,
        wanted: &mut [WantedChunk],
    ) -> Vec<Result<(), MountError>> {
        let mut read = |chunk: &mut WantedChunk| {
            let WantedChunk { id, len, plaintext } = chunk;
            self.read_chunk(reader, id, *len, plaintext)
        };
        wanted.iter_mut().map(&mut read).collect()
    }

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

    fn read_chunks(
        &self,
        reader: &mut ChunkReader,
        wanted: &mut [WantedChunk],
    ) -> Vec<Result<(), MountError>> {
        self.read_group(reader, wanted)
    }

    fn will_need(&self, objects: &[(ChunkId, u32)]) {
        Self::will_need(self, objects);
    }
}
