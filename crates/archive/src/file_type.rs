//! File types as `st_mode` tells them.

/// The file type bits of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileType {
    Regular,
    Directory,
    Symlink,
    Fifo,
    CharDevice,
    BlockDevice,
    /// Sockets and what no system has.
    Other,
}

impl FileType {
    /// The type an item's mode tells. The values are those of every Unix.
    pub(crate) fn of(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::Regular,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            _ => Self::Other,
        }
    }

    /// Whether several names may share one such file.
    pub(crate) fn is_hardlinkable(self) -> bool {
        matches!(
            self,
            Self::Regular | Self::Fifo | Self::CharDevice | Self::BlockDevice
        )
    }
}
