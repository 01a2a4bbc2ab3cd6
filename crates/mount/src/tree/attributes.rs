//! What `stat` shows.

use ironborg_source::Names;

use crate::node::Node;
use crate::options::ViewOptions;
use crate::tree::inode::Inode;

/// Type and permissions of directories nobody stored.
const DIRECTORY_MODE: u32 = 0o040_755;
/// The bits of a mode that say what kind of file it is.
pub const KIND_BITS: u32 = 0o170_000;
/// A directory.
pub const DIRECTORY: u32 = 0o040_000;
/// A regular file.
pub const REGULAR_FILE: u32 = 0o100_000;
/// A symbolic link.
pub const SYMLINK: u32 = 0o120_000;

/// What `stat` shows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Its number.
    pub inode: Inode,
    /// Type and permissions.
    pub mode: u32,
    /// Names that lead to it.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number, as the kernel encodes it; what is more than 32 bits is cut off.
    pub rdev: u32,
    /// Bytes of content.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    /// Access time.
    pub atime: i64,
    /// Inode change time.
    pub ctime: i64,
    /// For how long that may be believed.
    pub lasts: Lasts,
}

/// For how long something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// As long as it is mounted: archives never change.
    Forever,
    /// Archives and repositories come and go.
    Briefly,
}

/// Who owns something, after names were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownOwner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// An owner as items have it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredOwner<'a> {
    /// The user's number.
    pub uid: Option<i64>,
    /// The group's number.
    pub gid: Option<i64>,
    /// The user's name.
    pub user: Option<&'a [u8]>,
    /// The group's name.
    pub group: Option<&'a [u8]>,
}

/// How attributes are made of what is stored: the part of the options that is about it.
#[derive(Debug)]
pub struct Look {
    uid_forced: Option<u32>,
    gid_forced: Option<u32>,
    uid_default: u32,
    gid_default: u32,
    numeric_ids: bool,
    umask: u32,
    mounted_at: i64,
    names: Names,
}

impl Look {
    /// `mounted_at`: the time of directories nobody stored, in nanoseconds since 1970.
    pub fn new(view: &ViewOptions, mounted_at: i64) -> Self {
        Self {
            uid_forced: view.words.forced_uid(),
            gid_forced: view.words.forced_gid(),
            uid_default: view.default_owner.uid,
            gid_default: view.default_owner.gid,
            numeric_ids: view.numeric_ids,
            umask: view.words.umask,
            mounted_at,
            names: Names::new(),
        }
    }

    /// Users and groups by name.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether owners are numbers whatever the names.
    pub fn numeric_ids(&self) -> bool {
        self.numeric_ids
    }

    /// Who owns what is stored as this owner's. Source: Borg 1.4, `get_item_uid_gid`.
    pub fn owner(&self, stored: &StoredOwner<'_>) -> ShownOwner {
        let by_name = |name: Option<&[u8]>, find: &dyn Fn(&[u8]) -> Option<u32>| {
            name.filter(|_| !self.numeric_ids).and_then(find)
        };
        // A number below 0 is nobody's.
        let number = |stored: Option<i64>| stored.and_then(|number| u32::try_from(number).ok());
        let uid = || {
            by_name(stored.user, &|name| self.names.user_id(name))
                .or_else(|| number(stored.uid))
                .unwrap_or(self.uid_default)
        };
        let gid = || {
            by_name(stored.group, &|name| self.names.group_id(name))
                .or_else(|| number(stored.gid))
                .unwrap_or(self.gid_default)
        };
        ShownOwner {
            uid: self.uid_forced.unwrap_or_else(uid),
            gid: self.gid_forced.unwrap_or_else(gid),
        }
    }

    /// A directory nobody stored; without a time, that of the mount.
    pub fn directory(&self, inode: Inode, mtime: Option<i64>, lasts: Lasts) -> Attributes {
        let time = mtime.unwrap_or(self.mounted_at);
        Attributes {
            inode,
            mode: DIRECTORY_MODE & !self.umask,
            nlink: 1,
            uid: self.uid_forced.unwrap_or(self.uid_default),
            gid: self.gid_forced.unwrap_or(self.gid_default),
            rdev: 0,
            size: 0,
            mtime: time,
            atime: time,
            ctime: time,
            lasts,
        }
    }

    /// A node that an item describes.
    pub fn node(&self, inode: Inode, node: &Node, owner: ShownOwner) -> Attributes {
        Attributes {
            inode,
            mode: node.mode & !self.umask,
            nlink: node.nlink,
            uid: owner.uid,
            gid: owner.gid,
            rdev: u32::try_from(node.rdev & u64::from(u32::MAX)).expect("it was cut to 32 bits"),
            size: node.size,
            mtime: node.mtime,
            atime: node.atime,
            ctime: node.ctime,
            lasts: Lasts::Forever,
        }
    }
}

impl Attributes {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & KIND_BITS == DIRECTORY
    }
}

#[cfg(test)]
mod tests {
    use ironborg_archive::items::PartFiles;
    use ironborg_archive::selection::ArchiveSelection;

    use super::*;
    use crate::options::{MountOwner, MountWords};

    fn look(words: &str, numeric_ids: bool) -> Look {
        let view = ViewOptions {
            rules: Vec::new(),
            paths: Vec::new(),
            strip_components: 0,
            parts: PartFiles::Skip,
            selection: ArchiveSelection::default(),
            numeric_ids,
            default_owner: MountOwner { uid: 70, gid: 80 },
            words: MountWords::parse(Some(words)).unwrap(),
        };
        Look::new(&view, 5)
    }

    #[test]
    fn a_name_that_is_known_here_counts_more_than_the_number() {
        let stored = StoredOwner {
            uid: Some(7),
            gid: Some(8),
            user: Some(b"root"),
            group: Some(b"no such group anywhere"),
        };
        let nobody = StoredOwner {
            uid: Some(-1),
            gid: None,
            ..StoredOwner::default()
        };
        for (words, numeric_ids, of, expected) in [
            ("", false, &stored, (0, 8)),
            ("", true, &stored, (7, 8)),
            ("uid=1", false, &stored, (1, 8)),
            ("uid=1,gid=2", true, &nobody, (1, 2)),
            ("", false, &nobody, (70, 80)),
        ] {
            let owner = look(words, numeric_ids).owner(of);
            assert_eq!(
                (owner.uid, owner.gid),
                expected,
                "{words} {numeric_ids} {of:?}"
            );
        }
    }

    #[test]
    fn a_directory_nobody_stored_is_the_mounting_users() {
        let shown = look("umask=027,gid=3", false).directory(Inode::ROOT, None, Lasts::Briefly);
        assert_eq!(shown.mode, 0o040_750);
        assert_eq!((shown.uid, shown.gid, shown.nlink), (70, 3, 1));
        assert_eq!((shown.mtime, shown.atime, shown.ctime), (5, 5, 5));
        assert!(shown.is_directory());
    }
}
