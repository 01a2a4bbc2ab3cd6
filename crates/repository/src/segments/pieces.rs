//! Reading segments in large pieces that begin and end between entries.

use std::io::IoSliceMut;
use std::ops::Range;

use ironborg_format::segment::{HEADER_LEN, Header, MAGIC, MAGIC_LEN};
use ironborg_types::SegmentId;

use super::{SegmentLog, entries};
use crate::RepositoryError;

/// Bytes read at once, unless an entry is larger.
const PIECE_LEN: usize = 4 << 20;

/// A part of a segment. Whether its entries are whole is not known yet.
pub(super) struct Piece {
    /// Counts all pieces.
    pub(super) number: u64,
    pub(super) segment: SegmentId,
    /// Where the first entry begins in the segment's file.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// Where the entries are in `bytes`; what does not lead to another entry is at the end of it.
    pub(super) range: Range<usize>,
    /// No piece of the segment follows.
    pub(super) is_last: bool,
    /// Why, if the segment cannot be read any further.
    pub(super) error: Option<RepositoryError>,
}

/// The pieces of many segments, in order. Each byte is read once.
pub(super) struct Pieces<'a> {
    log: &'a SegmentLog,
    segments: std::slice::Iter<'a, SegmentId>,
    next_number: u64,
    /// The segment that is being read, and where the next piece begins.
    current: Option<(SegmentId, u64)>,
    /// What was read of the next piece already.
    carried: Vec<u8>,
    spare: Vec<u8>,
    /// Bytes read at once, unless an entry is larger.
    piece_len: usize,
}

/// Where a walk along the headers ends.
enum End {
    /// In front of an entry that goes on behind the bytes; how long it is, or its header.
    Cut(usize),
    /// At a header that leads nowhere.
    Lost,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(log: &'a SegmentLog, segments: &'a [SegmentId]) -> Self {
        Self {
            log,
            segments: segments.iter(),
            next_number: 0,
            current: None,
            carried: Vec::new(),
            spare: Vec::new(),
            piece_len: PIECE_LEN,
        }
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        self.spare = buffer;
    }

    /// The next piece, in `buffer` if that is large enough.
    pub(super) fn next(&mut self, buffer: Vec<u8>) -> Option<Piece> {
        let (segment, offset) = match self.current.take() {
            Some(current) => current,
            None => (*self.segments.next()?, 0),
        };
        let number = self.next_number;
        self.next_number += 1;
        let mut bytes = if buffer.is_empty() {
            std::mem::take(&mut self.spare)
        } else {
            buffer
        };
        if bytes.len() < self.piece_len {
            bytes = vec![0; self.piece_len];
        }
        let mut piece = Piece {
            number,
            segment,
            offset,
            bytes,
            range: 0..0,
            is_last: true,
            error: None,
        };
        match self.fill(&mut piece) {
            Ok(true) => {}
            Ok(false) => {
                piece.is_last = false;
                let next = piece.offset + piece.range.len() as u64;
                self.current = Some((segment, next));
            }
            Err(error) => piece.error = Some(error),
        }
        Some(piece)
    }

    /// Reads a piece; says whether it is the last one of its segment.
    fn fill(&mut self, piece: &mut Piece) -> Result<bool, RepositoryError> {
        let mut have = self.carried.len();
        if piece.bytes.len() < have {
            piece.bytes.resize(have, 0);
        }
        piece.bytes[..have].copy_from_slice(&self.carried);
        self.carried.clear();
        let is_first = piece.offset == 0;
        let mut at = 0;
        loop {
            let free = &mut piece.bytes[have..];
            let wanted = free.len();
            let offset = piece.offset + have as u64;
            let buffers = &mut [IoSliceMut::new(free)];
            let count = self.log.read_at(piece.segment, offset, buffers)?;
            have += count;
            let is_end = count < wanted;
            if !is_end {
                let ahead = offset + count as u64;
                self.log
                    .will_need(piece.segment, ahead, self.piece_len as u64);
            }
            if is_first && at == 0 {
                if have < MAGIC_LEN || piece.bytes[..MAGIC_LEN] != MAGIC {
                    return Err(entries::bad_magic(piece.segment));
                }
                at = MAGIC_LEN;
                piece.range = MAGIC_LEN..MAGIC_LEN;
            }
            let (end, why) = walk(&piece.bytes[..have], at);
            at = end;
            let cut = match why {
                End::Cut(len) if !is_end => len,
                _ => {
                    piece.range.end = have;
                    break;
                }
            };
            if at > piece.range.start {
                piece.range.end = at;
                self.carried.extend_from_slice(&piece.bytes[at..have]);
                Self::pass_magic(piece, is_first);
                return Ok(false);
            }
            // Not even one entry.
            piece.bytes.resize(at + cut.max(HEADER_LEN), 0);
        }
        Self::pass_magic(piece, is_first);
        Ok(true)
    }

    /// Entries begin behind the magic.
    fn pass_magic(piece: &mut Piece, is_first: bool) {
        if is_first {
            piece.offset = MAGIC_LEN as u64;
        }
    }
}

/// Follows the headers from `at` on, to the first entry that is not wholly there.
fn walk(bytes: &[u8], mut at: usize) -> (usize, End) {
    loop {
        let left = &bytes[at..];
        if left.len() < HEADER_LEN {
            return (at, End::Cut(HEADER_LEN));
        }
        let Ok(header) = Header::decode(left, HEADER_LEN) else {
            return (at, End::Lost);
        };
        let size = header.size as usize;
        if left.len() < size {
            return (at, End::Cut(size));
        }
        at += size;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ironborg_format::segment::{COMMIT, decode_entry, delete_entry, put_header};
    use ironborg_storage::{MemoryStorage, Storage};
    use ironborg_types::ChunkId;
    use proptest::prelude::*;

    use super::*;
    use crate::replay::Change;
    use crate::segments::{Entries, FoundEntry, bad_entry};

    type Read = (Vec<Change>, Option<String>);

    fn one_by_one(log: &SegmentLog, segment: SegmentId) -> Read {
        let mut entries = Entries::new(segment);
        let mut changes = Vec::new();
        loop {
            match entries.next(log) {
                Ok(Some(found)) => changes.extend(Change::of(&found)),
                Ok(None) => return (changes, None),
                Err(error) => return (changes, Some(error.to_string())),
            }
        }
    }

    /// What the pieces of a segment hold; each byte of it is in one piece.
    fn in_pieces(log: &SegmentLog, segments: &[SegmentId], piece_len: usize) -> Vec<Read> {
        let mut pieces = Pieces::new(log, segments);
        pieces.piece_len = piece_len;
        let mut reads: Vec<Read> = Vec::new();
        let (mut is_new, mut expected, mut number) = (true, 0, 0);
        while let Some(piece) = pieces.next(Vec::new()) {
            assert_eq!(piece.number, number);
            number += 1;
            if is_new {
                reads.push((Vec::new(), None));
            } else {
                assert_eq!(piece.offset, expected);
            }
            is_new = piece.is_last;
            expected = piece.offset + piece.range.len() as u64;
            let (changes, failure) = reads.last_mut().unwrap();
            let (mut left, mut offset) = (&piece.bytes[piece.range.clone()], piece.offset);
            while !left.is_empty() && failure.is_none() {
                match decode_entry(left) {
                    Ok((entry, size)) => {
                        changes.extend(Change::of(&FoundEntry {
                            entry,
                            offset: u32::try_from(offset).unwrap(),
                            size: u32::try_from(size).unwrap(),
                        }));
                        left = &left[size..];
                        offset += size as u64;
                    }
                    Err(error) => {
                        *failure = Some(bad_entry(piece.segment, offset, error).to_string());
                    }
                }
            }
            if let (None, Some(error)) = (&failure, piece.error) {
                *failure = Some(error.to_string());
            }
            pieces.recycle(piece.bytes);
        }
        reads
    }

    fn entry() -> impl Strategy<Value = Vec<u8>> {
        let object = prop::collection::vec(any::<u8>(), 0..300);
        let put = object.prop_map(|object| {
            let header = put_header(&ChunkId([7; 32]), &object);
            [&header[..], &object].concat()
        });
        prop_oneof![
            4 => put,
            1 => Just(delete_entry(&ChunkId([9; 32])).to_vec()),
            1 => Just(COMMIT.to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn pieces_hold_what_a_segment_holds_however_large_they_are(
            files in prop::collection::vec(
                (
                    prop::collection::vec(entry(), 0..12),
                    prop::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>())),
                    prop::option::weighted(0.3, any::<prop::sample::Index>()),
                ),
                1..4,
            ),
            piece_len in 8_usize..900,
        ) {
            let storage = MemoryStorage::new();
            storage.create_dir_all("data/0").unwrap();
            let log = SegmentLog::new(Arc::new(storage.clone()), 100, 1 << 20);
            let mut segments = Vec::new();
            for (number, (entries, damage, cut)) in (0..).zip(files) {
                let mut bytes = [&MAGIC[..], &entries.concat()].concat();
                if let Some((at, byte)) = damage {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                if let Some(cut) = cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
                let segment = SegmentId(number);
                storage.write(&log.name(segment), &bytes).unwrap();
                segments.push(segment);
            }
            let expected: Vec<Read> =
                segments.iter().map(|segment| one_by_one(&log, *segment)).collect();
            prop_assert_eq!(in_pieces(&log, &segments, piece_len), expected);
        }
    }
}
