//! Renaming an archive.
//!
//! Source: Borg 1.4, `Archive.rename`, `Archive.set_meta`, `do_rename`.

use ironborg_crypto::tam::{self, TamContext};
use ironborg_format::ArchiveMetadata;
use ironborg_object::{Compression, Sealer};
use ironborg_types::{ArchiveId, ChunkId};

use crate::cache_progress;
use crate::save::commit;
use crate::stored::begin_changes;
use crate::{ArchiveError, Session};

/// Gives an archive another name, and commits. Its id changes, its content does not.
///
/// # Errors
/// [`ArchiveError::DoesNotExist`], [`ArchiveError::AlreadyExists`] (also for its own name), whatever
/// the repository refuses.
pub fn rename(session: &mut Session, old: &[u8], new: &[u8]) -> Result<(), ArchiveError> {
    let mut archive = session.load_archive(old)?;
    if session.manifest.archives.contains_key(new) {
        return Err(ArchiveError::AlreadyExists { name: new.into() });
    }
    archive.metadata.name = new.to_vec();
    begin_changes(session);
    cache_progress::begin(session.client.reporter.as_ref());
    let mut sealer = Sealer::new(Compression::default());
    let id = store_metadata(session, &archive.metadata, &mut sealer)?;
    // As stock: the entry's time is the archive's own, and nothing else is taken over.
    let mut entry = session
        .manifest
        .archives
        .remove(old)
        .expect("it was just loaded");
    entry.id = id;
    entry.time.clone_from(&archive.metadata.time);
    session.manifest.archives.insert(new.to_vec(), entry);
    delete_unless_listed(session, archive.id)?;
    commit(session, &mut sealer)?;
    cache_progress::commit_chunks(session.client.reporter.as_ref());
    Ok(())
}

/// Signs and stores the metadata of an archive; returns its new id.
pub(crate) fn store_metadata(
    session: &mut Session,
    metadata: &ArchiveMetadata,
    sealer: &mut Sealer,
) -> Result<ArchiveId, ArchiveError> {
    let salt = tam::random_salt()?;
    let packed = tam::sign(&session.key, TamContext::Archive, &salt, |tam| {
        metadata.encode(Some(tam))
    })?;
    let id = session.key.id_hash(&packed);
    if !session.repository.contains(&id)? {
        let mut object = Vec::new();
        sealer.seal(&session.key, &session.nonces, &packed, &mut object)?;
        session.repository.put(&id, &object)?;
    }
    Ok(ArchiveId::from(id))
}

/// Removes an archive object, unless the manifest has it under another name too.
pub(crate) fn delete_unless_listed(
    session: &mut Session,
    id: ArchiveId,
) -> Result<(), ArchiveError> {
    if session
        .manifest
        .archives
        .values()
        .all(|entry| entry.id != id)
    {
        session.repository.delete(&ChunkId::from(id))?;
    }
    Ok(())
}
