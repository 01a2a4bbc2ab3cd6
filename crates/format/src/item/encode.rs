//! Writes items, byte for byte as Borg does: keys sorted, smallest encodings, old raws.

use super::{ChunkEntry, Item, OwnerName, Xattr};
use crate::msgpack::{
    push_array_len, push_bigint, push_bool, push_int, push_map_len, push_nil, push_raw, push_uint,
};

impl Item {
    /// Appends the encoded item.
    ///
    /// # Panics
    /// If it has 2^32 chunks or more.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = EntryWriter::new(self, out);
        writer.raw("acl_access", self.acl_access.as_deref());
        writer.raw("acl_default", self.acl_default.as_deref());
        writer.raw("acl_extended", self.acl_extended.as_deref());
        writer.raw("acl_nfs4", self.acl_nfs4.as_deref());
        writer.time("atime", self.atime);
        writer.time("birthtime", self.birthtime);
        writer.uint("bsdflags", self.bsdflags);
        writer.entry("chunks", self.chunks.as_deref(), push_chunks);
        writer.entry(
            "chunks_healthy",
            self.chunks_healthy.as_deref(),
            push_chunks,
        );
        writer.time("ctime", self.ctime);
        writer.entry("gid", self.gid, push_int);
        writer.owner("group", &self.group);
        writer.entry("hardlink_master", self.hardlink_master, push_bool);
        writer.uint("mode", Some(u64::from(self.mode)));
        writer.time("mtime", self.mtime);
        writer.uint("part", self.part);
        writer.raw("path", Some(&self.path));
        writer.uint("rdev", self.rdev);
        writer.uint("size", self.size);
        writer.raw("source", self.source.as_deref());
        writer.entry("uid", self.uid, push_int);
        writer.owner("user", &self.user);
        writer.entry("xattrs", self.xattrs.as_deref(), push_xattrs);
        writer.finish();
    }

    fn known_entry_count(&self) -> usize {
        let optional = [
            self.acl_access.is_some(),
            self.acl_default.is_some(),
            self.acl_extended.is_some(),
            self.acl_nfs4.is_some(),
            self.atime.is_some(),
            self.birthtime.is_some(),
            self.bsdflags.is_some(),
            self.chunks.is_some(),
            self.chunks_healthy.is_some(),
            self.ctime.is_some(),
            self.gid.is_some(),
            self.group != OwnerName::Absent,
            self.hardlink_master.is_some(),
            self.mtime.is_some(),
            self.part.is_some(),
            self.rdev.is_some(),
            self.size.is_some(),
            self.source.is_some(),
            self.uid.is_some(),
            self.user != OwnerName::Absent,
            self.xattrs.is_some(),
        ];
        2 + optional.into_iter().map(usize::from).sum::<usize>()
    }

    /// The stored form of a time that was clamped when it was read, unless the field was changed since.
    fn exact_time(&self, key: &str, time: i64) -> Option<&[u8]> {
        if time != i64::MIN && time != i64::MAX {
            return None;
        }
        let exact = self.unknown.iter().find(|(k, _)| k == key.as_bytes())?;
        Some(&exact.1)
    }
}

/// Writes the known entries of an item in key order and the unknown ones between them.
struct EntryWriter<'a> {
    item: &'a Item,
    out: &'a mut Vec<u8>,
    /// Unknown entries still to be written, sorted by key; almost always empty.
    unknown: std::iter::Peekable<std::vec::IntoIter<(&'a [u8], &'a [u8])>>,
}

impl<'a> EntryWriter<'a> {
    fn new(item: &'a Item, out: &'a mut Vec<u8>) -> Self {
        let mut unknown: Vec<_> = item
            .unknown
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
            .filter(|(key, _)| {
                !super::ITEM_KEYS
                    .iter()
                    .any(|known| known.as_bytes() == *key)
            })
            .collect();
        unknown.sort_by_key(|(key, _)| *key);
        unknown.dedup_by_key(|(key, _)| *key);
        push_map_len(out, item.known_entry_count() + unknown.len());
        Self {
            item,
            out,
            unknown: unknown.into_iter().peekable(),
        }
    }

    #[inline]
    fn entry<T>(&mut self, key: &str, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
        let Some(value) = value else { return };
        while let Some((key, value)) = self.unknown.next_if(|(k, _)| *k < key.as_bytes()) {
            push_raw(self.out, key);
            self.out.extend_from_slice(value);
        }
        push_raw(self.out, key.as_bytes());
        push(self.out, value);
    }

    #[inline]
    fn raw(&mut self, key: &str, value: Option<&[u8]>) {
        self.entry(key, value, push_raw);
    }

    #[inline]
    fn uint(&mut self, key: &str, value: Option<u64>) {
        self.entry(key, value, push_uint);
    }

    #[inline]
    fn time(&mut self, key: &str, time: Option<i64>) {
        let item = self.item;
        self.entry(key, time, |out, time| match item.exact_time(key, time) {
            Some(exact) => out.extend_from_slice(exact),
            None => push_bigint(out, i128::from(time)),
        });
    }

    #[inline]
    fn owner(&mut self, key: &str, owner: &OwnerName) {
        match owner {
            OwnerName::Absent => {}
            OwnerName::Nil => self.entry(key, Some(()), |out, ()| push_nil(out)),
            OwnerName::Name(name) => self.raw(key, Some(name)),
        }
    }

    fn finish(mut self) {
        for (key, value) in self.unknown.by_ref() {
            push_raw(self.out, key);
            self.out.extend_from_slice(value);
        }
    }
}

fn push_chunks(out: &mut Vec<u8>, chunks: &[ChunkEntry]) {
    /// Header of an entry, raw16 header and id, two integers of at most 5 bytes.
    const CHUNK_LEN_MAX: usize = 1 + 3 + 32 + 2 * 5;
    push_array_len(out, chunks.len());
    out.reserve(chunks.len() * CHUNK_LEN_MAX);
    for chunk in chunks {
        push_array_len(out, 3);
        push_raw(out, chunk.id.as_bytes());
        push_uint(out, u64::from(chunk.size));
        push_uint(out, u64::from(chunk.csize));
    }
}

fn push_xattrs(out: &mut Vec<u8>, xattrs: &[Xattr]) {
    push_map_len(out, xattrs.len());
    if xattrs.is_sorted_by(|a, b| a.0 <= b.0) {
        for xattr in xattrs {
            push_xattr(out, xattr);
        }
    } else {
        let mut sorted: Vec<_> = xattrs.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        for xattr in sorted {
            push_xattr(out, xattr);
        }
    }
}

fn push_xattr(out: &mut Vec<u8>, (name, value): &Xattr) {
    push_raw(out, name);
    match value {
        Some(value) => push_raw(out, value),
        None => push_nil(out),
    }
}
