//! How segments go: one by one, or when an index that does without them is in place; and which were never there.

use std::collections::BTreeSet;

use ironborg_storage::StorageError;
use ironborg_types::SegmentId;

use super::{DATA, SegmentLog};
use crate::RepositoryError;
use crate::lock::LeaseGuard;

/// How many are removed between two looks at the lock: what one request takes.
const REMOVED_AT_ONCE: usize = 1000;

impl SegmentLog {
    /// Removes a segment file; one that is gone already is fine.
    pub(crate) fn delete(&self, segment: SegmentId) -> Result<(), StorageError> {
        match self.storage.remove(&self.name(segment)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a segment whose content is elsewhere now: at once where a replay would make nothing of it being gone, and
    /// where readers look for an index first, when there is one that does without it.
    pub(crate) fn retire(&mut self, segment: SegmentId) -> Result<(), StorageError> {
        if self.guard.is_none() {
            return self.delete(segment);
        }
        self.retired.insert(segment);
        Ok(())
    }

    /// An index without what was retired is in place.
    pub(crate) fn remove_retired(&mut self) -> Result<(), RepositoryError> {
        let retired: Vec<SegmentId> = std::mem::take(&mut self.retired).into_iter().collect();
        for some in retired.chunks(REMOVED_AT_ONCE) {
            if let Some(guard) = &self.guard {
                guard.check_held()?;
            }
            let names: Vec<String> = some.iter().map(|segment| self.name(*segment)).collect();
            self.storage.remove_all(&names)?;
        }
        Ok(())
    }

    /// Whether segments wait for an index without them.
    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Makes the removal of these segments durable.
    pub(crate) fn sync_dirs_of(&self, removed: &BTreeSet<SegmentId>) -> Result<(), StorageError> {
        let dirs: BTreeSet<u32> = removed
            .iter()
            .map(|segment| segment.0 / self.segments_per_dir)
            .collect();
        for dir in dirs {
            self.storage.sync_dir(&format!("{DATA}/{dir}"))?;
        }
        Ok(())
    }

    /// Removes the directories that hold no segments any more.
    pub(crate) fn remove_empty_dirs(&self) -> Result<(), StorageError> {
        for dir in self.dirs()? {
            self.storage.remove_dir(&format!("{DATA}/{dir}"))?;
        }
        self.storage.sync_dir(DATA)
    }

    /// Whether segments that belong to nothing may still appear behind a transaction: those of a writer that has lost the
    /// lease. Nobody must come to replay them.
    pub(crate) fn may_be_littered(&self, behind: SegmentId) -> bool {
        let voids = self.guard.as_ref().map(LeaseGuard::voids);
        voids.is_some_and(|voids| voids.iter().any(|void| void.last > behind.0))
    }

    /// Leaves out segments that belong to nothing, as far as whoever has the lease can tell by their numbers.
    pub(super) fn leave_out_litter(&self, segments: &mut Vec<SegmentId>) {
        let voids = self.guard.as_ref().map(LeaseGuard::voids);
        let voids = voids.unwrap_or_default();
        segments.retain(|segment| !voids.iter().any(|void| void.contains(segment.0)));
    }
}
