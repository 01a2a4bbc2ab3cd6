//! Nodes and names while an index is built: what stock Borg's dictionaries hold, in a few bytes a file.
//!
//! A node and its first name have one number; a further name (a hard link) has one of its own that leads to the node.
//! Names are found through a table of hashes, which are good in this process only; the bytes of names and the records
//! of nodes are scratch bytes, of which little is in memory. Memory: 20 bytes a name, and the scratch bytes' bound.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use hashbrown::HashTable;
use ironborg_cache::{CacheError, ScratchBytes};
use ironborg_crypto::Key;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::owners::OwnerNumbers;
use super::record::{NONE, NamePlace, RECORD_LEN, Record};
use crate::MountError;
use crate::node::NAME_LEN_MAX;

/// Records that may be in memory, in bytes, those of 220,000 files; names a third of that.
const RECORDS_IN_MEMORY: usize = 14 << 20;
const NAMES_IN_MEMORY: usize = RECORDS_IN_MEMORY / 3;

/// Nodes and names.
pub(super) struct Builder {
    /// Makes hashes of names unforeseeable.
    pub(super) seed: u64,
    pub(super) records: ScratchBytes,
    pub(super) names: ScratchBytes,
    /// For each name the number it has now.
    slots: HashTable<u32>,
    /// Of each number: the directory, and the hash of the name.
    pub(super) parents: Vec<u32>,
    pub(super) hashes: Vec<u32>,
    /// Further names of nodes.
    pub(super) links: Bits,
    /// Nodes that something was put into, or that have more than one name.
    referenced: Bits,
    /// Numbers that are not listed where they stand, since names were given to other nodes.
    pub(super) fates: HashMap<u32, Fate>,
    /// Which item has a node's content, if that is not its own.
    pub(super) contents: BTreeMap<u32, u64>,
    pub(super) owners: OwnerNumbers,
    /// The directory of the last path: the next one is in it as a rule.
    last: Option<(Vec<u8>, u32)>,
}

/// What becomes of a number in the list of its directory's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its name belongs to another number now, which is listed in its place.
    Lends(u32),
    /// It is listed in the place of this one.
    Stands(u32),
    /// It is not listed any more.
    Gone,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where<'p> {
    /// The root.
    Root,
    /// A name in a directory.
    In(u32, &'p [u8]),
    /// To nothing that could be shown.
    Nowhere,
}

impl Builder {
    pub(super) fn new(key: &Key, seed: u64, directory: PathBuf) -> Result<Self, MountError> {
        let mut builder = Self {
            seed,
            records: ScratchBytes::new(key, RECORDS_IN_MEMORY, directory.clone())?,
            names: ScratchBytes::new(key, NAMES_IN_MEMORY, directory)?,
            slots: HashTable::new(),
            parents: Vec::new(),
            hashes: Vec::new(),
            links: Bits::default(),
            referenced: Bits::default(),
            fates: HashMap::new(),
            contents: BTreeMap::new(),
            owners: OwnerNumbers::default(),
            last: None,
        };
        // The root is in itself and has no name.
        builder.push(0, 0, b"", Record::made_up())?;
        Ok(builder)
    }

    /// How many numbers were given.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.parents.len()).expect("checked when the last one was given")
    }

    // Paths.

    /// Where a path leads; directories on the way are made up if they are missing.
    pub(super) fn enter_path<'p>(&mut self, path: &'p [u8]) -> Result<Where<'p>, MountError> {
        let (directory, name) = split_path(path);
        if name == b"." && directory.is_empty() {
            return Ok(Where::Root);
        }
        let parent = match &self.last {
            Some((last, node)) if last == directory => *node,
            _ => {
                let mut node = 0;
                for segment in directory.split(|&b| b == b'/') {
                    if directory.is_empty() || segment == b"." {
                        continue;
                    }
                    if !is_showable(segment) {
                        return Ok(Where::Nowhere);
                    }
                    node = self.enter(node, segment)?;
                }
                self.last = Some((directory.to_vec(), node));
                node
            }
        };
        Ok(if is_showable(name) {
            Where::In(parent, name)
        } else {
            Where::Nowhere
        })
    }

    /// The node a path leads to; the root is none.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<u32>, MountError> {
        let mut node = 0;
        for segment in path.split(|&b| b == b'/') {
            if segment == b"." {
                continue;
            }
            match self.lookup(node, segment)? {
                Some(found) => node = found,
                None => return Ok(None),
            }
        }
        Ok(Some(node).filter(|&node| node != 0))
    }

    /// The node of a name, made up as a directory if there is none.
    pub(super) fn enter(&mut self, parent: u32, name: &[u8]) -> Result<u32, MountError> {
        let node = match self.lookup(parent, name)? {
            Some(node) => node,
            None => self.insert(parent, name, Record::made_up())?,
        };
        self.referenced.set(node);
        Ok(node)
    }

    /// The node of a name.
    pub(super) fn lookup(&mut self, parent: u32, name: &[u8]) -> Result<Option<u32>, MountError> {
        match self.slot(parent, name)? {
            Some(number) if self.links.get(number) => Ok(Some(self.record(number)?.target())),
            found => Ok(found),
        }
    }

    /// The number of a name.
    fn slot(&mut self, parent: u32, name: &[u8]) -> Result<Option<u32>, MountError> {
        let hash = self.hash(name);
        let (parents, hashes) = (&self.parents, &self.hashes);
        let (records, names) = (&mut self.records, &mut self.names);
        let mut failed = None;
        let found = self.slots.find(slot_hash(parent, hash), |&number| {
            let at = index(number);
            if parents[at] != parent || hashes[at] != hash {
                return false;
            }
            has_name(records, names, number, name).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(found.copied()),
        }
    }

    fn hash(&self, name: &[u8]) -> u32 {
        u32::try_from(xxh3_64_with_seed(name, self.seed) >> 32).expect("32 bits are left")
    }

    // Records.

    pub(super) fn record(&mut self, number: u32) -> Result<Record, MountError> {
        Ok(read_record(&mut self.records, number)?)
    }

    fn write_record(&mut self, number: u32, record: Record) -> Result<(), MountError> {
        let offset = u64::from(number) * RECORD_LEN as u64;
        Ok(self.records.write(offset, &record.to_bytes())?)
    }

    /// Replaces what is known of a node; its name stays, and the nodes in it.
    pub(super) fn describe(&mut self, node: u32, record: Record) -> Result<(), MountError> {
        let old = self.record(node)?;
        self.contents.remove(&node);
        self.write_record(
            node,
            Record {
                name: old.name,
                parent: old.parent,
                ..record
            },
        )
    }

    /// Notes that one more name leads to a node.
    pub(super) fn add_name_of(&mut self, node: u32) -> Result<(), MountError> {
        self.referenced.set(node);
        let mut record = self.record(node)?;
        record.nlink = record.nlink.saturating_add(1);
        self.write_record(node, record)
    }

    /// Gives a name to a node that `record` describes, or to one that it links to. Returns the number of the name.
    pub(super) fn give(
        &mut self,
        parent: u32,
        name: &[u8],
        record: Record,
    ) -> Result<u32, MountError> {
        let Some(known) = self.slot(parent, name)? else {
            return self.insert(parent, name, record);
        };
        if record.is_link() && self.lookup(parent, name)? == Some(record.target()) {
            return Ok(known);
        }
        // Nobody else can have kept the number of what is replaced, so it can be used again.
        if self.links.get(known) || !self.referenced.get(known) {
            self.describe(known, record)?;
            self.links.put(known, record.is_link());
            return Ok(known);
        }
        self.replace(known, parent, name, record)
    }

    /// Gives the name of a number to a new one. Other names may lead to the old node, and it may have nodes in it.
    fn replace(
        &mut self,
        known: u32,
        parent: u32,
        name: &[u8],
        record: Record,
    ) -> Result<u32, MountError> {
        let hash = self.hash(name);
        let number = self.push(parent, hash, name, record)?;
        let slot = self
            .slots
            .find_mut(slot_hash(parent, hash), |&number| number == known);
        *slot.expect("it was found there") = number;
        let first = match self.fates.get(&known) {
            Some(Fate::Stands(first)) => *first,
            _ => known,
        };
        self.fates.insert(known, Fate::Gone);
        self.fates.insert(first, Fate::Lends(number));
        self.fates.insert(number, Fate::Stands(first));
        self.last = None;
        Ok(number)
    }

    fn insert(&mut self, parent: u32, name: &[u8], record: Record) -> Result<u32, MountError> {
        let hash = self.hash(name);
        let number = self.push(parent, hash, name, record)?;
        let (parents, hashes) = (&self.parents, &self.hashes);
        self.slots
            .insert_unique(slot_hash(parent, hash), number, |&number| {
                slot_hash(parents[index(number)], hashes[index(number)])
            });
        Ok(number)
    }

    fn push(
        &mut self,
        parent: u32,
        hash: u32,
        name: &[u8],
        record: Record,
    ) -> Result<u32, MountError> {
        let number = u32::try_from(self.parents.len())
            .ok()
            .filter(|&number| number != NONE)
            .ok_or(MountError::TooManyFiles)?;
        let place = NamePlace {
            offset: self.names.len(),
            len: u16::try_from(name.len()).expect("longer names are not shown"),
        };
        self.names.append(name)?;
        let record = Record {
            name: place,
            parent,
            ..record
        };
        self.records.append(&record.to_bytes())?;
        self.parents.push(parent);
        self.hashes.push(hash);
        self.links.put(number, record.is_link());
        Ok(number)
    }

    /// Gives back what is needed for finding names only.
    pub(super) fn forget_slots(&mut self) {
        self.slots = HashTable::new();
        self.last = None;
    }
}

fn read_record(records: &mut ScratchBytes, number: u32) -> Result<Record, CacheError> {
    let mut bytes = [0; RECORD_LEN];
    records.read(u64::from(number) * RECORD_LEN as u64, &mut bytes)?;
    Ok(Record::from_bytes(&bytes))
}

fn has_name(
    records: &mut ScratchBytes,
    names: &mut ScratchBytes,
    number: u32,
    name: &[u8],
) -> Result<bool, CacheError> {
    let place = read_record(records, number)?.name;
    if usize::from(place.len) != name.len() {
        return Ok(false);
    }
    let mut stored = [0; NAME_LEN_MAX];
    let stored = &mut stored[..name.len()];
    names.read(place.offset, stored)?;
    Ok(stored == name)
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits are an index")
}

/// Mixes the directory in: equal names are in many of them.
fn slot_hash(parent: u32, hash: u32) -> u64 {
    let both = u64::from(parent) << 32 | u64::from(hash);
    let mixed = (both ^ (both >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

/// What the kernel takes for the name of a file.
pub(super) fn is_showable(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_LEN_MAX && !name.contains(&0)
}

/// The directory part and the name; `.` as the last component is the directory itself.
fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    let mut path = path;
    while let Some(directory) = path.strip_suffix(b"/.") {
        path = directory;
    }
    match path.iter().rposition(|&b| b == b'/') {
        // A leading slash leaves an empty component, which is not shown.
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A bit for each number.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn get(&self, number: u32) -> bool {
        let word = self.0.get(index(number / 64));
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn set(&mut self, number: u32) {
        self.put(number, true);
    }

    fn put(&mut self, number: u32, value: bool) {
        let at = index(number / 64);
        if at >= self.0.len() {
            if !value {
                return;
            }
            self.0.resize(at + 1, 0);
        }
        let bit = 1 << (number % 64);
        if value {
            self.0[at] |= bit;
        } else {
            self.0[at] &= !bit;
        }
    }
}
