//! To come.

use super::Work;
use crate::ArchiveError;

pub(super) fn verify_data(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    work.look_at_interrupt()
}
