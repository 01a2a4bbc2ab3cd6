//! Borg's hash table file: 32-byte keys, fixed-size values, open addressing.
//!
//! The table in memory is the file: loading is one read, writing one write, and an entry costs its
//! bucket and nothing else. Serves the repository index (8-byte values) and the chunks cache (12).
//! Layout: docs/format.md, "Index files".

mod in_place;
mod paged;
mod patched;
mod sizes;

pub use in_place::{Buckets, Probe, TableFile};
pub use paged::{PagedTable, Pages};
pub use patched::{Patched, PatchedTable, TableSurvey, entries_in};
use sizes::{next_size, previous_size, size_for};

/// First bytes of the file.
pub const MAGIC: [u8; 8] = *b"BORG_IDX";
/// Length of the header: magic (8), entry count (4), bucket count (4), key size (1), value size (1).
pub const HEADER_LEN: usize = 18;
/// Length of every key.
pub const KEY_LEN: usize = 32;
/// Largest number the first four bytes of a value may hold; those above mark buckets.
pub const VALUE_MAX: u32 = 0xffff_fbff;

/// First value field of a bucket that was never used.
const EMPTY: u32 = 0xffff_ffff;
/// First value field of a bucket whose entry was removed; probing goes on behind it.
const DELETED: u32 = 0xffff_fffe;

/// Why bytes are not an index; the texts are Borg's where it has them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashIndexError {
    /// Shorter than the header.
    #[error("Could not read header (expected {HEADER_LEN}, but read {0} bytes)")]
    TruncatedHeader(usize),
    /// Not an index.
    #[error("Unknown MAGIC in header")]
    Magic,
    /// The table cannot be empty.
    #[error("Expected num_buckets >= 1 (was {0})")]
    NoBuckets(i32),
    /// More entries than buckets, or fewer than none.
    #[error("Expected 0 <= num_entries <= num_buckets (was {entries} of {buckets})")]
    EntryCount {
        /// What the header says.
        entries: i32,
        /// What the header says.
        buckets: i32,
    },
    /// Keys or values of another size.
    #[error("Expected key size {KEY_LEN} and value size {expected} (was {key} and {value})")]
    ItemSize {
        /// Value size wanted.
        expected: usize,
        /// What the header says.
        key: u8,
        /// What the header says.
        value: u8,
    },
    /// The file is longer or shorter than the header says.
    #[error("Incorrect file length (expected {expected}, got {found})")]
    Length {
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The buckets do not agree with the header, or are unusable.
    #[error("Index is corrupted: {0} used buckets, {1} entries")]
    Inconsistent(usize, usize),
}

/// A table from 32-byte keys to `V`-byte values.
///
/// The first four bytes of a value, as a little-endian number, must not exceed [`VALUE_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct HashIndex<const V: usize> {
    /// Header and buckets, as in the file. The header's entry count is brought up to date by `as_bytes`.
    bytes: Vec<u8>,
    buckets: usize,
    entries: usize,
    /// Buckets that were never used; a lookup needs at least one to end at.
    empty: usize,
}

/// What a header says.
struct Header {
    buckets: usize,
    entries: usize,
}

impl Header {
    /// Decodes the header at the beginning of `bytes`, for a file of `file_len` bytes with values of `V`.
    fn decode<const V: usize>(bytes: &[u8], file_len: u64) -> Result<Self, HashIndexError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(HashIndexError::TruncatedHeader(bytes.len()))?;
        if header[..8] != MAGIC {
            return Err(HashIndexError::Magic);
        }
        let number = |at: usize| {
            i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (num_entries, num_buckets, key, value) =
            (number(8), number(12), header[16], header[17]);
        let buckets = usize::try_from(num_buckets)
            .ok()
            .filter(|&count| count >= 1)
            .ok_or(HashIndexError::NoBuckets(num_buckets))?;
        let entries = usize::try_from(num_entries)
            .ok()
            .filter(|&count| count <= buckets)
            .ok_or(HashIndexError::EntryCount {
                entries: num_entries,
                buckets: num_buckets,
            })?;
        if usize::from(key) != KEY_LEN || usize::from(value) != V {
            return Err(HashIndexError::ItemSize {
                expected: V,
                key,
                value,
            });
        }
        let expected = HEADER_LEN as u64 + buckets as u64 * (KEY_LEN + V) as u64;
        if file_len != expected {
            return Err(HashIndexError::Length {
                expected,
                found: file_len,
            });
        }
        Ok(Self { buckets, entries })
    }
}

/// Where a bucket begins in the file.
const fn start_of<const V: usize>(bucket: usize) -> usize {
    HEADER_LEN + bucket * (KEY_LEN + V)
}

/// What a lookup found.
enum Slot {
    Used(usize),
    /// Where the key would go.
    Free(usize),
}

impl<const V: usize> HashIndex<V> {
    const BUCKET_LEN: usize = KEY_LEN + V;

    /// An empty table.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty table that takes this many entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        // Borg sizes by bucket count; ours leaves room up to the load limit.
        Self::with_buckets(size_for(entries.saturating_add(entries / 3)))
    }

    /// An empty table of so many buckets, or the next larger count Borg uses: with the same keys put in the same
    /// order it has the order of a table of Borg's that was made with this capacity.
    pub fn with_bucket_capacity(buckets: usize) -> Self {
        Self::with_buckets(size_for(buckets))
    }

    fn with_buckets(buckets: usize) -> Self {
        const { assert!(V >= 4 && V <= u8::MAX as usize) };
        let mut bytes = vec![0_u8; HEADER_LEN + buckets * Self::BUCKET_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        let count = u32::try_from(buckets).expect("the largest table size fits");
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        bytes[16] = u8::try_from(KEY_LEN).expect("32");
        bytes[17] = u8::try_from(V).expect("asserted above");
        for bucket in bytes[HEADER_LEN..].chunks_exact_mut(Self::BUCKET_LEN) {
            bucket[KEY_LEN..KEY_LEN + 4].copy_from_slice(&EMPTY.to_le_bytes());
        }
        Self {
            bytes,
            buckets,
            entries: 0,
            empty: buckets,
        }
    }

    /// Takes over the content of a file.
    ///
    /// # Errors
    /// [`HashIndexError`] for anything but a whole, consistent table. No input makes it panic, and
    /// none makes a later lookup run for ever.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, HashIndexError> {
        let Header { buckets, entries } = Header::decode::<V>(&bytes, bytes.len() as u64)?;
        let mut index = Self {
            bytes,
            buckets,
            entries,
            empty: 0,
        };
        let mut used = 0;
        for at in 0..buckets {
            match index.mark(at) {
                EMPTY => index.empty += 1,
                DELETED => {}
                _ => used += 1,
            }
        }
        if used != entries {
            return Err(HashIndexError::Inconsistent(used, entries));
        }
        if index.empty == 0 {
            // Legal for a compacted file: give lookups a place to end.
            index.resize(size_for(entries.saturating_add(entries / 3)));
        }
        Ok(index)
    }

    /// The file: header and buckets.
    pub fn as_bytes(&mut self) -> &[u8] {
        let (header, _) = self.parts();
        self.bytes[..HEADER_LEN].copy_from_slice(&header);
        &self.bytes
    }

    /// The file's header, and behind it its buckets, without making either anew.
    pub fn parts(&self) -> ([u8; HEADER_LEN], &[u8]) {
        let (header, buckets) = self
            .bytes
            .split_first_chunk()
            .expect("a table has a header");
        let mut header: [u8; HEADER_LEN] = *header;
        let count = u32::try_from(self.entries).expect("no more entries than buckets");
        header[8..12].copy_from_slice(&count.to_le_bytes());
        (header, buckets)
    }

    /// Bytes the file has.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many buckets the table has.
    pub fn bucket_count(&self) -> usize {
        self.buckets
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8; KEY_LEN]) -> Option<&[u8; V]> {
        match self.find(key) {
            Slot::Used(at) => Some(self.value(at)),
            Slot::Free(_) => None,
        }
    }

    /// The bucket of a key, and its value.
    pub fn locate(&self, key: &[u8; KEY_LEN]) -> Option<(usize, &[u8; V])> {
        match self.find(key) {
            Slot::Used(at) => Some((at, self.value(at))),
            Slot::Free(_) => None,
        }
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: &[u8; KEY_LEN]) -> bool {
        matches!(self.find(key), Slot::Used(_))
    }

    /// Sets the value of a key; returns the one it had.
    ///
    /// # Panics
    /// If the value's first field exceeds [`VALUE_MAX`]: it would turn the entry into a mark.
    pub fn insert(&mut self, key: &[u8; KEY_LEN], value: &[u8; V]) -> Option<[u8; V]> {
        assert!(first_field(value) <= VALUE_MAX, "value out of range");
        let mut slot = self.find(key);
        if matches!(slot, Slot::Free(_)) && self.make_room() {
            // In a damaged file an entry can lie where no search finds it; rebuilding brings it back.
            slot = self.find(key);
        }
        let at = match slot {
            Slot::Used(at) => {
                let old = *self.value(at);
                self.set_value(at, value);
                return Some(old);
            }
            Slot::Free(at) => at,
        };
        if self.mark(at) == EMPTY {
            self.empty -= 1;
        }
        let start = Self::start(at);
        self.bytes[start..start + KEY_LEN].copy_from_slice(key);
        self.set_value(at, value);
        self.entries += 1;
        None
    }

    /// Removes a key; returns the value it had.
    pub fn remove(&mut self, key: &[u8; KEY_LEN]) -> Option<[u8; V]> {
        let Slot::Used(at) = self.find(key) else {
            return None;
        };
        let old = *self.value(at);
        let start = Self::start(at) + KEY_LEN;
        self.bytes[start..start + 4].copy_from_slice(&DELETED.to_le_bytes());
        self.entries -= 1;
        if self.entries < self.buckets / 4
            && let Some(size) = previous_size(self.buckets)
        {
            self.resize(size);
        }
        Some(old)
    }

    /// All entries in bucket order, which is the order Borg lists them in.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { index: self, at: 0 }
    }

    /// The entries behind a key in bucket order; `None` if there is no such key.
    pub fn iter_after(&self, key: &[u8; KEY_LEN]) -> Option<Iter<'_, V>> {
        match self.find(key) {
            Slot::Used(at) => Some(Iter {
                index: self,
                at: at + 1,
            }),
            Slot::Free(_) => None,
        }
    }

    /// Whether each of `keys` is there. All of them are first looked for where they should be: those looks wait for memory
    /// side by side, as none of them depends on what another one finds.
    pub fn contains_each<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8; KEY_LEN]> + Clone,
    ) -> impl Iterator<Item = bool> {
        let near = keys.clone().fold(0, |near, key| {
            let at = home(key, self.buckets);
            near ^ self.mark(at) ^ u32::from(self.bytes[Self::start(at)])
        });
        std::hint::black_box(near);
        keys.map(|key| self.contains(key))
    }

    /// Probes for a key. Ends because at least one bucket is empty.
    fn find(&self, key: &[u8; KEY_LEN]) -> Slot {
        let mut at = home(key, self.buckets);
        let mut tombstone = None;
        loop {
            match self.mark(at) {
                EMPTY => return Slot::Free(tombstone.unwrap_or(at)),
                DELETED => {
                    tombstone.get_or_insert(at);
                }
                _ if self.key(at) == key => return Slot::Used(at),
                _ => {}
            }
            at += 1;
            if at == self.buckets {
                at = 0;
            }
        }
    }

    /// Rebuilds the table if another entry would make it too full; says whether it did.
    fn make_room(&mut self) -> bool {
        if !is_crowded(self.buckets, self.entries, self.empty) {
            return false;
        }
        if is_full(self.buckets, self.entries) {
            self.resize(next_size(self.buckets));
        } else {
            self.resize(self.buckets);
            if self.empty <= 1 {
                // A table smaller than any Borg makes: lookups end only at an empty bucket.
                self.resize(next_size(self.buckets));
            }
        }
        true
    }

    fn resize(&mut self, buckets: usize) {
        let mut resized = Self::with_buckets(buckets);
        for (key, value) in self.iter() {
            let Slot::Free(at) = resized.find(key) else {
                // Only a damaged file holds a key twice; the first one counts, as in a lookup.
                continue;
            };
            let start = Self::start(at);
            resized.bytes[start..start + KEY_LEN].copy_from_slice(key);
            resized.set_value(at, value);
            resized.entries += 1;
            resized.empty -= 1;
        }
        *self = resized;
    }

    const fn start(at: usize) -> usize {
        start_of::<V>(at)
    }

    fn mark(&self, at: usize) -> u32 {
        first_field(&self.bytes[Self::start(at) + KEY_LEN..])
    }

    fn key(&self, at: usize) -> &[u8; KEY_LEN] {
        self.bytes[Self::start(at)..]
            .first_chunk()
            .expect("a bucket is longer than a key")
    }

    fn value(&self, at: usize) -> &[u8; V] {
        self.bytes[Self::start(at) + KEY_LEN..]
            .first_chunk()
            .expect("a bucket ends with a value")
    }

    fn set_value(&mut self, at: usize, value: &[u8; V]) {
        let start = Self::start(at) + KEY_LEN;
        self.bytes[start..start + V].copy_from_slice(value);
    }
}

impl<const V: usize> Default for HashIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const V: usize> std::fmt::Debug for HashIndex<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "HashIndex({} entries, {} buckets)",
            self.entries, self.buckets
        )
    }
}

/// The header of a table.
fn header_of<const V: usize>(entries: usize, buckets: usize) -> [u8; HEADER_LEN] {
    let number = |count: usize| u32::try_from(count).expect("no table is larger");
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&number(entries).to_le_bytes());
    header[12..16].copy_from_slice(&number(buckets).to_le_bytes());
    header[16] = u8::try_from(KEY_LEN).expect("32");
    header[17] = u8::try_from(V).expect("values are short");
    header
}

/// Whether a table has to be larger for another entry. Borg's load limit is 0.75.
fn is_full(buckets: usize, entries: usize) -> bool {
    entries > buckets / 4 * 3 + buckets % 4 * 3 / 4
}

/// The bucket where a key is looked for first.
fn home(key: &[u8; KEY_LEN], buckets: usize) -> usize {
    let [k0, k1, k2, k3, ..] = *key;
    u32::from_le_bytes([k0, k1, k2, k3]) as usize % buckets
}

/// Whether a table has to be rebuilt for another entry. Borg's lower limit of empty buckets is 0.07 + 1.
fn is_crowded(buckets: usize, entries: usize, empty: usize) -> bool {
    is_full(buckets, entries) || empty <= 1 + buckets / 100 * 7 + buckets % 100 * 7 / 100
}

fn first_field(value: &[u8]) -> u32 {
    let field = value.first_chunk().expect("values have four bytes or more");
    u32::from_le_bytes(*field)
}

/// Entries in bucket order.
#[derive(Debug, Clone)]
pub struct Iter<'a, const V: usize> {
    index: &'a HashIndex<V>,
    at: usize,
}

impl<const V: usize> Iter<'_, V> {
    /// The bucket behind that of the last entry.
    pub fn bucket(&self) -> usize {
        self.at
    }
}

impl<'a, const V: usize> Iterator for Iter<'a, V> {
    type Item = (&'a [u8; KEY_LEN], &'a [u8; V]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.index.buckets {
            let at = self.at;
            self.at += 1;
            if self.index.mark(at) < DELETED {
                return Some((self.index.key(at), self.index.value(at)));
            }
        }
        None
    }
}

impl<'a, const V: usize> IntoIterator for &'a HashIndex<V> {
    type Item = (&'a [u8; KEY_LEN], &'a [u8; V]);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
