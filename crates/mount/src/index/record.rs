//! What an index keeps of one node: 64 bytes. Layout: docs/format.md, "Path index".

use ironborg_archive::items::item_size;
use ironborg_format::item::ItemView;

/// Bytes of a record.
pub(super) const RECORD_LEN: usize = 64;
/// Number of a node or owner that is none.
pub(super) const NONE: u32 = u32::MAX;
/// Place of an item that is none.
pub(super) const NO_PLACE: u64 = u64::MAX;

const TYPE_BITS: u32 = 0o170_000;
const DIRECTORY: u16 = 0o040_000;

/// Bits of [`Record::flags`].
pub(super) mod flag {
    /// Another name of the node [`super::Record::value`] says; everything but name and parent is to be found there.
    pub(in super::super) const LINK: u16 = 1;
    /// A repair replaced chunks.
    pub(in super::super) const DAMAGED: u16 = 2;
    /// There are extended attributes.
    pub(in super::super) const XATTRS: u16 = 4;
    /// There are POSIX ACLs.
    pub(in super::super) const ACLS: u16 = 8;
    /// Another item has the content.
    pub(in super::super) const CONTENT: u16 = 16;
}

/// One node, or one more name of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) mtime: i64,
    pub(super) atime: i64,
    pub(super) ctime: i64,
    /// Where its item is; [`NO_PLACE`]: none describes it.
    pub(super) place: u64,
    /// Of a file its size, of a device its number, of a link the node; of a directory, once the index is finished, where
    /// its names begin in the list of names, and how many there are ([`Record::listed`]).
    pub(super) value: u64,
    /// Where its name is among the names.
    pub(super) name: NamePlace,
    pub(super) parent: u32,
    pub(super) owner: u32,
    pub(super) nlink: u32,
    pub(super) mode: u16,
    pub(super) flags: u16,
}

/// Offset and length of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NamePlace {
    pub(super) offset: u64,
    pub(super) len: u16,
}

impl Record {
    /// A directory that no item describes.
    pub(super) fn made_up() -> Self {
        Self {
            mtime: 0,
            atime: 0,
            ctime: 0,
            place: NO_PLACE,
            value: 0,
            name: NamePlace::default(),
            parent: 0,
            owner: NONE,
            nlink: 1,
            mode: DIRECTORY | 0o755,
            flags: 0,
        }
    }

    /// One more name of a node.
    pub(super) fn link_to(node: u32) -> Self {
        Self {
            value: u64::from(node),
            mode: 0,
            flags: flag::LINK,
            ..Self::made_up()
        }
    }

    /// What an item says; name and parent are still to be filled in.
    pub(super) fn of_item(item: &ItemView<'_>, place: u64, owner: u32) -> Self {
        let mtime = item.mtime.unwrap_or(0);
        let bit = |is_set: bool, bit: u16| if is_set { bit } else { 0 };
        let has_acls = item.acl_access.is_some() || item.acl_default.is_some();
        let has_xattrs = item.xattrs.is_some_and(|list| !list.is_empty());
        Self {
            mtime,
            atime: item.atime.unwrap_or(mtime),
            ctime: item.ctime.unwrap_or(mtime),
            place,
            value: match item.mode & TYPE_BITS {
                0o040_000 => 0,
                0o020_000 | 0o060_000 => item.rdev.unwrap_or(0),
                _ => item_size(item),
            },
            name: NamePlace::default(),
            parent: 0,
            owner,
            nlink: 1,
            // The kernel has no more bits for it.
            mode: u16::try_from(item.mode & 0xffff).expect("it was cut to 16 bits"),
            flags: bit(item.chunks_healthy.is_some(), flag::DAMAGED)
                | bit(has_xattrs, flag::XATTRS)
                | bit(has_acls, flag::ACLS),
        }
    }

    pub(super) fn is_link(&self) -> bool {
        self.flags & flag::LINK != 0
    }

    pub(super) fn is_directory(&self) -> bool {
        !self.is_link() && u32::from(self.mode) & TYPE_BITS == u32::from(DIRECTORY)
    }

    pub(super) fn is_device(&self) -> bool {
        matches!(u32::from(self.mode) & TYPE_BITS, 0o020_000 | 0o060_000)
    }

    /// The node this is one more name of. A number that is none leads nowhere later.
    pub(super) fn target(&self) -> u32 {
        u32::try_from(self.value).unwrap_or(NONE)
    }

    /// Where a directory's names begin, and how many there are.
    pub(super) fn listed(&self) -> (u32, u32) {
        let high = u32::try_from(self.value >> 32).expect("32 bits are left");
        let low = u32::try_from(self.value & u64::from(u32::MAX)).expect("32 bits are left");
        (high, low)
    }

    pub(super) fn set_listed(&mut self, begin: u32, count: u32) {
        self.value = u64::from(begin) << 32 | u64::from(count);
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..8].copy_from_slice(&self.mtime.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.atime.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ctime.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.place.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.value.to_le_bytes());
        let name = self.name.offset << 16 | u64::from(self.name.len);
        bytes[40..48].copy_from_slice(&name.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.parent.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.owner.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.nlink.to_le_bytes());
        bytes[60..62].copy_from_slice(&self.mode.to_le_bytes());
        bytes[62..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; RECORD_LEN]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("inside"));
        let u32_at = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("inside"));
        let u16_at = |at: usize| u16::from_le_bytes(*bytes[at..].first_chunk().expect("inside"));
        let name = u64_at(40);
        Self {
            mtime: u64_at(0).cast_signed(),
            atime: u64_at(8).cast_signed(),
            ctime: u64_at(16).cast_signed(),
            place: u64_at(24),
            value: u64_at(32),
            name: NamePlace {
                offset: name >> 16,
                len: u16_at(40),
            },
            parent: u32_at(48),
            owner: u32_at(52),
            nlink: u32_at(56),
            mode: u16_at(60),
            flags: u16_at(62),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            mtime: -1,
            atime: i64::MAX,
            ctime: i64::MIN,
            place: 7 << 32 | 9,
            value: u64::MAX - 5,
            name: NamePlace {
                offset: (1 << 48) - 1,
                len: 1024,
            },
            parent: 4_000_000_000,
            owner: 17,
            nlink: 3,
            mode: 0o100_644,
            flags: flag::CONTENT | flag::XATTRS,
        };
        assert_eq!(Record::from_bytes(&record.to_bytes()), record);
        let mut directory = Record::made_up();
        directory.set_listed(u32::MAX, 12);
        let directory = Record::from_bytes(&directory.to_bytes());
        assert_eq!(directory.listed(), (u32::MAX, 12));
        assert!(directory.is_directory());
        assert!(!Record::link_to(3).is_directory());
        assert_eq!(Record::link_to(3).target(), 3);
    }
}
