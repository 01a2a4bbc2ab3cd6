//! The key blob: a key's secrets, encrypted with the passphrase, as kept in a key file or the
//! config.
//!
//! Layout: `docs/format.md`, "Keys". Source: Borg 1.4, `KeyfileKeyBase`.

use crate::error::CryptoError;
use crate::key::Key;
use crate::mode::KeyMode;
use crate::passphrase::Passphrase;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use ironborg_format::key::KeyTextError;
use ironborg_format::{EncryptedKeyBlob, KeyMap};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// PBKDF2 rounds of blobs written here, as Borg 1.4 writes them.
const ITERATIONS: u32 = 100_000;
/// Most rounds accepted from a blob: a few seconds. The blob may come from a hostile server.
const ITERATIONS_MAX: u32 = 10_000_000;
const SALT_LEN: usize = 32;

/// A passphrase stretched for one key, before it is known whether that will be opened.
pub struct Stretched {
    passphrase: Passphrase,
    salt: Vec<u8>,
    iterations: u32,
    derived: Zeroizing<[u8; 32]>,
}

impl Stretched {
    /// For the key of this text; `None` if it is no text of a key that could be opened. Takes some milliseconds.
    pub fn new(key_text: &str, passphrase: Passphrase) -> Option<Self> {
        let blob = EncryptedKeyBlob::from_text(key_text).ok()?;
        assert_rounds(&blob).ok()?;
        Some(Self {
            derived: passphrase.derive(&blob.salt, blob.iterations),
            passphrase,
            salt: blob.salt,
            iterations: blob.iterations,
        })
    }

    /// What was derived, if it was for this.
    fn get(&self, blob: &EncryptedKeyBlob, passphrase: &Passphrase) -> Option<&[u8; 32]> {
        let is_this = self.salt == blob.salt
            && self.iterations == blob.iterations
            && self.passphrase.expose() == passphrase.expose();
        is_this.then_some(&self.derived)
    }
}

impl std::fmt::Debug for Stretched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl Key {
    /// Opens a key from its text: the base64 lines of a key file after its first line, or the
    /// config's `key`. `None`: the passphrase is wrong (or the blob is damaged, which looks the
    /// same).
    ///
    /// `tam_required` is for keys from before Borg 1.0.9, which do not say: whether this client has
    /// seen the repository demand authenticated manifests (the marker file in its security
    /// directory).
    ///
    /// # Errors
    /// [`CryptoError::InvalidKeyData`] if the text is no key at all: the caller, who knows where it
    /// came from, makes a `KeyfileInvalidError` of it. [`CryptoError::KeyFormat`].
    ///
    /// # Panics
    /// For a mode that keeps no key.
    pub fn unlock(
        mode: KeyMode,
        key_text: &str,
        passphrase: &Passphrase,
        tam_required: bool,
    ) -> Result<Option<Self>, CryptoError> {
        Self::unlock_stretched(mode, key_text, passphrase, None, tam_required)
    }

    /// As [`Self::unlock`], by what the passphrase may have been stretched to before.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn unlock_stretched(
        mode: KeyMode,
        key_text: &str,
        passphrase: &Passphrase,
        stretched: Option<&Stretched>,
        tam_required: bool,
    ) -> Result<Option<Self>, CryptoError> {
        let blob = EncryptedKeyBlob::from_text(key_text).map_err(|error| match error {
            KeyTextError::Blob(error) => CryptoError::KeyFormat(error),
            KeyTextError::Invalid | KeyTextError::OtherRepository => {
                CryptoError::InvalidKeyData("not the text of a key")
            }
        })?;
        let Some(mut secrets) = decrypt_key_map(&blob, passphrase, stretched)? else {
            return Ok(None);
        };
        secrets.tam_required = Some(secrets.tam_required.unwrap_or(tam_required));
        let mut key = Self::from_key_map(mode, secrets)?;
        key.note_passphrase(passphrase);
        Ok(Some(key))
    }

    /// The key's text, encrypted with the passphrase and a fresh salt: base64 in lines of 70
    /// characters, no newline at the end.
    ///
    /// # Errors
    /// [`CryptoError::NoSecrets`], [`CryptoError::Random`].
    pub fn lock(&mut self, passphrase: &Passphrase) -> Result<String, CryptoError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|e| CryptoError::Random(e.to_string()))?;
        let secrets = self.key_map().ok_or(CryptoError::NoSecrets)?;
        let text = encrypt_key_map(secrets, passphrase, &salt, ITERATIONS).to_text();
        self.note_passphrase(passphrase);
        Ok(text)
    }
}

/// Encrypts a key map with a key derived from the passphrase.
fn encrypt_key_map(
    secrets: &KeyMap,
    passphrase: &Passphrase,
    salt: &[u8],
    iterations: u32,
) -> EncryptedKeyBlob {
    let derived = passphrase.derive::<32>(salt, iterations);
    let map = secrets.encode();
    let hash = keyed(&derived)
        .chain_update(map.as_slice())
        .finalize()
        .into_bytes()
        .to_vec();
    let mut data = map.to_vec();
    apply_keystream(&derived, &mut data);
    EncryptedKeyBlob {
        salt: salt.to_vec(),
        iterations,
        data,
        hash,
    }
}

/// Decrypts a key map; `None` if its hash does not fit, which is how a wrong passphrase shows.
fn decrypt_key_map(
    blob: &EncryptedKeyBlob,
    passphrase: &Passphrase,
    stretched: Option<&Stretched>,
) -> Result<Option<KeyMap>, CryptoError> {
    assert_rounds(blob)?;
    let derived = match stretched.and_then(|stretched| stretched.get(blob, passphrase)) {
        Some(derived) => Zeroizing::new(*derived),
        None => passphrase.derive(&blob.salt, blob.iterations),
    };
    let mut map = Zeroizing::new(blob.data.clone());
    apply_keystream(&derived, &mut map);
    let hash = keyed(&derived)
        .chain_update(map.as_slice())
        .finalize()
        .into_bytes();
    if !bool::from(hash.ct_eq(&blob.hash)) {
        return Ok(None);
    }
    KeyMap::decode(&map)
        .map(Some)
        .map_err(CryptoError::KeyFormat)
}

/// Whether this many rounds can be meant.
fn assert_rounds(blob: &EncryptedKeyBlob) -> Result<(), CryptoError> {
    if (1..=ITERATIONS_MAX).contains(&blob.iterations) {
        return Ok(());
    }
    Err(CryptoError::InvalidKeyData(
        "impossible number of PBKDF2 rounds",
    ))
}

fn keyed(derived: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(derived).expect("HMAC takes a key of any length")
}

/// AES-256-CTR from counter 0: the derived key is used for this one message only.
fn apply_keystream(derived: &[u8; 32], data: &mut [u8]) {
    ctr::Ctr128BE::<aes::Aes256Enc>::new(derived.into(), &[0; 16].into()).apply_keystream(data);
}

#[cfg(test)]
mod tests;
