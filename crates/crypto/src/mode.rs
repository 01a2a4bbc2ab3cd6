//! The key modes: what `--encryption` chooses and an object's type byte says.

use crate::error::{CryptoError, ObjectName};
use ironborg_types::ChunkId;

/// How a repository's objects are identified, authenticated and encrypted, and where its key is
/// kept.
///
/// Layout: `docs/security.md`, "Modes". Source: Borg 1.4, `AVAILABLE_KEY_TYPES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyMode {
    /// Type byte 0x00.
    Keyfile,
    /// Type byte 0x01: the key is derived from the passphrase. Dead since Borg 1.0; only migration
    /// uses it.
    Passphrase,
    /// Type byte 0x02: no secrets at all.
    None,
    /// Type byte 0x03.
    Repokey,
    /// Type byte 0x04.
    KeyfileBlake2,
    /// Type byte 0x05.
    RepokeyBlake2,
    /// Type byte 0x06: keyed ids, nothing is encrypted.
    AuthenticatedBlake2,
    /// Type byte 0x07: keyed ids, nothing is encrypted.
    Authenticated,
}

/// Where the encrypted key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyStorage {
    /// There is none to keep.
    None,
    /// In a file of the client's keys directory.
    Keyfile,
    /// In the repository's config.
    Repository,
}

/// How a chunk's id is made from its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdHashKind {
    /// Plain SHA-256.
    Sha256,
    /// HMAC-SHA256 under the id key.
    HmacSha256,
    /// BLAKE2b-256 of the id key followed by the data.
    Blake2b,
}

/// What stands around the compressed data of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EnvelopeKind {
    /// The type byte alone.
    Plain,
    /// Type byte, HMAC-SHA256, counter, AES-256-CTR.
    HmacSha256,
    /// Type byte, BLAKE2b-256 of key and data, counter, AES-256-CTR.
    Blake2b,
}

impl KeyMode {
    /// All modes in Borg's order.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Passphrase,
        Self::Keyfile,
        Self::Repokey,
        Self::Authenticated,
        Self::KeyfileBlake2,
        Self::RepokeyBlake2,
        Self::AuthenticatedBlake2,
    ];

    /// The first byte of every object written in this mode.
    pub const fn type_byte(self) -> u8 {
        match self {
            Self::Keyfile => 0,
            Self::Passphrase => 1,
            Self::None => 2,
            Self::Repokey => 3,
            Self::KeyfileBlake2 => 4,
            Self::RepokeyBlake2 => 5,
            Self::AuthenticatedBlake2 => 6,
            Self::Authenticated => 7,
        }
    }

    /// The mode whose objects begin with `byte`.
    pub fn from_type_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.type_byte() == byte)
    }

    /// The mode of the repository whose manifest object is `object`. Type byte 1 counts as
    /// `Repokey`: the passphrase is taken to have been migrated to a key in the repository.
    ///
    /// # Errors
    /// [`CryptoError::UnsupportedPayload`]; an empty object is an integrity error.
    pub fn of_manifest(object: &[u8]) -> Result<Self, CryptoError> {
        let byte = *object
            .first()
            .ok_or(CryptoError::InvalidEncryptionEnvelope {
                object: ObjectName(Some(ChunkId::MANIFEST)),
            })?;
        match Self::from_type_byte(byte).ok_or(CryptoError::UnsupportedPayload(byte))? {
            Self::Passphrase => Ok(Self::Repokey),
            mode => Ok(mode),
        }
    }

    /// The word for `--encryption` and in JSON; the dead passphrase mode has none in Borg.
    pub const fn argument(self) -> Option<&'static str> {
        Some(match self {
            Self::None => "none",
            Self::Passphrase => return None,
            Self::Keyfile => "keyfile",
            Self::Repokey => "repokey",
            Self::Authenticated => "authenticated",
            Self::KeyfileBlake2 => "keyfile-blake2",
            Self::RepokeyBlake2 => "repokey-blake2",
            Self::AuthenticatedBlake2 => "authenticated-blake2",
        })
    }

    /// The mode `--encryption` calls `argument`.
    pub fn from_argument(argument: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.argument() == Some(argument))
    }

    /// The name in listings (`Encrypted: Yes (repokey BLAKE2b)`) and in exported secrets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "plaintext",
            Self::Passphrase => "passphrase",
            Self::Keyfile => "key file",
            Self::Repokey => "repokey",
            Self::Authenticated => "authenticated",
            Self::KeyfileBlake2 => "key file BLAKE2b",
            Self::RepokeyBlake2 => "repokey BLAKE2b",
            Self::AuthenticatedBlake2 => "authenticated BLAKE2b",
        }
    }

    /// The mode with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Where the encrypted key is kept.
    pub const fn storage(self) -> KeyStorage {
        match self {
            Self::None | Self::Passphrase => KeyStorage::None,
            Self::Keyfile | Self::KeyfileBlake2 => KeyStorage::Keyfile,
            Self::Repokey
            | Self::RepokeyBlake2
            | Self::Authenticated
            | Self::AuthenticatedBlake2 => KeyStorage::Repository,
        }
    }

    /// How ids are made.
    pub const fn id_hash(self) -> IdHashKind {
        match self {
            Self::None => IdHashKind::Sha256,
            Self::Passphrase | Self::Keyfile | Self::Repokey | Self::Authenticated => {
                IdHashKind::HmacSha256
            }
            Self::KeyfileBlake2 | Self::RepokeyBlake2 | Self::AuthenticatedBlake2 => {
                IdHashKind::Blake2b
            }
        }
    }

    /// What objects look like.
    pub const fn envelope(self) -> EnvelopeKind {
        match self {
            Self::None | Self::Authenticated | Self::AuthenticatedBlake2 => EnvelopeKind::Plain,
            Self::Passphrase | Self::Keyfile | Self::Repokey => EnvelopeKind::HmacSha256,
            Self::KeyfileBlake2 | Self::RepokeyBlake2 => EnvelopeKind::Blake2b,
        }
    }

    /// Whether objects are encrypted, and so consume counter values.
    pub const fn is_encrypted(self) -> bool {
        !matches!(self.envelope(), EnvelopeKind::Plain)
    }

    /// Whether this is one of the modes that authenticate without encrypting.
    pub const fn is_authenticated_only(self) -> bool {
        matches!(self, Self::Authenticated | Self::AuthenticatedBlake2)
    }

    /// Whether an object beginning with `byte` may be opened with a key of this mode. Keys in the
    /// repository also take the dead passphrase mode's byte, from which they may have been
    /// migrated.
    pub fn accepts(self, byte: u8) -> bool {
        byte == self.type_byte()
            || byte == Self::Passphrase.type_byte()
                && matches!(self, Self::Repokey | Self::RepokeyBlake2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arguments_and_names_lead_back_to_their_mode() {
        for mode in KeyMode::ALL {
            assert_eq!(KeyMode::from_type_byte(mode.type_byte()), Some(mode));
            assert_eq!(KeyMode::from_name(mode.name()), Some(mode));
            if let Some(argument) = mode.argument() {
                assert_eq!(KeyMode::from_argument(argument), Some(mode));
            }
            assert!(mode.accepts(mode.type_byte()));
        }
        assert_eq!(KeyMode::from_type_byte(8), None);
        assert_eq!(KeyMode::from_argument("passphrase"), None);
    }

    #[test]
    fn the_manifest_decides_the_mode() {
        assert_eq!(KeyMode::of_manifest(&[5, 0]), Ok(KeyMode::RepokeyBlake2));
        assert_eq!(KeyMode::of_manifest(&[1, 0]), Ok(KeyMode::Repokey));
        assert_eq!(
            KeyMode::of_manifest(&[0x20]),
            Err(CryptoError::UnsupportedPayload(0x20))
        );
        assert_eq!(
            KeyMode::of_manifest(&[]).map_err(|e| e.kind()),
            Err(ironborg_types::ErrorKind::IntegrityError)
        );
    }

    #[test]
    fn only_repository_keys_take_the_passphrase_byte() {
        let takers: Vec<_> = KeyMode::ALL.into_iter().filter(|m| m.accepts(1)).collect();
        assert_eq!(
            takers,
            [
                KeyMode::Passphrase,
                KeyMode::Repokey,
                KeyMode::RepokeyBlake2
            ]
        );
    }
}
