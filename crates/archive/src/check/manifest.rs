//! To come.

use super::Work;
use crate::ArchiveError;

pub(super) fn load_or_rebuild(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    work.look_at_interrupt()
}
