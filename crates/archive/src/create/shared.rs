//! What the threads of one `create` share, and how a chunk becomes an object.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use ironborg_cache::{ChunkTable, Claim, FilesCache, PathHasher};
use ironborg_chunker::is_zero;
use ironborg_crypto::{Key, Nonces};
use ironborg_format::ChunkEntry;
use ironborg_object::Sealer;
use ironborg_source::Names;
use ironborg_types::{ChunkId, MemoryLimit};

use super::look::Look;
use super::options::CreateOptions;
use super::outcome::{Done, SealedObjects};
use super::pace::Pace;
use super::split::Share;
use super::step::Entry;
use crate::error::ArchiveError;
use crate::gate::Gate;

/// Bytes of finished objects that may wait to be stored.
const OBJECT_BYTES_IN_FLIGHT: u64 = 4 << 20;
/// The same if there is a limit: one part in so many.
const OBJECT_BYTES_SHARE: u64 = 16;
/// Buffers of objects that are kept besides one for each worker: about as many chunks are on their way.
pub(super) const SPARE_OBJECTS: usize = 4;
/// Buffers of more bytes are not kept: a few of the longest chunks would have all of them grow to 8 MiB.
pub(super) const SPARE_OBJECT_LEN: usize = 4 << 20;
/// Objects are sent to the collector when there are so many bytes of them.
const MESSAGE_LEN: usize = 128 << 10;
/// All-zero chunks of so many different lengths have their ids remembered.
const ZERO_IDS_MAX: usize = 64;

/// Shared by the walk, the workers and the collector of one `create`.
pub(crate) struct Shared<'a> {
    pub(super) options: &'a CreateOptions,
    pub(super) key: &'a Key,
    pub(super) nonces: &'a Nonces,
    pub(super) chunks: &'a ChunkTable,
    pub(super) files: Option<&'a FilesCache>,
    pub(super) path_hasher: PathHasher,
    pub(super) names: &'a Names,
    /// Current directory, which relative paths are completed with for the files cache.
    pub(super) cwd: &'a [u8],
    /// To the collector.
    pub(super) done: Sender<Done>,
    /// Entries to be archived again, each as the first of its names.
    pub(super) again: (Sender<Box<Entry>>, Receiver<Box<Entry>>),
    /// Chunks of a large file that another worker may take.
    pub(super) shares: (Sender<Share>, Receiver<Share>),
    /// Files whose turn comes soon, for whoever has time to look at them.
    pub(super) looks: (Sender<Arc<Look>>, Receiver<Arc<Look>>),
    /// Buffers of stored objects, to be used again.
    pub(super) spare: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    /// Bounds the objects on their way to the collector.
    pub(super) object_bytes: Gate,
    /// How files come, and how many workers there should be therefore.
    pub(super) pace: Pace,
    /// Workers with nothing to do.
    pub(super) idle: AtomicUsize,
    /// Set when the operation has failed: nobody needs to go on.
    pub(super) over: AtomicBool,
    /// The batch whose outcome the collector is waiting for.
    pub(super) head_batch: AtomicU64,
    /// Set when the user asked to stop: a file that is being read is not read to its end.
    pub(super) stopping: AtomicBool,
    /// Counts how often a part of the file at the head was asked for.
    pub(super) part_requests: AtomicU64,
    pub(super) zero_ids: Mutex<HashMap<usize, ChunkId>>,
}

/// How many bytes of finished objects may wait.
pub(super) fn object_bytes_in_flight(memory: MemoryLimit) -> usize {
    let bytes = memory.share(OBJECT_BYTES_SHARE, OBJECT_BYTES_IN_FLIGHT);
    usize::try_from(bytes).expect("it is a few MiB at most")
}

/// A worker's compressor and the objects it has ready.
pub(super) struct Sealing {
    pub(super) sealer: Sealer,
    ready: SealedObjects,
    scratch: Vec<u8>,
}

impl Sealing {
    /// Nothing ready yet.
    pub(super) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            ready: SealedObjects::default(),
            scratch: Vec::new(),
        }
    }
}

/// The operation ended elsewhere, or failed here; the collector knows why.
#[derive(Debug)]
pub(crate) struct Over;

impl Shared<'_> {
    /// Ids of chunks of plaintext, all-zero ones from memory.
    pub(super) fn identify(&self, chunks: &[&[u8]], ids: &mut Vec<ChunkId>) {
        ids.clear();
        ids.resize(chunks.len(), ChunkId::MANIFEST);
        let is_zero: Vec<bool> = chunks.iter().map(|chunk| is_zero(chunk)).collect();
        if !is_zero.contains(&true) {
            self.key.id_hash_many(chunks, ids);
            return;
        }
        // The others are still hashed side by side.
        let (mut others, mut other_ids) = (Vec::with_capacity(chunks.len()), Vec::new());
        for ((chunk, id), is_zero) in chunks.iter().zip(ids.iter_mut()).zip(&is_zero) {
            if *is_zero {
                *id = self.zero_id(chunk);
            } else {
                others.push(*chunk);
            }
        }
        other_ids.resize(others.len(), ChunkId::MANIFEST);
        self.key.id_hash_many(&others, &mut other_ids);
        let of_others = ids
            .iter_mut()
            .zip(&is_zero)
            .filter(|(_, is_zero)| !**is_zero);
        for ((id, _), found) in of_others.zip(other_ids) {
            *id = found;
        }
    }

    fn zero_id(&self, zeros: &[u8]) -> ChunkId {
        let known = self
            .zero_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&zeros.len())
            .copied();
        known.unwrap_or_else(|| {
            let id = self.key.id_hash(zeros);
            let mut ids = self.zero_ids.lock().unwrap_or_else(PoisonError::into_inner);
            if ids.len() < ZERO_IDS_MAX {
                ids.insert(zeros.len(), id);
            }
            id
        })
    }

    /// Makes sure a chunk is stored: seals it if nobody has it yet.
    ///
    /// The entry's `csize` is 0 where only the collector knows it. New objects are sent off once there
    /// are enough of them; [`Shared::send_objects`] sends the rest.
    pub(super) fn store(
        &self,
        sealing: &mut Sealing,
        id: ChunkId,
        data: &[u8],
    ) -> Result<ChunkEntry, Over> {
        let size = u32::try_from(data.len()).expect("chunks are at most 20 MiB");
        let claim = self.chunks.claim(&id, size);
        let csize = match claim.map_err(|error| self.fail(error.into()))? {
            Claim::Known(sizes) => sizes.csize,
            Claim::InFlight => 0,
            Claim::New => {
                // A large object travels alone: joining it to others would copy it.
                if data.len() >= MESSAGE_LEN {
                    self.send_objects(sealing)?;
                }
                self.seal(sealing, data)?;
                let end = sealing.ready.bytes.len();
                sealing.ready.entries.push((id, size, end));
                if end >= MESSAGE_LEN {
                    self.send_objects(sealing)?;
                }
                0
            }
        };
        Ok(ChunkEntry { id, size, csize })
    }

    /// Adds the object for `data` to those that are ready.
    fn seal(&self, sealing: &mut Sealing, data: &[u8]) -> Result<(), Over> {
        let Sealing {
            sealer,
            ready,
            scratch,
        } = sealing;
        let alone = ready.bytes.is_empty() && data.len() >= MESSAGE_LEN;
        let out = if alone {
            &mut ready.bytes
        } else {
            &mut *scratch
        };
        if out.capacity() == 0
            && let Ok(spare) = self.spare.1.try_recv()
        {
            *out = spare;
        }
        if let Err(error) = sealer.seal(self.key, self.nonces, data, out) {
            return Err(self.fail(error.into()));
        }
        if !alone {
            ready.bytes.extend_from_slice(scratch);
        }
        Ok(())
    }

    /// Sends off the objects that are ready. To be called before a message that relies on them.
    pub(super) fn send_objects(&self, sealing: &mut Sealing) -> Result<(), Over> {
        if sealing.ready.entries.is_empty() {
            return Ok(());
        }
        let objects = std::mem::take(&mut sealing.ready);
        self.object_bytes
            .take(objects.bytes.len())
            .map_err(|_| Over)?;
        self.send(Done::Objects(objects))
    }

    /// Sends to the collector.
    pub(super) fn send(&self, done: Done) -> Result<(), Over> {
        self.done.send(done).map_err(|_| Over)
    }

    /// Ends the operation with an error.
    pub(super) fn fail(&self, error: ArchiveError) -> Over {
        self.over.store(true, Ordering::SeqCst);
        // If the collector is gone it has failed already, with the first error.
        let _ = self.done.send(Done::Fatal(error));
        Over
    }

    /// Whether everybody should stop.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
