//! A table that stays in its file: it is looked up there, and what is changed is kept in memory until the file is
//! written anew, which is copying it with the changes put in.
//!
//! Every operation does to the buckets what [`HashIndex`](super::HashIndex) does, so both write the same file. What needs
//! the whole table, because it has to get larger or smaller, is refused: then the table is to be loaded.
//!
//! There is no I/O here: whoever asks brings a function that reads from the file.

use std::collections::BTreeMap;

use super::{
    DELETED, EMPTY, HEADER_LEN, HashIndexError, Header, KEY_LEN, VALUE_MAX, first_field, header_of,
    is_crowded, previous_size, start_of,
};

/// Buckets read at once; a search seldom needs more, as a quarter of them is empty.
const WINDOW: usize = 32;
/// Buckets that are kept together once one of them was changed.
const PAGE: usize = 128;
/// Longest bucket there is room for.
const BUCKET_LEN_MAX: usize = 64;

/// Counts the buckets of a table that is read from its beginning to its end.
#[derive(Debug)]
pub struct TableSurvey<const V: usize> {
    buckets: usize,
    entries: usize,
    seen: usize,
    used: usize,
    empty: usize,
}

/// A table in a file, and changes of it.
#[derive(Debug, Clone)]
pub struct PatchedTable<const V: usize> {
    buckets: usize,
    entries: usize,
    empty: usize,
    /// Changed parts of the table by their number, each as it is to be in the file.
    pages: BTreeMap<usize, Box<[u8]>>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patched<const V: usize> {
    /// It was made; the value the key had.
    Done(Option<[u8; V]>),
    /// It was not, as the table has to be rebuilt for it.
    Rebuild,
}

/// What a search found.
enum Place<const V: usize> {
    Used(usize, [u8; V]),
    /// Where the key would go, and whether that bucket was never used.
    Free(usize, bool),
    /// Nothing, in a table without an end to searches.
    Nowhere,
}

impl<const V: usize> TableSurvey<V> {
    /// Takes the file's first [`HEADER_LEN`] bytes, and its length.
    ///
    /// # Errors
    /// The header is none, or one of a file of another length.
    pub fn new(header: &[u8], file_len: u64) -> Result<Self, HashIndexError> {
        let Header { buckets, entries } = Header::decode::<V>(header, file_len)?;
        Ok(Self {
            buckets,
            entries,
            seen: 0,
            used: 0,
            empty: 0,
        })
    }

    /// The next buckets, all of them whole.
    pub fn take(&mut self, bytes: &[u8]) {
        for bucket in bytes.chunks_exact(PatchedTable::<V>::BUCKET_LEN) {
            self.seen += 1;
            match first_field(&bucket[KEY_LEN..]) {
                EMPTY => self.empty += 1,
                DELETED => {}
                _ => self.used += 1,
            }
        }
    }

    /// The table, without changes; `None` if searches in it have no end, so that it has to be loaded.
    ///
    /// # Errors
    /// Header and buckets do not agree.
    pub fn finish(self) -> Result<Option<PatchedTable<V>>, HashIndexError> {
        if (self.used, self.seen) != (self.entries, self.buckets) {
            return Err(HashIndexError::Inconsistent(self.used, self.entries));
        }
        Ok((self.empty > 0).then_some(PatchedTable {
            buckets: self.buckets,
            entries: self.entries,
            empty: self.empty,
            pages: BTreeMap::new(),
        }))
    }
}

impl<const V: usize> PatchedTable<V> {
    /// Bytes of a bucket.
    pub const BUCKET_LEN: usize = KEY_LEN + V;

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes the file has, changed or not.
    pub fn size(&self) -> u64 {
        start_of::<V>(self.buckets) as u64
    }

    /// The file's header.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        header_of::<V>(self.entries, self.buckets)
    }

    /// How many buckets the table has.
    pub fn bucket_count(&self) -> usize {
        self.buckets
    }

    /// Changes what was read from the file at `offset`, header or buckets, to what it is to be.
    pub fn patch(&self, offset: u64, bytes: &mut [u8]) {
        let end = offset + bytes.len() as u64;
        Self::put_part(offset, bytes, 0, &self.header());
        // The page that begins before the first byte may reach behind it.
        let first = offset.saturating_sub(HEADER_LEN as u64) / Self::PAGE_LEN;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for (&page, changed) in self.pages.range(first..) {
            let start = start_of::<V>(page * PAGE) as u64;
            if start >= end {
                break;
            }
            Self::put_part(offset, bytes, start, changed);
        }
    }

    const PAGE_LEN: u64 = (PAGE * Self::BUCKET_LEN) as u64;

    /// Puts that part of `changed`, which is at `start` in the file, into `bytes` that lies there.
    fn put_part(offset: u64, bytes: &mut [u8], start: u64, changed: &[u8]) {
        let (end, changed_end) = (offset + bytes.len() as u64, start + changed.len() as u64);
        let (from, to) = (offset.max(start), end.min(changed_end));
        if from < to {
            let within = |base: u64| {
                let at = |place: u64| usize::try_from(place - base).expect("within a slice");
                at(from)..at(to)
            };
            bytes[within(offset)].copy_from_slice(&changed[within(start)]);
        }
    }

    /// The changes are in the file by now.
    pub fn settle(&mut self) {
        self.pages.clear();
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get<E>(
        &self,
        key: &[u8; KEY_LEN],
        read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<[u8; V]>, E> {
        Ok(match self.find(key, read)? {
            Place::Used(_, value) => Some(value),
            Place::Free(..) | Place::Nowhere => None,
        })
    }

    /// The bucket of a key, and its value.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn locate<E>(
        &self,
        key: &[u8; KEY_LEN],
        read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<(usize, [u8; V])>, E> {
        Ok(match self.find(key, read)? {
            Place::Used(at, value) => Some((at, value)),
            Place::Free(..) | Place::Nowhere => None,
        })
    }

    /// The offset in the file of the bucket behind that of a key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn behind<E>(
        &self,
        key: &[u8; KEY_LEN],
        read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<u64>, E> {
        Ok(match self.find(key, read)? {
            Place::Used(at, _) => Some(start_of::<V>(at + 1) as u64),
            Place::Free(..) | Place::Nowhere => None,
        })
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The file cannot be read; nothing was changed.
    ///
    /// # Panics
    /// If the value's first field exceeds [`VALUE_MAX`]: it would turn the entry into a mark.
    pub fn insert<E>(
        &mut self,
        key: &[u8; KEY_LEN],
        value: &[u8; V],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Patched<V>, E> {
        assert!(first_field(value) <= VALUE_MAX, "value out of range");
        match self.find(key, &mut read)? {
            Place::Used(at, old) => {
                self.bucket_mut(at, read)?[KEY_LEN..].copy_from_slice(value);
                Ok(Patched::Done(Some(old)))
            }
            Place::Free(..) if is_crowded(self.buckets, self.entries, self.empty) => {
                Ok(Patched::Rebuild)
            }
            Place::Free(at, was_empty) => {
                let bucket = self.bucket_mut(at, read)?;
                bucket[..KEY_LEN].copy_from_slice(key);
                bucket[KEY_LEN..].copy_from_slice(value);
                self.entries += 1;
                self.empty -= usize::from(was_empty);
                Ok(Patched::Done(None))
            }
            Place::Nowhere => Ok(Patched::Rebuild),
        }
    }

    /// Removes a key.
    ///
    /// # Errors
    /// The file cannot be read; nothing was changed.
    pub fn remove<E>(
        &mut self,
        key: &[u8; KEY_LEN],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Patched<V>, E> {
        let Place::Used(at, old) = self.find(key, &mut read)? else {
            return Ok(Patched::Done(None));
        };
        if self.entries - 1 < self.buckets / 4 && previous_size(self.buckets).is_some() {
            return Ok(Patched::Rebuild);
        }
        let bucket = self.bucket_mut(at, read)?;
        bucket[KEY_LEN..KEY_LEN + 4].copy_from_slice(&DELETED.to_le_bytes());
        self.entries -= 1;
        Ok(Patched::Done(Some(old)))
    }

    /// Probes for a key. Ends after all buckets, should the file be another one by now.
    fn find<E>(
        &self,
        key: &[u8; KEY_LEN],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Place<V>, E> {
        const { assert!(KEY_LEN + V <= BUCKET_LEN_MAX) };
        let mut window = [0; WINDOW * BUCKET_LEN_MAX];
        let [k0, k1, k2, k3, ..] = *key;
        let mut at = u32::from_le_bytes([k0, k1, k2, k3]) as usize % self.buckets;
        let mut tombstone = None;
        let mut left = self.buckets;
        while left > 0 {
            let page = at / PAGE;
            let page_end = ((page + 1) * PAGE).min(self.buckets);
            let bytes = if let Some(changed) = self.pages.get(&page) {
                &changed[(at - page * PAGE) * Self::BUCKET_LEN..]
            } else {
                // It may reach into the next page, unless that was changed.
                let is_changed = self.pages.contains_key(&(page + 1));
                let end = if is_changed { page_end } else { self.buckets };
                let count = WINDOW.min(end - at);
                let window = &mut window[..count * Self::BUCKET_LEN];
                read(start_of::<V>(at) as u64, window)?;
                &*window
            };
            for bucket in bytes.chunks_exact(Self::BUCKET_LEN) {
                let (found, value) = bucket.split_at(KEY_LEN);
                match first_field(value) {
                    EMPTY => {
                        return Ok(match tombstone {
                            Some(tombstone) => Place::Free(tombstone, false),
                            None => Place::Free(at, true),
                        });
                    }
                    DELETED => {
                        tombstone.get_or_insert(at);
                    }
                    _ if found == key => {
                        let value = value.first_chunk().expect("a bucket ends with a value");
                        return Ok(Place::Used(at, *value));
                    }
                    _ => {}
                }
                at += 1;
                left = left.saturating_sub(1);
            }
            if at >= self.buckets {
                at = 0;
            }
        }
        Ok(Place::Nowhere)
    }

    /// A bucket that is to be changed, in its page.
    fn bucket_mut<E>(
        &mut self,
        at: usize,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<&mut [u8], E> {
        use std::collections::btree_map::Entry;
        let page = at / PAGE;
        let bytes = match self.pages.entry(page) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let count = PAGE.min(self.buckets - page * PAGE);
                let mut bytes = vec![0; count * Self::BUCKET_LEN].into_boxed_slice();
                read(start_of::<V>(page * PAGE) as u64, &mut bytes)?;
                entry.insert(bytes)
            }
        };
        let start = (at - page * PAGE) * Self::BUCKET_LEN;
        Ok(&mut bytes[start..start + Self::BUCKET_LEN])
    }
}

/// The entries among whole buckets that lie one behind the other, in order.
pub fn entries_in<const V: usize>(
    bytes: &[u8],
) -> impl Iterator<Item = (&[u8; KEY_LEN], &[u8; V])> {
    bytes.chunks_exact(KEY_LEN + V).filter_map(|bucket| {
        let (key, value) = bucket.split_first_chunk()?;
        (first_field(value) < DELETED).then_some((key, value.first_chunk()?))
    })
}

#[cfg(test)]
mod tests;
