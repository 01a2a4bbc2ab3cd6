//! Small files: read whole, one behind the other, and stored together.

use std::ops::Range;

use ironborg_source::{FileKind, FileStat, SourceError, SourceFile};

use super::super::items::set_size;
use super::super::outcome::Outcome;
use super::super::shared::Over;
use super::{SMALL_FILE_SIZE_MAX, Small, Worker};

/// Beyond so many bytes in the buffer further files are read one by one, whatever their size.
const ARENA_LEN_MAX: usize = 4 << 20;

impl Worker<'_> {
    /// Identifies and stores the chunks of all small files of the batch.
    pub(super) fn store_small(
        &mut self,
        small: &[Small],
        outcomes: &mut [Outcome],
    ) -> Result<(), Over> {
        let pieces: Vec<&[u8]> = small
            .iter()
            .flat_map(|file| file.chunks.iter().map(|range| &self.arena[range.clone()]))
            .collect();
        self.shared.identify(&pieces, &mut self.ids);
        let mut stored = pieces.iter().zip(&self.ids);
        for file in small {
            let Outcome::Entry(outcome) = &mut outcomes[file.outcome] else {
                unreachable!("small files are entries")
            };
            let mut chunks = Vec::with_capacity(file.chunks.len());
            for (piece, id) in stored.by_ref().take(file.chunks.len()) {
                chunks.push(self.shared.store(&mut self.sealing, *id, piece)?);
            }
            match &mut outcome.item {
                Ok(item) => {
                    item.chunks = Some(chunks);
                    set_size(item);
                }
                Err(_) => outcome.orphans = chunks,
            }
        }
        Ok(())
    }

    pub(super) fn is_small(&self, stat: &FileStat) -> bool {
        stat.kind() == FileKind::Regular
            && stat.size <= SMALL_FILE_SIZE_MAX
            && self.arena.len() <= ARENA_LEN_MAX
            && (!self.shared.options.sparse || self.shared.options.chunker.is_content_defined())
    }

    /// Reads a small file whole into the arena; `None` if it has grown too large for that.
    ///
    /// Nothing has been read then as far as the file's position tells: reading starts over.
    pub(super) fn read_small(
        &mut self,
        file: &SourceFile,
        stat: &FileStat,
    ) -> Result<Option<Range<usize>>, SourceError> {
        let start = self.arena.len();
        let expected = usize::try_from(stat.size).expect("small");
        // One byte more than there should be: the first read then shows the end of the file.
        let mut capacity = expected + 1;
        let mut filled = 0;
        loop {
            self.arena.resize(start + capacity, 0);
            let count = file.read_at(&mut self.arena[start + filled..], filled as u64)?;
            filled += count;
            if count == 0 || (filled == expected && count == expected) {
                self.arena.truncate(start + filled);
                return Ok(Some(start..start + filled));
            }
            if filled == capacity {
                if capacity as u64 > 2 * SMALL_FILE_SIZE_MAX {
                    self.arena.truncate(start);
                    return Ok(None);
                }
                capacity *= 2;
            }
        }
    }
}
