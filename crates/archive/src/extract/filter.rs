//! Which items are restored, under which path, and what becomes of their hard links.

use std::collections::HashMap;

use ironborg_format::item::{ChunkEntry, ItemView};
use ironborg_source::path::strip_components;
use ironborg_source::pattern::PatternMatcher;
use ironborg_source::walk::FileKind;
use ironborg_types::BytePath;

/// What is known of the first of several hard links when a later one comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Master {
    /// It was not selected; these are its chunks. The first link that is selected takes them.
    Passed(Option<Vec<ChunkEntry>>),
    /// A link that took its chunks was restored here.
    Restored(BytePath),
}

/// Decides about items one by one, in the archive's order.
///
/// Memory: the chunk lists of files that were not selected and may have later hard links; nothing
/// for a whole archive.
#[derive(Debug)]
pub(crate) struct ItemFilter {
    matcher: PatternMatcher,
    strip: usize,
    partial: bool,
    masters: HashMap<Vec<u8>, Master>,
}

impl ItemFilter {
    pub(crate) fn new(matcher: PatternMatcher, strip: usize) -> Self {
        let partial = !matcher.is_empty() || strip > 0;
        Self {
            matcher,
            strip,
            partial,
            masters: HashMap::new(),
        }
    }

    /// Where the item is to be restored, or `None` if it is not. `path` is the item's own.
    pub(crate) fn admit<'p>(&mut self, path: &'p [u8], item: &ItemView<'_>) -> Option<&'p [u8]> {
        let stripped = if self.strip > 0 {
            strip_components(path, self.strip)
        } else {
            path
        };
        let selected = self.matcher.matches(path) && (self.strip == 0 || !stripped.is_empty());
        if selected {
            return Some(stripped);
        }
        if self.partial
            && FileKind::of_mode(item.mode).is_hardlinkable()
            && item.hardlink_master.unwrap_or(true)
            && item.source.is_none()
        {
            let chunks = item.chunks.map(|chunks| chunks.into_iter().collect());
            self.masters.insert(path.to_vec(), Master::Passed(chunks));
        }
        None
    }

    /// What is known of the hard link's master at `source` (the master's own path); `None`: it was
    /// restored, or comes never.
    pub(crate) fn master(&self, source: &[u8]) -> Option<&Master> {
        self.masters.get(source)
    }

    /// Notes that a link to `source` was restored at `path` in place of its master.
    pub(crate) fn restored_at(&mut self, source: &[u8], path: &[u8]) {
        if let Some(master) = self.masters.get_mut(source) {
            *master = Master::Restored(path.into());
        }
    }

    /// Bytes the item will take: its own, or its master's if that was not selected.
    /// Source: Borg 1.4, `Item.get_size`.
    pub(crate) fn size_of(&self, item: &ItemView<'_>) -> u64 {
        if let Some(size) = item.size {
            return size;
        }
        if FileKind::of_mode(item.mode) == FileKind::Symlink {
            return item.source.map_or(0, |target| target.len() as u64);
        }
        if let Some(chunks) = item.chunks {
            return chunks.into_iter().map(|chunk| u64::from(chunk.size)).sum();
        }
        match item.source.and_then(|source| self.masters.get(source)) {
            Some(Master::Passed(Some(chunks))) => {
                chunks.iter().map(|chunk| u64::from(chunk.size)).sum()
            }
            _ => 0,
        }
    }

    /// PATH arguments that no item matched, as they were given.
    pub(crate) fn never_matched(&self) -> Vec<&BytePath> {
        self.matcher.never_matched()
    }
}
