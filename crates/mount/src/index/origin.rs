//! Where item streams come from, and where an index may be kept.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_cache::directory_name;
use ironborg_crypto::Key;
use ironborg_storage::Storage;
use ironborg_types::{ArchiveId, ChunkId, Level, RepositoryId};

use crate::MountError;
use crate::content::WantedChunk;
use crate::follow::{ChunkReader, Follower};

/// The repository and the machine, as far as an index needs them.
pub(super) trait Origin: Send + Sync {
    /// Reads a chunk, verified, into `out`, which is replaced. Many threads may do that at once.
    fn read(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError>;

    /// As [`Origin::read`], for several chunks: for each how it went. Together they are verified faster.
    fn read_group(
        &self,
        reader: &mut ChunkReader,
        wanted: &mut [WantedChunk],
    ) -> Vec<Result<(), MountError>> {
        let mut read = |chunk: &mut WantedChunk| {
            let WantedChunk { id, plaintext, .. } = chunk;
            self.read(reader, id, plaintext)
        };
        wanted.iter_mut().map(&mut read).collect()
    }

    /// A hint that these chunks will be read, in this order.
    fn will_need(&self, chunks: &[(ChunkId, u32)]);

    /// The repository's key.
    fn key(&self) -> Arc<Key>;

    /// The repository.
    fn repository(&self) -> RepositoryId;

    /// What this machine keeps of the repository.
    fn cache(&self) -> Arc<dyn Storage>;

    /// Where temporary files go.
    fn scratch(&self) -> PathBuf;

    /// Threads for reading ahead.
    fn threads(&self) -> usize;

    /// The archives there are.
    fn archives(&self) -> HashSet<ArchiveId>;

    /// The chunks of an archive's item stream, if it is still there.
    fn item_stream(&self, name: &[u8], id: ArchiveId) -> Result<Vec<ChunkId>, MountError>;

    /// Writes to the log.
    fn log(&self, level: Level, message: String);
}

impl Origin for Follower {
    fn read(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        Self::read(self, reader, id, out)
    }

    fn read_group(
        &self,
        reader: &mut ChunkReader,
        wanted: &mut [WantedChunk],
    ) -> Vec<Result<(), MountError>> {
        Self::read_group(self, reader, wanted)
    }

    fn will_need(&self, chunks: &[(ChunkId, u32)]) {
        Self::will_need(self, chunks);
    }

    fn key(&self) -> Arc<Key> {
        Arc::clone(&self.session().key)
    }

    fn repository(&self) -> RepositoryId {
        self.session().repository.id()
    }

    fn cache(&self) -> Arc<dyn Storage> {
        let session = self.session();
        session.client.own_cache(session.repository.id())
    }

    fn scratch(&self) -> PathBuf {
        let session = self.session();
        let cache = &session.client.directories.cache;
        cache.join(directory_name(&session.repository.id()))
    }

    fn threads(&self) -> usize {
        self.session().client.threads
    }

    fn archives(&self) -> HashSet<ArchiveId> {
        let session = self.session();
        let archives = session.manifest.archives.values();
        archives.map(|entry| entry.id).collect()
    }

    fn item_stream(&self, name: &[u8], id: ArchiveId) -> Result<Vec<ChunkId>, MountError> {
        let archive = self.following(|session| Ok(session.load_archive(name)?))?;
        if archive.id != id {
            return Err(MountError::ArchiveGone { name: name.into() });
        }
        Ok(archive.metadata.items)
    }

    fn log(&self, level: Level, message: String) {
        self.session().client.log(level, super::LOGGER, message);
    }
}
