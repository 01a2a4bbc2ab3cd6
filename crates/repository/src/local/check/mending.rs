//! What a repair changes in segments and index, told as it is done, or would be.

use std::fmt::Write;

use ironborg_types::{ChunkId, Event, Place, RepairAction, RepairChange, Reporter, SegmentId};

use super::super::CheckMode;
use crate::RepositoryError;
use crate::index::{EntryLocation, SharedIndex};
use crate::segments::Salvage;

/// Why writing into a text cannot fail.
const INFALLIBLE: &str = "memory takes it";
/// Ranges of lost bytes that are named; of more there is only the count.
const RANGES_TOLD: usize = 20;

/// Tells what a repair changes. If nobody wants one, nothing is told.
pub(super) struct Mending<'a> {
    pub(super) reporter: &'a dyn Reporter,
    pub(super) mode: CheckMode,
}

impl Mending<'_> {
    fn tell(&self, action: RepairAction, place: Place, detail: String) {
        if self.mode == CheckMode::Look {
            return;
        }
        let change = RepairChange {
            action,
            place,
            detail,
        };
        self.reporter.report(Event::RepairChange(&change));
    }

    /// A segment behind the last commit goes.
    pub(super) fn segment_removed(&self, segment: SegmentId, size: u64) {
        let detail = format!(
            "remove segment {segment} of {size} bytes: it is not part of a finished transaction"
        );
        self.tell(RepairAction::RemoveSegment, in_segment(segment), detail);
    }

    /// A damaged segment is replaced by what is whole in it.
    pub(super) fn segment_recovered(&self, segment: SegmentId, salvage: &Salvage) {
        let lost = salvage.lost();
        let bytes: u64 = lost.iter().map(|range| range.end - range.start).sum();
        let mut detail = format!(
            "recover segment {segment}: keep {} entries, lose {bytes} of {} bytes",
            salvage.entries, salvage.size
        );
        for range in lost.iter().take(RANGES_TOLD) {
            write!(detail, ", {}-{}", range.start, range.end).expect(INFALLIBLE);
        }
        if let Some(more) = lost.len().checked_sub(RANGES_TOLD).filter(|&more| more > 0) {
            write!(detail, ", and {more} more").expect(INFALLIBLE);
        }
        let place = Place {
            offset: lost.first().map(|range| range.start),
            ..in_segment(segment)
        };
        self.tell(RepairAction::RecoverSegment, place, detail);
    }

    /// A COMMIT is added behind this segment.
    pub(super) fn commit_added(&self, segment: SegmentId) {
        let detail = format!("add a COMMIT behind segment {segment}: there is none");
        self.tell(RepairAction::AddCommit, in_segment(segment), detail);
    }

    /// The index is written anew; what is lost with that is told one by one.
    pub(super) fn index_rebuilt(
        &self,
        before: Option<&SharedIndex>,
        after: &SharedIndex,
    ) -> Result<(), RepositoryError> {
        if let Some(before) = before {
            if is_same(before, after)? {
                return Ok(());
            }
            before.for_each(|id, at| {
                if !after.contains(&id)? {
                    self.object_lost(id, at);
                }
                Ok(())
            })?;
        }
        let had = before.map_or_else(
            || "there is none that can be read".to_owned(),
            |before| format!("there are {} in the one there is", before.len()),
        );
        let detail = format!("write the index anew with {} objects: {had}", after.len());
        self.tell(RepairAction::RebuildIndex, Place::default(), detail);
        Ok(())
    }

    fn object_lost(&self, id: ChunkId, at: EntryLocation) {
        let EntryLocation { segment, offset } = at;
        let place = Place {
            chunk: Some(id),
            offset: Some(u64::from(offset)),
            ..in_segment(segment)
        };
        let detail = format!(
            "give up object {id}: its entry in segment {segment}, offset {offset} cannot be read"
        );
        self.tell(RepairAction::DeleteObject, place, detail);
    }
}

/// Whether two indexes say the same.
fn is_same(one: &SharedIndex, other: &SharedIndex) -> Result<bool, RepositoryError> {
    let mut is_same = one.len() == other.len();
    if is_same {
        one.for_each(|id, at| {
            is_same = is_same && other.get(&id)? == Some(at);
            Ok(())
        })?;
    }
    Ok(is_same)
}

pub(super) fn in_segment(segment: SegmentId) -> Place {
    Place {
        segment: Some(segment),
        ..Place::default()
    }
}
