//! Writes a map whose keys come out sorted, whatever order they were added in.

use std::borrow::Cow;

use super::write;

/// Collects the keys and encoded values of one map; for documents written once, not for items.
#[derive(Debug, Default)]
pub struct SortedMap<'a> {
    entries: Vec<(Cow<'a, [u8]>, Vec<u8>)>,
}

impl<'a> SortedMap<'a> {
    /// An empty map.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Adds a key with the value that `push_value` appends to the buffer it gets.
    pub fn insert(&mut self, key: impl Into<Cow<'a, [u8]>>, push_value: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::new();
        push_value(&mut value);
        self.entries.push((key.into(), value));
    }

    /// Adds a raw.
    pub fn insert_raw(&mut self, key: &'a str, value: &[u8]) {
        self.insert(key.as_bytes(), |out| write::push_raw(out, value));
    }

    /// Adds an unsigned integer.
    pub fn insert_uint(&mut self, key: &'a str, value: u64) {
        self.insert(key.as_bytes(), |out| write::push_uint(out, value));
    }

    /// Adds a value that is encoded already.
    pub fn insert_encoded(&mut self, key: impl Into<Cow<'a, [u8]>>, value: &[u8]) {
        self.entries.push((key.into(), value.to_vec()));
    }

    /// Appends the map to `out`. Of several equal keys the one added first is written.
    pub fn encode(mut self, out: &mut Vec<u8>) {
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.entries
            .dedup_by(|(later, _), (first, _)| later == first);
        write::push_map_len(out, self.entries.len());
        for (key, value) in &self.entries {
            write::push_raw(out, key);
            out.extend_from_slice(value);
        }
    }
}
