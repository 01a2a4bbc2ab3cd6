//! The items of one archive: reading what can be read of them, and writing that again.
//!
//! Source: Borg 1.4, `ArchiveChecker.rebuild_refcounts`, `robust_iterator`.

use std::ops::Range;

use ironborg_crypto::CryptoError;
use ironborg_object::{DecompressionFailure, ObjectError};
use ironborg_types::{BytePath, ChunkId, FindingKind, Place, RepairAction};

use super::archives::AllArchives;
use super::changes::archive_place;
use super::inspector::Inspector;
use super::item::NoItem;
use super::read::{Taken, is_integrity};
use super::rewrite::Rewriter;
use super::stream::RobustStream;
use super::walk::Broken;
use crate::ArchiveError;

/// A chunk of an item stream.
struct StreamChunk<'a> {
    archive: &'a BytePath,
    number: usize,
    id: &'a ChunkId,
}

/// An item.
struct Item<'a> {
    /// Where it was read.
    at: &'a Range<u64>,
    read: &'a [u8],
    /// As stock Borg would write it.
    written: &'a [u8],
}

/// Buffers for items that are written otherwise than they were read.
#[derive(Default)]
struct Buffers {
    canonical: Vec<u8>,
    changed: Vec<u8>,
}

impl AllArchives<'_, '_, '_> {
    /// Goes through the items in the chunks `ids`, which were named to the queue; gives the chunks they are in now.
    pub(super) fn check_items(
        &mut self,
        archive: &BytePath,
        ids: &[ChunkId],
    ) -> Result<Vec<ChunkId>, ArchiveError> {
        let keys = self.inspector.item_keys.iter().map(Vec::as_slice);
        let mut stream = RobustStream::new(keys);
        let mut rewriter = Rewriter::new(self.inspector, archive)?;
        let mut buffers = Buffers::default();
        let mut is_after_hole = false;
        for (number, id) in ids.iter().enumerate() {
            self.inspector.look_at_interrupt()?;
            let chunk = StreamChunk {
                archive,
                number,
                id,
            };
            let fetched = match self.queue.take(self.inspector) {
                Taken::Missing => {
                    is_after_hole = true;
                    let kind = FindingKind::ItemsMissing;
                    self.inspector
                        .report(&chunk, kind, "item metadata chunk missing");
                    continue;
                }
                Taken::Read(outcome) => {
                    if std::mem::take(&mut is_after_hole) {
                        stream.resync();
                    }
                    match outcome {
                        Ok(fetched) => fetched,
                        Err(error) if is_integrity(&error) => {
                            let kind = FindingKind::ItemsDamaged;
                            self.inspector.report(&chunk, kind, &error.to_string());
                            is_after_hole = ends_stock_borg(&error);
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            rewriter.note_read(stream.feed(&fetched.plaintext), *id);
            self.queue.recycle(fetched);
            self.check_fed(&chunk, &mut stream, &mut rewriter, &mut buffers)?;
        }
        if stream.pending_len() > 0 {
            // Stock Borg does not say so either.
            let detail = format!(
                "leave out the {} bytes behind the last whole item of archive {archive}",
                stream.pending_len()
            );
            let action = RepairAction::DropItem;
            self.inspector.tell(action, archive_place(archive), detail);
        }
        rewriter.finish(self.inspector)
    }

    /// Goes through the items that are whole by now.
    fn check_fed(
        &mut self,
        chunk: &StreamChunk<'_>,
        stream: &mut RobustStream,
        rewriter: &mut Rewriter,
        buffers: &mut Buffers,
    ) -> Result<(), ArchiveError> {
        loop {
            self.inspector.look_at_interrupt()?;
            if let Some(at) = stream.next_plain(&mut self.form, &self.inspector.item_keys) {
                let item = Item {
                    at: &at,
                    read: stream.bytes(&at),
                    written: stream.bytes(&at),
                };
                self.check_content(chunk, &item, rewriter, &mut buffers.changed)?;
                rewriter.store_full(self.inspector)?;
                continue;
            }
            match stream.next() {
                Ok(Some(at)) => {
                    self.check_item(chunk, &at, stream.bytes(&at), rewriter, buffers)?;
                    rewriter.store_full(self.inspector)?;
                }
                Ok(None) => return Ok(()),
                Err(Broken) => {
                    let message =
                        "Unpacker crashed while unpacking item metadata, trying to resync...";
                    let kind = FindingKind::ItemInvalid;
                    self.inspector.report(chunk, kind, message);
                    let detail = format!(
                        "leave out what chunk {} of the items of archive {} goes on with",
                        chunk.id, chunk.archive
                    );
                    let place = chunk.place(self.inspector);
                    self.inspector.tell(RepairAction::DropItem, place, detail);
                    stream.resync();
                    return Ok(());
                }
            }
        }
    }

    fn check_item(
        &mut self,
        chunk: &StreamChunk<'_>,
        at: &Range<u64>,
        item: &[u8],
        rewriter: &mut Rewriter,
        buffers: &mut Buffers,
    ) -> Result<(), ArchiveError> {
        let inspector = &mut *self.inspector;
        let form = &mut self.form;
        if let Err(NoItem(reason)) = form.read(item, &inspector.item_keys) {
            let message = format!(
                "Did not get expected metadata dict when unpacking item metadata ({reason})"
            );
            inspector.report(chunk, FindingKind::ItemInvalid, &message);
            let detail = format!(
                "leave {} bytes out of the items of archive {}: {reason}",
                item.len(),
                chunk.archive
            );
            inspector.tell(RepairAction::DropItem, chunk.place(inspector), detail);
            return Ok(());
        }
        let Buffers { canonical, changed } = buffers;
        let written = if form.is_canonical() {
            item
        } else {
            canonical.clear();
            form.write_canonical(item, canonical);
            form.read(canonical, &inspector.item_keys)
                .expect("the same entries, in another order");
            canonical
        };
        let item = Item {
            at,
            read: item,
            written,
        };
        self.check_content(chunk, &item, rewriter, changed)
    }

    /// Looks at the content of an item `form` has looked into, and writes it again.
    fn check_content(
        &mut self,
        chunk: &StreamChunk<'_>,
        item: &Item<'_>,
        rewriter: &mut Rewriter,
        changed: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        changed.clear();
        let (form, zeros) = (&self.form, &mut self.zeros);
        let inspector = &mut *self.inspector;
        if inspector.verify_content(chunk.archive, form, item.written, zeros, changed)? {
            rewriter.add(changed);
        } else if std::ptr::eq(item.written, item.read) || item.written == item.read {
            rewriter.copy(item.at, item.read);
        } else {
            rewriter.add(item.written);
        }
        Ok(())
    }
}

/// Whether stock Borg does not survive this. Of other errors it does, but goes on as if nothing was missing, and what
/// follows is lost up to the next chunk.
fn ends_stock_borg(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Object(
            ObjectError::Crypto(CryptoError::MacMismatch { .. })
                | ObjectError::Decompression(DecompressionFailure::UnknownCompressor(..))
        )
    )
}

impl StreamChunk<'_> {
    fn place(&self, inspector: &Inspector<'_>) -> Place {
        inspector.place(self.archive, self.id)
    }
}

impl Inspector<'_> {
    /// A problem in a chunk of an item stream.
    fn report(&mut self, chunk: &StreamChunk<'_>, kind: FindingKind, message: &str) {
        let message = format!("{message} [chunk: {:06}_{}]", chunk.number, chunk.id);
        let place = chunk.place(self);
        self.error(kind, place, message);
    }
}
