//! Directories of an archive that are left out because of a tag among their entries.
//!
//! Source: Borg 1.4, `ArchiveRecreater.matcher_add_tagged_dirs`. There every tag becomes a pattern, which
//! the archives that follow inherit, and a directory's name is read as a glob; here tags count for the
//! archive they were found in, and for the very directory they are in.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use ironborg_format::ChunkEntry;
use ironborg_format::item::ItemView;
use ironborg_source::path::normpath;
use ironborg_source::walk::{CACHE_TAG_CONTENTS, CACHE_TAG_NAME};
use ironborg_source::{FileKind, PatternMatcher};
use ironborg_types::BytePath;

use crate::items::{PartFiles, with_content, with_items};
use crate::{Archive, ArchiveError, Session};

/// Which tags count, and what stays.
#[derive(Debug, Clone, Default)]
pub struct TagOptions {
    /// A valid `CACHEDIR.TAG`.
    pub caches: bool,
    /// An entry of one of these names.
    pub if_present: Vec<BytePath>,
    /// The directory itself and its tags stay.
    pub keep_tags: bool,
}

impl TagOptions {
    /// Whether any tag counts.
    pub(super) fn is_empty(&self) -> bool {
        !self.caches && self.if_present.is_empty()
    }
}

/// The tagged directories of one archive.
#[derive(Debug, Default)]
pub(super) struct TaggedDirectories {
    dirs: HashSet<Vec<u8>>,
    /// Tags that stay.
    tags: HashSet<Vec<u8>>,
    /// Only what is below the directories goes.
    below_only: bool,
    /// The root of the archive is tagged.
    everything: bool,
}

/// A `CACHEDIR.TAG` that is to be looked into.
struct CacheTag {
    path: Vec<u8>,
    content: Content,
}

enum Content {
    Chunks(Vec<ChunkEntry>),
    /// It comes with the first of several hard links.
    With(Vec<u8>),
}

impl TaggedDirectories {
    /// Looks for tags among the entries that `matcher` selects (a `CACHEDIR.TAG` need not be).
    pub(super) fn find(
        session: &Session,
        archive: &Archive,
        options: &TagOptions,
        matcher: &PatternMatcher,
    ) -> Result<Self, ArchiveError> {
        let mut found = Self {
            below_only: options.keep_tags,
            ..Self::default()
        };
        let mut cache_tags = Vec::new();
        with_items(session, archive, PartFiles::Skip, |items| {
            items.for_each(|item| {
                let (dir, name) = split(item.path);
                let is_cache_tag = name == CACHE_TAG_NAME;
                if !is_cache_tag && !matcher.matches(item.path) {
                    return Ok::<_, ArchiveError>(ControlFlow::Continue(()));
                }
                if options.if_present.iter().any(|tag| &tag[..] == name) {
                    found.add(dir, item.path);
                } else if options.caches && is_cache_tag {
                    cache_tags.extend(CacheTag::of(item));
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
        if !cache_tags.is_empty() {
            found.add_caches(session, archive, &cache_tags)?;
        }
        Ok(found)
    }

    /// Adds the directories whose `CACHEDIR.TAG` has the signature.
    fn add_caches(
        &mut self,
        session: &Session,
        archive: &Archive,
        tags: &[CacheTag],
    ) -> Result<(), ArchiveError> {
        let masters = masters_of(session, archive, tags)?;
        with_content(session, |content| {
            for tag in tags {
                let chunks = match &tag.content {
                    Content::Chunks(chunks) => chunks,
                    Content::With(master) => match masters.get(master) {
                        Some(chunks) => chunks,
                        None => continue,
                    },
                };
                let mut start = Vec::new();
                for chunk in chunks {
                    if start.len() >= CACHE_TAG_CONTENTS.len() {
                        break;
                    }
                    content.read(std::slice::from_ref(chunk), |_, bytes| {
                        let wanted = CACHE_TAG_CONTENTS.len() - start.len();
                        start.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
                        Ok::<_, ArchiveError>(())
                    })?;
                }
                if start == CACHE_TAG_CONTENTS {
                    self.add(split(&tag.path).0, &tag.path);
                }
            }
            Ok(())
        })
    }

    fn add(&mut self, dir: &[u8], tag: &[u8]) {
        if self.below_only {
            self.tags.insert(plain(tag));
            if dir.is_empty() {
                self.everything = true;
            } else {
                self.dirs.insert(plain(dir));
            }
        } else if !dir.is_empty() {
            // A tag at the root of the archive does nothing in stock Borg.
            self.dirs.insert(plain(dir));
        }
    }

    /// Whether no directory is tagged.
    pub(super) fn is_empty(&self) -> bool {
        self.dirs.is_empty() && !self.everything
    }

    /// Whether a path is left out.
    pub(super) fn exclude(&self, path: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let path = match path.iter().position(|&byte| byte != b'/') {
            Some(start) => &path[start..],
            None => return self.everything,
        };
        if self.tags.contains(path) || parents(path).any(|parent| self.tags.contains(parent)) {
            return false;
        }
        self.everything
            || parents(path).any(|parent| self.dirs.contains(parent))
            || (!self.below_only && self.dirs.contains(path))
    }
}

impl CacheTag {
    fn of(item: &ItemView<'_>) -> Option<Self> {
        if FileKind::of_mode(item.mode) != FileKind::Regular {
            return None;
        }
        let content = match (&item.chunks, item.source) {
            (Some(chunks), _) => Content::Chunks(chunks.iter().collect()),
            (None, Some(master)) => Content::With(master.to_vec()),
            (None, None) => return None,
        };
        Some(Self {
            path: item.path.to_vec(),
            content,
        })
    }
}

/// The content of the first links that tags refer to.
fn masters_of(
    session: &Session,
    archive: &Archive,
    tags: &[CacheTag],
) -> Result<HashMap<Vec<u8>, Vec<ChunkEntry>>, ArchiveError> {
    let wanted: HashSet<&[u8]> = tags
        .iter()
        .filter_map(|tag| match &tag.content {
            Content::With(master) => Some(master.as_slice()),
            Content::Chunks(_) => None,
        })
        .collect();
    let mut masters = HashMap::new();
    if wanted.is_empty() {
        return Ok(masters);
    }
    with_items(session, archive, PartFiles::Skip, |items| {
        items.for_each(|item| {
            if wanted.contains(item.path)
                && let Some(chunks) = &item.chunks
            {
                masters.insert(item.path.to_vec(), chunks.iter().collect());
            }
            Ok::<_, ArchiveError>(ControlFlow::Continue(()))
        })
    })?;
    Ok(masters)
}

/// Directory and last component. Source: Python 3, `posixpath.split`.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let Some(slash) = path.iter().rposition(|&byte| byte == b'/') else {
        return (b"", path);
    };
    let last = path[..slash].iter().rposition(|&byte| byte != b'/');
    // A directory of nothing but slashes keeps them.
    let end = last.map_or(slash + 1, |last| last + 1);
    (&path[..end], &path[slash + 1..])
}

/// A path as patterns compare it.
fn plain(path: &[u8]) -> Vec<u8> {
    let path = normpath(path);
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    path[slashes..].to_vec()
}

/// All directories above a path, the nearest last.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'/' && *at > 0)
        .map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tags: &[&str], keep: bool) -> TaggedDirectories {
        let mut found = TaggedDirectories {
            below_only: keep,
            ..TaggedDirectories::default()
        };
        for tag in tags {
            found.add(split(tag.as_bytes()).0, tag.as_bytes());
        }
        found
    }

    #[track_caller]
    fn check(found: &TaggedDirectories, excluded: &[&str], kept: &[&str]) {
        for path in excluded {
            assert!(found.exclude(path.as_bytes()), "{path}");
        }
        for path in kept {
            assert!(!found.exclude(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_tag_takes_its_directory_along() {
        let found = tagged(&["a/b/TAG"], false);
        check(
            &found,
            &["a/b", "a/b/c", "a/b/TAG", "/a/b"],
            &["a", "a/bc", "a/c", "b"],
        );
        let found = tagged(&["a[b]/TAG"], false);
        check(&found, &["a[b]/x"], &["ab/x"]);
        assert!(tagged(&["TAG"], false).is_empty());
    }

    #[test]
    fn kept_tags_keep_their_directory() {
        let found = tagged(&["a/b/TAG"], true);
        check(
            &found,
            &["a/b/c", "a/b/c/d"],
            &["a/b", "a/b/TAG", "a/b/TAG/below", "a"],
        );
        let found = tagged(&["TAG"], true);
        check(&found, &["a", "a/b"], &["TAG"]);
    }

    #[test]
    fn paths_are_split_as_python_splits_them() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(split(b"a//b"), (&b"a"[..], &b"b"[..]));
        assert_eq!(split(b"/a"), (&b"/"[..], &b"a"[..]));
    }
}
