//! Looking keys up in the file of a table without loading it: where to read, and what was read means.
//!
//! Nothing but the header is checked before: what is found may be wrong in a damaged file, and what is there may not be
//! found. It suits those who can tell a wrong value when they use it, and load the table when one is missing.

use super::{DELETED, EMPTY, HashIndexError, Header, KEY_LEN, VALUE_MAX, first_field, start_of};

/// A table in a file, of which the header was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFile<const V: usize> {
    buckets: usize,
    entries: usize,
}

/// Some of the buckets, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Which is the first.
    first: usize,
    /// How many are to be looked at from here on, at most, before all were.
    left: usize,
}

/// What some buckets say of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe<const V: usize> {
    /// Its value.
    Found([u8; V]),
    /// It is not in the table.
    Absent,
    /// More buckets are to be read.
    GoOn(Buckets),
}

impl<const V: usize> TableFile<V> {
    /// Bytes of a bucket.
    pub const BUCKET_LEN: usize = KEY_LEN + V;

    /// Takes the file's first [`HEADER_LEN`](super::HEADER_LEN) bytes, and its length.
    ///
    /// # Errors
    /// The header is none, or one of a file of another length.
    pub fn new(header: &[u8], file_len: u64) -> Result<Self, HashIndexError> {
        let header = Header::decode::<V>(header, file_len)?;
        Ok(Self {
            buckets: header.buckets,
            entries: header.entries,
        })
    }

    /// How many entries the header says there are.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it says there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Where the search for a key begins.
    pub fn search(&self, key: &[u8; KEY_LEN]) -> Buckets {
        let [k0, k1, k2, k3, ..] = *key;
        Buckets {
            first: u32::from_le_bytes([k0, k1, k2, k3]) as usize % self.buckets,
            left: self.buckets,
        }
    }

    /// The part of the file to be read next: offset and length in bytes, of at most `count` buckets, at least one.
    pub fn part(&self, buckets: Buckets, count: usize) -> (u64, usize) {
        let there = self.buckets - buckets.first;
        let count = count.max(1).min(there).min(buckets.left.max(1));
        (
            start_of::<V>(buckets.first) as u64,
            count * Self::BUCKET_LEN,
        )
    }

    /// Looks for a key in what was read from there; fewer bytes than that are a file that was cut off.
    pub fn probe(&self, key: &[u8; KEY_LEN], buckets: Buckets, bytes: &[u8]) -> Probe<V> {
        let mut looked = 0;
        for bucket in bytes.chunks_exact(Self::BUCKET_LEN) {
            let (found, value) = bucket.split_at(KEY_LEN);
            match first_field(value) {
                EMPTY => return Probe::Absent,
                DELETED => {}
                mark if found == key => {
                    let value = value.first_chunk().expect("a bucket ends with a value");
                    // Between the marks and the values are numbers that are neither.
                    return if mark <= VALUE_MAX {
                        Probe::Found(*value)
                    } else {
                        Probe::Absent
                    };
                }
                _ => {}
            }
            looked += 1;
        }
        if looked == 0 || looked >= buckets.left {
            return Probe::Absent;
        }
        let next = buckets.first + looked;
        Probe::GoOn(Buckets {
            first: if next >= self.buckets { 0 } else { next },
            left: buckets.left - looked,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HEADER_LEN, HashIndex};
    use super::*;
    use proptest::prelude::*;

    fn key(n: u16) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        // Few first fields, so that keys get into each other's way and around the end.
        key[..4].copy_from_slice(&(u32::from(n % 7) + 1030 - 4).to_le_bytes());
        key[4..6].copy_from_slice(&n.to_le_bytes());
        key
    }

    fn look_up(file: &[u8], wanted: &[u8; KEY_LEN], count: usize) -> Option<[u8; 8]> {
        let table = TableFile::<8>::new(&file[..HEADER_LEN], file.len() as u64).unwrap();
        let mut buckets = table.search(wanted);
        loop {
            let (offset, len) = table.part(buckets, count);
            let offset = usize::try_from(offset).unwrap();
            match table.probe(wanted, buckets, &file[offset..offset + len]) {
                Probe::Found(value) => return Some(value),
                Probe::Absent => return None,
                Probe::GoOn(further) => buckets = further,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_table_has(
            operations in prop::collection::vec((any::<bool>(), 0_u16..400), 0..700),
            count in 1_usize..40,
        ) {
            let mut table = HashIndex::<8>::new();
            for (insert, n) in operations {
                if insert {
                    table.insert(&key(n), &[1; 8]);
                } else {
                    table.remove(&key(n));
                }
            }
            let file = table.as_bytes().to_vec();
            for n in 0..400 {
                prop_assert_eq!(look_up(&file, &key(n), count), table.get(&key(n)).copied());
            }
        }

        #[test]
        fn damage_ends_every_search(
            damage in prop::collection::vec((0_usize..41_200, any::<u8>()), 0..60),
            mark in any::<[u8; 4]>(),
            n in 0_u16..400,
        ) {
            let mut table = HashIndex::<8>::new();
            for n in 0..300 {
                table.insert(&key(n), &[2; 8]);
            }
            let mut file = table.as_bytes().to_vec();
            // No bucket is empty any more.
            for bucket in file[HEADER_LEN..].chunks_exact_mut(40) {
                if bucket[32..36] == EMPTY.to_le_bytes() {
                    bucket[32..36].copy_from_slice(&mark);
                }
            }
            for (at, byte) in damage {
                if let Some(place) = file[HEADER_LEN..].get_mut(at) {
                    *place = byte;
                }
            }
            let _ = look_up(&file, &key(n), 16);
        }
    }

    #[test]
    fn a_file_that_was_cut_off_has_nothing() {
        let mut index = HashIndex::<8>::new();
        index.insert(&key(1), &[3; 8]);
        let file = index.as_bytes().to_vec();
        let table = TableFile::<8>::new(&file[..HEADER_LEN], file.len() as u64).unwrap();
        assert_eq!((table.len(), table.is_empty()), (1, false));
        let search = table.search(&key(1));
        assert_eq!(table.probe(&key(1), search, &[]), Probe::Absent);
        assert!(TableFile::<8>::new(&file[..HEADER_LEN], 100).is_err());
        assert!(TableFile::<8>::new(&file[..5], file.len() as u64).is_err());
        assert!(TableFile::<12>::new(&file[..HEADER_LEN], file.len() as u64).is_err());
    }
}
