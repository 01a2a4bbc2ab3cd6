//! The lock an open repository has: whether it is still there, and how a reader's becomes a writer's.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use ironborg_storage::LocalStorage;
use ironborg_types::Level;

use super::{LOCK, LocalRepository, LockMode};
use crate::lock::{Lock, LockOwner};
use crate::{Repository, RepositoryError};

impl LocalRepository {
    /// Removes the lock of the repository at a path whoever holds it, whatever state the repository is in.
    pub fn break_lock(path: &Path) -> Result<(), RepositoryError> {
        Lock::break_lock(&LocalStorage::new(path), LOCK)
    }

    /// Gives back the lock of the repository at a path that a process has, from outside of the thread that works with
    /// it. Nothing may be changed any more when this is called; the process has to end.
    ///
    /// # Errors
    /// Its files cannot be read or changed.
    pub fn release_lock(path: &Path, owner: &LockOwner) -> Result<(), RepositoryError> {
        Lock::release_held(Arc::new(LocalStorage::new(path)), LOCK, owner)
    }

    /// Forgets what was not committed and gives the lock back, saying what went wrong if something did.
    pub fn close(mut self) -> Result<(), RepositoryError> {
        self.roll_back()?;
        match self.take_lock() {
            Some(lock) => lock.release(),
            None => Ok(()),
        }
    }

    /// Nothing is to be written without the lock, as somebody else may be writing.
    pub(super) fn check_lock(&self) -> Result<(), RepositoryError> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().map_or(Ok(()), Lock::check_held)
    }

    pub(super) fn take_lock(&self) -> Option<Lock> {
        self.set_alone(false);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.take()
    }

    /// Whether nobody else changes what is stored.
    fn set_alone(&self, is_alone: bool) {
        if let Some(distant) = self.storage.distant() {
            distant.set_alone(is_alone);
        }
    }

    pub(super) fn is_exclusive(&self) -> bool {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().is_some_and(Lock::is_exclusive)
    }

    /// Makes a shared lock exclusive; says whether it did just that.
    ///
    /// A reader that cannot have the repository for itself works on what it rebuilds in memory.
    pub(super) fn upgrade_lock(&self) -> bool {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lock) = lock.as_mut().filter(|lock| !lock.is_exclusive()) else {
            return false;
        };
        match lock.upgrade() {
            Ok(()) => true,
            Err(error) => {
                let message = format!("The rebuilt index will not be saved: {error}");
                self.log_message(Level::Debug, message);
                false
            }
        }
    }

    /// Makes sure that nobody else has the repository open, where that was wished for.
    pub(super) fn lock_for_writing(&mut self) -> Result<(), RepositoryError> {
        match self.mode {
            LockMode::Exclusive => Ok(()),
            LockMode::SharedUntilWrite => {
                let lock = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner);
                if let Some(lock) = lock {
                    lock.upgrade()?;
                    self.log.set_guard(lock.guard());
                }
                self.set_alone(true);
                self.mode = LockMode::Exclusive;
                Ok(())
            }
            LockMode::Shared | LockMode::None => Err(RepositoryError::NotExclusive {
                location: self.location(),
            }),
        }
    }
}
