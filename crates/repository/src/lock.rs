//! Borg's locks: an exclusive directory and a roster of those who read.

use std::sync::Arc;
use std::time::Duration;

use ironborg_storage::Storage;
use ironborg_types::Reporter;

use crate::RepositoryError;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockOwner {
    /// Identifies the machine: `fqdn@node`, or what `BORG_HOST_ID` says.
    pub host: String,
    /// Process id.
    pub pid: u64,
    /// Always 0 for real processes; others are never considered dead.
    pub thread: u64,
}

/// This process as the owner of locks; the host id is the caller's to find out.
pub fn process_identity(host: impl Into<String>) -> LockOwner {
    LockOwner {
        host: host.into(),
        pid: u64::from(std::process::id()),
        thread: 0,
    }
}

/// How a lock is taken.
#[derive(Clone)]
pub struct LockOptions {
    /// Keep everybody else out, or only those who want to be alone.
    pub exclusive: bool,
    /// How long to wait for others; `None` waits for ever.
    pub wait: Option<Duration>,
    /// Who we are.
    pub owner: LockOwner,
}

/// A held lock; released when dropped.
pub struct Lock {
    _private: (),
}

impl Lock {
    /// Takes the lock called `name` (such as `lock`): files `NAME.exclusive` and `NAME.roster`.
    pub fn acquire(
        storage: Arc<dyn Storage>,
        name: &str,
        options: LockOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, RepositoryError> {
        let _ = (storage, name, options, reporter);
        unimplemented!()
    }

    /// Gives the lock back, saying what went wrong if something did.
    pub fn release(self) -> Result<(), RepositoryError> {
        unimplemented!()
    }

    /// Removes the lock whoever holds it.
    pub fn break_lock(storage: &dyn Storage, name: &str) -> Result<(), RepositoryError> {
        let _ = (storage, name);
        unimplemented!()
    }
}
