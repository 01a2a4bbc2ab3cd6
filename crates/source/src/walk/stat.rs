//! What `stat` says about a file, flags included.

use rustix::fs::{Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev};

/// Type bits of a mode.
const S_IFMT: u32 = 0o170_000;

/// File types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Regular file.
    Regular,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Socket: never archived.
    Socket,
    /// Anything else.
    Unknown,
}

impl FileKind {
    /// The type a mode says.
    pub fn of_mode(mode: u32) -> Self {
        match mode & S_IFMT {
            0o100_000 => Self::Regular,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            0o140_000 => Self::Socket,
            _ => Self::Unknown,
        }
    }

    /// Devices and fifos: what `--read-special` reads like files.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Fifo | Self::CharDevice | Self::BlockDevice)
    }

    /// Types of which hard links are remembered.
    pub fn is_hardlinkable(self) -> bool {
        matches!(self, Self::Regular) || self.is_special()
    }
}

/// What is known of a file without opening it. Times are nanoseconds since 1970, as the system says
/// (the archive clamps them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Type and permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub ino: u64,
    /// Device the file is on, in `st_dev` encoding.
    pub dev: u64,
    /// Device the file is, in `st_rdev` encoding.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of content.
    pub mtime_ns: i64,
    /// Last change of anything.
    pub ctime_ns: i64,
    /// Last access.
    pub atime_ns: i64,
    /// Creation. Always None on Linux, where stock Borg archives none.
    pub birthtime_ns: Option<i64>,
    /// BSD flags, where the file system tells them with `stat`; None: ask
    /// [`crate::AttributeReader::flags`].
    pub(crate) flags: Option<u32>,
}

/// The fields wanted of `statx`.
pub(super) fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS
}

impl FileStat {
    pub(super) fn new(found: &Statx) -> Self {
        let mode = u32::from(found.stx_mode);
        Self {
            mode,
            nlink: found.stx_nlink,
            uid: found.stx_uid,
            gid: found.stx_gid,
            ino: found.stx_ino,
            dev: makedev(found.stx_dev_major, found.stx_dev_minor),
            rdev: makedev(found.stx_rdev_major, found.stx_rdev_minor),
            size: found.stx_size,
            mtime_ns: nanoseconds(found.stx_mtime),
            ctime_ns: nanoseconds(found.stx_ctime),
            atime_ns: nanoseconds(found.stx_atime),
            birthtime_ns: None,
            flags: flags(mode, found.stx_attributes, found.stx_attributes_mask),
        }
    }

    /// The file's type.
    pub fn kind(&self) -> FileKind {
        FileKind::of_mode(self.mode)
    }
}

fn nanoseconds(time: StatxTimestamp) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(time.tv_nsec))
}

/// BSD flags out of the attributes, if the file system reports all three of them.
///
/// ext4, XFS, btrfs, f2fs and tmpfs do. Only regular files and directories have flags as stock Borg
/// sees it, which asks an opened file: for the other types the question itself fails.
fn flags(mode: u32, attributes: StatxAttributes, reported: StatxAttributes) -> Option<u32> {
    if !matches!(
        FileKind::of_mode(mode),
        FileKind::Regular | FileKind::Directory
    ) {
        return Some(0);
    }
    let wanted = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND | StatxAttributes::NODUMP;
    if !reported.contains(wanted) {
        return None;
    }
    let bit = |attribute, flag| {
        if attributes.contains(attribute) {
            flag
        } else {
            0
        }
    };
    Some(
        bit(StatxAttributes::NODUMP, crate::attributes::UF_NODUMP)
            | bit(StatxAttributes::IMMUTABLE, crate::attributes::UF_IMMUTABLE)
            | bit(StatxAttributes::APPEND, crate::attributes::UF_APPEND),
    )
}
