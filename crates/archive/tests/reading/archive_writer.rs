//! Writes archives item by item, also such as no Borg would make.

use ironborg_archive::Session;
use ironborg_crypto::tam::{self, TamContext};
use ironborg_format::archive::ArchiveMetadata;
use ironborg_format::item::{ChunkEntry, Item, OwnerName};
use ironborg_format::manifest::ArchiveEntry;
use ironborg_object::{Compression, Sealer};
use ironborg_types::{ArchiveId, BytePath, ChunkId, Timestamp};

pub(crate) const MTIME: i64 = 1_600_000_000_123_456_789;

/// An archive being written into an open repository.
pub(crate) struct ArchiveWriter<'s> {
    session: &'s mut Session,
    sealer: Sealer,
    stream: Vec<u8>,
}

impl<'s> ArchiveWriter<'s> {
    pub(crate) fn new(session: &'s mut Session) -> Self {
        Self {
            session,
            sealer: Sealer::new(Compression::default()),
            stream: Vec::new(),
        }
    }

    /// Stores a chunk.
    pub(crate) fn put(&mut self, data: &[u8]) -> ChunkEntry {
        let id = self.session.key.id_hash(data);
        let mut object = Vec::new();
        let session = &mut *self.session;
        self.sealer
            .seal(&session.key, &session.nonces, data, &mut object)
            .expect("it seals");
        session.repository.put(&id, &object).expect("it is stored");
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("small");
        ChunkEntry {
            id,
            size: len(data),
            csize: len(&object),
        }
    }

    /// Adds an item as it is.
    pub(crate) fn add(&mut self, item: &Item) -> &mut Self {
        item.encode(&mut self.stream);
        self
    }

    /// Adds bytes that need not be an item.
    pub(crate) fn add_raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.extend_from_slice(bytes);
        self
    }

    /// Adds a regular file made of these chunks.
    pub(crate) fn file(&mut self, path: &str, chunks: &[&[u8]]) -> Item {
        let chunks: Vec<ChunkEntry> = chunks.iter().map(|data| self.put(data)).collect();
        let item = file(path, chunks);
        self.add(&item);
        item
    }

    /// Finishes the archive and commits.
    pub(crate) fn finish(mut self, name: &str) {
        let stream = std::mem::take(&mut self.stream);
        // Small pieces: items cross their borders.
        let items: Vec<ChunkId> = stream.chunks(500).map(|piece| self.put(piece).id).collect();
        let time = Timestamp(1_600_000_000_000_000);
        let metadata = ArchiveMetadata {
            name: name.as_bytes().to_vec(),
            items,
            time: time.to_string(),
            ..ArchiveMetadata::default()
        };
        let salt = tam::random_salt().expect("there is randomness");
        let packed = tam::sign(&self.session.key, TamContext::Archive, &salt, |tam| {
            metadata.encode(Some(tam))
        });
        let id = self.put(&packed.expect("it signs")).id;
        let entry = ArchiveEntry::new(ArchiveId(id.0), time);
        self.session
            .manifest
            .archives
            .insert(name.as_bytes().to_vec(), entry);
        self.session
            .write_manifest(&mut self.sealer)
            .expect("it is written");
        self.session.repository.commit().expect("it commits");
        self.session.save_security().expect("it is saved");
    }
}

/// An item with an owner and a time, of this type and mode.
pub(crate) fn item(path: &str, mode: u32) -> Item {
    Item {
        path: BytePath::from(path),
        mode,
        uid: Some(0),
        gid: Some(0),
        user: OwnerName::Nil,
        group: OwnerName::Nil,
        mtime: Some(MTIME),
        ..Item::default()
    }
}

pub(crate) fn directory(path: &str) -> Item {
    item(path, 0o040_755)
}

pub(crate) fn file(path: &str, chunks: Vec<ChunkEntry>) -> Item {
    Item {
        size: Some(chunks.iter().map(|chunk| u64::from(chunk.size)).sum()),
        chunks: Some(chunks),
        hardlink_master: Some(false),
        ..item(path, 0o100_644)
    }
}

pub(crate) fn symlink(path: &str, target: &str) -> Item {
    Item {
        source: Some(target.as_bytes().to_vec()),
        ..item(path, 0o120_777)
    }
}

/// A later hard link to the file at `source`.
pub(crate) fn hard_link(path: &str, source: &str) -> Item {
    Item {
        source: Some(source.as_bytes().to_vec()),
        ..item(path, 0o100_644)
    }
}

/// The same file, as the first of several hard links.
pub(crate) fn master(item: &Item) -> Item {
    Item {
        hardlink_master: Some(true),
        ..item.clone()
    }
}
