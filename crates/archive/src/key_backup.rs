//! The key of a repository as it is kept elsewhere: exporting it, and bringing it back.
//!
//! Nothing is decrypted here, so no passphrase is needed. Source: Borg 1.4, `KeyManager`.

use ironborg_crypto::{KeyMode, KeyStorage};
use ironborg_format::key::{
    KeyTextError, check_key_backup, decode_key_text, encode_key_text, key_file_content,
};
use ironborg_format::paper_key;
use ironborg_repository::{Repository, RepositoryError};
use ironborg_types::{ChunkId, RepositoryId};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::{key_files, keys};

/// The place of a repository's key, whether there is a key or not.
pub struct KeyBackup<'a> {
    client: &'a Client,
    repository: &'a mut dyn Repository,
    storage: KeyStorage,
}

impl std::fmt::Debug for KeyBackup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyBackup")
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

impl<'a> KeyBackup<'a> {
    /// Looks at the manifest for where the key is kept.
    ///
    /// # Errors
    /// A repository without a manifest, of an unknown mode, or of one that has no key.
    pub fn new(
        client: &'a Client,
        repository: &'a mut dyn Repository,
    ) -> Result<Self, ArchiveError> {
        let mut manifest = Vec::new();
        match repository.get(&ChunkId::MANIFEST, &mut manifest) {
            Err(RepositoryError::ObjectNotFound { .. }) => return Err(ArchiveError::NoManifest),
            other => other?,
        }
        let storage = KeyMode::of_manifest(&manifest)?.storage();
        if storage == KeyStorage::None {
            return Err(ArchiveError::Unencrypted);
        }
        Ok(Self {
            client,
            repository,
            storage,
        })
    }

    /// The repository the key belongs to.
    pub fn repository_id(&self) -> RepositoryId {
        self.repository.id()
    }

    /// The content of a key file.
    ///
    /// # Errors
    /// No key, or one that is no text.
    pub fn export(&self) -> Result<String, ArchiveError> {
        Ok(key_file_content(&self.repository.id(), &self.text()?))
    }

    /// The key on paper.
    ///
    /// # Errors
    /// No key, or one that is no text.
    pub fn export_paper(&self) -> Result<String, ArchiveError> {
        decode_key_text(&self.text()?)
            .and_then(|blob| paper_key::print(&self.repository.id(), &blob))
            .ok_or_else(|| self.invalid("(repokey)"))
    }

    fn text(&self) -> Result<String, ArchiveError> {
        let (text, _) = keys::find_key(self.client, self.repository, self.storage)?;
        String::from_utf8(text).map_err(|_| self.invalid("(repokey)"))
    }

    fn invalid(&self, file: &str) -> ArchiveError {
        ArchiveError::KeyfileInvalid {
            location: self.client.location.clone(),
            file: file.to_owned(),
        }
    }

    /// Takes the content of a key file, `name` in errors, for the repository's key.
    ///
    /// # Errors
    /// Something else than a key of this repository; a failed write.
    pub fn import(&mut self, content: &[u8], name: &str) -> Result<(), ArchiveError> {
        let content = std::str::from_utf8(content).map_err(|_| ArchiveError::NotAKeyBackup)?;
        // Files come back from mail and other systems with line ends of theirs.
        let content = content.replace("\r\n", "\n");
        let text =
            check_key_backup(&content, &self.repository.id()).map_err(|error| match error {
                KeyTextError::Invalid => ArchiveError::NotAKeyBackup,
                KeyTextError::OtherRepository => ArchiveError::KeyOfOther,
                KeyTextError::Blob(_) => self.invalid(name),
            })?;
        self.store(text)
    }

    /// Takes a key that was typed in from paper.
    ///
    /// # Errors
    /// A failed write.
    pub fn import_blob(&mut self, blob: &[u8]) -> Result<(), ArchiveError> {
        // With the newline stock Borg puts there, which a file and the config keep.
        self.store(&format!("{}\n", encode_key_text(blob)))
    }

    /// The old key, if there is one, is there until the new one is, whole.
    fn store(&mut self, text: &str) -> Result<(), ArchiveError> {
        if self.storage == KeyStorage::Repository {
            return Ok(self.repository.save_key(text.as_bytes())?);
        }
        let id = self.repository.id();
        key_files::save(&key_files::place(self.client, id)?, id, text)
    }
}
