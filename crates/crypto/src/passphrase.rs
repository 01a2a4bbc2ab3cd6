//! The passphrase that protects a key, and what is derived from it.

use zeroize::Zeroizing;

use crate::stretch;

/// A passphrase: any bytes, forgotten when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the passphrase over; for text these are its UTF-8 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Whether it protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, for the few places that have to hand them on (displaying for verification,
    /// storing).
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// PBKDF2-HMAC-SHA256 (RFC 8018) of `N` bytes.
    pub(crate) fn derive<const N: usize>(
        &self,
        salt: &[u8],
        iterations: u32,
    ) -> Zeroizing<[u8; N]> {
        let mut derived = Zeroizing::new([0; N]);
        stretch::pbkdf2(&self.0, salt, iterations, derived.as_mut());
        derived
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
