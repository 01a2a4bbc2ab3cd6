//! Objects, manifest and archives as they are, for looking into a repository. Source: Borg 1.4,
//! `Archiver.do_debug_*`.
//!
//! Nothing here has to understand what it shows: a document is a tree of values.

use ironborg_crypto::Key;
use ironborg_format::item::ItemDecoder;
use ironborg_format::msgpack::Value;
use ironborg_object::Opener;
use ironborg_repository::Repository;
use ironborg_types::{BytePath, ChunkId};

use crate::items::ObjectSource;
use crate::{ArchiveError, Client, Session, keys};

/// Opens objects with a key that was found without the manifest.
pub struct ObjectDump {
    key: Key,
    opener: Opener,
}

impl ObjectDump {
    /// Finds the key of a repository by the type of any of its objects.
    ///
    /// # Errors
    /// No key, no passphrase, the wrong passphrase, a damaged key.
    pub fn detect(
        client: &Client,
        repository: &dyn Repository,
        object: &[u8],
    ) -> Result<Self, ArchiveError> {
        let tam_required = client.security_directory(repository.id()).tam_required();
        let key = keys::open_key(client, repository, object, tam_required)?.key;
        Ok(Self {
            key,
            opener: Opener::new(),
        })
    }

    /// Leaves the plaintext of an object in `out`, verified; that of the manifest only by its MAC.
    ///
    /// # Errors
    /// An object that does not open, or is not for this id.
    pub fn open(
        &mut self,
        id: &ChunkId,
        object: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        let opened = if *id == ChunkId::MANIFEST {
            self.opener.open_manifest(&self.key, object, out)
        } else {
            self.opener.open(&self.key, id, object, out)
        };
        Ok(opened?)
    }
}

/// The manifest as it is stored, keys sorted.
///
/// # Errors
/// An object that does not open or is no document.
pub fn manifest(session: &Session) -> Result<Value<'static>, ArchiveError> {
    let (mut object, mut packed) = (Vec::new(), Vec::new());
    session.repository.get(&ChunkId::MANIFEST, &mut object)?;
    Opener::new().open_manifest(&session.key, &object, &mut packed)?;
    document(&packed).map_err(|detail| ArchiveError::Damaged {
        what: "the manifest",
        name: session.client.location.as_str().into(),
        detail,
    })
}

/// An archive as it is stored, without its items.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveDocuments {
    /// What the manifest says of it.
    pub entry: Value<'static>,
    /// What it says of itself.
    pub metadata: Value<'static>,
    /// The chunks of its item stream.
    pub items: Vec<ChunkId>,
}

impl ArchiveDocuments {
    /// Reads what is known of an archive; its authentication is not checked.
    ///
    /// # Errors
    /// No such archive; documents that are none.
    pub fn load(session: &Session, name: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |detail: String| ArchiveError::Damaged {
            what: "metadata",
            name: name.into(),
            detail,
        };
        let manifest = manifest(session)?;
        let entry = manifest
            .get(b"archives")
            .and_then(|archives| archives.get(name))
            .ok_or_else(|| session.no_such_archive(name))?
            .clone();
        let id = entry
            .get(b"id")
            .and_then(id_of)
            .ok_or_else(|| damaged("no id in the manifest".to_owned()))?;
        let mut packed = Vec::new();
        ObjectSource::of(session).reader().read(&id, &mut packed)?;
        let metadata = document(&packed).map_err(damaged)?;
        let items = metadata.get(b"items").and_then(Value::as_array);
        let items = items.and_then(|items| items.iter().map(id_of).collect());
        Ok(Self {
            items: items.ok_or_else(|| damaged("no list of items".to_owned()))?,
            entry,
            metadata,
        })
    }

    /// Hands every item to `take`, keys sorted. Memory: one chunk of the stream and one item.
    ///
    /// # Errors
    /// A chunk that does not open; bytes that are no values; what `take` says.
    pub fn for_each_item<E: From<ArchiveError>>(
        &self,
        session: &Session,
        name: &[u8],
        mut take: impl FnMut(&Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let damaged = |detail: String| ArchiveError::Damaged {
            what: "item stream",
            name: BytePath::new(name),
            detail,
        };
        let mut reader = ObjectSource::of(session).reader();
        let mut decoder = ItemDecoder::new();
        let mut plaintext = Vec::new();
        for id in &self.items {
            reader.read(id, &mut plaintext)?;
            decoder.push(&plaintext);
            while let Some(bytes) = decoder
                .next_bytes()
                .map_err(|error| damaged(error.to_string()))?
            {
                let mut item = Value::decode(bytes).map_err(|error| damaged(error.to_string()))?;
                item.sort_maps();
                take(&item)?;
            }
        }
        Ok(())
    }
}

/// Hands every chunk of an archive's item stream to `take`.
///
/// # Errors
/// No such archive; a chunk that does not open; what `take` says.
pub fn for_each_metadata_chunk<E: From<ArchiveError>>(
    session: &Session,
    name: &[u8],
    mut take: impl FnMut(usize, &ChunkId, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let archive = session.load_archive(name)?;
    let mut reader = ObjectSource::of(session).reader();
    let mut plaintext = Vec::new();
    for (number, id) in archive.metadata.items.iter().enumerate() {
        reader.read(id, &mut plaintext)?;
        take(number, id, &plaintext)?;
    }
    Ok(())
}

fn id_of(value: &Value<'_>) -> Option<ChunkId> {
    Some(ChunkId(value.as_raw()?.try_into().ok()?))
}

fn document(packed: &[u8]) -> Result<Value<'static>, String> {
    let mut value = Value::decode(packed).map_err(|error| error.to_string())?;
    value.sort_maps();
    Ok(value.into_owned())
}
