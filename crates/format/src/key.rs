//! Keys: the map of secrets, the blob it is encrypted into, and the text the blob is kept as.
//!
//! Deriving keys and encrypting is left to `crypto`. Layout: docs/format.md, "Keys".

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use ironborg_types::RepositoryId;
use zeroize::Zeroizing;

use crate::document::read_document_len;
use crate::metadata_error::{Document, MetadataError, invalid, malformed};
use crate::msgpack::{
    MsgpackError, Reader, push_bool, push_int, push_map_len, push_raw, push_uint,
};

/// First word of a key file.
const KEY_FILE_MARK: &str = "BORG_KEY ";
/// Columns of the base64 text.
const TEXT_COLUMNS: usize = 70;
/// Takes digits only, and does not mind bits that are left over, as Python does not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD.with_decode_allow_trailing_bits(true),
);
/// A blob shorter than this is no key; real ones have about 400 bytes.
const BLOB_LEN_MIN: usize = 20;
/// The only algorithm of an encrypted key there is.
pub const KEY_ALGORITHM: &str = "sha256";

/// The secrets of a repository, zeroed when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyMap {
    /// The repository they belong to.
    pub repository_id: RepositoryId,
    /// Encrypts objects; 32 bytes.
    pub enc_key: Zeroizing<Vec<u8>>,
    /// Authenticates objects; 32 bytes, with BLAKE2b 128.
    pub enc_hmac_key: Zeroizing<Vec<u8>>,
    /// Identifies chunks; 32 bytes, with BLAKE2b 128.
    pub id_key: Zeroizing<Vec<u8>>,
    /// Seed of the rolling hash.
    pub chunk_seed: i32,
    /// Whether manifests must be authenticated; absent in old keys.
    pub tam_required: Option<bool>,
}

/// Never shows a secret.
impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMap")
            .field("repository_id", &self.repository_id)
            .field("secrets", &format_args!("[secret]"))
            .field("tam_required", &self.tam_required)
            .finish_non_exhaustive()
    }
}

impl KeyMap {
    /// Encodes the map as version 1.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let secrets_len = self.enc_key.len() + self.enc_hmac_key.len() + self.id_key.len();
        // Large enough never to be moved: the bytes left behind would not be zeroed.
        let mut buffer = Zeroizing::new(Vec::with_capacity(256 + secrets_len));
        let out = &mut *buffer;
        push_map_len(out, 6 + usize::from(self.tam_required.is_some()));
        push_raw(out, b"chunk_seed");
        push_int(out, i64::from(self.chunk_seed));
        push_raw(out, b"enc_hmac_key");
        push_raw(out, &self.enc_hmac_key);
        push_raw(out, b"enc_key");
        push_raw(out, &self.enc_key);
        push_raw(out, b"id_key");
        push_raw(out, &self.id_key);
        push_raw(out, b"repository_id");
        push_raw(out, self.repository_id.as_bytes());
        if let Some(tam_required) = self.tam_required {
            push_raw(out, b"tam_required");
            push_bool(out, tam_required);
        }
        push_raw(out, b"version");
        push_uint(out, 1);
        buffer
    }

    /// Decodes the decrypted map; unknown entries are ignored, nothing may follow it.
    ///
    /// # Errors
    /// [`MetadataError::KeyVersion`], or another if the map is not a key.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        const DOCUMENT: Document = Document::Key;
        let mut reader = Reader::new(bytes);
        let (mut version, mut repository_id, mut chunk_seed) = (None, None, None);
        let (mut enc_key, mut enc_hmac_key, mut id_key) = (None, None, None);
        let mut tam_required = None;
        for _ in 0..read_document_len(&mut reader, DOCUMENT)? {
            let key = reader.read_raw().map_err(malformed(DOCUMENT))?;
            let reader = &mut reader;
            match key {
                b"version" => version = Some(field(reader, DOCUMENT, "version", Reader::read_u64)?),
                b"repository_id" => {
                    let raw = field(reader, DOCUMENT, "repository_id", Reader::read_raw_array)?;
                    repository_id = Some(RepositoryId(*raw));
                }
                b"chunk_seed" => {
                    chunk_seed = Some(field(reader, DOCUMENT, "chunk_seed", read_seed)?);
                }
                b"enc_key" => enc_key = Some(field(reader, DOCUMENT, "enc_key", read_secret)?),
                b"enc_hmac_key" => {
                    enc_hmac_key = Some(field(reader, DOCUMENT, "enc_hmac_key", read_secret)?);
                }
                b"id_key" => id_key = Some(field(reader, DOCUMENT, "id_key", read_secret)?),
                b"tam_required" => {
                    tam_required =
                        Some(field(reader, DOCUMENT, "tam_required", Reader::read_bool)?);
                }
                _ => {
                    reader.skip_value().map_err(malformed(DOCUMENT))?;
                }
            }
        }
        reader.finish().map_err(malformed(DOCUMENT))?;
        let missing = |key| MetadataError::MissingKey {
            document: DOCUMENT,
            key,
        };
        if version.ok_or(missing("version"))? != 1 {
            return Err(MetadataError::KeyVersion);
        }
        Ok(Self {
            repository_id: repository_id.ok_or(missing("repository_id"))?,
            enc_key: enc_key.ok_or(missing("enc_key"))?,
            enc_hmac_key: enc_hmac_key.ok_or(missing("enc_hmac_key"))?,
            id_key: id_key.ok_or(missing("id_key"))?,
            chunk_seed: chunk_seed.ok_or(missing("chunk_seed"))?,
            tam_required,
        })
    }
}

/// A key map encrypted with a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedKeyBlob {
    /// Salt of the derivation; Borg writes 32 bytes.
    pub salt: Vec<u8>,
    /// Rounds of the derivation; untrusted when it was read.
    pub iterations: u32,
    /// The encrypted [`KeyMap`].
    pub data: Vec<u8>,
    /// HMAC of the plain map, which tells a wrong passphrase.
    pub hash: Vec<u8>,
}

impl EncryptedKeyBlob {
    /// Encodes the blob as version 1, algorithm `sha256`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.data.len());
        push_map_len(&mut out, 6);
        push_raw(&mut out, b"algorithm");
        push_raw(&mut out, KEY_ALGORITHM.as_bytes());
        push_raw(&mut out, b"data");
        push_raw(&mut out, &self.data);
        push_raw(&mut out, b"hash");
        push_raw(&mut out, &self.hash);
        push_raw(&mut out, b"iterations");
        push_uint(&mut out, u64::from(self.iterations));
        push_raw(&mut out, b"salt");
        push_raw(&mut out, &self.salt);
        push_raw(&mut out, b"version");
        push_uint(&mut out, 1);
        out
    }

    /// Decodes a blob; unknown entries and what follows the map are ignored, as by stock Borg.
    ///
    /// # Errors
    /// [`MetadataError::EncryptedKeyVersion`], [`MetadataError::EncryptedKeyAlgorithm`], or another if the
    /// bytes are not an encrypted key.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        const DOCUMENT: Document = Document::EncryptedKey;
        let mut reader = Reader::new(bytes);
        let (mut version, mut algorithm, mut iterations) = (None, None, None);
        let (mut salt, mut data, mut hash) = (None, None, None);
        for _ in 0..read_document_len(&mut reader, DOCUMENT)? {
            let key = reader.read_raw().map_err(malformed(DOCUMENT))?;
            let reader = &mut reader;
            match key {
                b"version" => version = Some(field(reader, DOCUMENT, "version", Reader::read_u64)?),
                b"algorithm" => {
                    algorithm = Some(field(reader, DOCUMENT, "algorithm", Reader::read_raw)?);
                }
                b"iterations" => {
                    iterations = Some(field(reader, DOCUMENT, "iterations", Reader::read_u32)?);
                }
                b"salt" => salt = Some(field(reader, DOCUMENT, "salt", Reader::read_raw)?),
                b"data" => data = Some(field(reader, DOCUMENT, "data", Reader::read_raw)?),
                b"hash" => hash = Some(field(reader, DOCUMENT, "hash", Reader::read_raw)?),
                _ => {
                    reader.skip_value().map_err(malformed(DOCUMENT))?;
                }
            }
        }
        let missing = |key| MetadataError::MissingKey {
            document: DOCUMENT,
            key,
        };
        match version.ok_or(missing("version"))? {
            1 => {}
            other => return Err(MetadataError::EncryptedKeyVersion(other)),
        }
        let algorithm = algorithm.ok_or(missing("algorithm"))?;
        if algorithm != KEY_ALGORITHM.as_bytes() {
            let name = String::from_utf8_lossy(algorithm).into_owned();
            return Err(MetadataError::EncryptedKeyAlgorithm(name));
        }
        Ok(Self {
            salt: salt.ok_or(missing("salt"))?.to_vec(),
            iterations: iterations.ok_or(missing("iterations"))?,
            data: data.ok_or(missing("data"))?.to_vec(),
            hash: hash.ok_or(missing("hash"))?.to_vec(),
        })
    }

    /// The text form; see [`encode_key_text`].
    pub fn to_text(&self) -> String {
        encode_key_text(&self.encode())
    }

    /// Decodes the text form; see [`decode_key_text`].
    ///
    /// # Errors
    /// The inner [`KeyTextError`] is [`KeyTextError::Invalid`] if the text is no base64 or far too short;
    /// otherwise as [`EncryptedKeyBlob::decode`].
    pub fn from_text(text: &str) -> Result<Self, KeyTextError> {
        let bytes = decode_key_text(text).ok_or(KeyTextError::Invalid)?;
        Self::decode(&bytes).map_err(KeyTextError::Blob)
    }
}

/// Why the text of a key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Not the text of a key at all: `KeyfileInvalidError`.
    #[error("invalid key data")]
    Invalid,
    /// The key of another repository: `KeyfileMismatchError`.
    #[error("key of another repository")]
    OtherRepository,
    /// The text holds something that is not a usable encrypted key.
    #[error(transparent)]
    Blob(MetadataError),
}

/// A key file taken apart; nothing of it but the first line is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFile<'a> {
    /// The repository of the first line.
    pub repository_id: RepositoryId,
    /// Everything behind the first line.
    pub text: &'a str,
}

/// Takes a key file apart.
///
/// # Errors
/// [`KeyTextError::Invalid`] if it does not begin with `BORG_KEY `, the id and a newline.
pub fn parse_key_file(content: &str) -> Result<KeyFile<'_>, KeyTextError> {
    let after_mark = content
        .strip_prefix(KEY_FILE_MARK)
        .ok_or(KeyTextError::Invalid)?;
    let (id, text) = after_mark.split_once('\n').ok_or(KeyTextError::Invalid)?;
    Ok(KeyFile {
        repository_id: id.trim_end().parse().map_err(|_| KeyTextError::Invalid)?,
        text,
    })
}

/// Decides whether a file found among the keys is the key of `repository_id`; returns its blob's text.
///
/// Source: Borg 1.4, `KeyfileKey.sanity_check`, whose order of checks this keeps: a file of another
/// repository is [`KeyTextError::OtherRepository`] whatever follows its first line.
///
/// # Errors
/// [`KeyTextError::Invalid`], [`KeyTextError::OtherRepository`].
pub fn check_key_file<'a>(
    content: &'a [u8],
    repository_id: &RepositoryId,
) -> Result<&'a str, KeyTextError> {
    let after_mark = content
        .strip_prefix(KEY_FILE_MARK.as_bytes())
        .ok_or(KeyTextError::Invalid)?;
    after_mark
        .strip_prefix(repository_id.to_string().as_bytes())
        .ok_or(KeyTextError::OtherRepository)?;
    let content = std::str::from_utf8(content).map_err(|_| KeyTextError::Invalid)?;
    let text = parse_key_file(content)?.text;
    if text.is_empty() || decode_key_text(text).is_none() {
        return Err(KeyTextError::Invalid);
    }
    Ok(text)
}

/// Takes the text of an exported key out of its file, which must be for `repository_id` to the letter.
///
/// Source: Borg 1.4, `KeyManager.import_keyfile`. Unlike there a text that is no key at all is refused: it would
/// take the place of a good one.
///
/// # Errors
/// [`KeyTextError::Invalid`] if it does not begin like a key, [`KeyTextError::OtherRepository`], and
/// [`KeyTextError::Blob`] if what follows is damaged.
pub fn check_key_backup<'a>(
    content: &'a str,
    repository_id: &RepositoryId,
) -> Result<&'a str, KeyTextError> {
    if !content.starts_with(KEY_FILE_MARK.trim_end()) {
        return Err(KeyTextError::Invalid);
    }
    let text = content
        .strip_prefix(&format!("{KEY_FILE_MARK}{repository_id}\n"))
        .ok_or(KeyTextError::OtherRepository)?;
    match EncryptedKeyBlob::from_text(text) {
        // A key that only a newer program can open is a key.
        Ok(_)
        | Err(KeyTextError::Blob(
            MetadataError::EncryptedKeyVersion(_) | MetadataError::EncryptedKeyAlgorithm(_),
        )) => Ok(text),
        Err(KeyTextError::Blob(error)) => Err(KeyTextError::Blob(error)),
        Err(_) => Err(KeyTextError::Blob(MetadataError::MissingKey {
            document: Document::EncryptedKey,
            key: "data",
        })),
    }
}

/// The content of a key file.
pub fn key_file_content(repository_id: &RepositoryId, text: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("{KEY_FILE_MARK}{repository_id}\n{text}\n")
}

/// The text form of an encoded key: base64 in lines of 70 columns, without a final newline.
pub fn encode_key_text(blob: &[u8]) -> String {
    let mut text = STANDARD.encode(blob);
    let mut at = TEXT_COLUMNS;
    while at < text.len() {
        text.insert(at, '\n');
        at += TEXT_COLUMNS + 1;
    }
    text
}

/// Decodes base64 as leniently as Python does: characters outside the alphabet are skipped, and reading
/// ends at the padding. `None` if a group is incomplete, or for fewer than 20 bytes.
pub fn decode_key_text(text: &str) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    let mut padding = 0;
    for byte in text.bytes() {
        match byte {
            b'=' if digits.len() % 4 >= 2 => {
                padding += 1;
                if digits.len() % 4 + padding >= 4 {
                    break;
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                padding = 0;
                digits.push(byte);
            }
            _ => {}
        }
    }
    if digits.len() % 4 != 0 && digits.len() % 4 + padding < 4 {
        return None;
    }
    let blob = LENIENT.decode(&digits).ok()?;
    (blob.len() >= BLOB_LEN_MIN).then_some(blob)
}

fn field<'a, T>(
    reader: &mut Reader<'a>,
    document: Document,
    key: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, MsgpackError>,
) -> Result<T, MetadataError> {
    read(reader).map_err(invalid(document, key))
}

fn read_secret(reader: &mut Reader<'_>) -> Result<Zeroizing<Vec<u8>>, MsgpackError> {
    reader.read_raw().map(|raw| Zeroizing::new(raw.to_vec()))
}

fn read_seed(reader: &mut Reader<'_>) -> Result<i32, MsgpackError> {
    i32::try_from(reader.read_i64()?).map_err(|_| MsgpackError::IntegerRange)
}

#[cfg(test)]
mod tests;
