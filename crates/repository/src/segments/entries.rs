//! Reading a segment from end to end.

use std::io::IoSliceMut;

use ironborg_format::segment::{
    Entry, EntryError, HEADER_LEN, Header, KEYED_HEADER_LEN, MAGIC, MAGIC_LEN, Tag, decode_entry,
};
use ironborg_types::{ChunkId, SegmentId};

use super::{SegmentLog, bad_entry};
use crate::RepositoryError;

/// Bytes read at once.
const WINDOW_LEN: usize = 1 << 20;
/// Bytes read first: the last segment, looked at on every opening, is usually 17 bytes long.
const FIRST_WINDOW_LEN: usize = 4 << 10;

/// Bytes that are asked for ahead at once.
const AHEAD_LEN: u64 = 16 << 20;

/// An entry and where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundEntry<'a> {
    /// What it does.
    pub entry: Entry<'a>,
    /// Bytes from the start of the segment file.
    pub offset: u32,
    /// The whole entry, header included.
    pub size: u32,
}

/// The header of an entry and where it was; nothing behind it was read, so nothing is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundHeader {
    pub(crate) tag: Tag,
    /// Of a PUT or DELETE.
    pub(crate) id: Option<ChunkId>,
    /// Bytes from the start of the segment file.
    pub(crate) offset: u32,
}

/// The entries of one segment, in order. Memory: one window, or the largest entry.
///
/// The log is handed in at each step, so that it can be written to in between.
pub(crate) struct Entries {
    segment: SegmentId,
    /// Where the next entry begins in the file.
    offset: u64,
    /// A buffer of which a part is in use.
    window: Vec<u8>,
    /// Where the next entry begins in the window.
    at: usize,
    /// Where what was read ends in the window.
    end: usize,
    /// Bytes read at once.
    window_len: usize,
    /// All of a segment that is far away is asked for ahead: its size, and how much was asked for already.
    ahead: Option<(u64, u64)>,
}

impl Entries {
    pub(crate) fn new(segment: SegmentId) -> Self {
        Self::starting_at(segment, 0)
    }

    /// Begins with the entry at `offset`; with 0 the magic comes before the first entry.
    pub(crate) fn starting_at(segment: SegmentId, offset: u64) -> Self {
        Self {
            segment,
            offset,
            window: Vec::new(),
            at: 0,
            end: 0,
            window_len: WINDOW_LEN,
            ahead: None,
        }
    }

    /// As [`Entries::new`], for one who is going to read all of it.
    pub(crate) fn ahead(log: &SegmentLog, segment: SegmentId) -> Result<Self, RepositoryError> {
        // What is near is read ahead by the system.
        let size = if log.is_distant() {
            log.size(segment)?
        } else {
            None
        };
        Ok(Self {
            ahead: size.map(|size| (size, 0)),
            ..Self::new(segment)
        })
    }

    fn ask_ahead(&mut self, log: &SegmentLog) {
        if let Some((size, asked)) = &mut self.ahead
            && *asked < *size
            && self.offset + AHEAD_LEN / 2 >= *asked
        {
            let len = AHEAD_LEN.min(*size - *asked);
            log.will_need(self.segment, *asked, len);
            *asked += len;
        }
    }

    /// As [`Entries::starting_at`], for one who looks at headers only and skips what lies between.
    pub(crate) fn headers_from(segment: SegmentId, offset: u64) -> Self {
        Self {
            window_len: FIRST_WINDOW_LEN,
            ..Self::starting_at(segment, offset)
        }
    }

    /// The next entry; `None` at the end of the segment.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for damage, after which no further entry can be found.
    pub(crate) fn next<'a>(
        &'a mut self,
        log: &SegmentLog,
    ) -> Result<Option<FoundEntry<'a>>, RepositoryError> {
        if self.offset == 0 {
            self.check_magic(log)?;
        }
        if self.fill(log, HEADER_LEN)? == 0 {
            return Ok(None);
        }
        let (segment, offset) = (self.segment, self.offset);
        let bad = |error| bad_entry(segment, offset, error);
        let header = Header::decode(&self.window[self.at..self.end], HEADER_LEN).map_err(bad)?;
        self.fill(log, header.size as usize)?;
        let (entry, size) = decode_entry(&self.window[self.at..self.end]).map_err(bad)?;
        self.at += size;
        self.offset += size as u64;
        Ok(Some(FoundEntry {
            entry,
            offset: u32::try_from(offset).map_err(|_| bad(EntryError::TooBig(header.size)))?,
            size: header.size,
        }))
    }

    /// The header of the next entry; `None` at the end of the segment.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for a header behind which no further one can be found.
    pub(crate) fn next_header(
        &mut self,
        log: &SegmentLog,
    ) -> Result<Option<FoundHeader>, RepositoryError> {
        if self.offset == 0 {
            self.check_magic(log)?;
        }
        let have = self.fill(log, KEYED_HEADER_LEN)?;
        if have == 0 {
            return Ok(None);
        }
        let (segment, offset) = (self.segment, self.offset);
        let bad = |error| bad_entry(segment, offset, error);
        let bytes = &self.window[self.at..self.end];
        let header = Header::decode(bytes, HEADER_LEN).map_err(bad)?;
        let tag = Tag::from_byte(header.tag)
            .ok_or(EntryError::UnacceptableTag(header.tag))
            .map_err(bad)?;
        let id = match tag {
            Tag::Commit => None,
            Tag::Put | Tag::Delete => {
                let id = bytes[HEADER_LEN..].first_chunk::<{ ChunkId::LEN }>();
                let found = bytes.len() - HEADER_LEN;
                let expected = ChunkId::LEN;
                let id = id.ok_or_else(|| bad(EntryError::TruncatedData { expected, found }))?;
                Some(ChunkId(*id))
            }
        };
        let size = header.size as usize;
        if size <= have {
            self.at += size;
        } else {
            (self.at, self.end) = (0, 0);
        }
        self.offset += size as u64;
        Ok(Some(FoundHeader {
            tag,
            id,
            offset: u32::try_from(offset).map_err(|_| bad(EntryError::TooBig(header.size)))?,
        }))
    }

    fn check_magic(&mut self, log: &SegmentLog) -> Result<(), RepositoryError> {
        let have = self.fill(log, MAGIC_LEN)?;
        if have < MAGIC_LEN || self.window[..MAGIC_LEN] != MAGIC {
            return Err(bad_magic(self.segment));
        }
        self.at = MAGIC_LEN;
        self.offset = MAGIC_LEN as u64;
        Ok(())
    }

    /// Sees to it that the window holds `len` bytes from the current position, if the segment does;
    /// returns how many there are.
    fn fill(&mut self, log: &SegmentLog, len: usize) -> Result<usize, RepositoryError> {
        if self.end - self.at >= len {
            return Ok(self.end - self.at);
        }
        self.ask_ahead(log);
        let have = self.end - self.at;
        let wanted = len.max(if self.offset == 0 {
            FIRST_WINDOW_LEN
        } else {
            self.window_len
        });
        if self.window.len() < wanted {
            let mut larger = vec![0; wanted];
            larger[..have].copy_from_slice(&self.window[self.at..self.end]);
            self.window = larger;
        } else {
            self.window.copy_within(self.at..self.end, 0);
        }
        (self.at, self.end) = (0, have);
        while self.end < len {
            let offset = self.offset + self.end as u64;
            let free = &mut self.window[self.end..];
            let count = log.read_at(self.segment, offset, &mut [IoSliceMut::new(free)])?;
            if count == 0 {
                break;
            }
            self.end += count;
        }
        Ok(self.end)
    }
}

pub(super) fn bad_magic(segment: SegmentId) -> RepositoryError {
    RepositoryError::BadEntry {
        segment,
        offset: 0,
        reason: "Invalid segment magic".to_owned(),
        detail: String::new(),
    }
}
