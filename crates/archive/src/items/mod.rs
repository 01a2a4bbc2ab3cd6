//! Reading what archives hold: their items in order, and the content of files.
//!
//! Objects are fetched and opened ahead of the reader on worker threads ([`ReadAhead`]); the reader
//! gets verified plaintext in the order it asked for. Memory is bounded by the number of objects in
//! flight, never by the size of an archive.

mod content;
mod fetch;
mod reader;
mod same;
mod size;

pub use content::ContentReader;
pub(crate) use fetch::MetadataOf;
pub use fetch::{Fetched, ObjectReader, ObjectSource, ReadAhead, ReadObject};
pub use reader::{ItemReader, PartFiles};
pub use size::item_size;

use std::collections::HashSet;

use ironborg_format::item::ChunkEntry;
use ironborg_repository::Repository;
use ironborg_types::ChunkId;

use crate::{Archive, ArchiveError, Session};

/// Tells a repository which objects are going to be read: in the order they are stored, if that is known, else as
/// they come; each once.
pub(crate) fn announce_reads<'c>(
    repository: &dyn Repository,
    chunks: impl Iterator<Item = &'c ChunkEntry>,
) {
    let mut seen = HashSet::new();
    let mut objects: Vec<(ChunkId, u32)> = chunks
        .filter(|chunk| seen.insert(chunk.id))
        .map(|chunk| (chunk.id, chunk.csize))
        .collect();
    objects.sort_by_cached_key(|(id, _)| repository.storage_order(id));
    repository.will_need_sized(&objects);
}

/// Calls `use_reader` with a reader over the items of `archive`.
///
/// The threads that read ahead live for as long as the call. Inside it, [`with_content`] may be
/// called to read what files hold.
pub fn with_items<T, E: From<ArchiveError>>(
    session: &Session,
    archive: &Archive,
    parts: PartFiles,
    use_reader: impl FnOnce(&mut ItemReader<'_>) -> Result<T, E>,
) -> Result<T, E> {
    with_items_on(session, session.client.threads, archive, parts, use_reader)
}

/// As [`with_items`], on so many threads; with one, everything is done by the caller's.
pub(crate) fn with_items_on<T, E: From<ArchiveError>>(
    session: &Session,
    threads: usize,
    archive: &Archive,
    parts: PartFiles,
    use_reader: impl FnOnce(&mut ItemReader<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let metadata = MetadataOf(&session.repository);
    let source = ObjectSource {
        objects: &metadata,
        ..ObjectSource::of(session)
    };
    let ids = &archive.metadata.items;
    ReadAhead::scope(source, threads, ids.len(), |read_ahead| {
        use_reader(&mut ItemReader::new(
            read_ahead,
            ids,
            archive.name.clone(),
            parts,
        ))
    })
}

/// Calls `use_reader` with a reader for the content of files, in the order it is asked for.
pub fn with_content<T, E: From<ArchiveError>>(
    session: &Session,
    use_reader: impl FnOnce(&mut ContentReader<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let source = ObjectSource::of(session);
    ReadAhead::scope(source, session.client.threads, usize::MAX, |read_ahead| {
        use_reader(&mut ContentReader::new(read_ahead))
    })
}
