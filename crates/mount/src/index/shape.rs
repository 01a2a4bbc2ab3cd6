//! What is shown of each archive, and what the indexes of one mount share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_archive::items::PartFiles;
use ironborg_source::PatternMatcher;
use ironborg_storage::Storage;
use ironborg_types::RepositoryId;

use super::blocks::BlockCache;
use super::items::ItemCache;
use super::origin::Origin;

/// What is shown of each archive. One is made for a mount: what is remembered of indexes and items in memory belongs to
/// it, and is bounded however many archives are shown.
#[derive(Debug)]
pub struct Shape {
    pub(super) matcher: PatternMatcher,
    pub(super) strip: usize,
    pub(super) parts: PartFiles,
    pub(super) shared: Arc<Shared>,
}

/// What all indexes of a mount share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) blocks: BlockCache,
    pub(super) items: ItemCache,
    /// Files that are open are known to one storage for each repository.
    storages: Mutex<HashMap<RepositoryId, Arc<dyn Storage>>>,
}

impl Shape {
    /// What `matcher` selects, without the first `strip` components of each path.
    pub fn new(matcher: PatternMatcher, strip: usize, parts: PartFiles) -> Self {
        Self {
            matcher,
            strip,
            parts,
            shared: Arc::default(),
        }
    }

    /// Everything.
    pub fn whole() -> Self {
        Self::new(PatternMatcher::new([], true), 0, PartFiles::Skip)
    }

    /// Everything, with what another one shares.
    pub(super) fn whole_sharing(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ..Self::whole()
        }
    }

    /// Whether hard links may be shown without the one that has the content.
    pub(super) fn is_partial(&self) -> bool {
        !self.matcher.is_empty() || self.strip > 0
    }

    /// Whether it is everything, so that the index is good for another mount.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_partial() && self.parts == PartFiles::Skip
    }
}

impl Shared {
    /// Where indexes are kept.
    pub(super) fn storage(&self, origin: &dyn Origin) -> Arc<dyn Storage> {
        let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = storages
            .entry(origin.repository())
            .or_insert_with(|| origin.cache());
        Arc::clone(storage)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
