//! Item streams in memory.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ironborg_crypto::{Key, KeyMode};
use ironborg_format::item::{ChunkEntry, Item, OwnerName};
use ironborg_repository::RepositoryError;
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_testkit::Random;
use ironborg_types::{ArchiveId, BytePath, ChunkId, Level, RepositoryId};

use crate::MountError;
use crate::follow::ChunkReader;
use crate::index::origin::Origin;

/// A repository of nothing but item streams.
pub(super) struct TestOrigin {
    pub(super) key: Arc<Key>,
    pub(super) chunks: Mutex<HashMap<ChunkId, Vec<u8>>>,
    pub(super) storage: Arc<MemoryStorage>,
    pub(super) archives: Mutex<HashMap<ArchiveId, Vec<ChunkId>>>,
    pub(super) log: Mutex<Vec<(Level, String)>>,
    pub(super) reads: Mutex<u64>,
    /// Where indexes are kept instead.
    pub(super) elsewhere: Mutex<Option<Arc<dyn Storage>>>,
}

impl TestOrigin {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            key: Arc::new(Key::generate(KeyMode::RepokeyBlake2, RepositoryId([1; 32])).unwrap()),
            chunks: Mutex::default(),
            storage: Arc::new(MemoryStorage::new()),
            archives: Mutex::default(),
            log: Mutex::default(),
            reads: Mutex::default(),
            elsewhere: Mutex::default(),
        })
    }

    /// Stores a stream of items in chunks of random lengths; the archive's id is made of `number`.
    pub(super) fn store(&self, items: &[Item], number: u8, random: &mut Random) -> Vec<ChunkId> {
        let mut stream = Vec::new();
        for item in items {
            item.encode(&mut stream);
        }
        self.store_stream(&stream, number, random)
    }

    pub(super) fn store_stream(
        &self,
        stream: &[u8],
        number: u8,
        random: &mut Random,
    ) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let len = (1 + random.below(700)).min(rest.len());
            let (chunk, later) = rest.split_at(len);
            rest = later;
            let id = self.key.id_hash(chunk);
            self.chunks.lock().unwrap().insert(id, chunk.to_vec());
            ids.push(id);
        }
        let id = ArchiveId([number; 32]);
        self.archives.lock().unwrap().insert(id, ids.clone());
        ids
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let warnings = log.iter().filter(|(level, _)| *level == Level::Warning);
        warnings.map(|(_, message)| message.clone()).collect()
    }
}

impl Origin for TestOrigin {
    fn read(
        &self,
        _reader: &mut ChunkReader,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        *self.reads.lock().unwrap() += 1;
        out.clear();
        let chunks = self.chunks.lock().unwrap();
        let chunk = chunks.get(id).ok_or(RepositoryError::ObjectNotFound {
            id: *id,
            location: "memory".into(),
        })?;
        out.extend_from_slice(chunk);
        Ok(())
    }

    fn will_need(&self, _chunks: &[(ChunkId, u32)]) {}

    fn key(&self) -> Arc<Key> {
        Arc::clone(&self.key)
    }

    fn repository(&self) -> RepositoryId {
        RepositoryId([1; 32])
    }

    fn cache(&self) -> Arc<dyn Storage> {
        let elsewhere = self.elsewhere.lock().unwrap().clone();
        elsewhere.unwrap_or_else(|| Arc::clone(&self.storage) as Arc<dyn Storage>)
    }

    fn scratch(&self) -> PathBuf {
        std::env::temp_dir()
    }

    fn threads(&self) -> usize {
        2
    }

    fn archives(&self) -> HashSet<ArchiveId> {
        self.archives.lock().unwrap().keys().copied().collect()
    }

    fn item_stream(&self, name: &[u8], id: ArchiveId) -> Result<Vec<ChunkId>, MountError> {
        let archives = self.archives.lock().unwrap();
        let found = archives.get(&id).cloned();
        found.ok_or_else(|| MountError::ArchiveGone { name: name.into() })
    }

    fn log(&self, level: Level, message: String) {
        self.log.lock().unwrap().push((level, message));
    }
}

/// An item; `serial` tells it apart from others.
pub(super) fn item(path: &str, mode: u32, serial: i64) -> Item {
    Item {
        path: BytePath::from(path),
        mode,
        mtime: Some(serial),
        uid: Some(1000),
        gid: Some(100),
        user: OwnerName::Name(b"user".to_vec()),
        group: OwnerName::Nil,
        ..Item::default()
    }
}

/// A file whose content is that of `content`.
pub(super) fn file(path: &str, content: u8, serial: i64) -> Item {
    let chunk = ChunkEntry {
        id: ChunkId([content; 32]),
        size: u32::from(content) + 1,
        csize: 1,
    };
    Item {
        chunks: Some(vec![chunk; usize::from(content % 3)]),
        ..item(path, 0o100_644, serial)
    }
}

/// A later hard link.
pub(super) fn link(path: &str, source: &str, serial: i64) -> Item {
    Item {
        source: Some(source.as_bytes().to_vec()),
        ..item(path, 0o100_644, serial)
    }
}

/// A directory.
pub(super) fn directory(path: &str, serial: i64) -> Item {
    item(path, 0o040_755, serial)
}
