//! The item stream: items one after the other, cut into chunks without regard to where an item ends.

use super::view::ItemView;
use super::{Item, ItemError};
use crate::metadata_error::{Document, malformed};
use crate::msgpack::read::Head;
use crate::msgpack::{MsgpackError, Reader};

/// Largest encoded item that is accepted: the largest stock Borg can read (its unpacker buffers up to
/// 2^31 - 1 bytes). A chunk takes 44 bytes, so this is a file of about 48 million chunks: 90 TB in chunks of
/// 2 MiB. Memory is only ever taken for bytes that were really pushed.
pub const ITEM_LEN_MAX: usize = i32::MAX as usize;

/// Decodes the item stream of an archive, fed chunk by chunk.
///
/// Memory: the pushed bytes that were not decoded yet; a caller that takes all items after every push
/// holds one chunk and one incomplete item.
#[derive(Debug, Default)]
pub struct ItemDecoder {
    pub(super) buffer: Vec<u8>,
    /// Where the next item starts in `buffer`.
    start: usize,
    /// How far the incomplete item at `start` is known to reach.
    scan: Scan,
}

impl ItemDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Decodes the next item without copying it; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`ItemError`] for what is not an item, or for one larger than [`ITEM_LEN_MAX`]. The decoder does not
    /// go on behind it: calling again gives the same error.
    pub fn next_view(&mut self) -> Result<Option<ItemView<'_>>, ItemError> {
        let pending = &self.buffer[self.start..];
        if pending.is_empty() {
            return Ok(None);
        }
        // Scanning costs as much as decoding, so only an item known to be incomplete is scanned first.
        if self.scan != Scan::default() && !self.scan.advance(pending)? {
            return Ok(None);
        }
        let mut reader = Reader::new(pending);
        match ItemView::decode(&mut reader) {
            Ok(item) => {
                self.start += pending.len() - reader.remaining();
                self.scan = Scan::default();
                Ok(Some(item))
            }
            Err(error) if is_truncated(&error) && !self.scan.advance(pending)? => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decodes the next item into `item`, whose memory is used again; `false` if more bytes are needed.
    ///
    /// # Errors
    /// As [`ItemDecoder::next_view`].
    pub fn next_into(&mut self, item: &mut Item) -> Result<bool, ItemError> {
        let Some(view) = self.next_view()? else {
            return Ok(false);
        };
        view.copy_into(item);
        Ok(true)
    }

    /// Steps over the next item if it is `encoded`, byte for byte; `None` if more bytes are needed to tell.
    pub fn skip_if(&mut self, encoded: &[u8]) -> Option<bool> {
        let pending = &self.buffer[self.start..];
        let len = pending.len().min(encoded.len());
        if pending[..len] != encoded[..len] {
            return Some(false);
        }
        if len < encoded.len() {
            return None;
        }
        self.start += len;
        self.scan = Scan::default();
        Some(true)
    }

    /// The bytes of the next value, whatever it is; `None` if more are needed.
    ///
    /// # Errors
    /// As [`ItemDecoder::next_view`], but only for what is no value at all.
    pub fn next_bytes(&mut self) -> Result<Option<&[u8]>, ItemError> {
        if !self.scan.advance(&self.buffer[self.start..])? {
            return Ok(None);
        }
        let from = self.start;
        self.start += self.scan.offset;
        self.scan = Scan::default();
        Ok(Some(&self.buffer[from..self.start]))
    }

    /// Bytes pushed and not decoded yet.
    pub fn pending_len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Makes sure that the stream did not end within an item. (Stock Borg does not notice.)
    pub fn finish(&self) -> Result<(), ItemError> {
        if self.pending_len() == 0 {
            Ok(())
        } else {
            Err(malformed(Document::Item)(MsgpackError::Truncated))
        }
    }
}

fn is_truncated(error: &ItemError) -> bool {
    matches!(
        error,
        ItemError::Malformed {
            source: MsgpackError::Truncated,
            ..
        } | ItemError::InvalidValue {
            source: MsgpackError::Truncated,
            ..
        }
    )
}

/// Finds the end of one value that arrives in pieces, looking at every byte once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scan {
    /// Offset from the item's start of the next head to look at; may lie beyond what has arrived.
    offset: usize,
    /// Values that start at or behind `offset`.
    pending: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            offset: 0,
            pending: 1,
        }
    }
}

impl Scan {
    /// Goes on in `item` (all that has arrived of it); whether its end has arrived.
    fn advance(&mut self, item: &[u8]) -> Result<bool, ItemError> {
        while self.pending > 0 {
            let Some(rest) = item.get(self.offset..) else {
                return Ok(false);
            };
            let head = match Head::read(rest) {
                Ok(head) => head,
                Err(MsgpackError::Truncated) => return Ok(false),
                Err(error) => return Err(malformed(Document::Item)(error)),
            };
            let pending = self.pending - 1 + head.child_count;
            let offset = (self.offset + head.len) as u64 + head.payload_len;
            // Every pending value takes a byte at least. What cannot fit is refused before it has arrived.
            match usize::try_from(offset.saturating_add(pending)) {
                Ok(len) if len <= ITEM_LEN_MAX => {}
                _ => return Err(too_large()),
            }
            self.offset = usize::try_from(offset).map_err(|_| too_large())?;
            self.pending = pending;
        }
        Ok(self.offset <= item.len())
    }
}

fn too_large() -> ItemError {
    malformed(Document::Item)(MsgpackError::TooLarge {
        limit: ITEM_LEN_MAX,
    })
}
