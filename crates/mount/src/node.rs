//! What a path index says about one file, directory, link or device.

/// Number of a node within one index: its place in the order of items. The root is [`NodeId::ROOT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The directory everything is in.
    pub const ROOT: Self = Self(0);
}

/// Bytes of a name: the kernel's limit for FUSE. Linux itself makes names of 255 at most, but other systems count
/// characters.
pub const NAME_LEN_MAX: usize = 1024;

/// Where an item begins: which of the index's metadata chunks (the upper half), and how many bytes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemPlace(pub u64);

impl ItemPlace {
    /// So many bytes into a chunk.
    pub(crate) fn new(chunk: u32, offset: u32) -> Self {
        Self(u64::from(chunk) << 32 | u64::from(offset))
    }

    /// The number of the chunk.
    pub(crate) fn chunk(self) -> u32 {
        u32::try_from(self.0 >> 32).expect("32 bits are left")
    }

    /// Bytes from the beginning of the chunk.
    pub(crate) fn offset(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).expect("32 bits are left")
    }
}

/// Number of an owner in the index's table of owners (uid, gid, user, group as items have them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(pub u32);

/// One node. A directory that no item describes (the root, a parent that was not stored) has no item: it is shown with
/// the mount's own owner, mode and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its number; for one more name of it that which was asked about is another.
    pub id: NodeId,
    /// Its item; `None` for a directory nobody stored.
    pub item: Option<ItemPlace>,
    /// The item that has the content, if that is another one (a later hard link whose first is not shown).
    pub content: Option<ItemPlace>,
    /// The directory it is in; the root is in itself.
    pub parent: NodeId,
    /// `st_mode` as stored, file type included.
    pub mode: u32,
    /// Owner as stored.
    pub owner: Option<OwnerId>,
    /// Bytes of content.
    pub size: u64,
    /// Names that lead here, as stock Borg counts them: 1, and 1 more for each further hard link that is shown.
    pub nlink: u32,
    /// Device number as stored.
    pub rdev: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    /// Access time; that of modification if none was stored.
    pub atime: i64,
    /// Inode change time; that of modification if none was stored.
    pub ctime: i64,
    /// Whether a repair had to replace chunks of it (`chunks_healthy`).
    pub damaged: bool,
    /// Whether it has extended attributes.
    pub has_xattrs: bool,
    /// Whether it has POSIX ACLs.
    pub has_acls: bool,
}
