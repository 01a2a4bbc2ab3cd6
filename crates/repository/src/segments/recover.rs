//! Saving what can be read of a damaged segment.

use std::io::IoSliceMut;

use ironborg_format::segment::{
    HEADER_LEN, MAGIC, MAGIC_LEN, is_whole_entry, salvageable_entry_size,
};
use ironborg_storage::AppendFile;
use ironborg_types::SegmentId;
use ironborg_types::limits::ENTRY_SIZE_MAX;

use super::SegmentLog;
use crate::RepositoryError;

/// Bytes held at once: twice the largest entry, so that making room moves each byte once.
const WINDOW_LEN: usize = 2 * ENTRY_SIZE_MAX;
/// A smaller file holds no entry.
const SIZE_MIN: u64 = (MAGIC_LEN + HEADER_LEN) as u64;

impl SegmentLog {
    /// Replaces a damaged segment by one that holds every entry of it that is whole, wherever in the
    /// file it begins. The damaged one is there until the other is durable.
    ///
    /// Source: Borg 1.4, `LoggedIO.recover_segment`.
    pub(crate) fn recover(&self, segment: SegmentId) -> Result<(), RepositoryError> {
        let name = self.name(segment);
        let staged = format!("{name}.tmp");
        if self.storage.status(&staged)?.is_some() {
            // Left by a recovery that was cut short.
            self.storage.remove(&staged)?;
        }
        let copied = self.copy_whole_entries(segment, &staged);
        if copied.is_err() {
            // The first error is the one to report.
            let _ = self.storage.remove(&staged);
        }
        copied?;
        Ok(self.storage.publish(&[&name])?)
    }

    fn copy_whole_entries(&self, segment: SegmentId, to: &str) -> Result<(), RepositoryError> {
        let size = self.size(segment)?.unwrap_or(0);
        let mut file = self.storage.create(to)?;
        file.append(&MAGIC)?;
        if size >= SIZE_MIN {
            let len = usize::try_from(size).map_or(WINDOW_LEN, |size| size.min(WINDOW_LEN));
            let mut window = Window {
                log: self,
                segment,
                file: &mut *file,
                bytes: vec![0; len],
                kept: 0,
                at: 0,
                end: 0,
                offset: 0,
                is_at_end: false,
            };
            window.copy_whole_entries()?;
        }
        Ok(file.seal()?)
    }
}

/// A part of the segment, moving towards its end.
struct Window<'a> {
    log: &'a SegmentLog,
    segment: SegmentId,
    file: &'a mut dyn AppendFile,
    bytes: Vec<u8>,
    /// From here to `at` there are whole entries that were not written yet.
    kept: usize,
    /// What is being looked at.
    at: usize,
    /// Where what was read ends.
    end: usize,
    /// Where that is in the segment's file.
    offset: u64,
    /// Nothing is left to be read.
    is_at_end: bool,
}

impl Window<'_> {
    fn copy_whole_entries(&mut self) -> Result<(), RepositoryError> {
        while self.fill(HEADER_LEN)? {
            if self.is_at_whole_entry()? {
                let size = salvageable_entry_size(&self.bytes[self.at..self.end]);
                self.at += size.expect("that of the entry just found");
            } else {
                self.flush()?;
                self.at += 1;
                self.kept = self.at;
            }
        }
        self.flush()
    }

    fn is_at_whole_entry(&mut self) -> Result<bool, RepositoryError> {
        let Some(size) = salvageable_entry_size(&self.bytes[self.at..self.end]) else {
            return Ok(false);
        };
        Ok(self.fill(size)? && is_whole_entry(&self.bytes[self.at..self.at + size]))
    }

    /// Sees to it that there are `len` bytes from where it looks on; `false` if the segment ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RepositoryError> {
        if self.end - self.at >= len || self.is_at_end {
            return Ok(self.end - self.at >= len);
        }
        self.flush()?;
        self.bytes.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        (self.kept, self.at) = (0, 0);
        let free = &mut self.bytes[self.end..];
        let free_len = free.len();
        let log = self.log;
        let count = log.read_at(self.segment, self.offset, &mut [IoSliceMut::new(free)])?;
        self.is_at_end = count < free_len;
        self.end += count;
        self.offset += count as u64;
        Ok(self.end >= len)
    }

    fn flush(&mut self) -> Result<(), RepositoryError> {
        if self.kept < self.at {
            self.file.append(&self.bytes[self.kept..self.at])?;
            self.kept = self.at;
        }
        Ok(())
    }
}
