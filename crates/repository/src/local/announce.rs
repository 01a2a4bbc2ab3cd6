//! Telling the storage which objects will be read soon, as ranges of segments.

use ironborg_types::limits::PUT_HEADER_SIZE;

use crate::index::EntryLocation;
use crate::segments::{SPECULATIVE_LEN, SegmentLog};

/// Objects that lie no further apart are one range.
const GAP: u64 = 4 << 20;
/// The same where files are far away: about what comes within the time of a request.
const DISTANT_GAP: u64 = 512 << 10;
/// How much is announced for the last object of a range if its length is not known.
const TAIL: u64 = 1 << 20;
/// The same where files are far away.
const DISTANT_TAIL: u64 = 128 << 10;

/// Announces objects by their places, with their lengths or 0.
pub(super) fn announce(log: &SegmentLog, mut places: Vec<(EntryLocation, u32)>) {
    let (gap, tail) = if log.is_distant() {
        (DISTANT_GAP, DISTANT_TAIL)
    } else {
        (GAP, TAIL)
    };
    places.sort_unstable();
    let len_of = |len: u32| match len {
        0 => tail,
        len => PUT_HEADER_SIZE as u64 + u64::from(len).max(SPECULATIVE_LEN as u64),
    };
    for run in places.chunk_by(|(a, len), (b, _)| {
        let known = if log.is_distant() { len_of(*len) } else { 0 };
        a.segment == b.segment && u64::from(b.offset - a.offset) <= gap + known
    }) {
        if let (Some((first, _)), Some((last, len))) = (run.first(), run.last()) {
            let len = u64::from(last.offset - first.offset) + len_of(*len);
            log.will_need(first.segment, u64::from(first.offset), len);
        }
    }
}

/// Announces the headers of entries, for who wants to know how large they are.
pub(super) fn announce_headers(log: &SegmentLog, mut places: Vec<EntryLocation>) {
    places.sort_unstable();
    for run in places
        .chunk_by(|a, b| a.segment == b.segment && u64::from(b.offset - a.offset) <= DISTANT_TAIL)
    {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let len = u64::from(last.offset - first.offset) + PUT_HEADER_SIZE as u64;
            log.will_need(first.segment, u64::from(first.offset), len);
        }
    }
}
