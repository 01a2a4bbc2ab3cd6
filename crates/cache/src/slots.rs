//! A table of chunks: open addressing, entries inline, 44 bytes each, under 50 bytes a chunk once full.
//!
//! Entries are kept sorted by a hash of their id, with gaps: an entry's home is its hash scaled to the
//! table, and a run of neighbours is in order (linear probing, Robin Hood style). So a search ends at
//! the first larger hash, found or not, and the table may be nine tenths full. The hash is keyed by
//! random numbers: whoever chooses ids (a server, in a list) cannot choose collisions.

use ironborg_types::ChunkId;

/// Entries a table is made for when it gets its first.
const ENTRIES_MIN: usize = 16;
/// Entries a table of ten slots may hold.
const FULL_TENTHS: usize = 9;

/// What is known of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: ChunkId,
    /// References counted.
    pub(crate) refs: u32,
    /// Bytes of plaintext; 0: not known.
    pub(crate) size: u32,
    /// Bytes of the stored object; 0: not known.
    pub(crate) csize: u32,
}

const _: () = assert!(size_of::<Slot>() == 44);

/// An empty slot has the manifest's id: the manifest is no chunk and never gets into a table.
const EMPTY: Slot = Slot {
    id: ChunkId::MANIFEST,
    refs: 0,
    size: 0,
    csize: 0,
};

impl Slot {
    fn is_empty(&self) -> bool {
        self.id == ChunkId::MANIFEST
    }
}

/// Key of the hash that orders a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotHash([u64; 2]);

impl SlotHash {
    /// A key nobody can know.
    pub(crate) fn random() -> Self {
        use std::hash::BuildHasher;
        // The standard library's only source of random numbers; one per process and call.
        let random = || std::hash::RandomState::new().hash_one(0_u64);
        Self([random(), random()])
    }

    pub(crate) fn hash(&self, id: &ChunkId) -> u64 {
        let word = |at: usize| {
            u64::from_le_bytes(id.0[at..at + 8].try_into().expect("eight bytes of an id"))
        };
        let product = u128::from(word(8) ^ self.0[0]) * u128::from(word(16) ^ self.0[1]);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = (product >> 64) as u64 ^ product as u64;
        folded
    }
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    hash: SlotHash,
    /// How many slots are somebody's home; those behind take what the last run has too much.
    homes: usize,
    table: Vec<Slot>,
    len: usize,
}

impl Slots {
    /// A table for `count` chunks without growing; nothing is allocated for 0.
    pub(crate) fn with_capacity(hash: SlotHash, count: usize) -> Self {
        let homes = homes_for(count);
        Self {
            hash,
            homes,
            table: vec![EMPTY; homes],
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All entries, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.table.iter().filter(|slot| !slot.is_empty())
    }

    /// The same, to be changed in all but their ids.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.table.iter_mut().filter(|slot| !slot.is_empty())
    }

    /// Forgets all entries, but keeps the room.
    pub(crate) fn clear(&mut self) {
        self.table.fill(EMPTY);
        self.len = 0;
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Option<&Slot> {
        self.find(id).ok().map(|at| &self.table[at])
    }

    pub(crate) fn get_mut(&mut self, id: &ChunkId) -> Option<&mut Slot> {
        self.find(id).ok().map(|at| &mut self.table[at])
    }

    /// The entry of `id`, with zeros in it and `true` if there was none. The manifest has no entry.
    pub(crate) fn entry(&mut self, id: &ChunkId) -> (&mut Slot, bool) {
        assert!(*id != ChunkId::MANIFEST, "the manifest is not a chunk");
        let (at, is_new) = match self.find(id) {
            Ok(at) => (at, false),
            Err(at) => (self.insert_at(at, Slot { id: *id, ..EMPTY }), true),
        };
        (&mut self.table[at], is_new)
    }

    /// Removes the entry of `id`.
    pub(crate) fn remove(&mut self, id: &ChunkId) -> Option<Slot> {
        let mut at = self.find(id).ok()?;
        let removed = self.table[at];
        // Everything behind that is not at home moves up by one, so that searches find no hole.
        while let Some(&next) = self.table.get(at + 1)
            && !next.is_empty()
            && self.home(self.hash.hash(&next.id)) <= at
        {
            self.table[at] = next;
            at += 1;
        }
        self.table[at] = EMPTY;
        self.len -= 1;
        Some(removed)
    }

    /// Where `id` is, or where it would be inserted.
    fn find(&self, id: &ChunkId) -> Result<usize, usize> {
        let hash = self.hash.hash(id);
        let mut at = self.home(hash);
        while let Some(slot) = self.table.get(at)
            && !slot.is_empty()
        {
            if slot.id == *id {
                return Ok(at);
            }
            if self.hash.hash(&slot.id) > hash {
                break;
            }
            at += 1;
        }
        Err(at)
    }

    /// Inserts an entry that is not there, in front of the one at `at`; returns where it ended up.
    fn insert_at(&mut self, mut at: usize, slot: Slot) -> usize {
        if self.len * 10 >= self.homes * FULL_TENTHS {
            self.grow();
            at = self.find(&slot.id).expect_err("growing makes no entries");
        }
        let gap = self.table[at..].iter().position(Slot::is_empty);
        let gap = gap.map_or(self.table.len(), |gap| at + gap);
        if gap == self.table.len() {
            self.lengthen(1);
        }
        self.table.copy_within(at..gap, at + 1);
        self.table[at] = slot;
        self.len += 1;
        at
    }

    fn grow(&mut self) {
        // A quarter more at a time, in one of many small tables: little is ever unused.
        self.homes = homes_for((self.len + self.len / 4).max(ENTRIES_MIN));
        let old = std::mem::replace(&mut self.table, vec![EMPTY; self.homes]);
        let mut free = 0;
        // In ascending order of hashes, every entry goes home or behind the one before.
        for slot in old.into_iter().filter(|slot| !slot.is_empty()) {
            let at = self.home(self.hash.hash(&slot.id)).max(free);
            if at == self.table.len() {
                self.lengthen(1);
            }
            self.table[at] = slot;
            free = at + 1;
        }
    }

    fn lengthen(&mut self, count: usize) {
        self.table.reserve_exact(count);
        self.table.resize(self.table.len() + count, EMPTY);
    }

    /// The slot a hash belongs to: as far into the homes as the hash is into its range.
    fn home(&self, hash: u64) -> usize {
        let scaled = u128::from(hash) * self.homes as u128;
        usize::try_from(scaled >> 64).expect("less than the number of homes")
    }
}

fn homes_for(entries: usize) -> usize {
    entries * 10 / FULL_TENTHS + usize::from(entries > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(n: u64) -> ChunkId {
        let mut id = [0xff; 32];
        id[8..16].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        id[16..24].copy_from_slice(&n.to_be_bytes());
        ChunkId(id)
    }

    #[test]
    fn a_table_is_used_almost_whole() {
        let mut slots = Slots::with_capacity(SlotHash::random(), 0);
        for n in 0..100_000 {
            let (slot, is_new) = slots.entry(&id(n));
            assert!(is_new);
            slot.refs = 1;
        }
        assert_eq!(slots.len(), 100_000);
        assert!(
            slots.table.len() * 44 < 100_000 * 62,
            "{}",
            slots.table.len()
        );
        let exact = Slots::with_capacity(SlotHash::random(), 100_000);
        assert!(exact.table.len() * 44 < 100_000 * 50);
    }

    #[test]
    fn ids_of_one_hash_are_told_apart() {
        // Hashes look at bytes 8 to 24 only.
        let mut slots = Slots::with_capacity(SlotHash([1, 2]), 0);
        let ids: Vec<ChunkId> = (1..=255)
            .map(|n| {
                ChunkId(
                    [[n; 8], [7; 8], [8; 8], [9; 8]]
                        .concat()
                        .try_into()
                        .unwrap(),
                )
            })
            .collect();
        for id in &ids {
            assert!(slots.entry(id).1);
        }
        for id in &ids {
            assert!(!slots.entry(id).1);
            assert_eq!(slots.remove(id).map(|slot| slot.id), Some(*id));
            assert!(slots.get(id).is_none());
        }
        assert_eq!(slots.iter().count(), 0);
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(operations in prop::collection::vec((0_u8..3, 0_u64..200, any::<u32>()), 0..1000)) {
            let mut slots = Slots::with_capacity(SlotHash([3, 5]), 0);
            let mut model = BTreeMap::new();
            for (operation, n, refs) in operations {
                match operation {
                    0 => {
                        let (slot, is_new) = slots.entry(&id(n));
                        slot.refs = refs;
                        prop_assert_eq!(is_new, model.insert(id(n), refs).is_none());
                    }
                    1 => prop_assert_eq!(slots.remove(&id(n)).map(|slot| slot.refs), model.remove(&id(n))),
                    _ => prop_assert_eq!(slots.get(&id(n)).map(|slot| slot.refs), model.get(&id(n)).copied()),
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            let found: BTreeMap<ChunkId, u32> = slots.iter().map(|slot| (slot.id, slot.refs)).collect();
            prop_assert_eq!(found, model);
        }
    }
}
