//! Where the repository keeps its part of the nonce reservations.

use crate::error_kind::ErrorKind;

/// Why a reservation could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceStoreError {
    /// Its row in the table.
    pub kind: ErrorKind,
    /// The whole message.
    pub message: String,
}

impl NonceStoreError {
    /// One without a class of its own.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self {
            kind: ErrorKind::Error,
            message: ErrorKind::Error.message(&[message.as_ref()]),
        }
    }

    /// One Borg has no name for, such as a disk that is full.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Exception,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for NonceStoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NonceStoreError {}

/// What has become of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// It is durable.
    Made,
    /// Nobody can tell, so the values are nobody's: begin again by asking for the next unreserved one.
    Unknown,
}

/// One durable "next unreserved nonce" counter: in the repository or in the security directory.
///
/// Source: Borg 1.4, `NonceManager`; `docs/format.md`, "Nonces".
pub trait NonceStore: Send + Sync {
    /// The next unreserved nonce; `None` when nothing was ever reserved.
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError>;

    /// Makes `next` the next unreserved nonce, durably, if the stored value still is `expected`
    /// (a store that cannot tell accepts any).
    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError>;

    /// The same, for stores at the other end of a connection, which may break before the answer comes.
    fn try_reserve(
        &self,
        next: u64,
        expected: Option<u64>,
    ) -> Result<Reservation, NonceStoreError> {
        self.reserve(next, expected).map(|()| Reservation::Made)
    }
}
