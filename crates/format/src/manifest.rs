//! The manifest: the list of archives, and what a client must know before it touches the repository.
//!
//! Layout: docs/format.md, "Manifest". Authentication is in [`crate::tam`] and `crypto`.

use std::collections::{BTreeMap, BTreeSet};

use ironborg_types::limits::{ARCHIVE_COUNT_MAX, ARCHIVE_NAME_LEN_MAX};
use ironborg_types::{ArchiveId, Timestamp, text};

use crate::document::{
    UnknownEntries, insert_unknown, push_raw_list, read_document_len, read_kept_value,
    read_raw_list, read_text, read_unknown,
};
use crate::item::ITEM_KEYS;
use crate::metadata_error::{Document, MetadataError, invalid, malformed};
use crate::msgpack::{MsgpackError, Reader, SortedMap, Value, push_map_len, push_raw};
use crate::tam::TamFields;

/// The version that is written; 2 is accepted as well when reading.
const MANIFEST_VERSION: u64 = 1;
/// A manifest that begins with this comes from a future Borg.
const FUTURE_MARK: [u8; 4] = [0xc1; 4];
/// Most item keys a manifest may list.
const ITEM_KEY_COUNT_MAX: usize = 100;

/// The list of archives and the repository's configuration that is the clients' concern.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// Archives by name, in the order of their bytes: the order stock Borg iterates and writes them in.
    pub archives: BTreeMap<Vec<u8>, ArchiveEntry>,
    /// When the manifest was written; only ever grows. As stored, because it is compared as text.
    pub timestamp: Option<String>,
    /// Settings such as `tam_required` and `feature_flags`; unknown ones are kept.
    pub config: BTreeMap<Vec<u8>, Value<'static>>,
    /// Keys that items of this repository may have, sorted when Borg wrote them.
    pub item_keys: Vec<Vec<u8>>,
    /// Entries of the manifest's map that are not among the above.
    pub unknown: UnknownEntries,
}

/// One archive as the manifest has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveEntry {
    /// Id of the archive's metadata object.
    pub id: ArchiveId,
    /// When the archive was started, as stored.
    pub time: String,
    /// Entries besides the above.
    pub unknown: UnknownEntries,
}

/// What a client wants to do, for the feature flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// List and extract archives.
    Read,
    /// Understand everything, or repair.
    Check,
    /// Add archives.
    Write,
    /// Delete archives, which needs exact reference counts.
    Delete,
}

impl Operation {
    /// The name in `feature_flags`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

impl ArchiveEntry {
    /// An entry as Borg makes it.
    pub fn new(id: ArchiveId, time: Timestamp) -> Self {
        Self {
            id,
            time: time.to_string(),
            unknown: UnknownEntries::new(),
        }
    }

    /// When the archive was started.
    ///
    /// # Errors
    /// [`MetadataError::InvalidTime`] if the stored text is no time.
    pub fn timestamp(&self) -> Result<Timestamp, MetadataError> {
        parse_time(&self.time, "time")
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, MetadataError> {
        const DOCUMENT: Document = Document::Manifest;
        let (mut id, mut time, mut unknown) = (None, None, UnknownEntries::new());
        for _ in 0..reader
            .read_map_len()
            .map_err(invalid(DOCUMENT, "archives"))?
        {
            let key = reader.read_raw().map_err(invalid(DOCUMENT, "archives"))?;
            match key {
                b"id" => {
                    let raw = reader.read_raw_array().map_err(invalid(DOCUMENT, "id"))?;
                    id = Some(ArchiveId(*raw));
                }
                b"time" => time = Some(read_text(reader, DOCUMENT, "time")?),
                _ => read_unknown(&mut unknown, DOCUMENT, key, reader)?,
            }
        }
        let missing = |key| MetadataError::MissingKey {
            document: DOCUMENT,
            key,
        };
        Ok(Self {
            id: id.ok_or(missing("id"))?,
            time: time.ok_or(missing("time"))?,
            unknown,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if self.unknown.is_empty() {
            push_map_len(out, 2);
            push_raw(out, b"id");
            push_raw(out, self.id.as_bytes());
            push_raw(out, b"time");
            push_raw(out, self.time.as_bytes());
            return;
        }
        let mut map = SortedMap::new();
        map.insert_raw("id", self.id.as_bytes());
        map.insert_raw("time", self.time.as_bytes());
        insert_unknown(&mut map, &self.unknown);
        map.encode(out);
    }
}

impl Manifest {
    /// The manifest of a new repository; [`Manifest::stamp`] it before it is written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the plaintext of the manifest object. What follows the map is ignored, as by stock Borg.
    ///
    /// # Errors
    /// [`MetadataError`]; [`MetadataError::UnsupportedManifest`] for one from the future.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        const DOCUMENT: Document = Document::Manifest;
        if bytes.starts_with(&FUTURE_MARK) {
            return Err(MetadataError::UnsupportedManifest);
        }
        let mut reader = Reader::new(bytes);
        let mut manifest = Self::default();
        let (mut version, mut archives, mut config) = (None, None, None);
        for _ in 0..read_document_len(&mut reader, DOCUMENT)? {
            let key = reader.read_raw().map_err(malformed(DOCUMENT))?;
            match key {
                // Of any kind: only the right numbers count, and the error is the same for all others.
                b"version" => {
                    version = reader.read_value().map_err(malformed(DOCUMENT))?.as_u64();
                }
                b"archives" => archives = Some(decode_archives(&mut reader)?),
                b"config" => {
                    config = Some(decode_config(&mut reader).map_err(invalid(DOCUMENT, "config"))?);
                }
                b"timestamp" => {
                    manifest.timestamp = Some(read_text(&mut reader, DOCUMENT, "timestamp")?);
                }
                b"item_keys" => {
                    let keys = read_raw_list(&mut reader);
                    manifest.item_keys = keys.map_err(invalid(DOCUMENT, "item_keys"))?;
                }
                b"tam" => {
                    reader.skip_value().map_err(malformed(DOCUMENT))?;
                }
                _ => read_unknown(&mut manifest.unknown, DOCUMENT, key, &mut reader)?,
            }
        }
        if !matches!(version, Some(1 | 2)) {
            return Err(MetadataError::ManifestVersion);
        }
        let missing = |key| MetadataError::MissingKey {
            document: DOCUMENT,
            key,
        };
        manifest.archives = archives.ok_or(missing("archives"))?;
        manifest.config = config.ok_or(missing("config"))?;
        Ok(manifest)
    }

    /// Encodes the manifest, always as version 1, with or without authentication.
    pub fn encode(&self, tam: Option<&TamFields<'_>>) -> Vec<u8> {
        let mut map = SortedMap::new();
        map.insert(&b"archives"[..], |out| {
            push_map_len(out, self.archives.len());
            for (name, entry) in &self.archives {
                push_raw(out, name);
                entry.encode(out);
            }
        });
        map.insert(&b"config"[..], |out| {
            push_map_len(out, self.config.len());
            for (key, value) in &self.config {
                push_raw(out, key);
                value.encode(out);
            }
        });
        map.insert(&b"item_keys"[..], |out| {
            push_raw_list(out, &self.item_keys);
        });
        if let Some(tam) = tam {
            map.insert(&b"tam"[..], |out| tam.encode(out));
        }
        if let Some(timestamp) = &self.timestamp {
            map.insert_raw("timestamp", timestamp.as_bytes());
        }
        map.insert_uint("version", MANIFEST_VERSION);
        insert_unknown(&mut map, &self.unknown);
        let mut out = Vec::new();
        map.encode(&mut out);
        out
    }

    /// Makes the manifest ready to be written: a timestamp later than the last one, the item keys this
    /// version may use, and `tam_required` if the key asks for it.
    ///
    /// # Errors
    /// [`MetadataError::InvalidTime`] if the last timestamp is no time; [`MetadataError::Limit`] if stock
    /// Borg would not read the result.
    pub fn stamp(&mut self, now: Timestamp, key_requires_tam: bool) -> Result<(), MetadataError> {
        self.check_limits()?;
        let earliest = match &self.timestamp {
            None => now,
            Some(last) => Timestamp(parse_time(last, "timestamp")?.0.saturating_add(1)),
        };
        self.timestamp = Some(now.max(earliest).to_string());
        self.item_keys = self
            .known_item_keys()
            .into_iter()
            .map(<[u8]>::to_vec)
            .collect();
        if key_requires_tam {
            self.set_requires_tam(true);
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), MetadataError> {
        let limit = |what| MetadataError::Limit {
            document: Document::Manifest,
            what,
        };
        if self.archives.len() > ARCHIVE_COUNT_MAX {
            return Err(limit("too many archives"));
        }
        let is_long = |name: &Vec<u8>| text::display(name).chars().count() > ARCHIVE_NAME_LEN_MAX;
        if self.archives.keys().any(is_long) {
            return Err(limit("an archive name is too long"));
        }
        if self.known_item_keys().len() > ITEM_KEY_COUNT_MAX {
            return Err(limit("too many item keys"));
        }
        Ok(())
    }

    /// The keys items may have: those of this version and those the repository lists, sorted.
    pub fn known_item_keys(&self) -> BTreeSet<&[u8]> {
        let own = ITEM_KEYS.iter().map(|key| key.as_bytes());
        own.chain(self.item_keys.iter().map(|key| &key[..]))
            .collect()
    }

    /// Whether the manifest says that it must be authenticated.
    pub fn requires_tam(&self) -> bool {
        self.config
            .get(&b"tam_required"[..])
            .is_some_and(Value::is_truthy)
    }

    /// Says whether the manifest must be authenticated. With a key that demands it, it must all the same.
    pub fn set_requires_tam(&mut self, required: bool) {
        self.config
            .insert(b"tam_required".to_vec(), Value::Bool(required));
    }

    /// When the manifest was written.
    ///
    /// # Errors
    /// [`MetadataError::InvalidTime`] if the stored text is no time; missing is `None`.
    pub fn last_timestamp(&self) -> Result<Option<Timestamp>, MetadataError> {
        self.timestamp
            .as_deref()
            .map(|last| parse_time(last, "timestamp"))
            .transpose()
    }

    /// Features a client must know to do `operation`, sorted. Borg 1.4 (and this program) know none.
    ///
    /// # Errors
    /// [`MetadataError::InvalidValue`] if `feature_flags` is not built as it should be.
    pub fn mandatory_features(&self, operation: Operation) -> Result<Vec<String>, MetadataError> {
        let features = self.all_mandatory_features()?;
        Ok(features
            .get(operation.name())
            .map(|names| names.iter().cloned().collect())
            .unwrap_or_default())
    }

    /// Mandatory features of all operations, known ones and others.
    ///
    /// # Errors
    /// As [`Manifest::mandatory_features`].
    pub fn all_mandatory_features(
        &self,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, MetadataError> {
        let mut features = BTreeMap::new();
        let flags = match self.config.get(&b"feature_flags"[..]) {
            None | Some(Value::Nil) => return Ok(features),
            Some(flags) => flags.as_map().ok_or(feature_flags_invalid())?,
        };
        for (operation, requirements) in flags {
            requirements.as_map().ok_or(feature_flags_invalid())?;
            let Some(mandatory) = requirements.get(b"mandatory") else {
                continue;
            };
            let names = mandatory.as_array().ok_or(feature_flags_invalid())?;
            let names: Result<_, _> = names.iter().map(feature_text).collect();
            features.insert(feature_text(operation)?, names?);
        }
        Ok(features)
    }
}

fn feature_text(value: &Value<'_>) -> Result<String, MetadataError> {
    value
        .as_raw()
        .and_then(|raw| std::str::from_utf8(raw).ok())
        .map(str::to_owned)
        .ok_or(feature_flags_invalid())
}

fn feature_flags_invalid() -> MetadataError {
    MetadataError::ValueNotText {
        document: Document::Manifest,
        key: "feature_flags",
    }
}

fn parse_time(text: &str, key: &'static str) -> Result<Timestamp, MetadataError> {
    text.parse().map_err(|_| MetadataError::InvalidTime {
        document: Document::Manifest,
        key,
    })
}

fn decode_archives(
    reader: &mut Reader<'_>,
) -> Result<BTreeMap<Vec<u8>, ArchiveEntry>, MetadataError> {
    let in_archives = invalid(Document::Manifest, "archives");
    let mut archives = BTreeMap::new();
    for _ in 0..reader.read_map_len().map_err(&in_archives)? {
        let name = reader.read_raw().map_err(&in_archives)?;
        archives.insert(name.to_vec(), ArchiveEntry::decode(reader)?);
    }
    Ok(archives)
}

fn decode_config(
    reader: &mut Reader<'_>,
) -> Result<BTreeMap<Vec<u8>, Value<'static>>, MsgpackError> {
    let mut config = BTreeMap::new();
    for _ in 0..reader.read_map_len()? {
        let key = reader.read_raw()?;
        config.insert(key.to_vec(), read_kept_value(reader)?);
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
