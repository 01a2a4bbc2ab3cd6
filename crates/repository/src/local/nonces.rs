//! The repository's part of the reservation of nonces.

use std::sync::Arc;

use super::{LocalRepository, LockMode};
use crate::RepositoryError;
use crate::nonce::NonceFile;

impl LocalRepository {
    /// The first nonce nobody has reserved; `None` if none was reserved yet.
    pub fn next_unreserved_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        self.nonce_file().load()
    }

    /// Reserves nonces: `next` is the first that is free afterwards, `expected` was it before.
    pub fn reserve_nonces(&self, next: u64, expected: Option<u64>) -> Result<(), RepositoryError> {
        self.nonce_file().save(next, expected)
    }

    pub(super) fn nonce_file(&self) -> NonceFile {
        let exclusive = self.mode == LockMode::Exclusive;
        NonceFile::new(Arc::clone(&self.storage), exclusive)
    }
}
