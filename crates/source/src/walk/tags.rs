//! Tag files that say a directory is not to be backed up.

use ironborg_types::BytePath;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::Dir;

/// Name of the tag of the cache directory convention (<https://bford.info/cachedir/>).
pub const CACHE_TAG_NAME: &[u8] = b"CACHEDIR.TAG";
/// What such a tag must begin with.
pub const CACHE_TAG_CONTENTS: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Which tags count.
#[derive(Debug, Clone, Copy, Default)]
pub struct TagOptions<'a> {
    /// `--exclude-caches`.
    pub caches: bool,
    /// `--exclude-if-present`, in the order given.
    pub if_present: &'a [BytePath],
}

/// Names of the tags the directory holds; empty: it is not tagged. Symlinks are followed; an error is
/// no tag.
///
/// Source: Borg 1.4, `dir_is_tagged`.
pub fn dir_tags(dir: &Dir, options: &TagOptions<'_>) -> Vec<BytePath> {
    let mut tags = Vec::new();
    if options.caches && is_cache_dir(dir) {
        tags.push(CACHE_TAG_NAME.into());
    }
    for tag in options.if_present {
        if exists(dir, tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn exists(dir: &Dir, name: &[u8]) -> bool {
    // An empty name stands for the directory itself, which exists.
    let name = if name.is_empty() { b"." } else { name };
    rustix::fs::statx(dir, name, AtFlags::empty(), StatxFlags::TYPE).is_ok()
}

/// Whether there is a readable `CACHEDIR.TAG` with the signature.
fn is_cache_dir(dir: &Dir) -> bool {
    // Not blocking: a fifo of that name must not stop the backup.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::openat(dir, CACHE_TAG_NAME, flags, Mode::empty()) else {
        return false;
    };
    let file = super::SourceFile::from(file);
    let mut start = [0; CACHE_TAG_CONTENTS.len()];
    file.read_full(&mut start) == Ok(start.len()) && start == CACHE_TAG_CONTENTS
}
