//! Which objects the other end has, as far as this end knows.

use std::collections::HashMap;

use ironborg_repository::Change;
use ironborg_types::ChunkId;

/// All ids of a repository: 32 bytes each, and more only for those that changed since they were listed.
#[derive(Debug, Default)]
pub(super) struct KnownIds {
    sorted: Vec<ChunkId>,
    changed: HashMap<ChunkId, bool>,
}

impl KnownIds {
    /// `ids` in any order.
    pub(super) fn new(mut ids: Vec<ChunkId>) -> Self {
        ids.sort_unstable();
        Self {
            sorted: ids,
            changed: HashMap::new(),
        }
    }

    pub(super) fn contains(&self, id: &ChunkId) -> bool {
        let changed = self.changed.get(id).copied();
        changed.unwrap_or_else(|| self.sorted.binary_search(id).is_ok())
    }

    pub(super) fn note(&mut self, change: Change) {
        self.changed.insert(change.id, change.stored.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_listed_and_what_changed_since_is_known() {
        let id = |n| ChunkId([n; 32]);
        let mut known = KnownIds::new(vec![id(5), id(1), id(3)]);
        known.note(Change {
            id: id(2),
            stored: Some(10),
        });
        known.note(Change {
            id: id(3),
            stored: None,
        });
        let found: Vec<u8> = (0..7).filter(|n| known.contains(&id(*n))).collect();
        assert_eq!(found, [1, 2, 5]);
    }
}
