//! Which items stay, and what becomes of hard links whose first name goes.
//!
//! Source: Borg 1.4, `ArchiveRecreater.process_items`.

use std::collections::HashMap;

use ironborg_format::item::{ChunkEntry, Item, ItemView};
use ironborg_source::{FileKind, PatternMatcher};

use super::tags::TaggedDirectories;

/// Chooses among the items of one archive.
#[derive(Debug)]
pub(super) struct ItemFilter<'a> {
    matcher: &'a PatternMatcher,
    tagged: TaggedDirectories,
    /// First names that are not in the new archive, by path.
    masters: HashMap<Vec<u8>, Master>,
}

/// A first name that was left out.
#[derive(Debug)]
enum Master {
    /// Nobody has taken its place yet.
    Gone {
        chunks: Option<Vec<ChunkEntry>>,
        healthy: Option<Vec<ChunkEntry>>,
    },
    /// The later name at this path has its content now.
    Moved(Vec<u8>),
}

impl<'a> ItemFilter<'a> {
    /// Patterns first, then tags.
    pub(super) fn new(matcher: &'a PatternMatcher, tagged: TaggedDirectories) -> Self {
        Self {
            matcher,
            tagged,
            masters: HashMap::new(),
        }
    }

    /// Whether nothing could be left out.
    pub(super) fn is_empty(&self) -> bool {
        self.matcher.is_empty() && self.tagged.is_empty()
    }

    /// Whether an item stays. What later names of one that goes need is remembered.
    pub(super) fn keep(&mut self, item: &ItemView<'_>) -> bool {
        let keep = match self.matcher.rule_for(item.path) {
            Some(decision) => decision.include,
            None if self.tagged.exclude(item.path) => false,
            None => self.matcher.matches(item.path),
        };
        let is_master = FileKind::of_mode(item.mode).is_hardlinkable()
            && item.hardlink_master.unwrap_or(true)
            && item.source.is_none();
        if !keep && is_master {
            let owned = |list: &ironborg_format::item::ChunkList<'_>| list.iter().collect();
            let master = Master::Gone {
                chunks: item.chunks.as_ref().map(owned),
                healthy: item.chunks_healthy.as_ref().map(owned),
            };
            self.masters.insert(item.path.to_vec(), master);
        }
        keep
    }

    /// Gives a hard link the content of its first name, if that is not there any more.
    pub(super) fn relink(&mut self, item: &mut Item) {
        let Some(source) = &item.source else { return };
        if !FileKind::of_mode(item.mode).is_hardlinkable() {
            return;
        }
        let Some(master) = self.masters.get_mut(source) else {
            return;
        };
        match master {
            Master::Gone { chunks, healthy } => {
                item.chunks = chunks.take();
                if healthy.is_some() {
                    item.chunks_healthy = healthy.take();
                }
                item.source = None;
                *master = Master::Moved(item.path.to_vec());
            }
            Master::Moved(path) => item.source = Some(path.clone()),
        }
    }
}
