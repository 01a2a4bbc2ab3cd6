//! The items of a checked archive, written again.
//!
//! Whatever was not changed comes out as it was. Where cuts fall as they did in the stream that was read, chunks are
//! not even hashed again: their ids are known.

use std::collections::VecDeque;
use std::ops::Range;

use ironborg_types::{ArchiveId, BytePath, ChunkId};

use super::inspector::Inspector;
use crate::ArchiveError;
use crate::item_stream::PackedItems;

/// An item stream in the making.
pub(super) struct Rewriter {
    items: PackedItems,
    origins: Origins,
    /// What to say of chunks that are stored.
    purpose: String,
    ids: Vec<ChunkId>,
}

/// Which written bytes are which bytes that were read.
#[derive(Default)]
struct Origins {
    /// Bytes written, and bytes cut off from them.
    written: u64,
    cut: u64,
    /// Written bytes, each with where they were read.
    copied: VecDeque<(Range<u64>, u64)>,
    /// Chunks, each with where its bytes were read.
    chunks: VecDeque<(Range<u64>, ChunkId)>,
}

impl Rewriter {
    pub(super) fn new(inspector: &Inspector<'_>, archive: &BytePath) -> Result<Self, ArchiveError> {
        Ok(Self {
            items: PackedItems::new(&inspector.key)?,
            origins: Origins::default(),
            purpose: format!("items of archive {archive}"),
            ids: Vec::new(),
        })
    }

    /// Tells of a chunk that was read, with where its bytes lie in all that was.
    pub(super) fn note_read(&mut self, at: Range<u64>, id: ChunkId) {
        self.origins.chunks.push_back((at, id));
    }

    /// Adds an item as it was read.
    pub(super) fn copy(&mut self, at: &Range<u64>, item: &[u8]) {
        self.origins.note_copied(at);
        self.items.buffer().extend_from_slice(item);
    }

    /// Adds an item that differs from what was read.
    pub(super) fn add(&mut self, item: &[u8]) {
        self.origins.written += item.len() as u64;
        self.items.buffer().extend_from_slice(item);
    }

    /// Stores what is enough for that. To be called after every item.
    pub(super) fn store_full(&mut self, inspector: &mut Inspector<'_>) -> Result<(), ArchiveError> {
        if self.items.is_full() {
            self.store(inspector, false)?;
        }
        Ok(())
    }

    /// Stores the rest; gives the chunks of the stream.
    pub(super) fn finish(
        mut self,
        inspector: &mut Inspector<'_>,
    ) -> Result<Vec<ChunkId>, ArchiveError> {
        self.store(inspector, true)?;
        Ok(self.ids)
    }

    fn store(&mut self, inspector: &mut Inspector<'_>, at_end: bool) -> Result<(), ArchiveError> {
        let Self {
            items,
            origins,
            purpose,
            ids,
        } = self;
        items.cut(at_end, |chunk| {
            let id = match origins.take(chunk.len()) {
                Some(id) => id,
                None => inspector.key.id_hash(chunk),
            };
            inspector.reference_or_store(&id, chunk, purpose)?;
            ids.push(id);
            Ok(())
        })
    }
}

impl Origins {
    fn note_copied(&mut self, at: &Range<u64>) {
        let len = at.end - at.start;
        let end = self.written + len;
        match self.copied.back_mut() {
            Some((written, read))
                if written.end == self.written
                    && *read + (written.end - written.start) == at.start =>
            {
                written.end = end;
            }
            _ => self.copied.push_back((self.written..end, at.start)),
        }
        self.written = end;
    }

    /// Goes on by a chunk of the written bytes: its id if it is one that was read.
    fn take(&mut self, len: usize) -> Option<ChunkId> {
        let cut = self.cut..self.cut + len as u64;
        self.cut = cut.end;
        while self
            .copied
            .pop_front_if(|(written, _)| written.end <= cut.start)
            .is_some()
        {}
        let (written, read) = self.copied.front()?;
        if written.start > cut.start || written.end < cut.end {
            return None;
        }
        let start = read + (cut.start - written.start);
        let end = start + len as u64;
        while self
            .chunks
            .pop_front_if(|(at, _)| at.end <= start)
            .is_some()
        {}
        let (at, id) = self.chunks.front()?;
        (*at == (start..end)).then_some(*id)
    }
}

impl Inspector<'_> {
    /// The id of plaintext, which is counted and stored if it is not there.
    pub(super) fn store_archive(
        &mut self,
        name: &BytePath,
        metadata: &[u8],
    ) -> Result<ArchiveId, ArchiveError> {
        let id = self.key.id_hash(metadata);
        self.reference_or_store(&id, metadata, &format!("metadata of archive {name}"))?;
        Ok(ArchiveId::from(id))
    }
}

#[cfg(test)]
mod tests;
