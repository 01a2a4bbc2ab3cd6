//! A key: the secrets of a repository and everything that is computed from them once.

use crate::error::CryptoError;
use crate::id_hash::{IdHasher, KeyedHmac};
use crate::mode::{EnvelopeKind, IdHashKind, KeyMode};
use crate::passphrase::Passphrase;
use aes::Aes256Enc;
use aes::cipher::KeyInit;
use ironborg_format::KeyMap;
use ironborg_types::{ChunkId, RepositoryId};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Length of the cipher key and of HMAC-SHA256 keys.
const KEY_LEN: usize = 32;
/// Length of BLAKE2b keys: one block, of which the first half is random and the rest zero.
const BLAKE2_KEY_LEN: usize = 128;
const BLAKE2_RANDOM_LEN: usize = 64;
/// Longest id key accepted from a key blob. Borg accepts any; it writes 32 and 128.
const ID_KEY_LEN_MAX: usize = 1024;
/// PBKDF2 rounds and bytes of the dead passphrase mode.
const PASSPHRASE_MODE_ITERATIONS: u32 = 100_000;
const PASSPHRASE_MODE_LEN: usize = 100;

/// The keyed beginning of the envelope's MAC.
#[derive(Clone)]
pub(crate) enum ObjectMac {
    HmacSha256(KeyedHmac),
    Blake2b(Zeroizing<Vec<u8>>),
}

/// What encrypts and authenticates objects.
#[derive(Clone)]
pub(crate) struct ObjectCipher {
    pub(crate) aes: Aes256Enc,
    pub(crate) mac: ObjectMac,
}

/// The part of a key that two repositories must share to have equal ids and cut points.
#[derive(Clone)]
pub struct RelatedSecrets {
    /// The mode they come from.
    pub mode: KeyMode,
    /// The id hash's key.
    pub id_key: Zeroizing<Vec<u8>>,
    /// The chunker's seed.
    pub chunk_seed: i32,
}

impl std::fmt::Debug for RelatedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The key of a repository, ready for use. Secrets are zeroed on drop and never printed.
///
/// Shared by reference between threads; nothing in it changes while it is used.
#[derive(Clone)]
pub struct Key {
    mode: KeyMode,
    /// `None` in mode `none` and for a key that was opened without its secrets.
    secrets: Option<KeyMap>,
    hasher: IdHasher,
    cipher: Option<ObjectCipher>,
    logically_encrypted: bool,
}

impl Key {
    /// The key of mode `none`, which has no secrets.
    pub fn plaintext() -> Self {
        Self {
            mode: KeyMode::None,
            secrets: None,
            hasher: IdHasher::Sha256,
            cipher: None,
            logically_encrypted: false,
        }
    }

    /// A new key of random secrets for the repository; it demands authenticated manifests.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    ///
    /// # Panics
    /// For the dead passphrase mode, in which nothing is created any more.
    pub fn generate(mode: KeyMode, repository_id: RepositoryId) -> Result<Self, CryptoError> {
        assert!(
            mode != KeyMode::Passphrase,
            "passphrase mode only exists in old repositories"
        );
        if mode == KeyMode::None {
            return Ok(Self::plaintext());
        }
        let mac_key = || match mode.id_hash() {
            IdHashKind::Blake2b => random(BLAKE2_RANDOM_LEN, BLAKE2_KEY_LEN),
            IdHashKind::HmacSha256 | IdHashKind::Sha256 => random(KEY_LEN, KEY_LEN),
        };
        let seed = random(4, 4)?;
        let secrets = KeyMap {
            repository_id,
            enc_key: random(KEY_LEN, KEY_LEN)?,
            enc_hmac_key: mac_key()?,
            id_key: mac_key()?,
            chunk_seed: i32::from_be_bytes(*seed.first_chunk().expect("4 were asked for")),
            tam_required: Some(true),
        };
        Self::from_key_map(mode, secrets)
    }

    /// A new random key that makes the same ids and cut points as the one `related` was taken from.
    ///
    /// # Errors
    /// [`CryptoError::UnrelatedIdHash`] if the modes do not hash alike, or one of them has no
    /// secrets; [`CryptoError::Random`], [`CryptoError::InvalidKeyData`].
    pub fn generate_related(
        mode: KeyMode,
        repository_id: RepositoryId,
        related: &RelatedSecrets,
    ) -> Result<Self, CryptoError> {
        let shareable = |mode| !matches!(mode, KeyMode::None | KeyMode::Passphrase);
        if !shareable(mode) || !shareable(related.mode) || mode.id_hash() != related.mode.id_hash()
        {
            return Err(CryptoError::UnrelatedIdHash);
        }
        let mut secrets = Self::generate(mode, repository_id)?
            .secrets
            .expect("a generated key of such a mode has secrets");
        secrets.id_key.clone_from(&related.id_key);
        secrets.chunk_seed = related.chunk_seed;
        Self::from_key_map(mode, secrets)
    }

    /// The key of the dead passphrase mode.
    pub fn from_passphrase(passphrase: &Passphrase, repository_id: RepositoryId) -> Self {
        let derived = passphrase
            .derive::<PASSPHRASE_MODE_LEN>(repository_id.as_bytes(), PASSPHRASE_MODE_ITERATIONS);
        let secret = |from: usize| Zeroizing::new(derived[from..from + KEY_LEN].to_vec());
        let secrets = KeyMap {
            repository_id,
            enc_key: secret(0),
            enc_hmac_key: secret(KEY_LEN),
            id_key: secret(2 * KEY_LEN),
            chunk_seed: i32::from_be_bytes(*derived.last_chunk().expect("100 bytes end in 4")),
            tam_required: Some(false),
        };
        Self::from_key_map(KeyMode::Passphrase, secrets).expect("the lengths are right")
    }

    /// The same secrets as a key that is kept in the repository and demands authenticated manifests: what a key
    /// of the dead passphrase mode becomes.
    ///
    /// # Panics
    /// For any other mode.
    #[must_use]
    pub fn into_repokey(self) -> Self {
        assert!(
            self.mode == KeyMode::Passphrase,
            "a key of mode {:?} is kept where it is",
            self.mode
        );
        let mut secrets = self.secrets.expect("keys of this mode have secrets");
        secrets.tam_required = Some(true);
        Self::from_key_map(KeyMode::Repokey, secrets).expect("the modes have secrets of one length")
    }

    /// A key of a mode that does not encrypt, opened without its secrets: it reads and verifies
    /// nothing, and writes nothing. For Borg's workaround `authenticated_no_key`.
    ///
    /// # Panics
    /// If `mode` is not one that authenticates without encrypting.
    pub fn without_secrets(mode: KeyMode) -> Self {
        assert!(
            mode.is_authenticated_only(),
            "objects of mode {mode:?} need the key to be read"
        );
        let zeros = [0; KEY_LEN];
        Self {
            mode,
            secrets: None,
            // Borg computes ids with a key of zeros then; they are compared with nothing.
            hasher: match mode.id_hash() {
                IdHashKind::Blake2b => IdHasher::blake2b(&zeros),
                IdHashKind::HmacSha256 | IdHashKind::Sha256 => IdHasher::hmac_sha256(&zeros),
            },
            cipher: None,
            logically_encrypted: false,
        }
    }

    /// A key of the given secrets. A map that does not say whether manifests must be authenticated
    /// does not demand it.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKeyData`] if a secret does not have the length its use in `mode` asks
    /// for.
    ///
    /// # Panics
    /// For mode `none`, which has no secrets: that is [`Self::plaintext`].
    pub fn from_key_map(mode: KeyMode, secrets: KeyMap) -> Result<Self, CryptoError> {
        assert!(mode != KeyMode::None, "mode none has no secrets");
        if secrets.id_key.is_empty() || secrets.id_key.len() > ID_KEY_LEN_MAX {
            return Err(CryptoError::InvalidKeyData("id key of impossible length"));
        }
        let hasher = match mode.id_hash() {
            IdHashKind::Sha256 => IdHasher::Sha256,
            IdHashKind::HmacSha256 => IdHasher::hmac_sha256(&secrets.id_key),
            IdHashKind::Blake2b => IdHasher::blake2b(&secrets.id_key),
        };
        let cipher = match mode.envelope() {
            EnvelopeKind::Plain => None,
            EnvelopeKind::HmacSha256 => {
                check_len(&secrets.enc_hmac_key, KEY_LEN)?;
                Some(ObjectCipher {
                    aes: aes(&secrets)?,
                    mac: ObjectMac::HmacSha256(KeyedHmac::new(&secrets.enc_hmac_key)),
                })
            }
            EnvelopeKind::Blake2b => {
                check_len(&secrets.enc_hmac_key, BLAKE2_KEY_LEN)?;
                let mac = ObjectMac::Blake2b(secrets.enc_hmac_key.clone());
                Some(ObjectCipher {
                    aes: aes(&secrets)?,
                    mac,
                })
            }
        };
        Ok(Self {
            mode,
            hasher,
            logically_encrypted: cipher.is_some(),
            cipher,
            secrets: Some(secrets),
        })
    }

    /// The mode.
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The repository the key says it belongs to; `None` if it has no secrets.
    pub fn repository_id(&self) -> Option<RepositoryId> {
        self.secrets.as_ref().map(|secrets| secrets.repository_id)
    }

    /// The seed of the chunker's table; 0 without secrets.
    pub fn chunk_seed(&self) -> u32 {
        self.secrets
            .as_ref()
            .map_or(0, |secrets| secrets.chunk_seed.cast_unsigned())
    }

    /// Whether a manifest without authentication must be refused.
    pub fn tam_required(&self) -> bool {
        self.secrets
            .as_ref()
            .is_some_and(|secrets| secrets.tam_required == Some(true))
    }

    /// Sets whether a manifest without authentication must be refused; kept in the key blob.
    pub fn set_tam_required(&mut self, required: bool) {
        if let Some(secrets) = &mut self.secrets {
            secrets.tam_required = Some(required);
        }
    }

    /// Whether the repository is encrypted from a practical point of view: not with an empty
    /// passphrase, if the key lies in the repository itself.
    pub fn logically_encrypted(&self) -> bool {
        self.logically_encrypted
    }

    /// Says with which passphrase the key was read or is stored: what [`Self::logically_encrypted`]
    /// goes by.
    pub(crate) fn note_passphrase(&mut self, passphrase: &Passphrase) {
        self.logically_encrypted = match self.mode {
            KeyMode::Repokey | KeyMode::RepokeyBlake2 => !passphrase.is_empty(),
            mode => mode.is_encrypted(),
        };
    }

    /// Whether the key can verify and write: everything but [`Self::without_secrets`] can.
    pub fn has_secrets(&self) -> bool {
        self.mode == KeyMode::None || self.secrets.is_some()
    }

    /// The secrets another repository needs to have equal ids and cut points; `None` if there are
    /// none.
    pub fn related_secrets(&self) -> Option<RelatedSecrets> {
        self.secrets.as_ref().map(|secrets| RelatedSecrets {
            mode: self.mode,
            id_key: secrets.id_key.clone(),
            chunk_seed: secrets.chunk_seed,
        })
    }

    /// The id of a chunk of plaintext.
    pub fn id_hash(&self, data: &[u8]) -> ChunkId {
        self.hasher.hash(data)
    }

    /// The ids of several chunks of plaintext, side by side where that is faster (with BLAKE2b,
    /// about twice).
    ///
    /// # Panics
    /// If there are not as many `ids` as `chunks`.
    pub fn id_hash_many(&self, chunks: &[&[u8]], ids: &mut [ChunkId]) {
        self.hasher.hash_many(chunks, ids);
    }

    /// Checks that `data` is the plaintext `id` names. A key without secrets takes everything.
    ///
    /// # Errors
    /// [`CryptoError::IdMismatch`].
    pub fn verify_id(&self, id: &ChunkId, data: &[u8]) -> Result<(), CryptoError> {
        let matches = || bool::from(self.id_hash(data).as_bytes().ct_eq(id.as_bytes()));
        if !self.has_secrets() || matches() {
            Ok(())
        } else {
            Err(CryptoError::IdMismatch { id: *id })
        }
    }

    /// [`Self::verify_id`] of several chunks, hashed side by side: for each whether it is the one
    /// its id names.
    ///
    /// # Panics
    /// If there are not as many `ids` as `chunks`.
    pub fn verify_ids(&self, ids: &[ChunkId], chunks: &[&[u8]]) -> Vec<bool> {
        let mut computed = vec![ChunkId::MANIFEST; ids.len()];
        self.id_hash_many(chunks, &mut computed);
        let matches = |(id, computed): (&ChunkId, &ChunkId)| {
            !self.has_secrets() || bool::from(id.as_bytes().ct_eq(computed.as_bytes()))
        };
        ids.iter().zip(&computed).map(matches).collect()
    }

    /// The secrets as kept in the key blob; `None` in mode `none` and without secrets.
    pub fn key_map(&self) -> Option<&KeyMap> {
        self.secrets.as_ref()
    }

    pub(crate) fn cipher(&self) -> Option<&ObjectCipher> {
        self.cipher.as_ref()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("mode", &self.mode)
            .field("secrets", &"[secret]")
            .finish_non_exhaustive()
    }
}

/// `random_len` random bytes followed by zeros up to `len`.
fn random(random_len: usize, len: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    getrandom::fill(&mut bytes[..random_len]).map_err(|e| CryptoError::Random(e.to_string()))?;
    Ok(bytes)
}

fn check_len(secret: &[u8], len: usize) -> Result<(), CryptoError> {
    if secret.len() == len {
        Ok(())
    } else {
        Err(CryptoError::InvalidKeyData("secret of the wrong length"))
    }
}

fn aes(secrets: &KeyMap) -> Result<Aes256Enc, CryptoError> {
    check_len(&secrets.enc_key, KEY_LEN)?;
    Ok(Aes256Enc::new_from_slice(&secrets.enc_key).expect("the length was checked"))
}

#[cfg(test)]
mod tests;
