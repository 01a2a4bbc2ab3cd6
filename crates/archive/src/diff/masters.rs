//! What hard links may refer to, in both archives.
//!
//! Where archives do not tell which files have hard links (those of Borg 1.0, and of tarballs), that may be every file. So
//! the items are kept outside of memory as soon as they are many, and in memory is what leads to them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use ironborg_cache::ScratchBytes;
use ironborg_crypto::Key;
use ironborg_format::item::ItemView;

use super::postponed::{Encoded, Pair};
use crate::ArchiveError;

/// Bytes of items that are in memory.
const ITEMS_IN_MEMORY: usize = 8 << 20;
/// The length of a record's head: where the one before it of the same hash is, and the lengths of path and items.
const HEAD_LEN: usize = 20;
/// In the place of a length: there is no item.
const NO_ITEM: u32 = u32::MAX;
/// In the place of a length: it is the item of the old archive.
const SAME_ITEM: u32 = u32::MAX - 1;
/// There is no record before.
const FIRST: u64 = u64::MAX;

/// The first of several hard links, by path, in both archives. Memory: about 30 bytes for each, and so many bytes of the
/// items themselves.
pub(super) struct LinkMasters {
    hasher: RandomState,
    /// The last record of each hash of a path.
    places: HashMap<u64, u64>,
    records: ScratchBytes,
    record: Vec<u8>,
}

impl LinkMasters {
    /// None; `directory` is where items go when there are many, sealed with something of the `key`'s.
    pub(super) fn new(key: &Key, directory: PathBuf) -> Result<Self, ArchiveError> {
        Ok(Self {
            hasher: RandomState::new(),
            places: HashMap::new(),
            records: ScratchBytes::new(key, ITEMS_IN_MEMORY, directory)?,
            record: Vec::new(),
        })
    }

    /// Keeps what hard links may refer to. Of two of a path the later counts.
    pub(super) fn keep(
        &mut self,
        path: &[u8],
        old: Option<&ItemView<'_>>,
        new: Option<&ItemView<'_>>,
    ) -> Result<(), ArchiveError> {
        let place = self.records.len();
        let before = self.places.insert(self.hasher.hash_one(path), place);
        let [old, new] = [old, new].map(|item| item.map(|item| item.encoded));
        let is_same = old.is_some() && old == new;
        let new_len = if is_same { SAME_ITEM } else { len_of(new) };
        let lens = [len_of(Some(path)), len_of(old), new_len];
        self.record.clear();
        self.record
            .extend_from_slice(&before.unwrap_or(FIRST).to_le_bytes());
        for len in lens {
            self.record.extend_from_slice(&len.to_le_bytes());
        }
        self.record.extend_from_slice(path);
        self.record.extend_from_slice(old.unwrap_or_default());
        if !is_same {
            self.record.extend_from_slice(new.unwrap_or_default());
        }
        Ok(self.records.append(&self.record)?)
    }

    /// What is at that path.
    pub(super) fn get(&mut self, path: &[u8]) -> Result<Option<Pair>, ArchiveError> {
        let mut next = self.places.get(&self.hasher.hash_one(path)).copied();
        while let Some(place) = next.filter(|&place| place != FIRST) {
            let mut head = [0; HEAD_LEN];
            self.records.read(place, &mut head)?;
            let (before, lens) = head.split_at(8);
            next = before.first_chunk().map(|place| u64::from_le_bytes(*place));
            let (lens, _) = lens.as_chunks::<4>();
            let len_at = |number: usize| {
                lens.get(number)
                    .map_or(NO_ITEM, |len| u32::from_le_bytes(*len))
            };
            let mut at = place + HEAD_LEN as u64;
            if self.bytes(&mut at, len_at(0))?.as_deref() != Some(path) {
                continue;
            }
            let old = self.bytes(&mut at, len_at(1))?;
            let new = match len_at(2) {
                SAME_ITEM => old.clone(),
                len => self.bytes(&mut at, len)?,
            };
            return Ok(Some(Pair { old, new }));
        }
        Ok(None)
    }

    fn bytes(&mut self, at: &mut u64, len: u32) -> Result<Option<Encoded>, ArchiveError> {
        if len == NO_ITEM {
            return Ok(None);
        }
        let mut bytes = vec![0; len as usize].into_boxed_slice();
        self.records.read(*at, &mut bytes)?;
        *at += u64::from(len);
        Ok(Some(bytes))
    }
}

/// The length of something that may be there.
fn len_of(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(NO_ITEM, |bytes| {
        u32::try_from(bytes.len()).expect("an item is far shorter")
    })
}

#[cfg(test)]
mod tests {
    use ironborg_crypto::Key;
    use ironborg_format::item::Item;

    use super::super::postponed::decode;
    use super::*;

    #[test]
    fn what_is_kept_is_found_by_its_path() {
        let directory = tempfile::tempdir().expect("room");
        let key = Key::plaintext();
        let mut masters = LinkMasters::new(&key, directory.path().to_owned()).expect("random");
        let encoded = |path: &str, mode| {
            let item = Item {
                path: path.into(),
                mode,
                ..Item::default()
            };
            let mut out = Vec::new();
            item.encode(&mut out);
            out
        };
        // More than there is memory for.
        let count = 120_000_u32;
        for number in 0..count {
            let path = format!("{number}/{}", "x".repeat(60));
            let [old, new] = [number, number + number % 3].map(|mode| encoded(&path, mode));
            let (old, new) = (decode(&old), decode(&new));
            let there = (number % 5 != 0).then_some(&old);
            masters
                .keep(path.as_bytes(), there, Some(&new))
                .expect("room");
        }
        let again = encoded("again", 7);
        for path in ["again", "again", "other"] {
            let item = (path == "again").then(|| decode(&again));
            masters
                .keep(path.as_bytes(), item.as_ref(), None)
                .expect("room");
        }
        let mode = |item: Option<Encoded>| item.map(|item| decode(&item).mode);
        for number in (0..count).step_by(997) {
            let path = format!("{number}/{}", "x".repeat(60));
            let pair = masters.get(path.as_bytes()).expect("room").expect("kept");
            assert_eq!(mode(pair.old), (number % 5 != 0).then_some(number));
            assert_eq!(mode(pair.new), Some(number + number % 3));
        }
        let pair = masters.get(b"again").expect("room").expect("kept");
        assert_eq!((mode(pair.old), mode(pair.new)), (Some(7), None));
        assert!(masters.get(b"never").expect("room").is_none());
    }
}
