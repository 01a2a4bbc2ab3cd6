//! The files of earlier runs: the cache file in memory as it is on disk, and which of them were seen.

use std::sync::atomic::{AtomicU64, Ordering};

use ironborg_format::item::ChunkEntry;
use ironborg_types::ChunkId;

use super::{Bare, PathHash, Remembered, Sight};
use crate::cache_file::{BODY_OFFSET, Fields};

pub(super) const ENTRY_LEN: usize = 48;
pub(super) const CHUNK_LEN: usize = 40;
/// Entries that share one slot of the directory, on average: up to twice as many.
const ENTRIES_PER_BUCKET: usize = 1;

/// The number of an entry, found in the file it is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found(usize);

/// What was read, checked once.
#[derive(Debug, Default)]
pub(super) struct LoadedFiles {
    bytes: Vec<u8>,
    entries_at: usize,
    chunks_at: usize,
    len: usize,
    /// For each value of the hash's highest bits, the first entry that has it or a larger one; and the
    /// number of entries at the end.
    directory: Vec<u32>,
    /// Bits of a hash that are not in the directory.
    directory_shift: u32,
    /// A bit for every entry.
    seen: Vec<AtomicU64>,
    /// Another: it was noted in this run that the file is bare.
    noted_bare: Vec<AtomicU64>,
}

impl LoadedFiles {
    /// Takes a whole cache file; `None` if it contradicts itself.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut fields = Fields(bytes.get(BODY_OFFSET..)?);
        let (entry_count, chunk_count) = (fields.u64()?, fields.u64()?);
        let entries_len = fields.records(entry_count, ENTRY_LEN)?.len();
        let chunks_len = fields.records(chunk_count, CHUNK_LEN)?.len();
        if !fields.0.is_empty() || u32::try_from(entry_count).is_err() {
            return None;
        }
        let len = entries_len / ENTRY_LEN;
        let chunks_at = bytes.len() - chunks_len;
        let bits = (len / ENTRIES_PER_BUCKET).max(2).ilog2();
        let mut loaded = Self {
            entries_at: chunks_at - entries_len,
            chunks_at,
            len,
            directory: Vec::new(),
            directory_shift: u128::BITS - bits,
            seen: bits_of(len),
            noted_bare: bits_of(len),
            bytes,
        };
        loaded.is_consistent(chunk_count).then(|| {
            loaded.directory = loaded.make_directory(1 << bits);
            loaded
        })
    }

    fn is_consistent(&self, chunk_count: u64) -> bool {
        let first_chunks = self.all().map(|found| self.first_chunk(found));
        let paths = || self.all().map(|found| self.path(found));
        paths().zip(paths().skip(1)).all(|(path, next)| path < next)
            && first_chunks.is_sorted()
            && self
                .all()
                .next_back()
                .is_none_or(|last| self.first_chunk(last) as u64 <= chunk_count)
    }

    fn make_directory(&self, bucket_count: usize) -> Vec<u32> {
        let mut directory = Vec::with_capacity(bucket_count + 1);
        for found in self.all() {
            let bucket = self.bucket(self.path(found));
            let number = u32::try_from(found.0).expect("checked when decoded");
            while directory.len() <= bucket {
                directory.push(number);
            }
        }
        let end = u32::try_from(self.len).expect("checked when decoded");
        directory.resize(bucket_count + 1, end);
        directory
    }

    fn bucket(&self, path: PathHash) -> usize {
        usize::try_from(path.0 >> self.directory_shift).expect("at most 31 bits")
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn chunks_len(&self) -> usize {
        self.bytes.len() - self.chunks_at
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = Found> + use<> {
        (0..self.len).map(Found)
    }

    pub(super) fn find(&self, path: PathHash) -> Option<Found> {
        if self.len == 0 {
            return None;
        }
        let bucket = self.bucket(path);
        let (from, to) = (self.directory[bucket], self.directory[bucket + 1]);
        let mut candidates = (from as usize..to as usize).map(Found);
        candidates.find(|&found| self.path(found) == path)
    }

    /// The same for several: what has to be waited for, a line of memory for each of them at every step, is waited for
    /// side by side, as none of them depends on another one.
    pub(super) fn find_each(&self, paths: &[PathHash], found: &mut Vec<Option<Found>>) {
        found.clear();
        if self.len == 0 {
            found.resize(paths.len(), None);
            return;
        }
        let at = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        let near = paths.iter().fold(0, |near, path| {
            let entry = self.entries_at + self.directory[self.bucket(*path)] as usize * ENTRY_LEN;
            near ^ at(entry) ^ at(entry + ENTRY_LEN - 1)
        });
        std::hint::black_box(near);
        found.extend(paths.iter().map(|path| self.find(*path)));
        let near = found.iter().flatten().fold(0, |near, found| {
            let chunk = self.chunks_at + self.first_chunk(*found) * CHUNK_LEN;
            near ^ at(chunk) ^ at(chunk + CHUNK_LEN - 1)
        });
        std::hint::black_box(near);
    }

    fn field<const N: usize>(&self, found: Found, offset: usize) -> [u8; N] {
        let at = self.entries_at + found.0 * ENTRY_LEN + offset;
        let field = self.bytes[at..].first_chunk();
        *field.expect("entries are whole, checked when decoded")
    }

    pub(super) fn path(&self, found: Found) -> PathHash {
        PathHash(u128::from_le_bytes(self.field(found, 0)))
    }

    pub(super) fn remembered(&self, found: Found) -> Remembered {
        Remembered {
            inode: u64::from_le_bytes(self.field(found, 16)),
            size: u64::from_le_bytes(self.field(found, 24)),
            cmtime_ns: i64::from_le_bytes(self.field(found, 32)),
            bare: Bare::in_field(u32::from_le_bytes(self.field(found, 44))),
        }
    }

    /// As [`LoadedFiles::remembered`], with what was noted in this run by one with this sight.
    pub(super) fn remembered_now(&self, found: Found, sight: Sight) -> Remembered {
        let mut remembered = self.remembered(found);
        if is_set(&self.noted_bare, found) {
            remembered.bare = remembered.bare.or(Bare::seen_with(sight));
        }
        remembered
    }

    pub(super) fn note_bare(&self, found: Found) {
        set(&self.noted_bare, found);
    }

    fn first_chunk(&self, found: Found) -> usize {
        u32::from_le_bytes(self.field(found, 40)) as usize
    }

    /// Runs since the file was last seen; 0 if it was in this one.
    pub(super) fn age(&self, found: Found) -> u32 {
        if is_set(&self.seen, found) {
            0
        } else {
            (u32::from_le_bytes(self.field(found, 44)) & Bare::REST).saturating_add(1)
        }
    }

    pub(super) fn mark_seen(&self, found: Found) {
        set(&self.seen, found);
    }

    /// The chunks of an entry, as stored.
    pub(super) fn chunk_bytes(&self, found: Found) -> &[u8] {
        let from = self.chunks_at + self.first_chunk(found) * CHUNK_LEN;
        let next = Found(found.0 + 1);
        let to = if next.0 < self.len {
            self.chunks_at + self.first_chunk(next) * CHUNK_LEN
        } else {
            self.bytes.len()
        };
        &self.bytes[from..to]
    }

    /// Appends the chunks of an entry.
    pub(super) fn chunks_into(&self, found: Found, chunks: &mut Vec<ChunkEntry>) {
        let (records, _) = self.chunk_bytes(found).as_chunks::<CHUNK_LEN>();
        chunks.extend(records.iter().map(|record| {
            const WHOLE: &str = "a record is an id and two numbers";
            let mut fields = Fields(record);
            ChunkEntry {
                id: ChunkId(fields.array().expect(WHOLE)),
                size: fields.u32().expect(WHOLE),
                csize: fields.u32().expect(WHOLE),
            }
        }));
    }
}

pub(super) fn entry_bytes(
    path: PathHash,
    remembered: &Remembered,
    first_chunk: u32,
    age: u32,
) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    entry[..16].copy_from_slice(&path.0.to_le_bytes());
    entry[16..24].copy_from_slice(&remembered.inode.to_le_bytes());
    entry[24..32].copy_from_slice(&remembered.size.to_le_bytes());
    entry[32..40].copy_from_slice(&remembered.cmtime_ns.to_le_bytes());
    entry[40..44].copy_from_slice(&first_chunk.to_le_bytes());
    entry[44..].copy_from_slice(&remembered.bare.into_field(age).to_le_bytes());
    entry
}

/// So many bits, none of them set.
fn bits_of(len: usize) -> Vec<AtomicU64> {
    (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
}

fn is_set(bits: &[AtomicU64], found: Found) -> bool {
    bits[found.0 / 64].load(Ordering::Relaxed) >> (found.0 % 64) & 1 == 1
}

fn set(bits: &[AtomicU64], found: Found) {
    let (word, bit) = (&bits[found.0 / 64], 1 << (found.0 % 64));
    // Mostly it is set for the first time; where it is not, nobody's cache line needs to be taken away.
    if word.load(Ordering::Relaxed) & bit == 0 {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

pub(super) fn chunk_bytes(chunk: &ChunkEntry) -> [u8; CHUNK_LEN] {
    let mut bytes = [0; CHUNK_LEN];
    bytes[..32].copy_from_slice(chunk.id.as_bytes());
    bytes[32..36].copy_from_slice(&chunk.size.to_le_bytes());
    bytes[36..].copy_from_slice(&chunk.csize.to_le_bytes());
    bytes
}
