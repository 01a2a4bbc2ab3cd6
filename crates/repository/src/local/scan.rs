//! Looking at the segment files as they lie there: every entry, whether committed, superseded or deleted.
//!
//! For repair, for looking into damaged repositories, and for reading objects in storage order. What is
//! found may be what an unfinished transaction left.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ironborg_format::segment::Tag;
use ironborg_types::{ChunkId, SegmentId};

use super::Phase;
use crate::index::EntryLocation;
use crate::segments::{Damage, Entries, FoundEntry, SegmentLog, Showing};
use crate::{LocalRepository, RepositoryError, Witness};

/// The entries of one segment, in order. Memory: one window, or the largest entry.
pub struct SegmentScan<'a> {
    log: &'a SegmentLog,
    entries: Entries,
}

impl SegmentScan<'_> {
    /// The next entry, checked against its checksum; `None` at the end of the segment.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for damage, behind which no further entry can be found.
    pub fn next_entry(&mut self) -> Result<Option<FoundEntry<'_>>, RepositoryError> {
        self.entries.next(self.log)
    }
}

impl LocalRepository {
    /// All segments there are files of, ascending; files of no length too.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn segments(&self) -> Result<Vec<SegmentId>, RepositoryError> {
        Ok(self.log.segments()?)
    }

    /// Where a segment's file is, for messages.
    pub fn segment_path(&self, segment: SegmentId) -> PathBuf {
        self.log.path(segment)
    }

    /// The entries of a segment from `offset` on, which must be that of an entry; 0 for all of them, the
    /// magic before them checked.
    pub fn scan_segment(&self, segment: SegmentId, offset: u64) -> SegmentScan<'_> {
        SegmentScan {
            log: &self.log,
            entries: Entries::starting_at(segment, offset),
        }
    }

    /// Shows what the segments hold of what the index has. What is being written is not in any segment yet, and what
    /// was salvaged for a plan is not where headers lead to.
    pub(crate) fn show_current(
        &self,
        threads: usize,
        witness: &dyn Witness,
        passed: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, RepositoryError> {
        let is_salvaged = self.planned.as_ref().is_some_and(|order| !order.is_empty());
        if is_salvaged || !matches!(self.phase, Phase::Idle) {
            return Ok(false);
        }
        let segments = self.log.segments()?;
        self.with_index(|index| {
            if self.scratch.is_none() {
                index.load()?;
            }
            let view = index.view();
            let unreadable = Mutex::new(None);
            let wanted = |id: &ChunkId, at: EntryLocation| match view.get(id) {
                Ok(found) => found == Some(at),
                Err(error) => {
                    let mut slot = unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                    slot.get_or_insert(error);
                    false
                }
            };
            let showing = Showing {
                witness,
                wanted: &wanted,
                damage: Damage::IsShown,
            };
            let log = &self.log;
            let shown =
                log.for_each_piece(
                    &segments,
                    threads,
                    Some(showing),
                    &mut |checked| match checked.error {
                        None | Some(RepositoryError::BadEntry { .. }) => Ok(passed(checked.number)),
                        Some(error) => Err(error),
                    },
                );
            let unreadable = unreadable.into_inner();
            match unreadable.unwrap_or_else(PoisonError::into_inner) {
                Some(error) => Err(error),
                None => shown,
            }
        })??;
        Ok(true)
    }

    /// Source: Borg 1.4, `Repository.scan`.
    pub(crate) fn scan_current(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut found = Vec::new();
        let after = match marker {
            Some(id) => Some(self.find(id)?.ok_or_else(|| self.not_found(id))?),
            None => None,
        };
        if let Some(order) = self.planned.as_ref().filter(|order| !order.is_empty()) {
            let is_before = |id: &ChunkId| match (self.find(id), after) {
                (Ok(at), Some(after)) => at <= Some(after),
                _ => false,
            };
            let begin = order.partition_point(is_before);
            return Ok(order[begin..].iter().take(limit).copied().collect());
        }
        for segment in self.log.segments()? {
            if after.is_some_and(|after| segment < after.segment) {
                continue;
            }
            let offset = after.filter(|after| after.segment == segment);
            let offset = offset.map_or(0, |after| u64::from(after.offset));
            let mut entries = Entries::headers_from(segment, offset);
            loop {
                let header = match entries.next_header(&self.log) {
                    Ok(Some(header)) => header,
                    Ok(None) | Err(RepositoryError::BadEntry { .. }) => break,
                    Err(error) => return Err(error),
                };
                let at = EntryLocation {
                    segment,
                    offset: header.offset,
                };
                let Some(id) = header.id.filter(|_| header.tag == Tag::Put) else {
                    continue;
                };
                if after == Some(at) || self.find(&id)? != Some(at) {
                    continue;
                }
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(id);
            }
        }
        Ok(found)
    }
}
