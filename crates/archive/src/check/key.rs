//! The key of a repository that may have lost its manifest, and counter values that were certainly never used.
//!
//! Source: Borg 1.4, `ArchiveChecker.make_key`.

use std::sync::Arc;

use ironborg_crypto::{CryptoError, Key, KeyMode, Nonces, envelope_nonce};
use ironborg_repository::{Repository, RepositoryError};
use ironborg_types::ChunkId;

use super::CheckMode;
use super::sweep::Sweep;
use crate::keys::{self, OpenedKey};
use crate::{ArchiveError, Client, Session};

/// Objects looked at until one tells what key there is. Borg gives up there, too.
const TRIES_MAX: usize = 999;
/// Objects that have a say in what key there is: a damaged one shall not choose one that opens nothing.
const VOTES: usize = 15;

/// Ids asked of the repository in one go.
const PAGE: usize = 100_000;

/// Counter values that objects may have used which are not there any more: 64 GiB of them.
const LOST_BLOCKS_MAX: u64 = 1 << 32;

/// A session without a manifest: the key is the one that most of the first objects were sealed with. It may have been
/// opened before.
///
/// # Errors
/// No object that tells; those of opening a key.
pub(super) fn open(
    client: Client,
    repository: Box<dyn Repository>,
    mode: CheckMode,
    opened: Option<OpenedKey>,
) -> Result<Session, ArchiveError> {
    let objects = first_objects(repository.as_ref())?;
    let object = elected(&objects);
    let mut session = match opened {
        Some(opened) => Session::with_key(client, repository, opened, object)?,
        None => Session::without_manifest(client, repository, object)?,
    };
    if session.key.mode().is_encrypted() {
        let floor = nonce_floor(&session, &objects, mode)?;
        session.nonces = Arc::new(Nonces::new(
            session.repository.nonce_store(),
            session.security.nonce_store(),
            floor,
        ));
    }
    Ok(session)
}

/// The same key, if nobody has to be asked for a passphrase.
///
/// # Errors
/// As [`open`].
pub(super) fn open_unasked(
    client: &Client,
    repository: &dyn Repository,
) -> Result<Option<OpenedKey>, ArchiveError> {
    let objects = first_objects(repository)?;
    let security = client.security_directory(repository.id());
    keys::open_key_unasked(
        client,
        repository,
        elected(&objects),
        security.tam_required(),
    )
}

/// Some objects that tell what key they were sealed with: the manifest if it is one of them, then in index order.
/// There is at least one.
fn first_objects(repository: &dyn Repository) -> Result<Vec<(ChunkId, Vec<u8>)>, ArchiveError> {
    let mut ids = repository.list(Some(TRIES_MAX + 1), None)?;
    if repository.contains(&ChunkId::MANIFEST)? {
        ids.retain(|id| *id != ChunkId::MANIFEST);
        ids.insert(0, ChunkId::MANIFEST);
    }
    let mut found: Vec<(ChunkId, Vec<u8>)> = Vec::new();
    for page in ids.chunks(VOTES) {
        repository.will_need(page);
        for id in page {
            let mut object = Vec::new();
            match repository.get(id, &mut object) {
                Ok(()) => {}
                // The verification, or whoever needs it, tells of it.
                Err(RepositoryError::ObjectNotFound { .. }) => continue,
                Err(error) if error.kind().is_integrity() => continue,
                Err(error) => return Err(error.into()),
            }
            if KeyMode::of_manifest(&object).is_ok() {
                found.push((*id, object));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(ArchiveError::NoKeyType { tried: ids.len() })
}

/// The first object of the mode that most of them have.
fn elected(objects: &[(ChunkId, Vec<u8>)]) -> &[u8] {
    let mode = |object: &[u8]| KeyMode::of_manifest(object).ok();
    let votes = |object: &[u8]| {
        let same = objects
            .iter()
            .filter(|(_, other)| mode(other) == mode(object));
        same.count()
    };
    // Of several that are best the last is taken: the first, seen from behind.
    let best = objects.iter().rev().max_by_key(|(_, object)| votes(object));
    &best.expect("there is at least one").1
}

/// The first counter value behind all those that objects at hand have used. Where neither the repository nor this
/// client knows how far they are used up, and something may be sealed, all objects are looked at.
fn nonce_floor(
    session: &Session,
    objects: &[(ChunkId, Vec<u8>)],
    mode: CheckMode,
) -> Result<Option<u64>, ArchiveError> {
    let stores = [
        session.repository.nonce_store(),
        session.security.nonce_store(),
    ];
    let mut is_known = false;
    for store in &stores {
        is_known |= store
            .next_unreserved()
            .map_err(CryptoError::from)?
            .is_some();
    }
    if is_known || mode != CheckMode::Repair {
        let (key, mut buffer) = (session.key.as_ref(), Vec::new());
        let ends = objects
            .iter()
            .map(|(_, object)| authentic_end(key, object, &mut buffer));
        return highest(ends);
    }
    let (mut floor, mut marker) = (None, None);
    loop {
        let ids = session.repository.list(Some(PAGE), marker.as_ref())?;
        let Some(last) = ids.last() else { break };
        marker = Some(*last);
        Sweep::of(session).each_object(
            &ids,
            &|_, object| match object {
                Ok(object) => authentic_end(&session.key, object, &mut Vec::new()).transpose(),
                Err(_) => None,
            },
            &mut |_, end| {
                floor = floor.max(end.transpose()?);
                Ok(())
            },
        )?;
    }
    // What was lost has used values, too; far fewer than this, of which there are 2^32 times as many.
    let Some(floor) = floor else { return Ok(None) };
    let behind = floor.checked_add(LOST_BLOCKS_MAX);
    Ok(Some(behind.ok_or(CryptoError::NonceSpaceExhausted)?))
}

fn highest(
    ends: impl Iterator<Item = Result<Option<u64>, ArchiveError>>,
) -> Result<Option<u64>, ArchiveError> {
    let mut highest = None;
    for end in ends {
        highest = highest.max(end?);
    }
    Ok(highest)
}

/// The first counter value that an object has not used; `None` if it was not sealed with this key, or is damaged.
fn authentic_end(
    key: &Key,
    object: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<Option<u64>, ArchiveError> {
    if key.open_envelope(None, object, buffer).is_err() {
        return Ok(None);
    }
    let Some(nonce) = envelope_nonce(object) else {
        return Ok(None);
    };
    let end = nonce.end().ok_or(CryptoError::NonceSpaceExhausted)?;
    Ok(Some(end))
}
