//! Blocks of indexes in memory, for all indexes of a mount together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ironborg_cache::{CacheError, SealedFile};

/// Parts with a lock of their own, so that threads rarely wait for each other.
const SHARDS: usize = 16;
/// Blocks in each: 6 MiB altogether.
const SHARD_BLOCKS: usize = 12;

type Shard = Vec<(BlockKey, Arc<[u8]>)>;

/// A block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockKey {
    file: u64,
    block: u64,
}

/// The blocks that were used last.
pub(super) struct BlockCache {
    shards: [Mutex<Shard>; SHARDS],
    files: AtomicU64,
}

impl Default for BlockCache {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            files: AtomicU64::new(0),
        }
    }
}

impl BlockCache {
    /// A number for one more file.
    pub(super) fn new_file(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    /// A block, read if it is not here.
    pub(super) fn block(
        &self,
        file: u64,
        source: &SealedFile,
        block: u64,
    ) -> Result<Arc<[u8]>, CacheError> {
        let key = BlockKey { file, block };
        if let Some(found) = find(&mut self.shard(key), key) {
            return Ok(found);
        }
        // Without the lock: two threads may read the same block, and nobody waits for the disk.
        let mut bytes = Vec::new();
        source.read_block(block, &mut bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        let mut shard = self.shard(key);
        if find(&mut shard, key).is_none() {
            shard.insert(0, (key, Arc::clone(&bytes)));
            shard.truncate(SHARD_BLOCKS);
        }
        Ok(bytes)
    }

    fn shard(&self, key: BlockKey) -> MutexGuard<'_, Shard> {
        let number = usize::try_from((key.file ^ key.block) % SHARDS as u64);
        let shard = &self.shards[number.expect("there are only so many")];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A block that is here; it is the last one to go then.
fn find(shard: &mut Shard, key: BlockKey) -> Option<Arc<[u8]>> {
    let at = shard.iter().position(|(known, _)| *known == key)?;
    shard[..=at].rotate_right(1);
    Some(Arc::clone(&shard[0].1))
}
