//! Choosing files in one pass over an archive.

use std::collections::{BTreeMap, HashMap, HashSet};

use ironborg_types::ChunkId;

use super::memory::Memory;

/// What a group costs beyond the bytes of its items.
const GROUP_OVERHEAD: usize = 200;
const ITEM_OVERHEAD: usize = 48;

/// An item of the archive.
pub struct Seen<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// What a hard link refers to, if its content comes with that.
    pub link_to: Option<&'a [u8]>,
    /// Where a symlink leads.
    pub target: Option<&'a [u8]>,
    /// Bytes of content.
    pub size: u64,
    /// Its chunks; asked for once.
    pub chunks: &'a dyn Fn() -> Box<dyn Iterator<Item = ChunkId> + 'a>,
    /// The whole item, to be given back if it is chosen.
    pub encoded: &'a [u8],
}

/// A file and its hard links, or something else with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Names path and content.
    pub(super) fingerprint: u64,
    /// Place in the order of files.
    pub(super) place: u64,
    /// Bytes of content.
    pub(super) size: u64,
    /// Whether it was proven before.
    pub(super) is_proven: bool,
    /// The items, with their numbers in the archive.
    pub(super) items: Vec<(u64, Box<[u8]>)>,
}

/// When a group has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    turn: Turn,
    distance: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// It was begun last time.
    Unfinished,
    Unproven,
    /// Proven at that time.
    Proven(u32),
}

/// What a pass has found.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What to restore, in order.
    pub(super) groups: Vec<Group>,
    /// There was more.
    pub(super) is_cut_off: bool,
    /// Which of the proofs are still of something.
    pub(super) met: Vec<bool>,
    /// The file that was not finished is still there.
    pub(super) has_partial: bool,
    /// Bytes of all files, and of those that are proven.
    pub(super) bytes: u64,
    pub(super) proven: u64,
}

/// Chooses, of the items it is shown, those whose turn it is.
///
/// Memory: a bit for each proof's worth, and `len_max` bytes of items and what they cost; of more than that, those
/// whose turn is last are let go, but never the first one.
pub struct Survey<'m> {
    memory: &'m Memory,
    now: u32,
    tried: &'m HashSet<u64>,
    len_max: usize,
    len: usize,
    groups: BTreeMap<Rank, Group>,
    /// The ranks of the groups by place, where hard links look for the file they are of.
    ranks: HashMap<u64, Rank>,
    number: u64,
    chosen: Chosen,
}

impl<'m> Survey<'m> {
    /// A pass that leaves out what was tried, and what was proven at `now`.
    pub(super) fn new(
        memory: &'m Memory,
        now: u32,
        tried: &'m HashSet<u64>,
        len_max: usize,
    ) -> Self {
        Self {
            memory,
            now,
            tried,
            len_max,
            len: 0,
            groups: BTreeMap::new(),
            ranks: HashMap::new(),
            number: 0,
            chosen: Chosen {
                groups: Vec::new(),
                is_cut_off: false,
                met: vec![false; memory.proof_count()],
                has_partial: false,
                bytes: 0,
                proven: 0,
            },
        }
    }

    /// Shows it the next item.
    pub fn see(&mut self, item: &Seen<'_>) {
        self.number += 1;
        if let Some(file) = item.link_to {
            // A link has its turn with its file.
            if let Some(rank) = self.ranks.get(&self.memory.place(file)).copied() {
                self.put(rank, None, item);
            }
            return;
        }
        let fingerprint = self
            .memory
            .fingerprint(item.path, item.target, (item.chunks)());
        let proof = self.memory.proof(fingerprint);
        self.chosen.bytes = self.chosen.bytes.saturating_add(item.size);
        if let Some((number, _)) = proof {
            self.chosen.met[number] = true;
            self.chosen.proven = self.chosen.proven.saturating_add(item.size);
        }
        let is_partial = self.memory.partial_of(fingerprint).is_some();
        self.chosen.has_partial |= is_partial;
        let is_done = proof.is_some_and(|(_, time)| time == self.now);
        if is_done || self.tried.contains(&fingerprint) {
            return;
        }
        let place = self.memory.place(item.path);
        let turn = match proof {
            _ if is_partial => Turn::Unfinished,
            None => Turn::Unproven,
            Some((_, time)) => Turn::Proven(time),
        };
        let distance = self.memory.distance(place);
        let group = Group {
            fingerprint,
            place,
            size: 0,
            is_proven: proof.is_some(),
            items: Vec::new(),
        };
        self.put(Rank { turn, distance }, Some(group), item);
    }

    /// Puts an item where its turn is, and lets go what does not fit.
    fn put(&mut self, rank: Rank, group: Option<Group>, item: &Seen<'_>) {
        let is_new = !self.groups.contains_key(&rank);
        let is_first = self.groups.is_empty();
        if is_new && !is_first && self.len >= self.len_max && self.is_after_all(rank) {
            self.chosen.is_cut_off = true;
            return;
        }
        if is_new {
            let Some(group) = group else { return };
            self.ranks.insert(group.place, rank);
            self.groups.insert(rank, group);
            self.len += GROUP_OVERHEAD;
        }
        let group = self.groups.get_mut(&rank).expect("it is there or was made");
        group.size = group.size.saturating_add(item.size);
        group.items.push((self.number, item.encoded.into()));
        self.len += item.encoded.len() + ITEM_OVERHEAD;
        while self.len > self.len_max && self.groups.len() > 1 {
            let (_, last) = self.groups.pop_last().expect("there is more than one");
            self.ranks.remove(&last.place);
            let items = last
                .items
                .iter()
                .map(|(_, item)| item.len() + ITEM_OVERHEAD);
            self.len -= GROUP_OVERHEAD + items.sum::<usize>();
            self.chosen.is_cut_off = true;
        }
    }

    fn is_after_all(&self, rank: Rank) -> bool {
        let last = self.groups.last_key_value();
        last.is_some_and(|(last, _)| rank > *last)
    }

    /// What was chosen.
    pub(super) fn finish(self) -> Chosen {
        Chosen {
            groups: self.groups.into_values().collect(),
            ..self.chosen
        }
    }
}
