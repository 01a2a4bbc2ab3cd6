//! What was committed behind the transaction there is an index of: by a compaction that is going on, or by a
//! program that ended before it could write the index.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ironborg_format::segment::{Entry, Tag};
use ironborg_types::{ChunkId, SegmentId};

use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::segments::{Entries, SegmentLog};

/// How closely entries are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Only their headers are read.
    Headers,
    /// They are read whole and compared with their checksums.
    Checksums,
}

/// A PUT, or a DELETE.
#[derive(Debug, Clone, Copy)]
struct TailEntry {
    id: ChunkId,
    /// Where it is put in the segment.
    offset: Option<u32>,
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Put(EntryLocation),
    Deleted,
}

/// Changes of the objects of an index.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    /// By segment, as they never change: compaction removes segments again that are listed here.
    segments: BTreeMap<SegmentId, Arc<[TailEntry]>>,
    /// The sum of that.
    changes: HashMap<ChunkId, Option<EntryLocation>>,
}

impl Tail {
    /// Reads the segments behind `from` up to `to`, but those `known` has.
    ///
    /// # Errors
    /// A segment is damaged, or gone since it was listed.
    pub(super) fn read(
        log: &SegmentLog,
        from: Option<SegmentId>,
        to: SegmentId,
        care: Care,
        known: &Self,
    ) -> Result<Self, RepositoryError> {
        let mut tail = Self::default();
        for segment in listed(log, from, to)? {
            let entries = match known.segments.get(&segment) {
                Some(entries) => Arc::clone(entries),
                None => read_segment(log, segment, care)?.into(),
            };
            for entry in &*entries {
                let offset = entry.offset;
                let at = offset.map(|offset| EntryLocation { segment, offset });
                tail.changes.insert(entry.id, at);
            }
            tail.segments.insert(segment, entries);
        }
        Ok(tail)
    }

    /// Whether the segments it is made of are those there are.
    pub(super) fn is_as_listed(
        &self,
        log: &SegmentLog,
        from: Option<SegmentId>,
        to: SegmentId,
    ) -> Result<bool, RepositoryError> {
        Ok(listed(log, from, to)?.iter().eq(self.segments.keys()))
    }

    /// What was done to an object last.
    pub(super) fn get(&self, id: &ChunkId) -> Change {
        match self.changes.get(id) {
            Some(Some(at)) => Change::Put(*at),
            Some(None) => Change::Deleted,
            None => Change::None,
        }
    }
}

/// The segments of some length behind `from` up to `to`.
fn listed(
    log: &SegmentLog,
    from: Option<SegmentId>,
    to: SegmentId,
) -> Result<Vec<SegmentId>, RepositoryError> {
    let mut listed = Vec::new();
    for segment in log.segments_from(from.unwrap_or(SegmentId(0)))? {
        let is_wanted = from.is_none_or(|from| segment > from) && segment <= to;
        if is_wanted && log.size(segment)?.is_some() {
            listed.push(segment);
        }
    }
    Ok(listed)
}

fn read_segment(
    log: &SegmentLog,
    segment: SegmentId,
    care: Care,
) -> Result<Vec<TailEntry>, RepositoryError> {
    let mut found = Vec::new();
    match care {
        Care::Headers if log.is_distant() => {
            // To jump from header to header would take a request for each.
            let table = log.table(segment)?;
            found.extend(table.rows.iter().map(|row| TailEntry {
                id: *row.change.id(),
                offset: row.change.put_at(segment).map(|at| at.offset),
            }));
        }
        Care::Headers => {
            let mut entries = Entries::headers_from(segment, 0);
            while let Some(entry) = entries.next_header(log)? {
                if let Some(id) = entry.id {
                    let offset = (entry.tag == Tag::Put).then_some(entry.offset);
                    found.push(TailEntry { id, offset });
                }
            }
        }
        Care::Checksums => {
            let mut entries = Entries::new(segment);
            while let Some(entry) = entries.next(log)? {
                let (id, offset) = match entry.entry {
                    Entry::Put { id, .. } => (id, Some(entry.offset)),
                    Entry::Delete { id } => (id, None),
                    Entry::Commit => continue,
                };
                found.push(TailEntry { id, offset });
            }
        }
    }
    Ok(found)
}
