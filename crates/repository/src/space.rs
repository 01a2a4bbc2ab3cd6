//! How much room a commit needs, and sizes as messages show them.

use ironborg_format::hints::Hints;
use ironborg_storage::StorageError;
use ironborg_types::SegmentId;
use ironborg_types::limits::ENTRY_SIZE_MAX;

use crate::segments::SegmentLog;
use crate::state::State;

/// With fewer sparse segments than this the room compaction needs is added up exactly.
const FEW_SPARSE_SEGMENTS: usize = 10;
/// Beside index and hints a commit writes an integrity file and a segment, in blocks of whatever size.
const COMMIT_ROOM: u64 = 64 << 10;

/// What decides how much must be free.
pub(crate) struct Needs<'a> {
    pub(crate) index_size: u64,
    pub(crate) hints: &'a Hints,
    pub(crate) additional_free_space: u64,
    pub(crate) append_only: bool,
    pub(crate) segment_size_max: u64,
}

impl Needs<'_> {
    /// Bytes that must be free before a commit, so that this one and a later one that makes room can
    /// be completed. Source: Borg 1.4, `Repository.check_free_space`; docs/format.md, "Free space".
    pub(crate) fn bytes(&self, log: &SegmentLog) -> Result<u64, StorageError> {
        // Journaled deletes of everything (1), an index that has doubled (2), the one on disk (1).
        let mut required = self.index_size.saturating_mul(4);
        let entries = self.hints.segments.len() + self.hints.compact.len();
        required = required.saturating_add(entries as u64 * 10 + 4096);
        required = required.saturating_add(self.additional_free_space);
        if self.append_only {
            return Ok(required);
        }
        let full_segment = self.segment_size_max.saturating_add(ENTRY_SIZE_MAX as u64);
        if self.hints.compact.len() >= FEW_SPARSE_SEGMENTS {
            return Ok(required.saturating_add(full_segment));
        }
        let mut working_space = 0_i64;
        for (&segment, &freeable) in &self.hints.compact {
            // Hints may name a segment that is gone.
            if let Some(size) = log.size(SegmentId(segment))? {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                working_space = working_space.saturating_add(size.saturating_sub(freeable));
            }
        }
        let working_space = u64::try_from(working_space).unwrap_or(0);
        Ok(required.saturating_add(working_space.min(full_segment)))
    }
}

/// Bytes with which one commit is completed, as long as nothing else is written: the index and hints of the
/// transaction, while those of the one before are still there.
pub(crate) fn commit_room(state: &State) -> u64 {
    let hints = &state.hints;
    let counts = (hints.segments.len() + hints.compact.len()) as u64 * 20;
    let shadowed = hints.shadow_index.len() as u64 * 60;
    let sizes = state.index.size().saturating_add(counts + shadowed);
    sizes.saturating_add(COMMIT_ROOM)
}

/// A size with decimal units, such as `1.23 GB`.
pub(crate) fn format_size(bytes: f64) -> String {
    let mut number = bytes;
    let mut precision = 0;
    for unit in ["", "k", "M", "G", "T", "P", "E", "Z"] {
        // The unit is chosen by the rounded number, as it will be shown.
        let rounded: f64 = format!("{number:.2}")
            .parse()
            .expect("a number was formatted");
        if rounded.abs() < 1000.0 {
            return format!("{number:.precision$} {unit}B");
        }
        number /= 1000.0;
        precision = 2;
    }
    format!("{number:.precision$} YB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_stock_borg_shows_them() {
        for (bytes, expected) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.00 kB"),
            (142.0, "142 B"),
            (999_994.0, "999.99 kB"),
            (999_995.0, "1.00 MB"),
            (-1234.0, "-1.23 kB"),
            (10e6, "10.00 MB"),
            (1e15, "1.00 PB"),
        ] {
            assert_eq!(format_size(bytes), expected, "{bytes}");
        }
    }
}
