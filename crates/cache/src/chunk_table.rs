//! Which chunks are stored, how large they are and how often they are referenced.
//!
//! Two uses. `create` asks of every chunk whether it is stored; many workers [`claim`](ChunkTable::claim)
//! at once and exactly one of them is told to store a new chunk. What deletes or sums up adds the counts
//! of all archives and takes some away again. A table remembers whether its counts are complete.
//!
//! Where the repository answers by itself which ids it has, a table is laid [over](ChunkTable::over) that: it holds what
//! was claimed through it, and what was taken away is remembered as gone. So it takes memory for what a run
//! does, whatever the repository holds.
//!
//! Memory: 44 bytes a chunk at nine tenths full, in 64 shards that grow one at a time by a quarter.

mod kept;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ironborg_repository::{Repository, StoredIds};
use ironborg_types::ChunkId;

use crate::CacheError;
use crate::slots::{Slot, SlotHash, Slots};

pub use kept::KeptTable;

/// Shards: more than any machine's workers, so that two rarely meet.
const SHARDS: usize = 64;
/// Ids asked of the repository in one go.
///
/// Across a long line nothing is under way between two pages: they are large, but well below what fits into
/// a message.
const LIST_PAGE_LEN: usize = 300_000;
/// Room is made for so many objects at once because a server says that it has them.
const BELIEVED_MAX: usize = 1 << 20;
/// A count that has reached this stays there. Source: Borg 1.4, `MAX_VALUE` of `hashindex`.
const REFS_MAX: u32 = 0xffff_fbff;
/// In `csize`: claimed, but not stored yet. Objects are far smaller.
const IN_FLIGHT: u32 = u32::MAX;
/// In `csize`, in a table over a repository: not stored any more, or not for long, whatever the repository says.
const GONE: u32 = u32::MAX - 1;

/// Lengths of a chunk and its object, in bytes; 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkSizes {
    /// Plaintext.
    pub size: u32,
    /// Stored object, envelope included.
    pub csize: u32,
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Stored already. Sizes may be unknown (0).
    Known(ChunkSizes),
    /// Another worker is about to store it.
    InFlight,
    /// Yours to store, and then to [`fulfil`](ChunkTable::fulfil) or [`abandon`](ChunkTable::abandon).
    New,
}

/// Whether a table's reference counts mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Every reference of every archive is counted.
    Complete,
    /// Only what happened since the table was made is.
    Partial,
}

/// What is left after references were taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreferenced {
    /// References left; at 0 the chunk is out of the table and to be deleted.
    pub refs: u32,
    /// The chunk's lengths.
    pub sizes: ChunkSizes,
}

/// Sums over a table, as Borg's statistics call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkTotals {
    /// Chunks.
    pub unique_chunks: u64,
    /// References.
    pub total_chunks: u64,
    /// Bytes of plaintext, every chunk once.
    pub unique_size: u64,
    /// Bytes stored, every chunk once.
    pub unique_csize: u64,
    /// Bytes of plaintext, every reference.
    pub total_size: u64,
    /// Bytes stored, if every reference were.
    pub total_csize: u64,
}

impl ChunkTotals {
    /// Counts a chunk.
    pub(crate) fn count(&mut self, refs: u32, size: u32, csize: u32) {
        let (refs, size, csize) = (u64::from(refs), u64::from(size), u64::from(csize));
        self.unique_chunks += 1;
        self.total_chunks += refs;
        self.unique_size += size;
        self.unique_csize += csize;
        self.total_size = self.total_size.saturating_add(size * refs);
        self.total_csize = self.total_csize.saturating_add(csize * refs);
    }

    /// Adds the sums over other chunks.
    pub(crate) fn add(&mut self, other: &Self) {
        self.unique_chunks += other.unique_chunks;
        self.total_chunks += other.total_chunks;
        self.unique_size += other.unique_size;
        self.unique_csize += other.unique_csize;
        self.total_size = self.total_size.saturating_add(other.total_size);
        self.total_csize = self.total_csize.saturating_add(other.total_csize);
    }
}

#[derive(Debug)]
struct Shard {
    slots: Mutex<Slots>,
    /// Signalled when a chunk stops being in flight.
    settled: Condvar,
}

/// The table. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct ChunkTable {
    shards: Box<[Shard]>,
    counts: Counts,
    /// Who knows of ids that are not in the table.
    stored: Option<Arc<dyn StoredIds>>,
    /// Whether somebody has looked for stored lengths elsewhere than in the repository.
    csizes_sought: AtomicBool,
}

impl ChunkTable {
    /// An empty table with room for `capacity` chunks.
    pub fn new(capacity: usize, counts: Counts) -> Self {
        let hash = SlotHash::random();
        // Shards differ a little in how many they get.
        let per_shard = (capacity / SHARDS).saturating_add(capacity / (SHARDS * 32));
        let shards = (0..SHARDS).map(|_| Shard {
            slots: Mutex::new(Slots::with_capacity(hash, per_shard)),
            settled: Condvar::new(),
        });
        Self {
            shards: shards.collect(),
            counts,
            stored: None,
            csizes_sought: AtomicBool::new(false),
        }
    }

    /// A table for the ids a repository has and those that are claimed from now on. Counts are [`Counts::Partial`].
    ///
    /// What is to be stored is to be claimed before it is put, and what is to be deleted taken away here before. How often
    /// a chunk is referred to that was stored already nobody knows: its count is as good as endless, so that it never gets to 0.
    pub fn over(stored: Arc<dyn StoredIds>) -> Self {
        Self {
            stored: Some(stored),
            ..Self::new(0, Counts::Partial)
        }
    }

    /// An empty table for a repository of so many objects.
    pub fn of_len(repository: &dyn Repository, counts: Counts) -> Result<Self, CacheError> {
        Ok(Self::with_room_for(repository, repository.len()?, counts))
    }

    fn with_room_for(repository: &dyn Repository, count: usize, counts: Counts) -> Self {
        // What a server claims to have costs memory as it arrives.
        let is_believed = repository.is_local() || count <= BELIEVED_MAX;
        Self::new(if is_believed { count } else { BELIEVED_MAX }, counts)
    }

    /// A table of all ids in a repository: sizes unknown, counts [`Counts::Partial`].
    pub fn from_repository(repository: &dyn Repository) -> Result<Self, CacheError> {
        let count = repository.len()?;
        let table = Self::with_room_for(repository, count, Counts::Partial);
        let (mut listed, mut marker) = (0, None);
        // A page may be shorter than asked for; but whoever has them all need not ask for one more, across a line.
        while listed < count {
            let page = repository.list(Some(LIST_PAGE_LEN), marker.as_ref())?;
            let Some(last) = page.last() else { break };
            marker = Some(*last);
            listed += page.len();
            for id in page.iter().filter(|id| **id != ChunkId::MANIFEST) {
                table.slots(id).entry(id);
            }
        }
        Ok(table)
    }

    /// Notes that a chunk is stored, with the length of its object or 0. Counts nothing.
    pub fn note_stored(&self, id: &ChunkId, csize: u32) {
        if *id == ChunkId::MANIFEST {
            return; // It is no chunk.
        }
        let mut slots = self.slots(id);
        slots.entry(id).0.csize = csize;
    }

    /// Notes that a chunk is not stored any more, whatever refers to it.
    pub fn note_removed(&self, id: &ChunkId) {
        self.take_away(&mut self.slots(id), id);
    }

    /// Fills in the stored length of a chunk if the table has the chunk and not its length.
    pub fn learn_csize(&self, id: &ChunkId, csize: u32) {
        if let Some(slot) = self.slots(id).get_mut(id).filter(|slot| slot.csize == 0) {
            slot.csize = csize;
        }
    }

    /// `true` once: whoever gets it looks for stored lengths where that is cheaper than in the repository.
    pub fn seek_csizes(&self) -> bool {
        !self.csizes_sought.swap(true, Ordering::Relaxed)
    }

    /// Whether counts are complete.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Number of chunks, those in flight included; in a table over a repository of those it has taken note of.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(&shard.slots).len())
            .sum()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks whether a chunk (`size` bytes of plaintext) is stored, and counts a reference to it.
    ///
    /// Of all who claim a chunk that is not, one gets [`Claim::New`] and has to store it.
    pub fn claim(&self, id: &ChunkId, size: u32) -> Result<Claim, CacheError> {
        let mut slots = self.slots(id);
        let is_there = match slots.get(id) {
            Some(slot) => slot.csize != GONE,
            None => self.is_below(id)?,
        };
        let (slot, is_first) = slots.entry(id);
        if is_there {
            if is_first {
                slot.refs = REFS_MAX;
            }
            learn_size(slot, size)?;
        } else {
            (slot.size, slot.csize) = (size, IN_FLIGHT);
        }
        slot.refs = add_refs(slot.refs, 1);
        Ok(match (!is_there, slot.csize) {
            (true, _) => Claim::New,
            (false, IN_FLIGHT) => Claim::InFlight,
            (false, csize) => Claim::Known(ChunkSizes {
                size: slot.size,
                csize,
            }),
        })
    }

    /// Counts another reference to a chunk that is stored (known from the files cache) and returns its sizes as far as they
    /// are known; `None`, and nothing counted, if it is not there or still in flight, or nobody can tell.
    pub fn reference(&self, id: &ChunkId) -> Option<ChunkSizes> {
        let mut slots = self.slots(id);
        let Some(slot) = slots.get_mut(id) else {
            // Nothing to take note of: there is no end to the references anyway.
            return self.is_below(id).ok()?.then(ChunkSizes::default);
        };
        if !is_stored(slot) {
            return None;
        }
        slot.refs = add_refs(slot.refs, 1);
        Some(sizes(slot))
    }

    /// As [`reference`](Self::reference) of each of `ids`, which takes less time than one by one: whether it is stored,
    /// into `stored`, and a reference to it counted if so.
    pub fn reference_each(&self, ids: &[ChunkId], stored: &mut Vec<bool>) {
        stored.clear();
        let is_told = match &self.stored {
            Some(below) => below.contains_each(ids, stored).is_ok(),
            None => true,
        };
        if !is_told {
            stored.clear();
        }
        stored.resize(ids.len(), false);
        for (id, is_stored) in ids.iter().zip(stored) {
            *is_stored = if is_told && *id != ChunkId::MANIFEST {
                self.note_reference(id).unwrap_or(*is_stored)
            } else {
                self.reference(id).is_some()
            };
        }
    }

    /// Counts a reference to a chunk the table itself knows of, and tells whether it is stored.
    fn note_reference(&self, id: &ChunkId) -> Option<bool> {
        let mut slots = self.slots(id);
        let slot = slots.get_mut(id)?;
        let is_stored = is_stored(slot);
        if is_stored {
            slot.refs = add_refs(slot.refs, 1);
        }
        Some(is_stored)
    }

    /// Tells everybody that a claimed chunk is stored now.
    pub fn fulfil(&self, id: &ChunkId, stored: ChunkSizes) {
        assert!(stored.csize < GONE, "no object is that large");
        let mut slots = self.slots(id);
        let slot = slots
            .get_mut(id)
            .expect("only claimed chunks are fulfilled");
        (slot.size, slot.csize) = (stored.size, stored.csize);
        self.shard(id).settled.notify_all();
    }

    /// Gives up a claimed chunk that could not be stored: it is unknown again, references and all.
    pub fn abandon(&self, id: &ChunkId) {
        let mut slots = self.slots(id);
        debug_assert!(slots.get(id).is_some_and(|slot| slot.csize == IN_FLIGHT));
        self.take_away(&mut slots, id);
        self.shard(id).settled.notify_all();
    }

    /// Sizes of a stored chunk, waiting while it is in flight; `None` if it is unknown or was abandoned.
    ///
    /// Whoever has a claim of its own to fulfil must do that before it waits for others.
    pub fn wait(&self, id: &ChunkId) -> Option<ChunkSizes> {
        let mut slots = self.slots(id);
        loop {
            let slot = slots.get(id)?;
            if slot.csize == GONE {
                return None;
            }
            if slot.csize != IN_FLIGHT {
                return Some(sizes(slot));
            }
            slots = self
                .shard(id)
                .settled
                .wait(slots)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sizes of a chunk as far as they are known; `None` if it is not stored or in flight, or nobody can tell. Counts
    /// nothing.
    pub fn get(&self, id: &ChunkId) -> Option<ChunkSizes> {
        self.look_up(id).ok()?
    }

    fn look_up(&self, id: &ChunkId) -> Result<Option<ChunkSizes>, CacheError> {
        if let Some(slot) = self.slots(id).get(id) {
            return Ok(is_stored(slot).then(|| sizes(slot)));
        }
        Ok(self.is_below(id)?.then(ChunkSizes::default))
    }

    /// References counted so far; 0 for unknown chunks.
    pub fn refs(&self, id: &ChunkId) -> u32 {
        self.slots(id).get(id).map_or(0, |slot| slot.refs)
    }

    /// Length of the stored object, asked of the repository once if unknown; `None` if it is not stored.
    pub fn resolve_csize(
        &self,
        id: &ChunkId,
        repository: &dyn Repository,
    ) -> Result<Option<u32>, CacheError> {
        match self.look_up(id)? {
            None => Ok(None),
            Some(ChunkSizes {
                csize: csize @ 1.., ..
            }) => Ok(Some(csize)),
            Some(_) => {
                let stored = repository.stored_size(id)?;
                if let Some(stored) = stored {
                    self.learn_csize(id, stored);
                }
                Ok(stored)
            }
        }
    }

    /// Adds `refs` references. Unknown sizes are filled in; known ones stay.
    pub fn add(&self, id: &ChunkId, refs: u32, added: ChunkSizes) {
        if *id == ChunkId::MANIFEST {
            return; // Only a hostile archive refers to it.
        }
        let mut slots = self.slots(id);
        let (slot, _) = slots.entry(id);
        slot.refs = add_refs(slot.refs, refs);
        for (known, new) in [(&mut slot.size, added.size), (&mut slot.csize, added.csize)] {
            if *known == 0 {
                *known = new;
            }
        }
    }

    /// Takes `refs` references away; `None` if the chunk is unknown.
    ///
    /// A chunk without references leaves the table. Saturated counts stay: nobody knows any more.
    pub fn unreference(&self, id: &ChunkId, refs: u32) -> Option<Unreferenced> {
        let mut slots = self.slots(id);
        let slot = slots.get_mut(id).filter(|slot| slot.csize != GONE)?;
        if slot.refs < REFS_MAX {
            slot.refs = slot.refs.saturating_sub(refs);
        }
        let left = Unreferenced {
            refs: slot.refs,
            sizes: sizes(slot),
        };
        if left.refs == 0 {
            self.take_away(&mut slots, id);
        }
        Some(left)
    }

    /// The sums over all chunks. Source: Borg 1.4, `ChunkIndex.summarize`.
    pub fn totals(&self) -> ChunkTotals {
        let mut totals = ChunkTotals::default();
        for shard in &self.shards {
            for slot in lock(&shard.slots).iter() {
                let ChunkSizes { size, csize } = sizes(slot);
                totals.count(slot.refs, size, csize);
            }
        }
        totals
    }

    /// Every id with its stored length unknown (0), for asking about them in a good order.
    pub fn ids_without_csize(&self) -> Vec<ChunkId> {
        let of_shard = |shard: &Shard| -> Vec<ChunkId> {
            let slots = lock(&shard.slots);
            slots
                .iter()
                .filter(|slot| slot.csize == 0)
                .map(|slot| slot.id)
                .collect()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    /// Every id that nothing refers to.
    pub fn unreferenced(&self) -> Vec<ChunkId> {
        let of_shard = |shard: &Shard| -> Vec<ChunkId> {
            let slots = lock(&shard.slots);
            let unused = slots.iter().filter(|slot| slot.refs == 0);
            unused.map(|slot| slot.id).collect()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    /// Whether the repository below has an id the table does not know of.
    fn is_below(&self, id: &ChunkId) -> Result<bool, CacheError> {
        match &self.stored {
            Some(stored) if *id != ChunkId::MANIFEST => Ok(stored.contains(id)?),
            _ => Ok(false),
        }
    }

    /// Forgets a chunk; over a repository, which may have it a little longer, it stays as one that is gone.
    fn take_away(&self, slots: &mut Slots, id: &ChunkId) {
        if self.stored.is_none() {
            slots.remove(id);
        } else if *id != ChunkId::MANIFEST {
            let (slot, _) = slots.entry(id);
            (slot.refs, slot.size, slot.csize) = (0, 0, GONE);
        }
    }

    fn shard(&self, id: &ChunkId) -> &Shard {
        &self.shards[usize::from(id.0[0]) % SHARDS]
    }

    fn slots(&self, id: &ChunkId) -> MutexGuard<'_, Slots> {
        lock(&self.shard(id).slots)
    }
}

/// A worker that panicked left the table as it was between two calls; the run ends anyway.
fn lock(slots: &Mutex<Slots>) -> MutexGuard<'_, Slots> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sizes(slot: &Slot) -> ChunkSizes {
    ChunkSizes {
        size: slot.size,
        csize: if is_stored(slot) { slot.csize } else { 0 },
    }
}

fn is_stored(slot: &Slot) -> bool {
    slot.csize < GONE
}

pub(crate) fn add_refs(refs: u32, more: u32) -> u32 {
    refs.saturating_add(more).min(REFS_MAX)
}

fn learn_size(slot: &mut Slot, size: u32) -> Result<(), CacheError> {
    if slot.size == 0 {
        slot.size = size;
    }
    if slot.size == size {
        return Ok(());
    }
    Err(CacheError::SizeMismatch {
        id: slot.id,
        stored: slot.size,
        new: size,
    })
}

#[cfg(test)]
mod tests;
