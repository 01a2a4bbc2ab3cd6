//! Checkpoints: what there is of the archive, made durable.

use std::sync::atomic::Ordering;
use std::time::Instant;

use ironborg_cache::{ChunkSizes, SummaryBuilder};
use ironborg_format::ChunkEntry;
use ironborg_types::{ChunkId, Level};

use super::super::ahead;
use super::super::save::Saving;
use super::{Collector, LOGGER};
use crate::error::ArchiveError;
use crate::item_stream::{ItemStream, MetadataStore};
use crate::save::{let_go, unlist_checkpoint};

impl Collector<'_, '_> {
    pub(super) fn ask_for_part(&mut self) {
        self.due = Some(Instant::now());
        self.shared.part_requests.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes durable what is there; ends the operation if the user asked for that.
    pub(super) fn checkpoint(&mut self) -> Result<(), ArchiveError> {
        if self.stopping {
            self.checkpoint_on_request()?;
            return Err(ArchiveError::Interrupted);
        }
        self.write_checkpoint()
    }

    pub(super) fn checkpoint_on_request(&mut self) -> Result<(), ArchiveError> {
        self.shared.stopping.store(true, Ordering::Release);
        self.session.client.log(
            Level::Info,
            LOGGER,
            "checkpoint requested: starting checkpoint creation...",
        );
        self.remove_unreferenced()?;
        self.write_checkpoint()?;
        self.session.client.log(
            Level::Info,
            LOGGER,
            "checkpoint requested: finished checkpoint creation!",
        );
        Ok(())
    }

    /// Removes what workers were ahead with: no item will refer to it, and a check would call it orphaned.
    ///
    /// Only what this run has put, as nobody had it before; and not what metadata happen to share with it.
    fn remove_unreferenced(&mut self) -> Result<(), ArchiveError> {
        for id in &self.items.ids {
            self.unreferenced.remove(id);
        }
        let mut ids: Vec<ChunkId> = self.unreferenced.drain().collect();
        ids.sort_unstable();
        for id in &ids {
            // Metadata that come to be the same from here on are to be stored.
            self.shared.chunks.note_removed(id);
        }
        self.session.repository.delete_many(&ids)?;
        Ok(())
    }

    /// Stores items of what workers are ahead with; gives the chunks of that stream.
    fn store_ahead(&mut self) -> Result<Vec<ChunkId>, ArchiveError> {
        if self.unreferenced.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids: Vec<ChunkId> = self.unreferenced.iter().copied().collect();
        ids.sort_unstable();
        let chunks = self.shared.chunks;
        let entry = |id: ChunkId| {
            let ChunkSizes { size, csize } = chunks.get(&id)?;
            Some(ChunkEntry { id, size, csize })
        };
        let ahead: Vec<ChunkEntry> = ids.into_iter().filter_map(entry).collect();
        let mut items = ItemStream::new(self.shared.key)?;
        // What a checkpoint refers to is counted when it is read.
        let mut uncounted = SummaryBuilder::new();
        let mut store = MetadataStore::of(self.session, chunks);
        for part in ahead::parts(&ahead) {
            items.add(&part, &mut self.sealer, &mut store, &mut uncounted)?;
        }
        items.flush(true, &mut self.sealer, &mut store, &mut uncounted)?;
        Ok(items.ids)
    }

    fn write_checkpoint(&mut self) -> Result<(), ArchiveError> {
        self.due = None;
        let name = self.saver.checkpoint_name.clone();
        self.items.appendix = self.store_ahead()?;
        let saved = self.save(&name, Saving::Checkpoint)?;
        unlist_checkpoint(self.session, self.shared.chunks, &name, &saved.entry)?;
        for id in std::mem::take(&mut self.items.appendix) {
            let_go(self.session, self.shared.chunks, &id)?;
        }
        self.begin_transaction();
        self.last_checkpoint = Instant::now();
        self.new_bytes = 0;
        Ok(())
    }
}
