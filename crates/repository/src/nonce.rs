//! The repository's record of which nonces are spoken for.

use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::{NonceStore, NonceStoreError};

use crate::RepositoryError;

/// Name of the file: 16 hexadecimal digits, the next unreserved counter.
const NONCE: &str = "nonce";

/// The `nonce` file.
pub(crate) struct NonceFile {
    storage: Arc<dyn Storage>,
    /// Whether the repository is locked so that nobody else can reserve meanwhile.
    exclusive: bool,
}

impl NonceFile {
    pub(crate) fn new(storage: Arc<dyn Storage>, exclusive: bool) -> Self {
        Self { storage, exclusive }
    }

    pub(crate) fn load(&self) -> Result<Option<u64>, RepositoryError> {
        match self.storage.read(NONCE) {
            Ok(bytes) => read(&bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn save(&self, next: u64, expected: Option<u64>) -> Result<(), RepositoryError> {
        if !self.exclusive {
            return Err(RepositoryError::NotExclusive {
                location: self.storage.path("").display().to_string(),
            });
        }
        let content = format!("{next:016x}");
        let Some(conditional) = self.storage.conditional() else {
            if self.load()? != expected {
                return Err(RepositoryError::NonceMismatch);
            }
            return Ok(self.storage.replace(NONCE, &[content.as_bytes()])?);
        };
        // A request that comes late, from a process that has lost its lease, must not take anybody's reservation back.
        let found = conditional.read_versioned(NONCE)?;
        let there = found.as_ref().map(|(bytes, _)| read(bytes)).transpose()?;
        let version = found.as_ref().map(|(_, version)| version);
        if there != expected
            || conditional
                .replace_if(NONCE, version, content.as_bytes())?
                .is_none()
        {
            return Err(RepositoryError::NonceMismatch);
        }
        Ok(())
    }
}

/// The number a file holds.
fn read(bytes: &[u8]) -> Result<u64, RepositoryError> {
    let text = bytes.trim_ascii();
    let well_formed = text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit);
    let number = std::str::from_utf8(text)
        .ok()
        .filter(|_| well_formed)
        .and_then(|text| u64::from_str_radix(text, 16).ok());
    number.ok_or_else(|| RepositoryError::InvalidNonceFile {
        reason: format!(
            "expected 16 hexadecimal digits, found {:?}",
            String::from_utf8_lossy(text)
        ),
    })
}

impl NonceStore for NonceFile {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        self.load().map_err(|error| store_error(&error))
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        self.save(next, expected)
            .map_err(|error| store_error(&error))
    }
}

fn store_error(error: &RepositoryError) -> NonceStoreError {
    NonceStoreError {
        kind: error.kind(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_storage::MemoryStorage;

    fn store(content: Option<&str>) -> (MemoryStorage, NonceFile) {
        let memory = MemoryStorage::new();
        memory.create_dir_all("").unwrap();
        if let Some(content) = content {
            memory.set(NONCE, content);
        }
        let file = NonceFile::new(Arc::new(memory.clone()), true);
        (memory, file)
    }

    #[test]
    fn reservations_are_kept_as_sixteen_digits() {
        let (memory, file) = store(None);
        assert_eq!(file.next_unreserved(), Ok(None));
        file.reserve(0x1000_0001, None).unwrap();
        assert_eq!(memory.read(NONCE).unwrap(), b"0000000010000001");
        assert_eq!(file.next_unreserved(), Ok(Some(0x1000_0001)));
    }

    #[test]
    fn a_reservation_by_somebody_else_is_noticed() {
        let (memory, file) = store(Some("0000000000000010\n"));
        let error = file.reserve(99, Some(15)).unwrap_err();
        assert_eq!(
            error.message,
            "nonce space reservation with mismatched previous state"
        );
        assert!(file.reserve(99, None).is_err());
        assert_eq!(memory.read(NONCE).unwrap(), b"0000000000000010\n");
        file.reserve(99, Some(16)).unwrap();
    }

    #[test]
    fn a_damaged_file_is_an_error_not_a_fresh_start() {
        for content in ["", "10", "000000000000001g", "+000000000000010"] {
            let (_, file) = store(Some(content));
            assert!(file.next_unreserved().is_err(), "{content}");
            assert!(file.reserve(1, None).is_err(), "{content}");
        }
    }

    #[test]
    fn without_the_exclusive_lock_nothing_is_reserved() {
        let (memory, _) = store(None);
        let file = NonceFile::new(Arc::new(memory.clone()), false);
        assert!(file.reserve(1, None).is_err());
        assert!(memory.files().is_empty());
    }
}
