//! The lock of a repository or a cache: who may write, and who may read meanwhile.
//!
//! In a directory it is stock Borg's, so that either program waits for the other; on an object store, where no directory
//! can be claimed, it is a lease. Layout: docs/format.md, "Locks".

mod directory;
mod lease;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

pub use ironborg_format::roster::LockOwner;
use ironborg_storage::Storage;
use ironborg_types::Reporter;
use rustix::process::Pid;

use crate::RepositoryError;
use crate::local::LOCK;
use directory::DirectoryLock;
use lease::Lease;
pub(crate) use lease::{LeaseGuard, VOID_LEN, Void};

/// This process as the owner of locks; the host id is the caller's to find out.
pub fn process_identity(host: impl Into<String>) -> LockOwner {
    LockOwner {
        host: host.into(),
        pid: u64::from(std::process::id()),
        thread: 0,
    }
}

/// How a lock is taken.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// Keep everybody else out, or only those who want to be alone.
    pub exclusive: bool,
    /// How long to wait for others; `None` waits for ever.
    pub wait: Option<Duration>,
    /// Who we are.
    pub owner: LockOwner,
}

/// A held lock; released when dropped.
pub struct Lock(Kind);

enum Kind {
    Directory(DirectoryLock),
    Lease(LeaseLock),
}

/// Readers have no lease, but may want one later.
struct LeaseLock {
    storage: Arc<dyn Storage>,
    name: String,
    options: LockOptions,
    reporter: Arc<dyn Reporter>,
    lease: Option<Lease>,
}

impl LeaseLock {
    fn take(&mut self) -> Result<(), RepositoryError> {
        if self.lease.is_none() {
            self.lease = Some(Lease::acquire(
                Arc::clone(&self.storage),
                &self.name,
                &self.options,
                &*self.reporter,
            )?);
        }
        Ok(())
    }
}

/// The object of a lease.
fn lease_name(name: &str) -> String {
    format!("{name}.lease")
}

impl Lock {
    /// Takes the lock called `name` (such as `lock`): files `NAME.exclusive` and `NAME.roster`, or an object `NAME.lease`.
    ///
    /// # Errors
    /// [`RepositoryError::LockTimeout`] if others keep it for too long, [`RepositoryError::LockFailed`]
    /// if its files cannot be written at all.
    pub fn acquire(
        storage: Arc<dyn Storage>,
        name: &str,
        options: LockOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, RepositoryError> {
        if storage.conditional().is_none() {
            let lock = DirectoryLock::acquire(storage, name, options, reporter)?;
            return Ok(Self(Kind::Directory(lock)));
        }
        let is_exclusive = options.exclusive;
        let mut lock = LeaseLock {
            storage,
            name: lease_name(name),
            options,
            reporter,
            lease: None,
        };
        if is_exclusive {
            lock.take()?;
        }
        Ok(Self(Kind::Lease(lock)))
    }

    /// Whether nobody else may have this lock meanwhile.
    pub fn is_exclusive(&self) -> bool {
        match &self.0 {
            Kind::Directory(lock) => lock.is_exclusive(),
            Kind::Lease(lock) => lock.lease.is_some(),
        }
    }

    /// Turns a shared lock into an exclusive one, waiting until all other readers are gone.
    ///
    /// On failure the lock stays what it was.
    pub fn upgrade(&mut self) -> Result<(), RepositoryError> {
        match &mut self.0 {
            Kind::Directory(lock) => lock.upgrade(),
            Kind::Lease(lock) => lock.take(),
        }
    }

    /// Makes sure that an exclusive lock still is ours: somebody may have broken it.
    ///
    /// # Errors
    /// [`RepositoryError::LockFailed`] if it is not.
    pub fn check_held(&self) -> Result<(), RepositoryError> {
        match &self.0 {
            Kind::Directory(lock) => lock.check_held(),
            Kind::Lease(lock) => lock.lease.as_ref().map_or(Ok(()), Lease::check_held),
        }
    }

    /// What the log of segments has to ask, where the lock is a lease this process has.
    pub(crate) fn guard(&self) -> Option<LeaseGuard> {
        match &self.0 {
            Kind::Directory(_) => None,
            Kind::Lease(lock) => lock.lease.as_ref().map(Lease::guard),
        }
    }

    /// Gives the lock back, saying what went wrong if something did.
    pub fn release(self) -> Result<(), RepositoryError> {
        match self.0 {
            Kind::Directory(lock) => lock.release(),
            Kind::Lease(lock) => lock.lease.map_or(Ok(()), Lease::release),
        }
    }

    /// Gives back whatever `owner` has of a lock, and without waiting for long: for a process that has to end while
    /// another of its threads has the lock, which must not change anything any more.
    ///
    /// # Errors
    /// The files of the lock cannot be read or changed.
    pub fn release_held(
        storage: Arc<dyn Storage>,
        name: &str,
        owner: &LockOwner,
    ) -> Result<(), RepositoryError> {
        if storage.conditional().is_some() {
            return Lease::release_held(&*storage, &lease_name(name), owner);
        }
        DirectoryLock::release_held(storage, name, owner)
    }

    /// Numbers of segments that belong to nothing, as a writer that has lost its lease may still use them, and the names of
    /// those among them that have to stay. Where the lock is in a directory there are none.
    pub(crate) fn left_out(
        storage: &dyn Storage,
    ) -> Result<(Vec<Void>, Vec<String>), RepositoryError> {
        match storage.conditional() {
            Some(conditional) => Lease::left_out(conditional, &lease_name(LOCK)),
            None => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Removes the lock whoever holds it.
    pub fn break_lock(storage: &dyn Storage, name: &str) -> Result<(), RepositoryError> {
        if storage.conditional().is_some() {
            return Lease::break_it(storage, &lease_name(name));
        }
        DirectoryLock::break_lock(storage, name)
    }
}

/// Only a process of `me`'s machine can be known to be dead.
fn may_be_alive(owner: &LockOwner, me: &LockOwner) -> bool {
    if owner.host != me.host || owner.thread != 0 {
        return true;
    }
    let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw);
    // A number that is no process id was written by something we do not understand.
    pid.is_none_or(|pid| {
        !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
    })
}
