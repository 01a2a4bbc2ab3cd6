//! Finds where messages end in a stream of bytes.

use ironborg_format::msgpack::{Head, MsgpackError};
use ironborg_types::limits::ENTRY_SIZE_MAX;

/// Longest message taken: three times the largest object, as stock Borg has it.
pub const FRAME_LEN_MAX: usize = 3 * ENTRY_SIZE_MAX;
/// Room made for reading when nothing is known about what comes.
const READ_LEN_MIN: usize = 64 * 1024;
/// Room made ahead of the bytes of a long message, however long it says it is: a length is believed as it arrives.
const READ_LEN_MAX: usize = 1024 * 1024;
/// An empty buffer larger than this is given back.
const KEPT_LEN_MAX: usize = 4 * 1024 * 1024;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It would be longer than is taken.
    #[error("a message is longer than {FRAME_LEN_MAX} bytes")]
    TooLong,
    /// The one byte (0xc1) that starts no value.
    #[error("a message begins no value")]
    Reserved,
}

/// Bytes received, cut into messages.
///
/// Every byte is looked at once however the stream is cut into reads, and no more memory is used than has
/// arrived and one read more.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where the first message not taken begins.
    start: usize,
    /// Where in `bytes` received data end; behind it is room for reading.
    end: usize,
    /// Up to where the message that begins at `start` has been stepped over.
    scanned: usize,
    /// How many values are still to be stepped over; 0 if none was begun.
    pending: u64,
    /// Bytes of the value being stepped over that were not received when last looked.
    missing: usize,
}

impl FrameBuffer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Room to read into; tell [`FrameBuffer::received`] how much of it was filled.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.scanned, self.start, self.end) = (0, 0, 0);
            if self.bytes.len() > KEPT_LEN_MAX {
                self.bytes = Vec::new();
            }
        }
        let wanted = self.missing.clamp(READ_LEN_MIN, READ_LEN_MAX);
        if self.bytes.len() - self.end < wanted {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.scanned -= self.start;
                self.start = 0;
            }
            if self.bytes.len() - self.end < wanted {
                // Doubling keeps the cost of growing linear in what arrived.
                let len = (self.end + wanted).max((self.end * 2).min(self.end + KEPT_LEN_MAX));
                self.bytes.resize(len, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Notes that the first `len` bytes of the room were filled.
    pub fn received(&mut self, len: usize) {
        assert!(
            len <= self.bytes.len() - self.end,
            "no more was read than there was room for"
        );
        self.end += len;
        self.missing = self.missing.saturating_sub(len);
    }

    /// Appends bytes that were received elsewhere.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.room();
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            self.received(len);
            bytes = &bytes[len..];
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.start < self.end
    }

    /// The next whole message; `None` until more is received.
    ///
    /// # Errors
    /// The stream is broken from here on.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if self.pending == 0 {
            self.pending = 1;
        }
        while self.pending > 0 {
            let rest = &self.bytes[self.scanned..self.end];
            let head = match Head::read(rest) {
                Ok(head) => head,
                Err(MsgpackError::ReservedMarker) => return Err(FrameError::Reserved),
                Err(_) => {
                    self.missing = 0;
                    return self.incomplete();
                }
            };
            let len = usize::try_from(head.payload_len)
                .ok()
                .and_then(|len| len.checked_add(head.len))
                .filter(|len| *len <= FRAME_LEN_MAX - (self.scanned - self.start))
                .ok_or(FrameError::TooLong)?;
            if rest.len() < len {
                self.missing = len - rest.len();
                return self.incomplete();
            }
            self.scanned += len;
            self.pending = self.pending - 1 + head.child_count;
            // Every value takes a byte at least.
            if self.pending > (FRAME_LEN_MAX - (self.scanned - self.start)) as u64 {
                return Err(FrameError::TooLong);
            }
        }
        let begin = self.start;
        self.start = self.scanned;
        Ok(Some(&self.bytes[begin..self.scanned]))
    }

    fn incomplete(&self) -> Result<Option<&[u8]>, FrameError> {
        if self.scanned - self.start >= FRAME_LEN_MAX {
            return Err(FrameError::TooLong);
        }
        Ok(None)
    }

    /// The bytes received and not taken, for messages.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}
