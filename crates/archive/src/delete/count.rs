//! Figures of what is deleted, counted as stock Borg counts them.
//!
//! Stock Borg takes references away one by one, in the order of the items: each takes its chunk's sizes
//! off the figures, and the last one its stored size off the deduplicated size. References of part
//! files are not shown.

use std::collections::HashMap;
use std::ops::ControlFlow;

use ironborg_cache::Unreferenced;
use ironborg_types::ChunkId;

use crate::items::{PartFiles, with_items};
use crate::statistics::ArchiveStatistics;
use crate::{Archive, ArchiveError, Session};

/// How the part files of an archive use its chunks.
#[derive(Debug, Default)]
pub(crate) struct PartUse {
    /// By chunk: references from part files, and whether the last one of all is such.
    chunks: HashMap<ChunkId, (u32, bool)>,
}

impl PartUse {
    /// Reads the archive's items; up to where they are damaged, if that is known of them.
    pub(crate) fn read(
        session: &Session,
        archive: &Archive,
        damaged: bool,
    ) -> Result<Self, ArchiveError> {
        let mut chunks: HashMap<ChunkId, (u32, bool)> = HashMap::new();
        let result = with_items(session, archive, PartFiles::Consider, |items| {
            items.for_each(|item| {
                for chunk in item.chunks.iter().flatten() {
                    if item.part.is_some() {
                        let (count, last) = chunks.entry(chunk.id).or_default();
                        *count = count.saturating_add(1);
                        *last = true;
                    } else if let Some((_, last)) = chunks.get_mut(&chunk.id) {
                        *last = false;
                    }
                }
                Ok::<_, ArchiveError>(ControlFlow::Continue(()))
            })
        });
        match result {
            Err(error) if !damaged => Err(error),
            _ => Ok(Self { chunks }),
        }
    }
}

/// Adds up what goes.
pub(crate) struct DecrementCounter<'a> {
    figures: &'a mut ArchiveStatistics,
    parts: &'a PartUse,
}

impl<'a> DecrementCounter<'a> {
    pub(crate) fn new(figures: &'a mut ArchiveStatistics, parts: &'a PartUse) -> Self {
        Self { figures, parts }
    }

    /// Counts `refs` references to a chunk that were taken away; `left` is what is left of it.
    pub(crate) fn count(&mut self, id: &ChunkId, refs: u32, left: &Unreferenced) {
        let (in_parts, last_in_part) = self.parts.chunks.get(id).copied().unwrap_or_default();
        let shown = i64::from(refs.saturating_sub(in_parts));
        let (size, csize) = (i64::from(left.sizes.size), i64::from(left.sizes.csize));
        let figures = &mut *self.figures;
        figures.original_size = figures
            .original_size
            .saturating_sub(size.saturating_mul(shown));
        figures.compressed_size = figures
            .compressed_size
            .saturating_sub(csize.saturating_mul(shown));
        if left.refs == 0 && !last_in_part {
            figures.deduplicated_size = figures.deduplicated_size.saturating_sub(csize);
        }
    }
}
