//! Which number the kernel gets for an error, and whether it is worth a line in the log.

use fuser::Errno;

use crate::MountError;
use crate::tree::is_refusal;

/// The number for an error.
pub(super) fn errno(error: &MountError) -> Errno {
    match error {
        MountError::NoEntry => Errno::ENOENT,
        MountError::Stale | MountError::ArchiveGone { .. } => Errno::ESTALE,
        MountError::NoAttribute => Errno::NO_XATTR,
        MountError::WrongKind => Errno::EINVAL,
        _ if is_refusal(error) => Errno::EACCES,
        _ => Errno::EIO,
    }
}

/// Whether somebody should hear of it; the others are ordinary answers.
pub(super) fn is_worth_telling(error: &MountError) -> bool {
    !matches!(
        error,
        MountError::NoEntry | MountError::Stale | MountError::NoAttribute | MountError::WrongKind
    )
}
