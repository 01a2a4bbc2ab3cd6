//! What is stored and nothing refers to.
//!
//! Source: Borg 1.4, `ArchiveChecker.orphan_chunks_check`.

use ironborg_types::{ChunkId, FindingKind, Level, Place};

use super::changes::Removal;
use super::{LOGGER, Work};
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
    let unused = work.objects.unreferenced()?;
    let (superseded, orphaned): (Vec<ChunkId>, Vec<ChunkId>) = unused
        .into_iter()
        .partition(|id| work.superseded.contains(id));
    if !orphaned.is_empty() {
        let message = format!("{} orphaned objects found!", orphaned.len());
        work.findings
            .error(FindingKind::ObjectsOrphaned, Place::default(), message);
    }
    if orphaned.is_empty() && superseded.is_empty() {
        return Ok(());
    }
    let is_repair = work.changes.is_repair();
    if is_repair {
        work.log(format!(
            "Deleting {} orphaned and {} superseded objects...",
            orphaned.len(),
            work.superseded.len()
        ));
    }
    for (ids, why) in [
        (orphaned, Removal::Orphaned),
        (superseded, Removal::Superseded),
    ] {
        for batch in ids.chunks(BATCH_LEN) {
            work.look_at_interrupt()?;
            work.changes.delete(&mut work.session, batch, why)?;
        }
    }
    if is_repair {
        work.log("Finished deleting orphaned/superseded objects.");
    }
    Ok(())
}

impl Work<'_> {
    fn log(&self, message: impl Into<String>) {
        self.session.client.log(Level::Info, LOGGER, message);
    }
}
