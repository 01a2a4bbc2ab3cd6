//! Saving an archive: its metadata object, the manifest that lists it, the commit.
//!
//! Source: Borg 1.4, `Archive.save`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use ironborg_cache::{ChunkTable, SummaryBuilder};
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::tam::{self, TamContext};
use ironborg_format::msgpack::Value;
use ironborg_format::{ArchiveEntry, ArchiveMetadata, ChunkEntry};
use ironborg_object::Sealer;
use ironborg_repository::RepositoryError;
use ironborg_types::{ArchiveId, BytePath, ChunkId, Timestamp};

use crate::item_stream::{ItemStream, MetadataStore};
use crate::stored::keep_changes;
use crate::{ArchiveError, Session};

/// `NAME.checkpoint`, or `NAME.checkpoint.1` and so on if that is taken.
pub(crate) fn checkpoint_name(session: &Session, name: &[u8]) -> BytePath {
    let candidate = |number: u64| {
        let mut candidate = BytePath::new(name);
        candidate.0.extend_from_slice(b".checkpoint");
        if number > 0 {
            candidate
                .0
                .extend_from_slice(format!(".{number}").as_bytes());
        }
        candidate
    };
    (0..=u64::from(u32::MAX))
        .map(candidate)
        .find(|candidate| !session.manifest.archives.contains_key(&candidate[..]))
        .expect("there are fewer archives than numbers")
}

/// Stores what is left of the item stream and the archive's metadata, and lists it in the manifest under
/// the name it has there. `metadata.items` is filled in. Nothing is committed yet.
///
/// # Errors
/// [`ArchiveError::AlreadyExists`]; whatever the repository refuses.
pub(crate) fn store_archive(
    session: &mut Session,
    chunks: &ChunkTable,
    sealer: &mut Sealer,
    items: &mut ItemStream,
    summary: &mut SummaryBuilder,
    mut metadata: ArchiveMetadata,
) -> Result<ChunkEntry, ArchiveError> {
    if session.manifest.archives.contains_key(&metadata.name) {
        return Err(ArchiveError::AlreadyExists {
            name: BytePath::new(metadata.name),
        });
    }
    let mut store = MetadataStore::of(session, chunks);
    items.flush(true, sealer, &mut store, summary)?;
    metadata.items = [&items.ids[..], &items.appendix].concat();
    let salt = tam::random_salt()?;
    let packed = tam::sign(&session.key, TamContext::Archive, &salt, |tam| {
        metadata.encode(Some(tam))
    })?;
    let mut store = MetadataStore::of(session, chunks);
    let entry = store.store(sealer, &packed).map_err(too_big)?;
    let listed = ArchiveEntry {
        id: ArchiveId::from(entry.id),
        time: metadata.time,
        unknown: BTreeMap::default(),
    };
    session.manifest.archives.insert(metadata.name, listed);
    Ok(entry)
}

/// Stores the manifest and commits; then notes it in the security record.
pub(crate) fn commit(session: &mut Session, sealer: &mut Sealer) -> Result<(), ArchiveError> {
    let before = session.manifest_id;
    session.write_manifest(sealer)?;
    session.repository.commit()?;
    keep_changes(session, before);
    session.save_security()
}

/// Takes a checkpoint, which is durable by now, off the list: the next commit forgets it.
pub(crate) fn unlist_checkpoint(
    session: &mut Session,
    chunks: &ChunkTable,
    name: &[u8],
    entry: &ChunkEntry,
) -> Result<(), ArchiveError> {
    session.manifest.archives.remove(name);
    let_go(session, chunks, &entry.id)
}

/// Takes back one reference to a chunk; without any it goes.
pub(crate) fn let_go(
    session: &mut Session,
    chunks: &ChunkTable,
    id: &ChunkId,
) -> Result<(), ArchiveError> {
    if chunks.unreference(id, 1).is_some_and(|left| left.refs == 0) {
        session.repository.delete(id)?;
    }
    Ok(())
}

/// Begin and end of an archive whose making began at `started`: what the clock says, or as long from
/// `timestamp` on.
pub(crate) fn times(started: Instant, timestamp: Option<Timestamp>) -> (Timestamp, Timestamp) {
    let duration = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    match timestamp {
        None => {
            let end = Timestamp::now();
            (Timestamp(end.0.saturating_sub(duration)), end)
        }
        Some(start) => (start, Timestamp(start.0.saturating_add(duration))),
    }
}

fn too_big(error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Repository(inner @ RepositoryError::ObjectTooLarge { .. }) => {
            ArchiveError::other(format!("{inner} - archive too big (issue \u{23}1473)!"))
        }
        other => other,
    }
}

/// Chunker parameters as an archive's metadata has them.
pub(crate) fn chunker_values(params: &ChunkerParams) -> Vec<Value<'static>> {
    let number = |value: u32| Value::Int(i64::from(value));
    let raw = |text: &'static str| Value::Raw(Cow::Borrowed(text.as_bytes()));
    match *params {
        ChunkerParams::Buzhash {
            min_exp,
            max_exp,
            mask_bits,
            window,
        } => vec![
            raw("buzhash"),
            number(min_exp.into()),
            number(max_exp.into()),
            number(mask_bits.into()),
            number(window),
        ],
        ChunkerParams::Fixed { block, header } => vec![raw("fixed"), number(block), number(header)],
    }
}
