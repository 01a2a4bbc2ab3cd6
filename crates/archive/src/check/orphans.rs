//! What is stored and nothing refers to.
//!
//! Source: Borg 1.4, `ArchiveChecker.orphan_chunks_check`.

use ironborg_types::{ChunkId, FindingKind, Level, Place};

use super::changes::Removal;
use super::{CheckMode, LOGGER, Work};
use crate::ArchiveError;

/// Objects that are deleted with one call.
const BATCH_LEN: usize = 10_000;

/// Looks for orphans, if all archives were looked at; a repair deletes them.
pub(super) fn check(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    work.look_at_interrupt()?;
    if !work.options.all_archives() || work.uncounted {
        work.log("Orphaned objects check skipped (needs all archives checked).");
        return Ok(());
    }
    let mut counts = [0_u64; 2];
    work.objects.each_unreferenced(&mut |id| {
        counts[usize::from(work.superseded.contains(id))] += 1;
    })?;
    let [orphaned, superseded] = counts;
    if orphaned > 0 {
        let message = format!("{orphaned} orphaned objects found!");
        work.findings
            .error(FindingKind::ObjectsOrphaned, Place::default(), message);
    }
    if counts == [0, 0] {
        return Ok(());
    }
    let is_repair = work.changes.is_repair();
    if is_repair {
        work.log(format!(
            "Deleting {orphaned} orphaned and {} superseded objects...",
            work.superseded.len()
        ));
    }
    if work.options.mode != CheckMode::Look {
        delete(work, orphaned, Removal::Orphaned)?;
        delete(work, superseded, Removal::Superseded)?;
    }
    if is_repair {
        work.log("Finished deleting orphaned/superseded objects.");
    }
    Ok(())
}

/// Deletes all objects that nothing refers to for this reason, by ascending id: what is planned is what is done.
fn delete(work: &mut Work<'_>, count: u64, why: Removal) -> Result<(), ArchiveError> {
    let ranges = ranges(work, count);
    for range in 0..ranges {
        let mut ids = Vec::new();
        work.objects.each_unreferenced(&mut |id| {
            let is_superseded = work.superseded.contains(id);
            if is_superseded == (why == Removal::Superseded) && range_of(id, ranges) == range {
                ids.push(*id);
            }
        })?;
        ids.sort_unstable();
        for batch in ids.chunks(BATCH_LEN) {
            work.look_at_interrupt()?;
            work.changes.delete(&mut work.session, batch, why)?;
        }
    }
    Ok(())
}

/// In how many parts so many ids are listed: one, unless there is little memory.
fn ranges(work: &Work<'_>, count: u64) -> u64 {
    match work.space {
        _ if count == 0 => 0,
        None => 1,
        Some(space) => {
            let at_once = (space.memory_len / 2 / ChunkId::LEN as u64).max(BATCH_LEN as u64);
            count.div_ceil(at_once).min(1 << 16)
        }
    }
}

/// Which of so many equal ranges an id is in.
fn range_of(id: &ChunkId, ranges: u64) -> u64 {
    let [b0, b1, b2, b3, ..] = id.0;
    (u64::from(u32::from_be_bytes([b0, b1, b2, b3])) * ranges) >> 32
}

impl Work<'_> {
    fn log(&self, message: impl Into<String>) {
        self.session.client.log(Level::Info, LOGGER, message);
    }
}
