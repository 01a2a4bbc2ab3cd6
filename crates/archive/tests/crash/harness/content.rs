//! What is in the archives of a repository.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use ironborg_archive::items::{PartFiles, with_content, with_items};
use ironborg_archive::references::ChunkReferences;
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::item::ChunkEntry;
use ironborg_types::{BytePath, ChunkId};

/// One item: path, target or first name, length and hash of the content.
type Entry = (BytePath, Option<BytePath>, usize, u64);

/// Every archive by its name.
pub(crate) type Archives = BTreeMap<String, Vec<Entry>>;

/// Whether the name is one of something unfinished.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    name.contains(".checkpoint")
}

/// Reads everything.
pub(crate) fn archives_of(session: &Session) -> Result<Archives, ArchiveError> {
    let mut archives = Archives::new();
    for name in session.manifest.archives.keys() {
        let entries = entries(session, name)?;
        archives.insert(String::from_utf8_lossy(name).into_owned(), entries);
    }
    Ok(archives)
}

/// What is stored though nobody refers to it.
pub(crate) fn orphans_of(session: &Session) -> Result<Vec<ChunkId>, ArchiveError> {
    let references = ChunkReferences::load(session)?;
    let mut ids = session.repository.list(None, None)?;
    ids.retain(|id| *id != ChunkId::MANIFEST && references.table().refs(id) == 0);
    Ok(ids)
}

fn entries(session: &Session, name: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let archive = session.load_archive(name)?;
    let mut found = Vec::new();
    with_items(session, &archive, PartFiles::Skip, |items| {
        with_content(session, |content| {
            items.for_each(|item| {
                let chunks: Vec<ChunkEntry> = item.chunks.iter().flatten().collect();
                let mut hasher = DefaultHasher::new();
                let mut len = 0;
                content.read(&chunks, |_, part| {
                    hasher.write(part);
                    len += part.len();
                    Ok::<_, ArchiveError>(())
                })?;
                let source = item.source.map(BytePath::from);
                source.hash(&mut hasher);
                found.push((item.path.into(), source, len, hasher.finish()));
                Ok::<_, ArchiveError>(ControlFlow::Continue(()))
            })
        })
    })?;
    Ok(found)
}
