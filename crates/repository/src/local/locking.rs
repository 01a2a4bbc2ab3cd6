//! The lock an open repository has: whether it is still there, and how a reader's becomes a writer's.

use std::sync::PoisonError;

use ironborg_types::Level;

use super::{LocalRepository, LockMode};
use crate::lock::Lock;
use crate::{Repository, RepositoryError};

impl LocalRepository {
    /// Nothing is to be written without the lock, as somebody else may be writing.
    pub(super) fn check_lock(&self) -> Result<(), RepositoryError> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().map_or(Ok(()), Lock::check_held)
    }

    pub(super) fn take_lock(&self) -> Option<Lock> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.take()
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
                self.mode = LockMode::Exclusive;
                Ok(())
            }
            LockMode::Shared | LockMode::None => Err(RepositoryError::NotExclusive {
                location: self.location(),
            }),
        }
    }
}
