//! The `tam` entry that authenticates a manifest or archive: written, and found in received bytes.
//!
//! Computing and comparing the HMAC is left to `crypto`. Layout: docs/format.md, "Authentication".

use crate::metadata_error::{Document, MetadataError, invalid, malformed};
use crate::msgpack::{Reader, push_map_len, push_raw};

/// The only suite there is.
pub const TAM_KIND: &str = "HKDF_HMAC_SHA512";
/// Length of the HMAC.
pub const TAM_HMAC_LEN: usize = 64;
/// Length of the salt Borg writes.
pub const TAM_SALT_LEN: usize = 64;

/// What goes into a document's `tam` entry.
///
/// A document is encoded once with [`TamFields::unsigned`], the HMAC of that is computed, and the document
/// is encoded again with [`TamFields::signed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TamFields<'a> {
    /// HMAC-SHA512 of the document with this field zero.
    pub hmac: [u8; TAM_HMAC_LEN],
    /// What the HMAC's key was derived with.
    pub salt: &'a [u8],
    /// The suite.
    pub kind: &'a str,
}

impl<'a> TamFields<'a> {
    /// Fields to compute the HMAC over.
    pub const fn unsigned(salt: &'a [u8]) -> Self {
        Self::signed([0; TAM_HMAC_LEN], salt)
    }

    /// The final fields.
    pub const fn signed(hmac: [u8; TAM_HMAC_LEN], salt: &'a [u8]) -> Self {
        Self {
            hmac,
            salt,
            kind: TAM_KIND,
        }
    }

    /// Appends the entry's value.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        push_map_len(out, 3);
        push_raw(out, b"hmac");
        push_raw(out, &self.hmac);
        push_raw(out, b"salt");
        push_raw(out, self.salt);
        push_raw(out, b"type");
        push_raw(out, self.kind.as_bytes());
    }
}

/// The `tam` entry of a received document, nothing of it checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TamView<'a> {
    /// The suite; `<none>` if it is missing.
    pub kind: &'a [u8],
    /// The HMAC, of any length; `None` if it is missing or not a raw.
    pub hmac: Option<&'a [u8]>,
    /// The salt, of any length; `None` if it is missing or not a raw.
    pub salt: Option<&'a [u8]>,
}

/// Finds the `tam` entry of a manifest or archive; `None` if there is none.
///
/// Only the first value of `bytes` is looked at; of several equal keys the last one counts. Both is what
/// stock Borg does, `unpack_and_verify_manifest` and `unpack_and_verify_archive`.
///
/// # Errors
/// [`MetadataError::TamNotAMap`]; [`MetadataError::Malformed`] if the document is not a map;
/// [`MetadataError::InvalidValue`] if the suite is not a raw.
pub fn find_tam(bytes: &[u8], document: Document) -> Result<Option<TamView<'_>>, MetadataError> {
    let mut reader = Reader::new(bytes);
    let mut tam = None;
    for _ in 0..reader.read_map_len().map_err(malformed(document))? {
        let key = reader.skip_value().map_err(malformed(document))?;
        let value = reader.skip_value().map_err(malformed(document))?;
        if Reader::new(key).read_raw() == Ok(b"tam") {
            tam = Some(value);
        }
    }
    tam.map(|value| read_tam(value, document)).transpose()
}

fn read_tam(value: &[u8], document: Document) -> Result<TamView<'_>, MetadataError> {
    let mut reader = Reader::new(value);
    let len = reader
        .read_map_len()
        .map_err(|_| MetadataError::TamNotAMap { document })?;
    let mut tam = TamView {
        kind: b"<none>",
        hmac: None,
        salt: None,
    };
    for _ in 0..len {
        let key = reader.read_value().map_err(malformed(document))?;
        let mut field = Reader::new(reader.skip_value().map_err(malformed(document))?);
        match key.as_raw() {
            Some(b"type") => tam.kind = field.read_raw().map_err(invalid(document, "type"))?,
            Some(b"hmac") => tam.hmac = field.read_raw().ok(),
            Some(b"salt") => tam.salt = field.read_raw().ok(),
            _ => {}
        }
    }
    Ok(tam)
}
