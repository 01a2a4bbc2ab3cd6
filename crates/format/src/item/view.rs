//! Items that borrow from the bytes they were decoded from.

use ironborg_types::ChunkId;

use super::{ChunkEntry, Item, ItemError, OwnerName};
use crate::metadata_error::{Document, invalid, malformed};
use crate::msgpack::read::bigint_from_raw;
use crate::msgpack::{Kind, MsgpackError, Reader};

/// One item, decoded without copying. The fields are those of [`Item`].
#[derive(Debug, Clone, Default)]
pub struct ItemView<'a> {
    /// See [`Item::path`].
    pub path: &'a [u8],
    /// See [`Item::mode`].
    pub mode: u32,
    /// See [`Item::uid`].
    pub uid: Option<i64>,
    /// See [`Item::gid`].
    pub gid: Option<i64>,
    /// See [`Item::user`].
    pub user: OwnerName<&'a [u8]>,
    /// See [`Item::group`].
    pub group: OwnerName<&'a [u8]>,
    /// See [`Item::mtime`].
    pub mtime: Option<i64>,
    /// See [`Item::atime`].
    pub atime: Option<i64>,
    /// See [`Item::ctime`].
    pub ctime: Option<i64>,
    /// See [`Item::birthtime`].
    pub birthtime: Option<i64>,
    /// See [`Item::source`].
    pub source: Option<&'a [u8]>,
    /// See [`Item::hardlink_master`].
    pub hardlink_master: Option<bool>,
    /// See [`Item::rdev`].
    pub rdev: Option<u64>,
    /// See [`Item::chunks`].
    pub chunks: Option<ChunkList<'a>>,
    /// See [`Item::chunks_healthy`].
    pub chunks_healthy: Option<ChunkList<'a>>,
    /// See [`Item::size`].
    pub size: Option<u64>,
    /// See [`Item::bsdflags`].
    pub bsdflags: Option<u64>,
    /// See [`Item::xattrs`].
    pub xattrs: Option<XattrList<'a>>,
    /// See [`Item::acl_access`].
    pub acl_access: Option<&'a [u8]>,
    /// See [`Item::acl_default`].
    pub acl_default: Option<&'a [u8]>,
    /// See [`Item::acl_extended`].
    pub acl_extended: Option<&'a [u8]>,
    /// See [`Item::acl_nfs4`].
    pub acl_nfs4: Option<&'a [u8]>,
    /// See [`Item::part`].
    pub part: Option<u64>,
    /// See [`Item::unknown`].
    pub unknown: Vec<(&'a [u8], &'a [u8])>,
    /// The bytes all of this was decoded from. Equal ones are equal items.
    pub encoded: &'a [u8],
}

/// A list of chunks that was checked when the item was decoded and is read while iterating.
#[derive(Debug, Clone, Copy)]
pub struct ChunkList<'a> {
    len: usize,
    reader: Reader<'a>,
}

/// Extended attributes that were checked when the item was decoded and are read while iterating.
#[derive(Debug, Clone, Copy)]
pub struct XattrList<'a> {
    len: usize,
    reader: Reader<'a>,
}

impl<'a> ItemView<'a> {
    /// Decodes the item at the reader's position. Of several equal keys the last one counts, as in Python.
    ///
    /// # Errors
    /// As [`Item::decode`]; [`MsgpackError::Truncated`] inside may mean that more bytes are needed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, ItemError> {
        let mut item = Self::default();
        let start = reader.rest();
        let mut path = None;
        let mut mode = None;
        let mut odd_device = None;
        let entry_count = reader.read_map_len().map_err(malformed(Document::Item))?;
        for _ in 0..entry_count {
            let key = reader.read_raw().map_err(malformed(Document::Item))?;
            match key {
                b"path" => path = Some(field(reader, "path", Reader::read_raw)?),
                b"mode" => mode = Some(field(reader, "mode", Reader::read_u32)?),
                b"rdev" => (item.rdev, odd_device) = read_device(reader)?,
                _ => item.decode_entry(key, reader)?,
            }
        }
        item.path = path.ok_or(missing("path"))?;
        item.mode = mode.ok_or(missing("mode"))?;
        if let Some(error) = odd_device
            && matches!(item.mode & 0o170_000, 0o020_000 | 0o060_000)
        {
            return Err(error);
        }
        item.encoded = &start[..start.len() - reader.remaining()];
        Ok(item)
    }

    fn decode_entry(&mut self, key: &'a [u8], reader: &mut Reader<'a>) -> Result<(), ItemError> {
        match key {
            b"uid" => self.uid = Some(field(reader, "uid", Reader::read_i64)?),
            b"gid" => self.gid = Some(field(reader, "gid", Reader::read_i64)?),
            b"user" => self.user = field(reader, "user", read_owner)?,
            b"group" => self.group = field(reader, "group", read_owner)?,
            b"mtime" => self.mtime = Some(self.read_time(reader, "mtime")?),
            b"atime" => self.atime = Some(self.read_time(reader, "atime")?),
            b"ctime" => self.ctime = self.read_change_time(reader)?,
            b"birthtime" => self.birthtime = Some(self.read_time(reader, "birthtime")?),
            b"source" => self.source = Some(field(reader, "source", Reader::read_raw)?),
            b"hardlink_master" => {
                self.hardlink_master = Some(field(reader, "hardlink_master", read_truth)?);
            }
            b"chunks" => self.chunks = Some(field(reader, "chunks", ChunkList::read)?),
            b"chunks_healthy" => {
                self.chunks_healthy = Some(field(reader, "chunks_healthy", ChunkList::read)?);
            }
            b"size" => self.size = Some(field(reader, "size", Reader::read_u64)?),
            b"bsdflags" => self.bsdflags = Some(field(reader, "bsdflags", read_number)?),
            b"xattrs" => self.xattrs = Some(field(reader, "xattrs", XattrList::read)?),
            b"acl_access" => self.acl_access = field(reader, "acl_access", read_acl)?,
            b"acl_default" => self.acl_default = field(reader, "acl_default", read_acl)?,
            b"acl_extended" => self.acl_extended = field(reader, "acl_extended", read_foreign_acl)?,
            b"acl_nfs4" => self.acl_nfs4 = field(reader, "acl_nfs4", read_foreign_acl)?,
            b"part" => self.part = Some(field(reader, "part", read_part)?),
            _ => self.keep_unknown(key, reader)?,
        }
        Ok(())
    }

    fn keep_unknown(&mut self, key: &'a [u8], reader: &mut Reader<'a>) -> Result<(), ItemError> {
        if std::str::from_utf8(key).is_err() {
            return Err(ItemError::KeyNotText {
                document: Document::Item,
            });
        }
        let value = reader.skip_value().map_err(malformed(Document::Item))?;
        self.replace_unknown(key, value);
        Ok(())
    }

    /// Remembers the encoded value of a key; an earlier one of the same key is forgotten.
    fn replace_unknown(&mut self, key: &'a [u8], value: &'a [u8]) {
        self.forget_unknown(key);
        self.unknown.push((key, value));
    }

    #[inline]
    fn forget_unknown(&mut self, key: &[u8]) {
        self.unknown.retain(|(known, _)| *known != key);
    }

    /// Reads a time and clamps it to 64 bits; the stored form of a clamped one goes to `unknown`.
    #[inline]
    fn read_time(&mut self, reader: &mut Reader<'a>, key: &'static str) -> Result<i64, ItemError> {
        // What an earlier entry of the same key left behind.
        self.forget_unknown(key.as_bytes());
        let start = *reader;
        if reader.peek() == Ok(Kind::Int)
            && let Ok(time) = reader.read_i64()
        {
            return Ok(time);
        }
        *reader = start;
        self.read_wide_time(reader, key)
    }

    /// The time of the last change cannot be restored: what is none is as if it were not there.
    #[inline]
    fn read_change_time(&mut self, reader: &mut Reader<'a>) -> Result<Option<i64>, ItemError> {
        let start = *reader;
        self.read_time(reader, "ctime").map(Some).or_else(|_| {
            *reader = start;
            field(reader, "ctime", Reader::skip_value).map(|_| None)
        })
    }

    #[cold]
    fn read_wide_time(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
    ) -> Result<i64, ItemError> {
        let mut value = *reader;
        let stored = reader.skip_value().map_err(invalid(Document::Item, key))?;
        let wide = if value.peek() == Ok(Kind::Raw) {
            let raw = value.read_raw().map_err(invalid(Document::Item, key))?;
            let beyond = if raw.last().is_some_and(|&top| top >= 0x80) {
                i128::MIN
            } else {
                i128::MAX
            };
            bigint_from_raw(raw).unwrap_or(beyond)
        } else {
            i128::from(field(&mut value, key, read_number)?)
        };
        if let Ok(time) = i64::try_from(wide) {
            return Ok(time);
        }
        self.replace_unknown(key.as_bytes(), stored);
        Ok(if wide < 0 { i64::MIN } else { i64::MAX })
    }

    /// Copies the item.
    pub fn to_item(&self) -> Item {
        let mut item = Item::default();
        self.copy_into(&mut item);
        item
    }

    /// Copies into an item that may hold another one; the memory of its buffers is used again.
    pub fn copy_into(&self, item: &mut Item) {
        item.path.0.clear();
        item.path.0.extend_from_slice(self.path);
        item.mode = self.mode;
        item.uid = self.uid;
        item.gid = self.gid;
        copy_owner(&mut item.user, &self.user);
        copy_owner(&mut item.group, &self.group);
        item.mtime = self.mtime;
        item.atime = self.atime;
        item.ctime = self.ctime;
        item.birthtime = self.birthtime;
        copy_raw(&mut item.source, self.source);
        item.hardlink_master = self.hardlink_master;
        item.rdev = self.rdev;
        copy_chunks(&mut item.chunks, self.chunks);
        copy_chunks(&mut item.chunks_healthy, self.chunks_healthy);
        item.size = self.size;
        item.bsdflags = self.bsdflags;
        item.xattrs = self.xattrs.map(|list| {
            list.iter()
                .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)))
                .collect()
        });
        copy_raw(&mut item.acl_access, self.acl_access);
        copy_raw(&mut item.acl_default, self.acl_default);
        copy_raw(&mut item.acl_extended, self.acl_extended);
        copy_raw(&mut item.acl_nfs4, self.acl_nfs4);
        item.part = self.part;
        item.unknown.clear();
        let owned = |(key, value): &(&[u8], &[u8])| (key.to_vec(), value.to_vec());
        item.unknown.extend(self.unknown.iter().map(owned));
    }
}

#[inline]
fn field<'a, T>(
    reader: &mut Reader<'a>,
    key: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, MsgpackError>,
) -> Result<T, ItemError> {
    read(reader).map_err(invalid(Document::Item, key))
}

fn missing(key: &'static str) -> ItemError {
    ItemError::MissingKey {
        document: Document::Item,
        key,
    }
}

#[inline]
fn read_owner<'a>(reader: &mut Reader<'a>) -> Result<OwnerName<&'a [u8]>, MsgpackError> {
    if reader.read_nil_if_next() {
        Ok(OwnerName::Nil)
    } else {
        reader.read_raw().map(OwnerName::Name)
    }
}

/// A number; a truth is 0 or 1, as in Python.
fn read_number(reader: &mut Reader<'_>) -> Result<u64, MsgpackError> {
    if reader.peek()? == Kind::Bool {
        return reader.read_bool().map(u64::from);
    }
    reader.read_u64()
}

/// The number of a device, or what is wrong with it, which matters only if the item is a device.
fn read_device(reader: &mut Reader<'_>) -> Result<(Option<u64>, Option<ItemError>), ItemError> {
    let start = *reader;
    field(reader, "rdev", read_number)
        .map(|number| (Some(number), None))
        .or_else(|error| {
            *reader = start;
            field(reader, "rdev", Reader::skip_value).map(|_| (None, Some(error)))
        })
}

/// Stock Borg takes any value for a truth, as Python does.
fn read_truth(reader: &mut Reader<'_>) -> Result<bool, MsgpackError> {
    if reader.peek()? == Kind::Bool {
        return reader.read_bool();
    }
    // Nil, zero, and text, list and map without anything in them.
    let is_false = |encoded: &[u8]| matches!(encoded, [0xc0 | 0x00 | 0xa0 | 0x90 | 0x80]);
    reader.skip_value().map(|encoded| !is_false(encoded))
}

/// An ACL; nil is none.
fn read_acl<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, MsgpackError> {
    if reader.read_nil_if_next() {
        return Ok(None);
    }
    reader.read_raw().map(Some)
}

/// An ACL of another system, which nothing looks at here: what is not even text is none.
fn read_foreign_acl<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, MsgpackError> {
    if reader.peek()? == Kind::Raw {
        return reader.read_raw().map(Some);
    }
    reader.skip_value().map(|_| None)
}

/// The number of a part. That the key is there makes it one, whatever its value.
fn read_part(reader: &mut Reader<'_>) -> Result<u64, MsgpackError> {
    let start = *reader;
    if let Ok(number) = reader.read_u64() {
        return Ok(number);
    }
    *reader = start;
    reader.skip_value().map(|_| 0)
}

fn copy_owner(to: &mut OwnerName, from: &OwnerName<&[u8]>) {
    match (to, from) {
        (OwnerName::Name(to), OwnerName::Name(from)) => {
            to.clear();
            to.extend_from_slice(from);
        }
        (to, OwnerName::Name(from)) => *to = OwnerName::Name(from.to_vec()),
        (to, OwnerName::Nil) => *to = OwnerName::Nil,
        (to, OwnerName::Absent) => *to = OwnerName::Absent,
    }
}

fn copy_raw(to: &mut Option<Vec<u8>>, from: Option<&[u8]>) {
    match (to, from) {
        (Some(to), Some(from)) => {
            to.clear();
            to.extend_from_slice(from);
        }
        (to, from) => *to = from.map(<[u8]>::to_vec),
    }
}

fn copy_chunks(to: &mut Option<Vec<ChunkEntry>>, from: Option<ChunkList<'_>>) {
    match (to, from) {
        (Some(to), Some(from)) => {
            to.clear();
            to.extend(&from);
        }
        (to, from) => *to = from.map(|list| list.iter().collect()),
    }
}

impl<'a> ChunkList<'a> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes through them.
    pub const fn iter(&self) -> ChunkIter<'a> {
        ChunkIter(*self)
    }

    /// Reads and checks a list.
    fn read(reader: &mut Reader<'a>) -> Result<Self, MsgpackError> {
        let len = reader.read_array_len()?;
        let list = Self {
            len,
            reader: *reader,
        };
        for _ in 0..len {
            read_chunk(reader)?;
        }
        Ok(list)
    }
}

#[inline]
fn read_chunk(reader: &mut Reader<'_>) -> Result<ChunkEntry, MsgpackError> {
    match reader.read_array_len()? {
        3 => {}
        _ => return Err(MsgpackError::IntegerRange),
    }
    Ok(ChunkEntry {
        id: ChunkId(*reader.read_raw_array()?),
        size: reader.read_u32()?,
        csize: reader.read_u32()?,
    })
}

impl<'a> IntoIterator for &ChunkList<'a> {
    type Item = ChunkEntry;
    type IntoIter = ChunkIter<'a>;

    fn into_iter(self) -> ChunkIter<'a> {
        self.iter()
    }
}

/// The chunks of a [`ChunkList`].
#[derive(Debug, Clone)]
pub struct ChunkIter<'a>(ChunkList<'a>);

impl Iterator for ChunkIter<'_> {
    type Item = ChunkEntry;

    #[inline]
    fn next(&mut self) -> Option<ChunkEntry> {
        self.0.len = self.0.len.checked_sub(1)?;
        Some(read_chunk(&mut self.0.reader).expect("checked when its item was decoded"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len, Some(self.0.len))
    }
}

impl ExactSizeIterator for ChunkIter<'_> {}

impl<'a> XattrList<'a> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes through them.
    pub const fn iter(&self) -> XattrIter<'a> {
        XattrIter(*self)
    }

    /// Reads and checks a map of attributes.
    fn read(reader: &mut Reader<'a>) -> Result<Self, MsgpackError> {
        let len = reader.read_map_len()?;
        let list = Self {
            len,
            reader: *reader,
        };
        for _ in 0..len {
            read_xattr(reader)?;
        }
        Ok(list)
    }
}

#[inline]
fn read_xattr<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), MsgpackError> {
    let name = reader.read_raw()?;
    if reader.read_nil_if_next() {
        Ok((name, None))
    } else {
        Ok((name, Some(reader.read_raw()?)))
    }
}

impl<'a> IntoIterator for &XattrList<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = XattrIter<'a>;

    fn into_iter(self) -> XattrIter<'a> {
        self.iter()
    }
}

/// The attributes of a [`XattrList`]: names and values.
#[derive(Debug, Clone)]
pub struct XattrIter<'a>(XattrList<'a>);

impl<'a> Iterator for XattrIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.len = self.0.len.checked_sub(1)?;
        Some(read_xattr(&mut self.0.reader).expect("checked when its item was decoded"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len, Some(self.0.len))
    }
}

impl ExactSizeIterator for XattrIter<'_> {}
