//! What callers decide about a repository.

use std::sync::Arc;
use std::time::Duration;

use ironborg_types::{Interrupt, Reporter};

use crate::LockOwner;

/// What is decided when a repository is made.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// Nothing may ever be removed for good.
    pub append_only: bool,
    /// Bytes that may be used; `None` for no limit.
    pub storage_quota: Option<u64>,
    /// Make missing directories above it too.
    pub make_parent_dirs: bool,
}

/// How a repository is locked while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// For writing: nobody else may have it open.
    Exclusive,
    /// For reading: others may read too.
    Shared,
    /// For reading until something is to be written, for writing from then on. For clients that do not say
    /// beforehand.
    SharedUntilWrite,
    /// Not at all (`--bypass-lock`): reading only, and nothing is repaired on disk.
    None,
}

/// How a repository is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Which lock to take.
    pub lock: LockMode,
    /// How long to wait for the lock; `None` waits for ever.
    pub lock_wait: Option<Duration>,
    /// Who holds the lock.
    pub owner: LockOwner,
    /// Treat it as append-only even if its config does not say so.
    pub append_only: bool,
    /// Overrides the quota of the config; 0 is no limit.
    pub storage_quota: Option<u64>,
    /// Receives warnings and progress.
    pub reporter: Arc<dyn Reporter>,
}

/// When an index is in memory, and when it is looked up in its file.
///
/// Without a lock it is loaded in any case, as its file may go at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPolicy {
    /// Larger ones, in bytes, stay in their files.
    pub in_memory_max: u64,
    /// They are loaded after all once so much was asked that it would have paid.
    pub is_loaded_when_asked: bool,
}

impl Default for IndexPolicy {
    fn default() -> Self {
        Self {
            // More than a million objects; loading as much takes a few hundredths of a second.
            in_memory_max: 64 << 20,
            is_loaded_when_asked: true,
        }
    }
}

/// What a compaction does.
#[derive(Debug, Clone, Copy)]
pub struct CompactOptions {
    /// Segments are rewritten if a larger share of them than this can be freed.
    pub threshold: f64,
    /// Get rid of all segments that only hold a commit (of very old Borg versions).
    pub cleanup_commits: bool,
    /// When this asks to stop, what is done so far is committed and the rest left for next time.
    pub interrupt: Option<&'static Interrupt>,
}

/// Whether what a check finds is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckMode {
    /// It is only told.
    Look,
    /// It is told, and so is everything a repair would change; nothing is. The repository is read as it
    /// would be then until it is closed, and cannot be written to.
    Plan,
    /// It is mended; what cannot be read is lost.
    Repair,
}

/// What a check does.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Whether what is found is mended.
    pub mode: CheckMode,
    /// Replaced segments are not kept until the end of a repair.
    pub save_space: bool,
    /// Seconds after which to stop behind the current segment, the next check going on from there;
    /// 0 checks everything. Negative numbers, as Borg's protocol allows them, stop behind one segment.
    pub max_duration_s: i64,
    /// How many threads read segments; at least 1.
    pub threads: usize,
    /// When this asks to stop, the check ends behind the current segment.
    pub interrupt: Option<&'static Interrupt>,
}
