//! The live files: where they are, and whether they are what was backed up.

use ironborg_format::item::Item;
use ironborg_source::path::{
    Archived, archived_path, join, make_path_safe, normpath, strip_prefix,
};
use ironborg_source::{FileKind, FileStat, Place};

use super::pieces::content_len;
use crate::create::items::clamp;

/// Where the files of an archive lie, as far as they are still there.
#[derive(Debug, Clone, Default)]
pub struct LivePaths {
    /// Path in archives and path here, of each root.
    roots: Vec<(Vec<u8>, Vec<u8>)>,
}

impl LivePaths {
    /// Of a backup of these paths, as they were given to create: absolute, perhaps with `/./` in them.
    pub fn of<'p>(given: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let root = |given: &[u8]| {
            let live = normpath(given);
            let strip = strip_prefix(given);
            let archived = match archived_path(&live, strip.as_deref()) {
                Archived::Skipped => return None,
                Archived::As(path) => make_path_safe(path).to_vec(),
            };
            Some((archived, live))
        };
        Self {
            roots: given.into_iter().filter_map(root).collect(),
        }
    }

    /// The places where a file of this path in the archive may lie.
    fn of_item<'p>(&'p self, path: &'p [u8]) -> impl Iterator<Item = Vec<u8>> + 'p {
        self.roots.iter().filter_map(move |(archived, live)| {
            if path == archived {
                return Some(live.clone());
            }
            if archived == b"." {
                return Some(join(live, path));
            }
            let below = path.strip_prefix(&archived[..])?.strip_prefix(b"/")?;
            Some(join(live, below))
        })
    }

    /// Where the file of an item lies, and what it is, if nothing about it has changed since.
    pub(super) fn unchanged(&self, item: &Item) -> Option<(Vec<u8>, FileStat)> {
        self.of_item(&item.path).find_map(|path| {
            let stat = Place::path(&path).stat().ok()?;
            is_unchanged(item, &stat).then_some((path, stat))
        })
    }
}

/// Whether a live file is the one that was backed up, as the files cache decides that. (The number of its inode is not
/// in the archive. What an archive made without ctime has instead are mode and owner: they change it.)
pub(super) fn is_unchanged(item: &Item, stat: &FileStat) -> bool {
    let kind = FileKind::of_mode(item.mode);
    let is_owned_alike =
        || item.uid == Some(i64::from(stat.uid)) && item.gid == Some(i64::from(stat.gid));
    kind == stat.kind()
        && item.mtime == Some(clamp(stat.mtime_ns))
        && (kind != FileKind::Regular || item.chunks.is_none() || content_len(item) == stat.size)
        && match item.ctime {
            Some(ctime) => ctime == clamp(stat.ctime_ns),
            None => item.mode == stat.mode && is_owned_alike(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&str], item: &str, expected: &[&str]) {
        let live = LivePaths::of(given.iter().map(|path| path.as_bytes()));
        let found: Vec<Vec<u8>> = live.of_item(item.as_bytes()).collect();
        let expected: Vec<Vec<u8>> = expected
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect();
        assert_eq!(found, expected, "{given:?} {item}");
    }

    #[test]
    fn a_path_in_the_archive_leads_back_to_where_it_was() {
        check(&["/home/user"], "home/user", &["/home/user"]);
        check(&["/home/user/"], "home/user/a/b", &["/home/user/a/b"]);
        check(&["/home/user"], "home/username", &[]);
        check(&["/"], "etc/passwd", &["/etc/passwd"]);
        check(&["/"], ".", &["/"]);
        check(&["/srv/./data"], "data/x", &["/srv/data/x"]);
        check(&["/srv/./"], "x", &["/srv/x"]);
        check(&["/a/./x", "/b/./x"], "x/y", &["/a/x/y", "/b/x/y"]);
        check(&[], "stdin", &[]);
    }
}
