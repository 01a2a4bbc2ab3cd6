//! The segment being written: entries gathered in one buffer, sealed in the end.

use ironborg_format::segment::MAGIC;
use ironborg_storage::{AppendFile, StorageError};
use ironborg_types::SegmentId;

/// Small entries are gathered until this many bytes are worth a system call.
const BUFFER_LEN: usize = 1 << 20;
/// A segment's file and what has not reached it yet.
pub(super) struct Writer {
    file: Box<dyn AppendFile>,
    pub(super) segment: SegmentId,
    /// Bytes handed to the file; what follows is in the buffer.
    flushed: u64,
    /// Whole entries only.
    buffer: Vec<u8>,
}

impl Writer {
    /// Begins a segment in a new file.
    pub(super) fn new(file: Box<dyn AppendFile>, segment: SegmentId) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_LEN);
        buffer.extend_from_slice(&MAGIC);
        Self {
            file,
            segment,
            flushed: 0,
            buffer,
        }
    }

    /// Where the next entry will begin.
    pub(super) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// What lies from `offset` on, if that has not reached the file yet.
    pub(super) fn unwritten(&self, offset: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.flushed)?).ok()?;
        Some(self.buffer.get(start..).unwrap_or_default())
    }

    /// How much has not reached the file yet.
    pub(super) fn unwritten_len(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file.sync()
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Adds an entry: its header and what follows it.
    pub(super) fn write(&mut self, header: &[u8], body: &[u8]) -> Result<(), StorageError> {
        if self.buffer.len() + header.len() + body.len() > BUFFER_LEN {
            self.flush()?;
        }
        self.buffer.extend_from_slice(header);
        if header.len() + body.len() <= BUFFER_LEN {
            self.buffer.extend_from_slice(body);
            return Ok(());
        }
        // Not worth a copy. The buffer is flushed first, so it never ends within an entry.
        self.flush()?;
        self.file.append(body)?;
        self.flushed += body.len() as u64;
        Ok(())
    }

    /// The segment is finished; it is durable when the next one is sealed.
    pub(super) fn seal_later(mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file.seal_later()
    }

    /// Makes everything durable; the segment is finished.
    pub(super) fn seal(mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file.seal()
    }
}
