//! To come.

use super::Work;
use crate::ArchiveError;

pub(super) fn check_all(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    work.look_at_interrupt()
}
