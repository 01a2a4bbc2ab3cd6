//! Segments as this test takes them apart and puts them together: from the description of the format, not by the
//! code that is tested.

use std::ops::Range;

const MAGIC_LEN: usize = 8;
/// Checksum, size, tag.
pub(crate) const HEADER_LEN: usize = 9;
const PUT: u8 = 0;

/// Whether this file of a repository is a segment.
pub(crate) fn is_segment(name: &str) -> bool {
    name.starts_with("data/")
}

/// Where each entry begins and ends, up to the first that makes no sense.
pub(crate) fn entries(segment: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = MAGIC_LEN;
    while let Some(size) = size_at(segment, at) {
        let end = at.saturating_add(size);
        if size < HEADER_LEN || end > segment.len() {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

fn size_at(segment: &[u8], at: usize) -> Option<usize> {
    let field = segment.get(at + 4..at + 8)?;
    let size = u32::from_le_bytes(field.try_into().expect("four bytes"));
    usize::try_from(size).ok()
}

/// Makes the checksum of an entry right, as far as it reaches by its own account.
pub(crate) fn mend_checksum(segment: &mut [u8], entry: &Range<usize>) {
    let by_its_size = size_at(segment, entry.start).map(|size| entry.start.saturating_add(size));
    let end = by_its_size.filter(|end| (entry.start + HEADER_LEN..=segment.len()).contains(end));
    let crc = crc32fast::hash(&segment[entry.start + 4..end.unwrap_or(entry.end)]);
    segment[entry.start..entry.start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// One object as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredObject<'s> {
    pub(crate) id: &'s [u8],
    pub(crate) object: &'s [u8],
}

/// Every object put into a segment.
pub(crate) fn objects(segment: &[u8]) -> Vec<StoredObject<'_>> {
    let entries = entries(segment).into_iter().map(|entry| &segment[entry]);
    entries
        .filter(|entry| entry[HEADER_LEN - 1] == PUT && entry.len() > HEADER_LEN + 32)
        .map(|entry| {
            let (id, object) = entry[HEADER_LEN..].split_at(32);
            StoredObject { id, object }
        })
        .collect()
}
