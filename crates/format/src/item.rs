//! Items: one file, directory, link or device of an archive.
//!
//! [`Item`] owns its fields and is what `create` fills in; [`ItemView`] borrows them from the decoder's
//! buffer, for listing. [`ItemDecoder`] takes the item stream chunk by chunk. What the fields mean to a
//! file system is left to others. Layout: docs/format.md, "Items".

pub mod encode;
pub mod stream;
pub mod view;

use ironborg_types::{BytePath, ChunkId};

pub use crate::metadata_error::MetadataError as ItemError;
use crate::msgpack::Reader;
pub use stream::{ITEM_LEN_MAX, ItemDecoder};
pub use view::{ChunkIter, ChunkList, ItemView, XattrIter, XattrList};

/// The keys an item of Borg 1.4.5 may have, sorted; what a manifest lists as `item_keys`.
pub const ITEM_KEYS: [&str; 23] = [
    "acl_access",
    "acl_default",
    "acl_extended",
    "acl_nfs4",
    "atime",
    "birthtime",
    "bsdflags",
    "chunks",
    "chunks_healthy",
    "ctime",
    "gid",
    "group",
    "hardlink_master",
    "mode",
    "mtime",
    "part",
    "path",
    "rdev",
    "size",
    "source",
    "uid",
    "user",
    "xattrs",
];

/// One chunk of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkEntry {
    /// Id of the chunk's object.
    pub id: ChunkId,
    /// Bytes of plaintext.
    pub size: u32,
    /// Bytes of the stored object, envelope included.
    pub csize: u32,
}

/// One extended attribute: name and value; a value of `None` was stored as nil and is empty.
pub type Xattr = (Vec<u8>, Option<Vec<u8>>);

/// A user or group name as an item has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum OwnerName<B = Vec<u8>> {
    /// The item has no such key.
    #[default]
    Absent,
    /// Nil: the name was unknown, or numeric ids were asked for.
    Nil,
    /// The name.
    Name(B),
}

impl<B: AsRef<[u8]>> OwnerName<B> {
    /// The name, if there is one.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) => Some(name.as_ref()),
            Self::Absent | Self::Nil => None,
        }
    }
}

impl<'a> OwnerName<&'a [u8]> {
    /// The name, if there is one, for as long as the item's bytes live.
    pub const fn name(&self) -> Option<&'a [u8]> {
        match self {
            Self::Name(name) => Some(name),
            Self::Absent | Self::Nil => None,
        }
    }
}

/// `None` is nil: every item Borg creates has the key.
impl<B> From<Option<B>> for OwnerName<B> {
    fn from(name: Option<B>) -> Self {
        name.map_or(Self::Nil, Self::Name)
    }
}

/// One item. `None` means that the key is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Path without leading `/`; untrusted when it was read.
    pub path: BytePath,
    /// `st_mode`, file type included.
    pub mode: u32,
    /// Numeric owner. Borg always writes it.
    pub uid: Option<i64>,
    /// Numeric group. Borg always writes it.
    pub gid: Option<i64>,
    /// Owner's name. Borg always writes it, if only as nil.
    pub user: OwnerName,
    /// Group's name. Borg always writes it, if only as nil.
    pub group: OwnerName,
    /// Modification time, nanoseconds since 1970; clamped to 64 bits, see [`Item::unknown`].
    pub mtime: Option<i64>,
    /// Access time, as above.
    pub atime: Option<i64>,
    /// Inode change time, as above.
    pub ctime: Option<i64>,
    /// Creation time, as above.
    pub birthtime: Option<i64>,
    /// Target of a symlink; or the path of the first of several hard links, in the later ones.
    pub source: Option<Vec<u8>>,
    /// Whether later hard links may refer to this item; absent means that they may.
    pub hardlink_master: Option<bool>,
    /// Device number, in the encoding of the system that stored it.
    pub rdev: Option<u64>,
    /// Content, for regular files.
    pub chunks: Option<Vec<ChunkEntry>>,
    /// What the content should be, when a repair had to replace chunks.
    pub chunks_healthy: Option<Vec<ChunkEntry>>,
    /// Bytes of content.
    pub size: Option<u64>,
    /// File flags, with the values of BSD.
    pub bsdflags: Option<u64>,
    /// Extended attributes. Written sorted by name.
    pub xattrs: Option<Vec<Xattr>>,
    /// POSIX access ACL as text.
    pub acl_access: Option<Vec<u8>>,
    /// POSIX default ACL as text.
    pub acl_default: Option<Vec<u8>>,
    /// ACL of macOS as text.
    pub acl_extended: Option<Vec<u8>>,
    /// NFSv4 ACL of FreeBSD as text.
    pub acl_nfs4: Option<Vec<u8>>,
    /// Number of a part file of an interrupted backup.
    pub part: Option<u64>,
    /// Keys not among the above, each with its encoded value, in the order they were read in.
    ///
    /// A time outside of 64 bits is here too, exactly as stored, and is written again as long as its
    /// field still has the clamped value.
    pub unknown: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Item {
    /// Decodes the item at the reader's position.
    ///
    /// # Errors
    /// [`ItemError`] unless a map follows that has `path` and `mode` and a fitting value for every known key.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, ItemError> {
        Ok(ItemView::decode(reader)?.to_item())
    }

    /// As [`Item::decode`], into this item; the memory of its path and chunk list is used again.
    pub fn decode_into(&mut self, reader: &mut Reader<'_>) -> Result<(), ItemError> {
        ItemView::decode(reader)?.copy_into(self);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
