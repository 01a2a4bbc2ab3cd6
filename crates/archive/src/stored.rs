//! Which chunks a repository has: from its own index if that is here, else from what was kept of the last run.
//!
//! A distant repository lists its ids once; from then on this client keeps the list in step with what it changes
//! itself. It is taken for true only together with the manifest it was kept with and the number of objects, see
//! [`ChunkTable::keep`]. Whatever else has changed the repository wrote another manifest: then ids are listed
//! anew. That is also what happens when a crash comes between the commit and the keeping.

use ironborg_cache::{ChunkTable, KeptTable};
use ironborg_types::{ChunkId, Level};

use crate::references::for_each_summary;
use crate::{ArchiveError, Session};

const LOGGER: &str = "borg.cache";

/// Whether chunks are stored, for who claims them before putting them. Counts are partial; stored lengths may be unknown,
/// see [`csize_of`].
///
/// A repository that answers by itself is asked; else this is [`stored_chunks`].
pub(crate) fn chunks_to_claim(session: &Session) -> Result<ChunkTable, ArchiveError> {
    match session.repository.stored_ids()? {
        Some(stored) => Ok(ChunkTable::over(stored)),
        None => stored_chunks(session),
    }
}

/// All chunks that are stored. Counts are partial; stored lengths may be unknown, see [`csize_of`].
pub(crate) fn stored_chunks(session: &Session) -> Result<ChunkTable, ArchiveError> {
    let repository = session.repository.as_ref();
    if repository.is_local() {
        return Ok(ChunkTable::from_repository(repository)?);
    }
    let kept = kept(session);
    if let Some(kept) = &kept
        && kept.manifest != session.manifest_id
    {
        log(session, "chunks of the repository were changed elsewhere");
    }
    let Some(kept) = kept else {
        return Ok(ChunkTable::from_repository(repository)?);
    };
    if kept.manifest == session.manifest_id && is_whole(&kept.table, repository.len()?) {
        return Ok(kept.table);
    }
    let table = ChunkTable::from_repository(repository)?;
    learn_csizes(&table, &kept.table);
    Ok(table)
}

/// Keeps what is stored. To be called after a commit of everything in `table`.
pub(crate) fn keep_stored(session: &Session, table: &ChunkTable) {
    if session.repository.is_local() {
        return;
    }
    let id = session.repository.id();
    let result = table.keep(&session.client.own_cache(id), id, &session.manifest_id);
    if let Err(error) = result {
        // It is as it was before, and not in step with the manifest any more.
        let message = format!("cannot keep the list of stored chunks: {error}");
        session.client.log(Level::Warning, LOGGER, message);
    }
}

/// Begins a change that ends with [`keep_changes`].
pub(crate) fn begin_changes(session: &mut Session) {
    session.repository.note_changes();
}

/// Brings what was kept in step with the commit that was just made; `before`: the manifest until then.
pub(crate) fn keep_changes(session: &mut Session, before: ChunkId) {
    let Some(changes) = session.repository.take_changes() else {
        return;
    };
    let Some(kept) = kept(session).filter(|kept| kept.manifest == before) else {
        return;
    };
    for change in changes {
        match change.stored {
            Some(csize) => kept.table.note_stored(&change.id, csize),
            None => kept.table.note_removed(&change.id),
        }
    }
    keep_stored(session, &kept.table);
}

/// Stored length of a chunk in `table`; `None` if it is not there, or its object is not.
///
/// What the table does not know is looked for in what all archives say, once, before the repository is asked for
/// whole objects.
pub(crate) fn csize_of(
    session: &Session,
    table: &ChunkTable,
    id: &ChunkId,
) -> Result<Option<u32>, ArchiveError> {
    let repository = session.repository.as_ref();
    let is_unknown = || table.get(id).is_some_and(|sizes| sizes.csize == 0);
    if !repository.is_local() && is_unknown() && table.seek_csizes() {
        let sought = for_each_summary(session, &|summary| {
            for (id, _, sizes) in summary.content().chain(summary.metadata()) {
                table.learn_csize(&id, sizes.csize);
            }
        });
        match sought {
            Err(ArchiveError::Interrupted) => return Err(ArchiveError::Interrupted),
            Err(error) => log(session, &format!("stored lengths are not known: {error}")),
            Ok(()) => {}
        }
    }
    Ok(table.resolve_csize(id, repository)?)
}

/// Fills in all stored lengths that `table` lacks, as far as there are such objects.
pub(crate) fn look_up_csizes(session: &Session, table: &ChunkTable) -> Result<(), ArchiveError> {
    let repository = session.repository.as_ref();
    let mut unknown = table.ids_without_csize();
    if !unknown.is_empty()
        && !repository.is_local()
        && let Some(kept) = kept(session)
    {
        learn_csizes(table, &kept.table);
        unknown = table.ids_without_csize();
    }
    unknown.sort_by_cached_key(|id| repository.storage_order(id));
    if !repository.is_local() {
        repository.will_need(&unknown);
    }
    for id in unknown {
        table.resolve_csize(&id, repository)?;
    }
    Ok(())
}

fn learn_csizes(table: &ChunkTable, from: &ChunkTable) {
    for id in table.ids_without_csize() {
        if let Some(sizes) = from.get(&id) {
            table.learn_csize(&id, sizes.csize);
        }
    }
}

/// Whether a table has all of a repository's objects; all but the manifest are chunks.
fn is_whole(table: &ChunkTable, objects: usize) -> bool {
    table.len().checked_add(1) == Some(objects)
}

fn kept(session: &Session) -> Option<KeptTable> {
    let id = session.repository.id();
    let reporter = session.client.reporter.as_ref();
    ChunkTable::kept(&session.client.own_cache(id), id, reporter)
}

fn log(session: &Session, message: &str) {
    session.client.log(Level::Debug, LOGGER, message);
}
