//! Writing.

use std::path::PathBuf;
use std::sync::Arc;

use ironborg_crypto::{BlockAddress, BlockSeal, Key, random_block_salt};
use ironborg_storage::{AppendFile, Spool, Storage};

use super::SEALED_BLOCK_LEN;
use super::file::{Place, SealedFile, SealedKind, TRAILER_LEN, trailer_address};
use crate::CacheError;

/// A file without a name takes a file descriptor; what is smaller than this is held in memory instead.
const MEMORY_MAX: usize = 256 * 1024;

/// Where a sealed file goes.
pub enum SealedTarget {
    /// A file that is kept, under a name. There it stands at once when it is finished, or not at all.
    Kept {
        /// Where.
        storage: Arc<dyn Storage>,
        /// Its name.
        name: String,
    },
    /// A file without a name in this directory, or memory if none can be made there or it is small.
    Temporary {
        /// The directory.
        directory: PathBuf,
    },
}

/// Writes a sealed file from its beginning to its end.
pub struct SealedWriter {
    out: Out,
    seal: BlockSeal,
    /// Bytes of the stream that are still to be sealed.
    block: Vec<u8>,
    /// Blocks that were written.
    blocks: u64,
}

enum Out {
    Kept(KeptFile),
    Memory {
        bytes: Vec<u8>,
        /// Where to go on when it becomes too much; `None`: nowhere.
        directory: Option<PathBuf>,
    },
    Spool(Spool),
}

/// A file that gets its name when it is finished; what is not finished leaves nothing behind.
struct KeptFile {
    storage: Arc<dyn Storage>,
    name: String,
    temporary: Option<Box<dyn AppendFile>>,
}

impl SealedWriter {
    /// Begins a file of a kind. `names`: what it stands for.
    ///
    /// # Errors
    /// No file can be made, or somebody else is writing it; no random numbers.
    pub fn create(
        target: SealedTarget,
        kind: SealedKind,
        key: &Key,
        names: &[&[u8]],
    ) -> Result<Self, CacheError> {
        let salt = random_block_salt()?;
        let mut writer = Self {
            out: Out::create(target)?,
            seal: kind.seal(key, &salt, names),
            block: Vec::with_capacity(SEALED_BLOCK_LEN),
            blocks: 0,
        };
        writer.out.append(&kind.header(&salt))?;
        Ok(writer)
    }

    /// Bytes of the stream so far.
    pub fn len(&self) -> u64 {
        self.blocks * SEALED_BLOCK_LEN as u64 + self.block.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes to the stream.
    ///
    /// # Errors
    /// No room, or the disk fails.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), CacheError> {
        while !bytes.is_empty() {
            let room = SEALED_BLOCK_LEN - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == SEALED_BLOCK_LEN {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<(), CacheError> {
        let address = BlockAddress {
            number: self.blocks,
            generation: 0,
        };
        let tag = self.seal.seal(address, &mut self.block);
        self.block.extend_from_slice(&tag);
        self.out.append(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Ends the stream and gives the file to be read.
    ///
    /// # Errors
    /// No room, or the disk fails.
    pub fn finish(mut self, trailer: &[u8; TRAILER_LEN]) -> Result<SealedFile, CacheError> {
        let len = self.len();
        if !self.block.is_empty() {
            self.write_block()?;
        }
        let mut sealed = *trailer;
        let tag = self.seal.seal(trailer_address(len), &mut sealed);
        self.out.append(&sealed)?;
        self.out.append(&tag)?;
        let place = self.out.finish()?;
        Ok(SealedFile::new(place, self.seal, len, *trailer))
    }
}

impl Out {
    fn create(target: SealedTarget) -> Result<Self, CacheError> {
        let (storage, name) = match target {
            SealedTarget::Temporary { directory } => {
                return Ok(Self::Memory {
                    bytes: Vec::new(),
                    directory: Some(directory),
                });
            }
            SealedTarget::Kept { storage, name } => (storage, name),
        };
        let staged = format!("{name}.tmp");
        let file = match storage.create(&staged) {
            Err(error) if error.is_not_found() => {
                let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                storage.create_dir_all(directory)?;
                storage.create(&staged)?
            }
            file => file?,
        };
        Ok(Self::Kept(KeptFile {
            storage,
            name,
            temporary: Some(file),
        }))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        match self {
            Self::Kept(kept) => {
                let file = kept.temporary.as_mut();
                file.expect("it is there until the end").append(bytes)?;
            }
            Self::Spool(spool) => spool.append(bytes)?,
            Self::Memory {
                bytes: memory,
                directory,
            } => {
                memory.extend_from_slice(bytes);
                if memory.len() > MEMORY_MAX
                    && let Some(directory) = directory.take()
                    && let Ok(mut spool) = Spool::create(&directory)
                    && spool.append(memory).is_ok()
                {
                    *self = Self::Spool(spool);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Place, CacheError> {
        Ok(match self {
            Self::Kept(mut kept) => {
                // Not synced: what a power failure leaves is found to be damaged, and made anew.
                kept.storage.publish_unsynced(&[&kept.name])?;
                kept.temporary = None;
                Place::Kept {
                    storage: Arc::clone(&kept.storage),
                    name: std::mem::take(&mut kept.name),
                }
            }
            Self::Memory { bytes, .. } => Place::Memory(bytes),
            Self::Spool(spool) => Place::Spool(spool),
        })
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        if self.temporary.take().is_some() {
            let _ = self.storage.remove(&format!("{}.tmp", self.name));
        }
    }
}

impl std::fmt::Debug for SealedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedWriter")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
