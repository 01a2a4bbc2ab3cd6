//! What manifests and archive metadata have in common: one map of moderate size, keys sorted, unknown
//! entries kept.

use std::collections::BTreeMap;

use ironborg_types::limits::ENTRY_SIZE_MAX;

use crate::metadata_error::{Document, MetadataError, invalid, malformed};
use crate::msgpack::{MsgpackError, Reader, SortedMap, Value, push_array_len, push_raw};

/// Largest manifest, archive or key that is decoded. Source: Borg 1.4, `get_limited_unpacker`.
pub const METADATA_LEN_MAX: usize = 3 * ENTRY_SIZE_MAX;

/// Entries of a document that this version gives no meaning to, sorted by key.
pub type UnknownEntries = BTreeMap<Vec<u8>, Value<'static>>;

/// Starts reading a document; returns the number of its entries.
pub(crate) fn read_document_len(
    reader: &mut Reader<'_>,
    document: Document,
) -> Result<usize, MetadataError> {
    if reader.remaining() > METADATA_LEN_MAX {
        return Err(malformed(document)(MsgpackError::TooLarge {
            limit: METADATA_LEN_MAX,
        }));
    }
    reader.read_map_len().map_err(malformed(document))
}

/// Reads a value that is kept as a tree, its maps sorted as Borg would write them.
pub(crate) fn read_kept_value(reader: &mut Reader<'_>) -> Result<Value<'static>, MsgpackError> {
    let mut value = reader.read_value()?.into_owned();
    value.sort_maps();
    Ok(value)
}

/// Reads the value of an entry this version does not know.
pub(crate) fn read_unknown(
    unknown: &mut UnknownEntries,
    document: Document,
    key: &[u8],
    reader: &mut Reader<'_>,
) -> Result<(), MetadataError> {
    if std::str::from_utf8(key).is_err() {
        return Err(MetadataError::KeyNotText { document });
    }
    let value = read_kept_value(reader).map_err(malformed(document))?;
    unknown.insert(key.to_vec(), value);
    Ok(())
}

/// Reads a text that has to be UTF-8.
pub(crate) fn read_text(
    reader: &mut Reader<'_>,
    document: Document,
    key: &'static str,
) -> Result<String, MetadataError> {
    let raw = reader.read_raw().map_err(invalid(document, key))?;
    std::str::from_utf8(raw)
        .map(str::to_owned)
        .map_err(|_| MetadataError::ValueNotText { document, key })
}

/// Reads an array of raws.
pub(crate) fn read_raw_list(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, MsgpackError> {
    let mut list = Vec::new();
    for _ in 0..reader.read_array_len()? {
        list.push(reader.read_raw()?.to_vec());
    }
    Ok(list)
}

/// Appends an array of raws.
pub(crate) fn push_raw_list<R: AsRef<[u8]>>(out: &mut Vec<u8>, list: &[R]) {
    push_array_len(out, list.len());
    for raw in list {
        push_raw(out, raw.as_ref());
    }
}

/// Adds the unknown entries to a map that is being written.
pub(crate) fn insert_unknown<'a>(map: &mut SortedMap<'a>, unknown: &'a UnknownEntries) {
    for (key, value) in unknown {
        map.insert(&key[..], |out| value.encode(out));
    }
}
