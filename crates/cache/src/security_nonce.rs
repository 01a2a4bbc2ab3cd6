//! This machine's part of the nonce reservations: the file `nonce` of the security directory.

use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::{NonceStore, NonceStoreError};

const FILE: &str = "nonce";
/// Hexadecimal digits of a counter.
const DIGITS: usize = 16;

/// The next unreserved counter, 16 hexadecimal digits.
///
/// Source: Borg 1.4, `NonceManager` in `crypto/nonces.py`; docs/format.md, "Nonces".
pub struct LocalNonceStore {
    storage: Arc<dyn Storage>,
}

impl LocalNonceStore {
    /// `storage` is the repository's security directory.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }
}

fn parse(content: &[u8]) -> Result<u64, NonceStoreError> {
    let digits = content.trim_ascii();
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| {
            NonceStoreError::new(format!(
                "Local security dir has an invalid nonce file: Expected 8 bytes as {DIGITS} hexadecimal digits, got {} bytes of text",
                digits.len()
            ))
        })
}

impl NonceStore for LocalNonceStore {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        match self.storage.read(FILE) {
            Ok(content) => parse(&content).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(NonceStoreError::unexpected(error.to_string())),
        }
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        let stored = self.next_unreserved()?;
        // A counter that went back would be used twice.
        if stored != expected || stored.is_some_and(|stored| next < stored) {
            return Err(NonceStoreError::new(
                "nonce space reservation with mismatched previous state",
            ));
        }
        let content = format!("{next:0DIGITS$x}");
        let written = self.storage.replace(FILE, &[content.as_bytes()]);
        let written = match written {
            Err(error) if error.is_not_found() => self
                .storage
                .create_dir_all("")
                .and_then(|()| self.storage.replace(FILE, &[content.as_bytes()])),
            written => written,
        };
        written.map_err(|error| NonceStoreError::unexpected(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_storage::MemoryStorage;

    fn store(content: Option<&str>) -> (Arc<MemoryStorage>, LocalNonceStore) {
        let storage = Arc::new(MemoryStorage::new());
        if let Some(content) = content {
            storage.set(FILE, content);
        }
        (Arc::clone(&storage), LocalNonceStore::new(storage))
    }

    #[test]
    fn a_reservation_is_written_as_borg_writes_it() {
        let (storage, store) = store(None);
        assert_eq!(store.next_unreserved(), Ok(None));
        store.reserve(0x1000_0005, None).unwrap();
        assert_eq!(storage.read(FILE).unwrap(), b"0000000010000005");
        assert_eq!(store.next_unreserved(), Ok(Some(0x1000_0005)));
        store.reserve(u64::MAX, Some(0x1000_0005)).unwrap();
        assert_eq!(storage.read(FILE).unwrap(), b"ffffffffffffffff");
    }

    #[test]
    fn a_counter_somebody_else_changed_is_not_overwritten() {
        let (_, store) = store(Some("0000000000000010"));
        for (next, expected) in [(32, None), (32, Some(8)), (32, Some(17)), (15, Some(16))] {
            assert!(store.reserve(next, expected).is_err());
        }
        assert_eq!(store.next_unreserved(), Ok(Some(16)));
        assert_eq!(store.reserve(17, Some(16)), Ok(()));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_zero() {
        for content in [
            "",
            "10",
            "000000000000001g",
            "+000000000000010",
            "00000000000000010",
        ] {
            let (_, store) = store(Some(content));
            let error = store.next_unreserved().unwrap_err();
            assert!(
                error
                    .message
                    .starts_with("Error: Local security dir has an invalid nonce file: ")
            );
            assert!(store.reserve(100, None).is_err());
        }
        let (_, store) = store(Some(" 00000000000000FF\n"));
        assert_eq!(store.next_unreserved(), Ok(Some(255)));
    }
}
