//! Authentication of the manifest and of archives: the `tam` entry of their metadata.
//!
//! The envelope's MAC proves that an object was written with the key, not which role it was written
//! for: a file's content could be passed off as a manifest. The `tam` entry is an HMAC under a key
//! derived for the role, over the metadata with the HMAC itself zeroed. Layout: `docs/security.md`,
//! "Authenticated metadata". Source: Borg 1.4, `KeyBase.pack_and_authenticate_metadata` and
//! `unpack_and_verify_*`.

use crate::error::CryptoError;
use crate::key::Key;
use crate::mode::KeyMode;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use ironborg_format::msgpack::{MsgpackError, Reader};
use ironborg_format::tam::{TAM_HMAC_LEN, TAM_KIND, TAM_SALT_LEN};
use ironborg_format::{Document, MetadataError, TamFields, find_tam};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How a manifest begins that no Borg 1.x can read.
const FUTURE_MANIFEST: [u8; 4] = [0xc1; 4];

/// What the metadata is, so that one cannot stand in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TamContext {
    /// The manifest.
    Manifest,
    /// An archive.
    Archive,
}

impl TamContext {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Manifest => b"manifest",
            Self::Archive => b"archive",
        }
    }

    const fn document(self) -> Document {
        match self {
            Self::Manifest => Document::Manifest,
            Self::Archive => Document::Archive,
        }
    }

    fn invalid(self) -> CryptoError {
        match self {
            Self::Manifest => CryptoError::TamInvalid,
            Self::Archive => CryptoError::ArchiveTamInvalid,
        }
    }
}

/// Whether metadata without a `tam` entry, or with one of another kind, is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TamDemand {
    /// It is refused.
    Required,
    /// It is taken as unauthenticated.
    Optional,
}

impl TamDemand {
    /// What the key itself demands of a manifest.
    pub fn of_key(key: &Key) -> Self {
        if key.tam_required() {
            Self::Required
        } else {
            Self::Optional
        }
    }
}

/// The outcome of a verification that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The entry is there and right. Signing again with its salt gives the same bytes.
    Verified {
        /// The entry's salt: 64 bytes if Borg made it.
        salt: Vec<u8>,
    },
    /// There is no entry of the known kind, and none was demanded.
    Unauthenticated,
    /// The key has no secrets, nothing was looked at. Borg takes this for verified.
    NotChecked,
}

impl Authentication {
    /// What Borg calls verified.
    pub fn is_verified(&self) -> bool {
        !matches!(self, Self::Unauthenticated)
    }
}

/// A fresh random salt for [`sign`].
///
/// # Errors
/// [`CryptoError::Random`].
pub fn random_salt() -> Result<[u8; TAM_SALT_LEN], CryptoError> {
    let mut salt = [0; TAM_SALT_LEN];
    getrandom::fill(&mut salt).map_err(|e| CryptoError::Random(e.to_string()))?;
    Ok(salt)
}

/// Packs metadata with a `tam` entry. `pack` is called twice, first for an HMAC of zeros, and gives
/// the packed metadata with the entry it is handed: `|tam| manifest.encode(Some(tam))`.
///
/// # Errors
/// [`CryptoError::NoSecrets`].
pub fn sign(
    key: &Key,
    context: TamContext,
    salt: &[u8],
    pack: impl Fn(&TamFields<'_>) -> Vec<u8>,
) -> Result<Vec<u8>, CryptoError> {
    if !key.has_secrets() {
        return Err(CryptoError::NoSecrets);
    }
    let unsigned = pack(&TamFields::unsigned(salt));
    let hmac = hmac_sha512(&tam_key(key, context, salt), &[&unsigned]);
    Ok(pack(&TamFields::signed(hmac, salt)))
}

/// Verifies the packed manifest.
///
/// # Errors
/// [`CryptoError::UnsupportedManifest`], [`CryptoError::TamRequired`],
/// [`CryptoError::TamUnsupportedSuite`], [`CryptoError::TamInvalid`] (whatever `demand` is),
/// [`CryptoError::MalformedMetadata`].
pub fn verify_manifest(
    key: &Key,
    packed: &[u8],
    demand: TamDemand,
) -> Result<Authentication, CryptoError> {
    if packed.starts_with(&FUTURE_MANIFEST) {
        return Err(CryptoError::UnsupportedManifest);
    }
    verify(key, TamContext::Manifest, packed, demand)
}

/// Verifies the packed metadata of an archive. Readers take [`TamDemand::Optional`]; check goes by
/// the key.
///
/// # Errors
/// [`CryptoError::ArchiveTamRequired`], [`CryptoError::TamUnsupportedSuite`],
/// [`CryptoError::ArchiveTamInvalid`] (whatever `demand` is; the workaround
/// `ignore_invalid_archive_tam` makes it unauthenticated), [`CryptoError::MalformedMetadata`].
pub fn verify_archive(
    key: &Key,
    packed: &[u8],
    demand: TamDemand,
) -> Result<Authentication, CryptoError> {
    verify(key, TamContext::Archive, packed, demand)
}

fn verify(
    key: &Key,
    context: TamContext,
    packed: &[u8],
    demand: TamDemand,
) -> Result<Authentication, CryptoError> {
    let found = match find_tam(packed, context.document()) {
        Err(MetadataError::Malformed { source, .. }) => {
            return Err(CryptoError::MalformedMetadata(source));
        }
        // The document is fine, its `tam` entry is none.
        other => other.map_err(|_| context.invalid()),
    };
    if !key.has_secrets() {
        return Ok(Authentication::NotChecked);
    }
    let Some(tam) = found? else {
        return match (demand, context) {
            (TamDemand::Optional, _) => Ok(Authentication::Unauthenticated),
            (TamDemand::Required, TamContext::Manifest) => Err(CryptoError::TamRequired),
            (TamDemand::Required, TamContext::Archive) => {
                let archive = ascii(name(packed).ok().flatten().unwrap_or(b"<unknown>"));
                Err(CryptoError::ArchiveTamRequired { archive })
            }
        };
    };
    if tam.kind != TAM_KIND.as_bytes() {
        return match demand {
            TamDemand::Optional => Ok(Authentication::Unauthenticated),
            TamDemand::Required => Err(CryptoError::TamUnsupportedSuite {
                suite: format!("'{}'", ascii(tam.kind)),
            }),
        };
    }
    let (Some(hmac), Some(salt)) = (tam.hmac, tam.salt) else {
        return Err(context.invalid());
    };
    if verify_hmac(key, context, packed, hmac, salt) {
        Ok(Authentication::Verified {
            salt: salt.to_vec(),
        })
    } else {
        Err(context.invalid())
    }
}

/// The name in an archive's metadata.
fn name(packed: &[u8]) -> Result<Option<&[u8]>, MsgpackError> {
    let mut reader = Reader::new(packed);
    let mut name = None;
    for _ in 0..reader.read_map_len()? {
        let key = reader.skip_value()?;
        let value = reader.skip_value()?;
        if Reader::new(key).read_raw() == Ok(b"name") {
            name = Reader::new(value).read_raw().ok();
        }
    }
    Ok(name)
}

/// Zeroes the first occurrence of `hmac` in the bytes as they were received, without unpacking and
/// packing them again: another writer may order them differently.
fn verify_hmac(key: &Key, context: TamContext, packed: &[u8], hmac: &[u8], salt: &[u8]) -> bool {
    if hmac.len() != TAM_HMAC_LEN {
        return false;
    }
    let Some(offset) = packed
        .windows(TAM_HMAC_LEN)
        .position(|window| window == hmac)
    else {
        return false; // Cannot be: it was just read from there.
    };
    let (before, after) = (&packed[..offset], &packed[offset + TAM_HMAC_LEN..]);
    let computed = hmac_sha512(
        &tam_key(key, context, salt),
        &[before, &[0; TAM_HMAC_LEN], after],
    );
    bool::from(computed.ct_eq(hmac))
}

/// The HMAC key for the role. Without secrets there is only form to be kept.
fn tam_key(key: &Key, context: TamContext, salt: &[u8]) -> Zeroizing<Vec<u8>> {
    let Some(secrets) = key.key_map() else {
        assert!(
            key.mode() == KeyMode::None,
            "keys without their secrets are not used here"
        );
        return Zeroizing::new([salt, context.label()].concat());
    };
    let parts: [&[u8]; 3] = [&secrets.id_key, &secrets.enc_key, &secrets.enc_hmac_key];
    let input = Zeroizing::new(parts.concat());
    let mut derived = Zeroizing::new(vec![0; TAM_HMAC_LEN]);
    Hkdf::<Sha512>::new(Some(salt), &input)
        .expand_multi_info(
            &[b"borg-metadata-authentication-", context.label()],
            &mut derived,
        )
        .expect("HKDF gives up to 255 times the hash length");
    derived
}

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> [u8; TAM_HMAC_LEN] {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Text of a message: what is not ASCII is replaced.
fn ascii(bytes: &[u8]) -> String {
    let replace = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            '\u{fffd}'
        }
    };
    bytes.iter().map(replace).collect()
}

#[cfg(test)]
mod tests;
