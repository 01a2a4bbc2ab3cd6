//! What has become of one item.
//!
//! Source: Borg 1.4, `ItemDiff`.

use std::collections::HashSet;

use ironborg_format::item::{ChunkList, ItemView};
use ironborg_source::walk::FileKind;
use ironborg_types::ChunkId;

use crate::items::item_size;

/// An item that is not the same in both archives.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Its path; for a hard link not that of the items below.
    pub path: &'a [u8],
    /// What there was; a hard link is stood for by what it refers to.
    pub old: Option<&'a ItemView<'a>>,
    /// What there is.
    pub new: Option<&'a ItemView<'a>>,
    /// What has changed, in the order it is shown. May be empty, or [`Change::is_none`] may hold for all: then
    /// the difference is in something that is not shown.
    pub changes: &'a [Change<'a>],
}

/// One change of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Something without content is there now.
    AddedSpecial(Special),
    /// Something without content is gone.
    RemovedSpecial(Special),
    /// A symlink leads elsewhere.
    LinkTarget,
    /// A file is there now.
    Added {
        /// Its size in bytes.
        size: u64,
    },
    /// A file is gone.
    Removed {
        /// Its size in bytes.
        size: u64,
    },
    /// A file's content was compared chunk by chunk.
    Modified {
        /// Bytes in chunks that only the new content has.
        added: u64,
        /// Bytes in chunks that only the old content had.
        removed: u64,
    },
    /// A file has changed, and its chunks tell nothing about how much.
    ModifiedSomehow,
    /// User or group.
    Owner {
        /// Names of user and group before; `None` where there was none.
        old: [Option<&'a [u8]>; 2],
        /// The same now.
        new: [Option<&'a [u8]>; 2],
    },
    /// Type or permissions.
    Mode {
        /// `st_mode` before.
        old: u32,
        /// `st_mode` now.
        new: u32,
    },
    /// A time.
    Time {
        /// Which.
        moment: Moment,
        /// Nanoseconds since 1970 before.
        old: i64,
        /// The same now.
        new: i64,
    },
}

impl Change<'_> {
    /// Whether it turned out that nothing has changed. Such a change is not shown.
    pub fn is_none(&self) -> bool {
        let none = Change::Modified {
            added: 0,
            removed: 0,
        };
        *self == none
    }
}

/// What is not a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// A symlink.
    Link,
    /// A directory.
    Directory,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharDevice,
    /// A fifo.
    Fifo,
}

/// The times that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Of the last change of the inode.
    Ctime,
    /// Of the last change of the content.
    Mtime,
}

impl Moment {
    fn of(self, item: &ItemView<'_>) -> Option<i64> {
        match self {
            Self::Ctime => item.ctime,
            Self::Mtime => item.mtime,
        }
    }

    /// Whether two items have the same time, beyond 64 bits too.
    fn is_same(self, old: &ItemView<'_>, new: &ItemView<'_>) -> bool {
        let key = match self {
            Self::Ctime => b"ctime",
            Self::Mtime => b"mtime",
        };
        let beyond = |item: &ItemView<'_>| {
            let found = item.unknown.iter().find(|(name, _)| name == key);
            found.map(|(_, stored)| stored.to_vec())
        };
        self.of(old) == self.of(new)
            && (old.unknown.is_empty() && new.unknown.is_empty() || beyond(old) == beyond(new))
    }
}

/// How items are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    /// See [`super::DiffOptions::same_chunker_params`].
    pub(super) same_chunker_params: bool,
    /// See [`super::DiffOptions::content_only`].
    pub(super) content_only: bool,
}

/// Whether two items are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    /// They are if their content is, which has to be read.
    ByContent,
}

impl Comparison {
    /// Compares all that counts but, where chunks do not tell, the content.
    pub(super) fn compare(self, old: Option<&ItemView<'_>>, new: Option<&ItemView<'_>>) -> Verdict {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (None, None) => return Verdict::Same,
            _ => return Verdict::Different,
        };
        let same_attributes = || {
            old.mode == new.mode
                && Moment::Ctime.is_same(old, new)
                && Moment::Mtime.is_same(old, new)
                && owner(old) == owner(new)
        };
        if old.source != new.source || !(self.content_only || same_attributes()) {
            return Verdict::Different;
        }
        let (Some(old_chunks), Some(new_chunks)) = (old.chunks, new.chunks) else {
            return Verdict::Same;
        };
        if old_chunks.iter().eq(new_chunks.iter()) {
            // Also where chunks need not be equal: these are, and so is what is in them.
            return Verdict::Same;
        }
        if self.same_chunker_params || item_size(old) != item_size(new) {
            return Verdict::Different;
        }
        Verdict::ByContent
    }

    /// What differs between two items that are not the same.
    pub(super) fn changes<'i>(
        self,
        old: Option<&ItemView<'i>>,
        new: Option<&ItemView<'i>>,
        changes: &mut Vec<Change<'i>>,
    ) {
        changes.clear();
        let kind = |item: Option<&ItemView<'_>>| item.map(|item| FileKind::of_mode(item.mode));
        let kinds = [kind(old), kind(new)];
        let presence = |special: Special| match (old, new) {
            (None, Some(_)) => Some(Change::AddedSpecial(special)),
            (Some(_), None) => Some(Change::RemovedSpecial(special)),
            _ => None,
        };
        if kinds.contains(&Some(FileKind::Symlink)) {
            let sources = || Some((old?.source?, new?.source?));
            let retargeted = || sources().is_some_and(|(old, new)| old != new);
            changes.extend(
                presence(Special::Link).or_else(|| retargeted().then_some(Change::LinkTarget)),
            );
        }
        changes.extend(self.content(old, new));
        for (kind, special) in [
            (FileKind::Directory, Special::Directory),
            (FileKind::BlockDevice, Special::BlockDevice),
            (FileKind::CharDevice, Special::CharDevice),
            (FileKind::Fifo, Special::Fifo),
        ] {
            if kinds.contains(&Some(kind)) {
                changes.extend(presence(special));
            }
        }
        if let (Some(old), Some(new), false) = (old, new, self.content_only) {
            push_attributes(old, new, changes);
        }
    }

    /// What has become of a file's content.
    fn content<'i>(
        self,
        old: Option<&ItemView<'i>>,
        new: Option<&ItemView<'i>>,
    ) -> Option<Change<'i>> {
        let (old, new) = match (old, new) {
            (None, Some(new)) => {
                new.chunks?;
                return Some(Change::Added {
                    size: item_size(new),
                });
            }
            (Some(old), None) => {
                old.chunks?;
                return Some(Change::Removed {
                    size: item_size(old),
                });
            }
            (old, new) => (old?, new?),
        };
        let (old_chunks, new_chunks) = (old.chunks?, new.chunks?);
        if !self.same_chunker_params {
            return Some(Change::ModifiedSomehow);
        }
        let ids = |chunks: ChunkList<'_>| chunks.iter().map(|chunk| chunk.id).collect();
        let (old_ids, new_ids): (HashSet<ChunkId>, HashSet<ChunkId>) =
            (ids(old_chunks), ids(new_chunks));
        let size_without =
            |item: &ItemView<'_>, chunks: ChunkList<'_>, known: &HashSet<ChunkId>| {
                if FileKind::of_mode(item.mode) == FileKind::Symlink {
                    return item_size(item); // As stock Borg has it: a symlink's size is that of its target.
                }
                let unknown = chunks.iter().filter(|chunk| !known.contains(&chunk.id));
                unknown.map(|chunk| u64::from(chunk.size)).sum()
            };
        Some(Change::Modified {
            added: size_without(new, new_chunks, &old_ids),
            removed: size_without(old, old_chunks, &new_ids),
        })
    }
}

fn owner<'i>(item: &ItemView<'i>) -> [Option<&'i [u8]>; 2] {
    [item.user.name(), item.group.name()]
}

fn push_attributes<'i>(old: &ItemView<'i>, new: &ItemView<'i>, changes: &mut Vec<Change<'i>>) {
    let owners = [owner(old), owner(new)];
    if owners[0] != owners[1] {
        changes.push(Change::Owner {
            old: owners[0],
            new: owners[1],
        });
    }
    if old.mode != new.mode {
        changes.push(Change::Mode {
            old: old.mode,
            new: new.mode,
        });
    }
    for moment in [Moment::Ctime, Moment::Mtime] {
        if let (Some(was), Some(is)) = (moment.of(old), moment.of(new))
            && !moment.is_same(old, new)
        {
            changes.push(Change::Time {
                moment,
                old: was,
                new: is,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::item::OwnerName;

    const EXACT: Comparison = Comparison {
        same_chunker_params: true,
        content_only: false,
    };

    fn item(mode: u32) -> ItemView<'static> {
        ItemView {
            path: b"name",
            mode,
            user: OwnerName::Name(b"root"),
            group: OwnerName::Nil,
            mtime: Some(5),
            ..ItemView::default()
        }
    }

    #[track_caller]
    fn check(
        comparison: Comparison,
        old: Option<&ItemView<'static>>,
        new: Option<&ItemView<'static>>,
        expected: &[Change<'static>],
    ) {
        let mut changes = Vec::new();
        assert_eq!(comparison.compare(old, new), Verdict::Different);
        comparison.changes(old, new, &mut changes);
        assert_eq!(changes, expected);
    }

    #[test]
    fn attributes_count_unless_only_content_does() {
        let old = item(0o040_755);
        let new = ItemView {
            user: OwnerName::Absent,
            mtime: Some(6),
            ctime: Some(1),
            ..item(0o040_700)
        };
        let root: Option<&[u8]> = Some(b"root");
        check(
            EXACT,
            Some(&old),
            Some(&new),
            &[
                Change::Owner {
                    old: [root, None],
                    new: [None, None],
                },
                Change::Mode {
                    old: 0o040_755,
                    new: 0o040_700,
                },
                Change::Time {
                    moment: Moment::Mtime,
                    old: 5,
                    new: 6,
                },
            ],
        );
        let content_only = Comparison {
            content_only: true,
            ..EXACT
        };
        assert_eq!(content_only.compare(Some(&old), Some(&new)), Verdict::Same);
    }

    #[test]
    fn what_has_no_content_comes_and_goes() {
        for (mode, special) in [
            (0o120_777, Special::Link),
            (0o040_755, Special::Directory),
            (0o060_600, Special::BlockDevice),
            (0o020_600, Special::CharDevice),
            (0o010_600, Special::Fifo),
        ] {
            let item = item(mode);
            check(EXACT, None, Some(&item), &[Change::AddedSpecial(special)]);
            check(EXACT, Some(&item), None, &[Change::RemovedSpecial(special)]);
        }
        // A later hard link whose first one was not met has nothing to show.
        check(EXACT, None, Some(&item(0o100_644)), &[]);
        assert_eq!(EXACT.compare(None, None), Verdict::Same);
    }

    #[test]
    fn symlinks_are_their_targets() {
        let link = |target| ItemView {
            source: Some(target),
            ..item(0o120_777)
        };
        let (old, new) = (link(b"a"), link(b"b"));
        check(EXACT, Some(&old), Some(&new), &[Change::LinkTarget]);
        assert_eq!(EXACT.compare(Some(&old), Some(&old)), Verdict::Same);
    }

    #[test]
    fn times_beyond_64_bits_are_compared_as_stored() {
        let far = |stored| ItemView {
            mtime: Some(i64::MAX),
            unknown: vec![(b"mtime".as_slice(), stored)],
            ..item(0o040_755)
        };
        let (old, new) = (far(b"\xa9a"), far(b"\xa9b"));
        assert_eq!(EXACT.compare(Some(&old), Some(&new)), Verdict::Different);
        assert_eq!(EXACT.compare(Some(&old), Some(&old)), Verdict::Same);
    }
}
