//! Archive metadata as it is, for writing it again with other items: whatever else it says is kept, understood or not.

use ironborg_types::ChunkId;

use super::DOCUMENT;
use crate::document::{UnknownEntries, insert_unknown, read_document_len, read_kept_value};
use crate::metadata_error::{MetadataError, invalid, malformed};
use crate::msgpack::{Reader, SortedMap};
use crate::tam::TamFields;

/// The metadata of one archive, nothing of it looked at but what it must have to be one.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveTree {
    entries: UnknownEntries,
    items: Vec<ChunkId>,
}

impl ArchiveTree {
    /// Decodes the plaintext of an archive object. What follows the map is ignored, as by stock Borg; so is `tam`.
    ///
    /// # Errors
    /// [`MetadataError`]; `version` and `items` must be there.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        let mut reader = Reader::new(bytes);
        let mut entries = UnknownEntries::new();
        let mut items = None;
        for _ in 0..read_document_len(&mut reader, DOCUMENT)? {
            let key = reader.read_raw().map_err(malformed(DOCUMENT))?;
            match key {
                b"items" => {
                    let ids = super::read_ids(&mut reader);
                    items = Some(ids.map_err(invalid(DOCUMENT, "items"))?);
                }
                b"tam" => {
                    reader.skip_value().map_err(malformed(DOCUMENT))?;
                }
                _ => {
                    let value = read_kept_value(&mut reader).map_err(malformed(DOCUMENT))?;
                    entries.insert(key.to_vec(), value);
                }
            }
        }
        let version = entries
            .get(&b"version"[..])
            .ok_or(super::missing("version"))?;
        if version.as_u64() != Some(super::ARCHIVE_VERSION) {
            return Err(MetadataError::ArchiveVersion);
        }
        let items = items.ok_or(super::missing("items"))?;
        Ok(Self { entries, items })
    }

    /// The chunks of the item stream, in order.
    pub fn items(&self) -> &[ChunkId] {
        &self.items
    }

    /// Replaces the chunks of the item stream; gives those there were.
    pub fn replace_items(&mut self, items: Vec<ChunkId>) -> Vec<ChunkId> {
        std::mem::replace(&mut self.items, items)
    }

    /// Encodes the metadata with authentication.
    pub fn encode(&self, tam: &TamFields<'_>) -> Vec<u8> {
        let mut map = SortedMap::new();
        insert_unknown(&mut map, &self.entries);
        map.insert(&b"items"[..], |out| super::push_ids(out, &self.items));
        map.insert(&b"tam"[..], |out| tam.encode(out));
        let mut out = Vec::new();
        map.encode(&mut out);
        out
    }
}
