//! For fuzzing: indexes of any bytes, asked everything. Nothing here is used by a mount.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_archive::items::PartFiles;
use ironborg_cache::{SealedFile, SealedTarget, SealedWriter, TRAILER_LEN};
use ironborg_crypto::Key;
use ironborg_source::PatternMatcher;
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{ArchiveId, BytePath, ChunkId, Level, RepositoryId};

use super::build::{build_archive, build_versions};
use super::file::IndexFile;
use super::items::read_item;
use super::layout::KIND;
use super::origin::Origin;
use super::shape::Shape;
use crate::MountError;
use crate::follow::ChunkReader;
use crate::node::NodeId;

/// So many nodes of each index are asked about.
const ASKED_MAX: u32 = 200;

/// An item stream of one chunk.
struct OneChunk<'a>(&'a [u8], Arc<Key>);

impl Origin for OneChunk<'_> {
    fn read(
        &self,
        _reader: &mut ChunkReader,
        _id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        out.clear();
        out.extend_from_slice(self.0);
        Ok(())
    }

    fn will_need(&self, _chunks: &[(ChunkId, u32)]) {}

    fn key(&self) -> Arc<Key> {
        Arc::clone(&self.1)
    }

    fn repository(&self) -> RepositoryId {
        RepositoryId([0; 32])
    }

    fn cache(&self) -> Arc<dyn Storage> {
        Arc::new(MemoryStorage::new())
    }

    fn scratch(&self) -> PathBuf {
        "/dev/null/nowhere".into()
    }

    fn threads(&self) -> usize {
        1
    }

    fn archives(&self) -> HashSet<ArchiveId> {
        HashSet::new()
    }

    fn item_stream(&self, name: &[u8], _id: ArchiveId) -> Result<Vec<ChunkId>, MountError> {
        Err(MountError::ArchiveGone { name: name.into() })
    }

    fn log(&self, _level: Level, _message: String) {}
}

/// Builds the indexes of an item stream, whole, in part and as versions, and asks them everything.
pub fn index_items(stream: &[u8]) {
    let origin = OneChunk(stream, Arc::new(Key::plaintext()));
    let name = BytePath::from("archive");
    let chunks = [ChunkId([1; 32])];
    let archives: [(&BytePath, &[ChunkId]); 2] = [(&name, &chunks), (&name, &chunks)];
    let in_part = PatternMatcher::with_include_paths([], &["a".into()]);
    let in_part = in_part.expect("a path is a pattern");
    for shape in [Shape::whole(), Shape::new(in_part, 1, PartFiles::Consider)] {
        if let Ok(file) = build_archive(&origin, &shape, &name, &chunks, None) {
            ask_all(&origin, file, &shape, Sound::Yes);
        }
        if let Ok(file) = build_versions(&origin, &shape, &archives) {
            ask_all(&origin, file, &shape, Sound::Yes);
        }
    }
}

/// Asks an index file of this content, trailer first, everything.
pub fn ask_index(content: &[u8]) {
    let Some((trailer, stream)) = content.split_first_chunk::<TRAILER_LEN>() else {
        return;
    };
    let key = Key::plaintext();
    let target = SealedTarget::Temporary {
        directory: "/dev/null/nowhere".into(),
    };
    let mut out = SealedWriter::create(target, KIND, &key, &[]).expect("memory takes everything");
    out.write(stream).expect("memory takes everything");
    let file = out.finish(trailer).expect("memory takes everything");
    let origin = OneChunk(stream, Arc::new(key));
    ask_all(&origin, file, &Shape::whole(), Sound::Unknown);
}

/// The content of the index of an item stream, trailer first.
pub fn index_content(stream: &[u8]) -> Vec<u8> {
    let origin = OneChunk(stream, Arc::new(Key::plaintext()));
    let name = BytePath::from("archive");
    let chunks = [ChunkId([1; 32])];
    let file = build_archive(&origin, &Shape::whole(), &name, &chunks, None);
    let file = file.expect("it is a stream of items");
    let mut content = file.trailer().to_vec();
    let mut block = Vec::new();
    for number in 0.. {
        if file.read_block(number, &mut block).is_err() {
            break;
        }
        content.extend_from_slice(&block);
    }
    content
}

/// Whether an index is known to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    Unknown,
}

fn ask_all(origin: &dyn Origin, file: SealedFile, shape: &Shape, sound: Sound) {
    let index = match IndexFile::new(file, Arc::clone(&shape.shared)) {
        Ok(index) => index,
        Err(error) => {
            assert!(sound == Sound::Unknown, "an index that was built: {error}");
            return;
        }
    };
    for number in (0..index.count().min(ASKED_MAX)).chain([u32::MAX]) {
        let id = NodeId(number);
        let _ = index.path(id);
        let _ = index.find(id, b"a");
        let node = index.node(id);
        if let Ok(node) = &node
            && let Some(place) = node.content.or(node.item)
        {
            let chunk = |number| Ok(index.chunk(number)?);
            let item = read_item(origin, &shape.shared.items, place, chunk);
            assert!(sound == Sound::Unknown || item.is_ok());
        }
        let children = index.children(id, 0, 100);
        if sound == Sound::Unknown {
            continue;
        }
        assert!(node.is_ok() || number == u32::MAX);
        for (child, name) in children.unwrap_or_default() {
            let found = index.find(id, &name).expect("the index is whole");
            assert_eq!(found, Some(child), "what is listed is found");
            assert!(index.path(child).is_ok());
        }
    }
}
