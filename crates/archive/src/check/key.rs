//! The key of a repository that may have lost its manifest.

use ironborg_repository::Repository;

use crate::{ArchiveError, Client, Session};

/// A session without a manifest.
pub(super) fn open(
    client: Client,
    repository: Box<dyn Repository>,
) -> Result<Session, ArchiveError> {
    let mut object = Vec::new();
    repository.get(&ironborg_types::ChunkId::MANIFEST, &mut object)?;
    Session::without_manifest(client, repository, &object)
}
