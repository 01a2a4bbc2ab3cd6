//! A summary that is read where it is kept, in pieces: it may be larger than memory should be.

use std::io::IoSliceMut;
use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::ChunkId;

use super::{ArchiveFigures, ArchiveSummary, RECORD_LEN};
use crate::CacheError;

/// A summary in memory, or in its file.
#[derive(Debug)]
pub enum SummarySource {
    /// In memory: it could not be kept, or is of a damaged archive.
    Memory(ArchiveSummary),
    /// In its file.
    Kept(KeptSummary),
}

/// The file of a summary, whole when it was opened. Whoever replaces it writes the same again.
pub struct KeptSummary {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) name: String,
    pub(super) figures: ArchiveFigures,
    /// Records about content, and about metadata.
    pub(super) counts: [u64; 2],
    /// Where the first one is.
    pub(super) records_at: u64,
}

impl SummarySource {
    /// Sums over the archive's items.
    pub fn figures(&self) -> &ArchiveFigures {
        match self {
            Self::Memory(summary) => summary.figures(),
            Self::Kept(kept) => &kept.figures,
        }
    }

    /// How many records there are, in both sections.
    pub fn len(&self) -> u64 {
        let [content, metadata] = self.counts();
        content + metadata
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn counts(&self) -> [u64; 2] {
        match self {
            Self::Memory(summary) => summary.counts(),
            Self::Kept(kept) => kept.counts,
        }
    }

    /// Fills `out` with records of a section, from number `first` on. They are there.
    pub(super) fn read(
        &self,
        section: usize,
        first: u64,
        out: &mut [u8],
    ) -> Result<(), CacheError> {
        let before = if section == 0 { 0 } else { self.counts()[0] };
        let offset = (before + first) * RECORD_LEN as u64;
        match self {
            Self::Memory(summary) => {
                let from = usize::try_from(offset).expect("it is in memory");
                out.copy_from_slice(&summary.records()[from..from + out.len()]);
                Ok(())
            }
            Self::Kept(kept) => {
                let offset = kept.records_at + offset;
                let buffers = &mut [IoSliceMut::new(out)];
                let len = kept.storage.read_at(&kept.name, offset, buffers)?;
                if len == out.len() {
                    return Ok(());
                }
                let path = kept.storage.path(&kept.name);
                Err(CacheError::Damaged { path })
            }
        }
    }

    /// The number of the first record of a section whose id is not below `prefix`.
    pub(super) fn seek(&self, section: usize, prefix: u64) -> Result<u64, CacheError> {
        let (mut low, mut high) = (0, self.counts()[section]);
        let mut id = ChunkId::MANIFEST;
        while low < high {
            let middle = low + (high - low) / 2;
            self.read(section, middle, &mut id.0)?;
            if id_prefix(&id) < prefix {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The beginning of an id as a number below 2^32.
pub(super) fn id_prefix(id: &ChunkId) -> u64 {
    let beginning = id.0.first_chunk().expect("an id is longer");
    u64::from(u32::from_be_bytes(*beginning))
}

impl std::fmt::Debug for KeptSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptSummary")
            .field("path", &self.storage.path(&self.name))
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
