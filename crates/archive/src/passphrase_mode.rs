//! Giving a repository of the dead passphrase mode a key of its own.
//!
//! In that mode the key is computed from the passphrase, which so can never change. Source: Borg 1.4,
//! `do_migrate_to_repokey`, `PassphraseKey`.

use ironborg_crypto::Key;
use ironborg_object::Opener;
use ironborg_repository::{Repository, RepositoryError};
use ironborg_types::{ChunkId, ErrorKind};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::keys::{self, KeyTarget};

/// How often a passphrase is tried, the one given beforehand included.
const PASSPHRASE_TRIES: usize = 3;

/// Keeps the key computed from the passphrase in the repository, with a passphrase that may change.
///
/// # Errors
/// No manifest; no passphrase that opens it; a failed write.
pub fn migrate_to_repokey(
    client: &Client,
    repository: &mut dyn Repository,
) -> Result<(), ArchiveError> {
    let mut manifest = Vec::new();
    match repository.get(&ChunkId::MANIFEST, &mut manifest) {
        Err(RepositoryError::ObjectNotFound { .. }) => return Err(ArchiveError::NoManifest),
        other => other?,
    }
    let mut key = find_key(client, repository, &manifest)?.into_repokey();
    let passphrase = client.passphrases.new_passphrase()?;
    keys::keep_key(&mut key, &passphrase, &KeyTarget::Repository, repository)
}

/// The key of the first passphrase that opens the manifest.
fn find_key(
    client: &Client,
    repository: &dyn Repository,
    manifest: &[u8],
) -> Result<Key, ArchiveError> {
    let prompt = format!("Enter passphrase for {}: ", client.location);
    let mut given = client.passphrases.given()?;
    for _ in 0..PASSPHRASE_TRIES {
        let passphrase = match given.take() {
            Some(passphrase) => passphrase,
            None => client.passphrases.ask(&prompt)?,
        };
        let key = Key::from_passphrase(&passphrase, repository.id());
        match Opener::new().open_manifest(&key, manifest, &mut Vec::new()) {
            Ok(()) => return Ok(key),
            Err(error) if error.kind() == ErrorKind::IntegrityError => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ArchiveError::PasswordRetriesExceeded)
}
