//! Reading a segment for another place: in pieces that hold whole entries, each compared with its checksum, so that damage
//! does not spread.

use std::io::IoSliceMut;

use ironborg_format::segment::{Entry, HEADER_LEN, Header, MAGIC, MAGIC_LEN, decode_entry};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::SegmentId;

use super::side::Side;
use crate::RepositoryError;
use crate::segments::bad_entry;

/// Bytes read at once.
pub(super) const PIECE_LEN: usize = 4 << 20;

/// What becomes of the COMMIT at the end, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is part of the segment.
    Whole,
    /// It is left out.
    WithoutCommit,
}

/// One segment being read. Memory: one piece, or the largest entry.
pub(super) struct CheckedSegment<'a> {
    side: &'a Side,
    segment: SegmentId,
    name: String,
    size: u64,
    ending: Ending,
    /// Where the window begins in the file.
    offset: u64,
    /// What was read and not yet given out.
    window: Vec<u8>,
    /// How much of the window is sound.
    sound: usize,
    /// Bytes of COMMITs at the end of what is sound; one as a rule.
    commits_len: usize,
    /// Whether a COMMIT was left out.
    pub(super) is_withheld: bool,
}

impl<'a> CheckedSegment<'a> {
    pub(super) fn new(side: &'a Side, segment: SegmentId, size: u64, ending: Ending) -> Self {
        Self {
            side,
            segment,
            name: side.log.name(segment),
            size,
            ending,
            offset: 0,
            window: Vec::new(),
            sound: 0,
            commits_len: 0,
            is_withheld: false,
        }
    }

    /// The next piece, in place of what is in the buffer; an empty one is the end.
    pub(super) fn next(&mut self, piece: &mut Vec<u8>) -> Result<(), RepositoryError> {
        piece.clear();
        while piece.is_empty() {
            let is_end = !self.read_on()?;
            self.look_on(is_end)?;
            // What may be the end of the segment is kept until it is known whether it is.
            let kept = if is_end && self.ending == Ending::Whole {
                0
            } else {
                self.commits_len.min(self.sound)
            };
            let given = self.sound - kept;
            piece.extend_from_slice(&self.window[..given]);
            self.window.drain(..given);
            self.offset += given as u64;
            self.sound = kept;
            if is_end {
                self.is_withheld = kept > 0;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the next piece behind the window; false at the end of the segment.
    fn read_on(&mut self) -> Result<bool, RepositoryError> {
        let have = self.window.len();
        let at = self.offset + have as u64;
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(false);
        }
        self.window.resize(have + left.min(PIECE_LEN), 0);
        let storage = &self.side.storage;
        let mut end = have;
        while end < self.window.len() {
            let free = &mut [IoSliceMut::new(&mut self.window[end..])];
            let count = storage.read_at(&self.name, self.offset + end as u64, free)?;
            if count == 0 {
                return Err(self.bad(at, "Segment is shorter than it was"));
            }
            end += count;
        }
        let ahead = self.offset + end as u64;
        if ahead < self.size {
            storage.will_need(&self.name, ahead, (self.size - ahead).min(PIECE_LEN as u64));
        }
        Ok(true)
    }

    /// Looks at the entries that are wholly in the window; at the end of the segment nothing else may be there.
    fn look_on(&mut self, is_end: bool) -> Result<(), RepositoryError> {
        if self.offset == 0 && self.sound == 0 {
            if self.window.get(..MAGIC_LEN) != Some(&MAGIC[..]) {
                return Err(self.bad(0, "Invalid segment magic"));
            }
            self.sound = MAGIC_LEN;
        }
        loop {
            let left = &self.window[self.sound..];
            if left.is_empty() {
                return Ok(());
            }
            let bad = |error| {
                let error = bad_entry(self.segment, self.offset + self.sound as u64, error);
                located(error, &*self.side.storage, &self.name)
            };
            if !is_end {
                let is_whole = left.len() >= HEADER_LEN && {
                    let header = Header::decode(left, HEADER_LEN).map_err(bad)?;
                    left.len() >= header.size as usize
                };
                if !is_whole {
                    return Ok(());
                }
            }
            let (entry, size) = decode_entry(left).map_err(bad)?;
            self.commits_len = match entry {
                Entry::Commit => self.commits_len + size,
                _ => 0,
            };
            self.sound += size;
        }
    }

    fn bad(&self, offset: u64, reason: &str) -> RepositoryError {
        let error = RepositoryError::BadEntry {
            segment: self.segment,
            offset,
            reason: reason.to_owned(),
            detail: String::new(),
        };
        located(error, &*self.side.storage, &self.name)
    }
}

/// Says of which file an error of a segment is.
fn located(error: RepositoryError, storage: &dyn Storage, name: &str) -> RepositoryError {
    match error {
        RepositoryError::BadEntry {
            segment,
            offset,
            reason,
            detail,
        } => RepositoryError::BadEntry {
            segment,
            offset,
            reason,
            detail: format!(
                "{detail}: {} is damaged and was not mirrored",
                storage.path(name).display()
            ),
        },
        other => other,
    }
}

/// Whether two files have the same content between `offset` and `offset + len`, as far as either goes.
pub(super) fn is_same(
    sides: [&Side; 2],
    name: &str,
    offset: u64,
    len: u64,
    mut may_go_on: impl FnMut() -> Result<(), RepositoryError>,
) -> Result<bool, RepositoryError> {
    let mut buffers = [Vec::new(), Vec::new()];
    let mut done = 0;
    while done < len {
        may_go_on()?;
        let wanted = usize::try_from(len - done).map_or(PIECE_LEN, |left| left.min(PIECE_LEN));
        for (side, buffer) in sides.iter().zip(&mut buffers) {
            buffer.resize(wanted, 0);
            let count = fill(&*side.storage, name, offset + done, buffer)?;
            buffer.truncate(count);
        }
        let [first, second] = &buffers;
        if first != second {
            return Ok(false);
        }
        if first.is_empty() {
            break;
        }
        done += first.len() as u64;
    }
    Ok(true)
}

/// Reads as much as there is.
fn fill(
    storage: &dyn Storage,
    name: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, StorageError> {
    let mut have = 0;
    while have < buffer.len() {
        let free = &mut [IoSliceMut::new(&mut buffer[have..])];
        match storage.read_at(name, offset + have as u64, free)? {
            0 => break,
            count => have += count,
        }
    }
    Ok(have)
}
