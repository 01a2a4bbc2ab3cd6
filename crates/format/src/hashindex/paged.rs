//! A table in pages that somebody else keeps, so that it need not be in memory as a whole.
//!
//! Every operation does to the buckets what [`HashIndex`](super::HashIndex) does, so both make the same file. There is no
//! I/O here: pages come from whoever keeps them.

use super::{
    DELETED, EMPTY, HEADER_LEN, KEY_LEN, VALUE_MAX, first_field, header_of, is_crowded, is_full,
    next_size, previous_size, size_for, start_of,
};

/// Buckets of a page.
const PAGE: usize = 100;

/// Keeps the pages of a [`PagedTable`].
pub trait Pages: Sized {
    /// Why a page cannot be had.
    type Error;

    /// A place like this one for so many pages, all of which are as `blank` until they are changed.
    #[must_use]
    fn anew(&self, count: usize, blank: Vec<u8>) -> Self;

    /// A page as it was left, to be looked at.
    ///
    /// # Errors
    /// It cannot be had.
    fn page(&mut self, number: usize) -> Result<&[u8], Self::Error>;

    /// As [`Pages::page`], to be changed.
    ///
    /// # Errors
    /// As there.
    fn page_mut(&mut self, number: usize) -> Result<&mut [u8], Self::Error>;
}

/// A table from 32-byte keys to `V`-byte values, in pages.
#[derive(Debug)]
pub struct PagedTable<const V: usize, P> {
    pages: P,
    buckets: usize,
    entries: usize,
    empty: usize,
}

/// What a search found.
enum Slot<const V: usize> {
    Used(usize, [u8; V]),
    /// Where the key would go, and whether that bucket was never used.
    Free(usize, bool),
}

impl<const V: usize, P: Pages> PagedTable<V, P> {
    /// Bytes of a bucket.
    pub const BUCKET_LEN: usize = KEY_LEN + V;

    /// As [`HashIndex::with_capacity`](super::HashIndex::with_capacity); pages are to be kept as by `like`.
    pub fn with_capacity(like: &P, entries: usize) -> Self {
        Self::with_buckets(like, size_for(entries.saturating_add(entries / 3)))
    }

    /// As [`HashIndex::with_bucket_capacity`](super::HashIndex::with_bucket_capacity).
    pub fn with_bucket_capacity(like: &P, buckets: usize) -> Self {
        Self::with_buckets(like, size_for(buckets))
    }

    fn with_buckets(like: &P, buckets: usize) -> Self {
        let mut blank = vec![0; PAGE * Self::BUCKET_LEN];
        for bucket in blank.chunks_exact_mut(Self::BUCKET_LEN) {
            bucket[KEY_LEN..KEY_LEN + 4].copy_from_slice(&EMPTY.to_le_bytes());
        }
        Self {
            pages: like.anew(buckets.div_ceil(PAGE), blank),
            buckets,
            entries: 0,
            empty: buckets,
        }
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

    /// Bytes the file has.
    pub fn size(&self) -> u64 {
        start_of::<V>(self.buckets) as u64
    }

    /// The file's header.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        header_of::<V>(self.entries, self.buckets)
    }

    /// The buckets of page `number`; `None` behind the last one. All in turn are what is behind the header in the file.
    ///
    /// # Errors
    /// The page cannot be had.
    pub fn buckets_of(&mut self, number: usize) -> Result<Option<&[u8]>, P::Error> {
        let Some(left) = self
            .buckets
            .checked_sub(number.saturating_mul(PAGE))
            .filter(|&left| left > 0)
        else {
            return Ok(None);
        };
        let page = self.pages.page(number)?;
        Ok(Some(&page[..left.min(PAGE) * Self::BUCKET_LEN]))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// A page cannot be had.
    pub fn get(&mut self, key: &[u8; KEY_LEN]) -> Result<Option<[u8; V]>, P::Error> {
        Ok(match self.find(key)? {
            Slot::Used(_, value) => Some(value),
            Slot::Free(..) => None,
        })
    }

    /// The bucket of a key, and its value.
    ///
    /// # Errors
    /// A page cannot be had.
    pub fn locate(&mut self, key: &[u8; KEY_LEN]) -> Result<Option<(usize, [u8; V])>, P::Error> {
        Ok(match self.find(key)? {
            Slot::Used(at, value) => Some((at, value)),
            Slot::Free(..) => None,
        })
    }

    /// Sets the value of a key; returns the one it had.
    ///
    /// # Errors
    /// A page cannot be had; the table is of no use then.
    ///
    /// # Panics
    /// If the value's first field exceeds [`VALUE_MAX`]: it would turn the entry into a mark.
    pub fn insert(
        &mut self,
        key: &[u8; KEY_LEN],
        value: &[u8; V],
    ) -> Result<Option<[u8; V]>, P::Error> {
        assert!(first_field(value) <= VALUE_MAX, "value out of range");
        let mut slot = self.find(key)?;
        if matches!(slot, Slot::Free(..)) && self.make_room()? {
            slot = self.find(key)?;
        }
        match slot {
            Slot::Used(at, old) => {
                self.bucket_mut(at)?[KEY_LEN..].copy_from_slice(value);
                Ok(Some(old))
            }
            Slot::Free(at, was_empty) => {
                let bucket = self.bucket_mut(at)?;
                bucket[..KEY_LEN].copy_from_slice(key);
                bucket[KEY_LEN..].copy_from_slice(value);
                self.entries += 1;
                self.empty -= usize::from(was_empty);
                Ok(None)
            }
        }
    }

    /// Removes a key; returns the value it had.
    ///
    /// # Errors
    /// A page cannot be had; the table is of no use then.
    pub fn remove(&mut self, key: &[u8; KEY_LEN]) -> Result<Option<[u8; V]>, P::Error> {
        let Slot::Used(at, old) = self.find(key)? else {
            return Ok(None);
        };
        self.bucket_mut(at)?[KEY_LEN..KEY_LEN + 4].copy_from_slice(&DELETED.to_le_bytes());
        self.entries -= 1;
        if self.entries < self.buckets / 4
            && let Some(size) = previous_size(self.buckets)
        {
            self.resize(size)?;
        }
        Ok(Some(old))
    }

    /// The bucket behind that of a key, for [`PagedTable::next_entry`]; `None` if there is no such key.
    ///
    /// # Errors
    /// A page cannot be had.
    pub fn behind(&mut self, key: &[u8; KEY_LEN]) -> Result<Option<usize>, P::Error> {
        Ok(match self.find(key)? {
            Slot::Used(at, _) => Some(at + 1),
            Slot::Free(..) => None,
        })
    }

    /// The first entry in bucket `from` or behind it, with the bucket behind its own.
    ///
    /// # Errors
    /// A page cannot be had.
    #[expect(clippy::type_complexity, reason = "a bucket, a key and a value")]
    pub fn next_entry(
        &mut self,
        from: usize,
    ) -> Result<Option<(usize, [u8; KEY_LEN], [u8; V])>, P::Error> {
        let mut at = from;
        while at < self.buckets {
            let page = self.pages.page(at / PAGE)?;
            let end = ((at / PAGE + 1) * PAGE).min(self.buckets);
            let rest = &page[at % PAGE * Self::BUCKET_LEN..];
            for bucket in rest.chunks_exact(Self::BUCKET_LEN).take(end - at) {
                at += 1;
                if let Some((key, value)) = bucket.split_first_chunk::<KEY_LEN>()
                    && let Some(value) = value.first_chunk()
                    && first_field(value) < DELETED
                {
                    return Ok(Some((at, *key, *value)));
                }
            }
        }
        Ok(None)
    }

    /// Probes for a key. Ends because at least one bucket is empty.
    fn find(&mut self, key: &[u8; KEY_LEN]) -> Result<Slot<V>, P::Error> {
        let [k0, k1, k2, k3, ..] = *key;
        let mut at = u32::from_le_bytes([k0, k1, k2, k3]) as usize % self.buckets;
        let mut tombstone = None;
        loop {
            let page = self.pages.page(at / PAGE)?;
            let end = ((at / PAGE + 1) * PAGE).min(self.buckets);
            let rest = &page[at % PAGE * Self::BUCKET_LEN..];
            for bucket in rest.chunks_exact(Self::BUCKET_LEN).take(end - at) {
                let (found, value) = bucket.split_at(KEY_LEN);
                match first_field(value) {
                    EMPTY => {
                        return Ok(match tombstone {
                            Some(tombstone) => Slot::Free(tombstone, false),
                            None => Slot::Free(at, true),
                        });
                    }
                    DELETED => {
                        tombstone.get_or_insert(at);
                    }
                    _ if found == key => {
                        let value = value.first_chunk().expect("a bucket ends with a value");
                        return Ok(Slot::Used(at, *value));
                    }
                    _ => {}
                }
                at += 1;
            }
            if at == self.buckets {
                at = 0;
            }
        }
    }

    fn bucket_mut(&mut self, at: usize) -> Result<&mut [u8], P::Error> {
        let start = at % PAGE * Self::BUCKET_LEN;
        let page = self.pages.page_mut(at / PAGE)?;
        Ok(&mut page[start..start + Self::BUCKET_LEN])
    }

    /// Rebuilds the table if another entry would make it too full; says whether it did.
    fn make_room(&mut self) -> Result<bool, P::Error> {
        if !is_crowded(self.buckets, self.entries, self.empty) {
            return Ok(false);
        }
        let size = if is_full(self.buckets, self.entries) {
            next_size(self.buckets)
        } else {
            self.buckets
        };
        self.resize(size)?;
        Ok(true)
    }

    fn resize(&mut self, buckets: usize) -> Result<(), P::Error> {
        let mut resized = Self::with_buckets(&self.pages, buckets);
        let mut at = 0;
        while let Some((next, key, value)) = self.next_entry(at)? {
            at = next;
            let Slot::Free(place, _) = resized.find(&key)? else {
                continue;
            };
            let bucket = resized.bucket_mut(place)?;
            bucket[..KEY_LEN].copy_from_slice(&key);
            bucket[KEY_LEN..].copy_from_slice(&value);
            resized.entries += 1;
            resized.empty -= 1;
        }
        *self = resized;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::HashIndex;
    use super::*;
    use proptest::prelude::*;

    /// Pages in memory.
    struct Kept(Vec<Vec<u8>>);

    impl Pages for Kept {
        type Error = Infallible;

        fn anew(&self, count: usize, blank: Vec<u8>) -> Self {
            Self(vec![blank; count])
        }

        fn page(&mut self, number: usize) -> Result<&[u8], Infallible> {
            Ok(&self.0[number])
        }

        fn page_mut(&mut self, number: usize) -> Result<&mut [u8], Infallible> {
            Ok(&mut self.0[number])
        }
    }

    fn key(n: u16) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        // Some get into each other's way and around the end.
        let first = if n.is_multiple_of(3) {
            u32::from(n % 7) + 1030 - 4
        } else {
            u32::from(n).wrapping_mul(0x9e37_79b9)
        };
        key[..4].copy_from_slice(&first.to_le_bytes());
        key[4..6].copy_from_slice(&n.to_le_bytes());
        key
    }

    fn file(table: &mut PagedTable<8, Kept>) -> Vec<u8> {
        let mut bytes = table.header().to_vec();
        let mut number = 0;
        while let Ok(Some(buckets)) = table.buckets_of(number) {
            bytes.extend_from_slice(buckets);
            number += 1;
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_file_is_that_of_a_table_in_memory(
            capacity in 0_usize..2000,
            operations in prop::collection::vec((0_u8..5, 0_u16..3000), 0..4000),
        ) {
            let mut plain = HashIndex::<8>::with_capacity(capacity);
            let mut paged = PagedTable::<8, Kept>::with_capacity(&Kept(Vec::new()), capacity);
            for (number, (kind, n)) in (0_u32..).zip(operations) {
                let (key, mut value) = (key(n), [3; 8]);
                value[..4].copy_from_slice(&number.to_le_bytes());
                if kind > 0 {
                    prop_assert_eq!(Ok(plain.insert(&key, &value)), paged.insert(&key, &value));
                } else {
                    prop_assert_eq!(Ok(plain.remove(&key)), paged.remove(&key));
                }
                let other = self::key(n / 2);
                prop_assert_eq!(Ok(plain.get(&other).copied()), paged.get(&other));
            }
            prop_assert_eq!((plain.len(), plain.size()), (paged.len(), paged.size()));
            let (mut listed, mut at) = (Vec::new(), 0);
            while let Ok(Some((next, key, value))) = paged.next_entry(at) {
                prop_assert_eq!(paged.behind(&key), Ok(Some(next)));
                listed.push((key, value));
                at = next;
            }
            let expected: Vec<_> = plain.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(listed, expected);
            prop_assert!(file(&mut paged) == plain.as_bytes());
        }
    }
}
