//! Archive metadata: the object an archive's id names. The items are in the chunks it lists.
//!
//! Layout: docs/format.md, "Archive metadata". Authentication is in [`crate::tam`] and `crypto`.

pub mod tree;

use ironborg_types::{ChunkId, Timestamp};

pub use tree::ArchiveTree;

use crate::document::{
    UnknownEntries, insert_unknown, push_raw_list, read_document_len, read_kept_value,
    read_raw_list, read_text, read_unknown,
};
use crate::metadata_error::{Document, MetadataError, invalid, malformed};
use crate::msgpack::{MsgpackError, Reader, SortedMap, Value, push_array_len, push_raw};
use crate::tam::TamFields;

const DOCUMENT: Document = Document::Archive;
/// The only version there is.
const ARCHIVE_VERSION: u64 = 1;

/// The keys an archive of Borg 1.4.5 or older may have, sorted.
pub const ARCHIVE_KEYS: [&str; 21] = [
    "chunker_params",
    "cmdline",
    "comment",
    "csize",
    "csize_parts",
    "cwd",
    "hostname",
    "items",
    "name",
    "nfiles",
    "nfiles_parts",
    "recreate_args",
    "recreate_cmdline",
    "recreate_partial_chunks",
    "recreate_source_id",
    "size",
    "size_parts",
    "time",
    "time_end",
    "username",
    "version",
];

/// The metadata of one archive. `None` means that the key is absent, as in archives of older versions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArchiveMetadata {
    /// Name, as bytes.
    pub name: Vec<u8>,
    /// Comment; empty if none was given.
    pub comment: Option<Vec<u8>>,
    /// Ids of the chunks of the item stream, in order.
    pub items: Vec<ChunkId>,
    /// Command line that made the archive, the program included.
    pub cmdline: Vec<Vec<u8>>,
    /// Host the archive was made on.
    pub hostname: Option<Vec<u8>>,
    /// User who made it.
    pub username: Option<Vec<u8>>,
    /// When it was started, as stored.
    pub time: String,
    /// When it was finished, as stored.
    pub time_end: Option<String>,
    /// Directory the command was run in; since Borg 1.4.
    pub cwd: Option<Vec<u8>>,
    /// Chunker and its parameters: raws and integers; only integers before Borg 1.2.
    pub chunker_params: Option<Vec<Value<'static>>>,
    /// Bytes of content, every reference counted; this and the following since Borg 1.2.
    pub size: Option<u64>,
    /// Bytes of the objects of the content.
    pub csize: Option<u64>,
    /// Count of regular files with content of their own.
    pub nfiles: Option<u64>,
    /// `size` of part files.
    pub size_parts: Option<u64>,
    /// `csize` of part files.
    pub csize_parts: Option<u64>,
    /// `nfiles` of part files.
    pub nfiles_parts: Option<u64>,
    /// Command line that recreated the archive.
    pub recreate_cmdline: Option<Vec<Vec<u8>>>,
    /// Entries not among the above.
    pub unknown: UnknownEntries,
}

impl ArchiveMetadata {
    /// Decodes the plaintext of an archive object. What follows the map is ignored, as by stock Borg.
    ///
    /// # Errors
    /// [`MetadataError`]; `version`, `name`, `items`, `cmdline` and `time` must be there.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        let mut reader = Reader::new(bytes);
        let mut archive = Self::default();
        let (mut version, mut name, mut items, mut cmdline, mut time) =
            (None, None, None, None, None);
        for _ in 0..read_document_len(&mut reader, DOCUMENT)? {
            let key = reader.read_raw().map_err(malformed(DOCUMENT))?;
            let reader = &mut reader;
            match key {
                b"version" => {
                    version = reader.read_value().map_err(malformed(DOCUMENT))?.as_u64();
                }
                b"name" => name = Some(field(reader, "name", read_owned)?),
                b"items" => items = Some(field(reader, "items", read_ids)?),
                b"cmdline" => cmdline = Some(field(reader, "cmdline", read_raw_list)?),
                b"time" => time = Some(read_text(reader, DOCUMENT, "time")?),
                b"tam" => {
                    reader.skip_value().map_err(malformed(DOCUMENT))?;
                }
                _ => archive.decode_entry(key, reader)?,
            }
        }
        if version.ok_or(missing("version"))? != ARCHIVE_VERSION {
            return Err(MetadataError::ArchiveVersion);
        }
        archive.name = name.ok_or(missing("name"))?;
        archive.items = items.ok_or(missing("items"))?;
        archive.cmdline = cmdline.ok_or(missing("cmdline"))?;
        archive.time = time.ok_or(missing("time"))?;
        Ok(archive)
    }

    fn decode_entry(&mut self, key: &[u8], reader: &mut Reader<'_>) -> Result<(), MetadataError> {
        match key {
            b"comment" => self.comment = Some(field(reader, "comment", read_owned)?),
            b"hostname" => self.hostname = Some(field(reader, "hostname", read_owned)?),
            b"username" => self.username = Some(field(reader, "username", read_owned)?),
            b"time_end" => self.time_end = Some(read_text(reader, DOCUMENT, "time_end")?),
            b"cwd" => self.cwd = Some(field(reader, "cwd", read_owned)?),
            b"chunker_params" => {
                self.chunker_params = Some(field(reader, "chunker_params", read_values)?);
            }
            b"size" => self.size = Some(field(reader, "size", Reader::read_u64)?),
            b"csize" => self.csize = Some(field(reader, "csize", Reader::read_u64)?),
            b"nfiles" => self.nfiles = Some(field(reader, "nfiles", Reader::read_u64)?),
            b"size_parts" => self.size_parts = Some(field(reader, "size_parts", Reader::read_u64)?),
            b"csize_parts" => {
                self.csize_parts = Some(field(reader, "csize_parts", Reader::read_u64)?);
            }
            b"nfiles_parts" => {
                self.nfiles_parts = Some(field(reader, "nfiles_parts", Reader::read_u64)?);
            }
            b"recreate_cmdline" => {
                self.recreate_cmdline = Some(field(reader, "recreate_cmdline", read_raw_list)?);
            }
            _ => read_unknown(&mut self.unknown, DOCUMENT, key, reader)?,
        }
        Ok(())
    }

    /// Encodes the metadata, with or without authentication.
    pub fn encode(&self, tam: Option<&TamFields<'_>>) -> Vec<u8> {
        let mut map = SortedMap::new();
        map.insert_uint("version", ARCHIVE_VERSION);
        map.insert_raw("name", &self.name);
        map.insert(&b"items"[..], |out| push_ids(out, &self.items));
        map.insert(&b"cmdline"[..], |out| push_raw_list(out, &self.cmdline));
        map.insert_raw("time", self.time.as_bytes());
        if let Some(tam) = tam {
            map.insert(&b"tam"[..], |out| tam.encode(out));
        }
        for (key, raw) in [
            ("comment", self.comment.as_deref()),
            ("hostname", self.hostname.as_deref()),
            ("username", self.username.as_deref()),
            ("time_end", self.time_end.as_deref().map(str::as_bytes)),
            ("cwd", self.cwd.as_deref()),
        ] {
            if let Some(raw) = raw {
                map.insert_raw(key, raw);
            }
        }
        for (key, count) in [
            ("size", self.size),
            ("csize", self.csize),
            ("nfiles", self.nfiles),
            ("size_parts", self.size_parts),
            ("csize_parts", self.csize_parts),
            ("nfiles_parts", self.nfiles_parts),
        ] {
            if let Some(count) = count {
                map.insert_uint(key, count);
            }
        }
        if let Some(params) = &self.chunker_params {
            map.insert(&b"chunker_params"[..], |out| {
                push_array_len(out, params.len());
                for param in params {
                    param.encode(out);
                }
            });
        }
        if let Some(cmdline) = &self.recreate_cmdline {
            map.insert(&b"recreate_cmdline"[..], |out| push_raw_list(out, cmdline));
        }
        insert_unknown(&mut map, &self.unknown);
        let mut out = Vec::new();
        map.encode(&mut out);
        out
    }

    /// When the archive was started.
    ///
    /// # Errors
    /// [`MetadataError::InvalidTime`] if the stored text is no time.
    pub fn start(&self) -> Result<Timestamp, MetadataError> {
        parse_time(&self.time, "time")
    }

    /// When the archive was finished; when it was started, if that is not known.
    ///
    /// # Errors
    /// As [`ArchiveMetadata::start`].
    pub fn end(&self) -> Result<Timestamp, MetadataError> {
        match self.time_end.as_deref() {
            None | Some("") => self.start(),
            Some(time_end) => parse_time(time_end, "time_end"),
        }
    }
}

fn parse_time(text: &str, key: &'static str) -> Result<Timestamp, MetadataError> {
    text.parse().map_err(|_| MetadataError::InvalidTime {
        document: DOCUMENT,
        key,
    })
}

fn missing(key: &'static str) -> MetadataError {
    MetadataError::MissingKey {
        document: DOCUMENT,
        key,
    }
}

fn field<'a, T>(
    reader: &mut Reader<'a>,
    key: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, MsgpackError>,
) -> Result<T, MetadataError> {
    read(reader).map_err(invalid(DOCUMENT, key))
}

fn read_owned(reader: &mut Reader<'_>) -> Result<Vec<u8>, MsgpackError> {
    reader.read_raw().map(<[u8]>::to_vec)
}

fn read_ids(reader: &mut Reader<'_>) -> Result<Vec<ChunkId>, MsgpackError> {
    let mut ids = Vec::new();
    for _ in 0..reader.read_array_len()? {
        ids.push(ChunkId(*reader.read_raw_array()?));
    }
    Ok(ids)
}

fn push_ids(out: &mut Vec<u8>, ids: &[ChunkId]) {
    push_array_len(out, ids.len());
    for id in ids {
        push_raw(out, id.as_bytes());
    }
}

fn read_values(reader: &mut Reader<'_>) -> Result<Vec<Value<'static>>, MsgpackError> {
    let mut values = Vec::new();
    for _ in 0..reader.read_array_len()? {
        values.push(read_kept_value(reader)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
