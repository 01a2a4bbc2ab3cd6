//! The item stream of an archive being made: items are packed, cut by content and stored as chunks.
//!
//! Source: Borg 1.4, `ChunkBuffer`, `CacheChunkBuffer`.

use ironborg_cache::{ChunkSizes, ChunkTable, Claim, SummaryBuilder};
use ironborg_chunker::{Chunker, ChunkerParams};
use ironborg_crypto::Key;
use ironborg_format::{ChunkEntry, Item};
use ironborg_object::Sealer;
use ironborg_types::ChunkId;

use crate::stored::csize_of;
use crate::{ArchiveError, Session};

/// Packed items are cut into chunks when there are more bytes of them than this. Cut points depend on it.
const BUFFER_LEN: usize = 8 << 20;

/// What a metadata chunk is stored with.
pub(crate) struct MetadataStore<'a> {
    session: &'a mut Session,
    chunks: &'a ChunkTable,
}

impl<'a> MetadataStore<'a> {
    /// The repository, key and counter values of a session; `chunks` knows what is stored.
    pub(crate) fn of(session: &'a mut Session, chunks: &'a ChunkTable) -> Self {
        Self { session, chunks }
    }

    /// Stores a chunk that is not file content; gives its id and stored length.
    pub(crate) fn store(
        &mut self,
        sealer: &mut Sealer,
        data: &[u8],
    ) -> Result<ChunkEntry, ArchiveError> {
        let id = self.session.key.id_hash(data);
        let size =
            u32::try_from(data.len()).map_err(|_| ArchiveError::other("metadata too large"))?;
        let known = match self.chunks.claim(&id, size)? {
            // If a worker is about to store the same bytes as file content, that object will simply
            // supersede this one: waiting for it here would be waiting for oneself.
            Claim::New | Claim::InFlight => None,
            Claim::Known(sizes) if sizes.csize == 0 => csize_of(self.session, self.chunks, &id)?,
            Claim::Known(sizes) => Some(sizes.csize),
        };
        let csize = if let Some(csize) = known {
            csize
        } else {
            let mut object = Vec::new();
            let Session { key, nonces, .. } = &*self.session;
            sealer.seal(key, nonces, data, &mut object)?;
            self.session.repository.put_metadata(&id, &object)?;
            let csize = u32::try_from(object.len()).expect("the repository took it");
            self.chunks.fulfil(&id, ChunkSizes { size, csize });
            csize
        };
        Ok(ChunkEntry { id, size, csize })
    }
}

/// Packed items waiting to be cut by content.
pub(crate) struct PackedItems {
    buffer: Vec<u8>,
    chunker: Chunker,
}

impl PackedItems {
    /// Nothing yet; it will be cut with the key's seed.
    pub(crate) fn new(key: &Key) -> Result<Self, ArchiveError> {
        let chunker = Chunker::new(ChunkerParams::ITEMS, key.chunk_seed())
            .map_err(|error| ArchiveError::other(error.to_string()))?;
        Ok(Self {
            buffer: Vec::new(),
            chunker,
        })
    }

    /// Where one packed item is to be appended; to be cut then if it [`is_full`](Self::is_full).
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether there is enough to be cut.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() > BUFFER_LEN
    }

    /// Hands out the chunks of what is there: all of it at the end, else all but the last one (unless there is only
    /// one).
    pub(crate) fn cut(
        &mut self,
        at_end: bool,
        mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        self.chunker.restart();
        let mut cuts = Vec::new();
        let mut start = 0;
        while let Some(len) = self.chunker.next_cut(&self.buffer[start..], true) {
            cuts.push(start..start + len);
            start += len;
        }
        if !at_end && cuts.len() > 1 {
            cuts.pop();
        }
        for cut in &cuts {
            take(&self.buffer[cut.clone()])?;
        }
        let taken = cuts.last().map_or(0, |cut| cut.end);
        self.buffer.drain(..taken);
        if at_end {
            // What follows, saving the caches, needs memory of its own.
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

/// Packed items waiting to be stored, and the chunks stored so far.
pub(crate) struct ItemStream {
    items: PackedItems,
    /// Ids of the stored chunks, in order.
    pub(crate) ids: Vec<ChunkId>,
    /// Ids of chunks that only the next archive to be stored has, behind those.
    pub(crate) appendix: Vec<ChunkId>,
}

impl ItemStream {
    /// An empty stream.
    pub(crate) fn new(key: &Key) -> Result<Self, ArchiveError> {
        Ok(Self {
            items: PackedItems::new(key)?,
            ids: Vec::new(),
            appendix: Vec::new(),
        })
    }

    /// Adds an item.
    pub(crate) fn add(
        &mut self,
        item: &Item,
        sealer: &mut Sealer,
        store: &mut MetadataStore<'_>,
        summary: &mut SummaryBuilder,
    ) -> Result<(), ArchiveError> {
        item.encode(self.items.buffer());
        self.cut_if_full(sealer, store, summary)
    }

    /// Adds an item that is encoded already.
    pub(crate) fn add_encoded(
        &mut self,
        item: &[u8],
        sealer: &mut Sealer,
        store: &mut MetadataStore<'_>,
        summary: &mut SummaryBuilder,
    ) -> Result<(), ArchiveError> {
        self.items.buffer().extend_from_slice(item);
        self.cut_if_full(sealer, store, summary)
    }

    /// To be asked after every item: where the stream is cut depends on it.
    fn cut_if_full(
        &mut self,
        sealer: &mut Sealer,
        store: &mut MetadataStore<'_>,
        summary: &mut SummaryBuilder,
    ) -> Result<(), ArchiveError> {
        if self.items.is_full() {
            self.flush(false, sealer, store, summary)
        } else {
            Ok(())
        }
    }

    /// Stores what is there: all of it at the end, else all but the last chunk (unless there is only one).
    pub(crate) fn flush(
        &mut self,
        at_end: bool,
        sealer: &mut Sealer,
        store: &mut MetadataStore<'_>,
        summary: &mut SummaryBuilder,
    ) -> Result<(), ArchiveError> {
        let Self { items, ids, .. } = self;
        items.cut(at_end, |chunk| {
            let entry = store.store(sealer, chunk)?;
            summary.add_metadata(&entry);
            ids.push(entry.id);
            Ok(())
        })
    }
}
