//! Finding, opening, making and keeping a repository's key.
//!
//! Where the key is kept depends on the mode: nowhere, in the repository's config, or in a file of the
//! client's keys directory. Source: Borg 1.4, `KeyfileKeyBase`, `KeyfileKey`, `RepoKey`.

use std::path::PathBuf;

use ironborg_crypto::{
    CryptoError, Key, KeyMode, KeyStorage, Passphrase, RelatedSecrets, Stretched,
};
use ironborg_repository::Repository;
use ironborg_types::Level;

use crate::client::Client;
use crate::error::ArchiveError;
use crate::key_files;
use crate::stretching::Stretching;
use crate::unlocked::Kept;

/// How often a person is asked for the passphrase of an existing key.
const PASSPHRASE_TRIES: usize = 3;
pub(crate) const LOGGER: &str = "borg.crypto.key";

/// Where a key was found or put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyTarget {
    /// There is none to keep.
    None,
    /// In the repository.
    Repository,
    /// In a file.
    File(PathBuf),
}

impl KeyTarget {
    /// Where that is, as shown to people, for the repository at `location`.
    pub fn shown(&self, location: &str) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Repository | Self::None => location.to_owned(),
        }
    }
}

/// A key with what has to be known to keep it.
#[derive(Debug, Clone)]
pub struct OpenedKey {
    /// The key.
    pub key: Key,
    /// Where it is kept.
    pub target: KeyTarget,
    /// The passphrase it is kept with.
    pub passphrase: Passphrase,
}

impl OpenedKey {
    /// A key that is kept nowhere, or not to be kept again.
    fn unkept(key: Key, target: KeyTarget) -> Self {
        Self {
            key,
            target,
            passphrase: Passphrase::new(Vec::new()),
        }
    }
}

/// Opens the key of the repository whose manifest object is `manifest`.
///
/// # Errors
/// No key, no passphrase, the wrong passphrase, a damaged key; Borg's messages.
pub fn open_key(
    client: &Client,
    repository: &dyn Repository,
    manifest: &[u8],
    tam_required: bool,
) -> Result<OpenedKey, ArchiveError> {
    open_key_stretched(
        client,
        repository,
        manifest,
        tam_required,
        Stretching::nothing(),
    )
}

/// As [`open_key`], with a passphrase that is being stretched already.
///
/// # Errors
/// As there.
pub(crate) fn open_key_stretched(
    client: &Client,
    repository: &dyn Repository,
    manifest: &[u8],
    tam_required: bool,
    stretching: Stretching,
) -> Result<OpenedKey, ArchiveError> {
    let locked = match find_locked(client, repository, manifest, tam_required)? {
        Found::Open(opened) => return Ok(*opened),
        Found::Locked(locked) => locked,
    };
    let stretched = stretching.finish();
    LockedKey {
        stretched,
        ..locked
    }
    .unlock_asking()
}

/// As [`open_key`], if nobody has to be asked for a passphrase; `None` if somebody has.
///
/// # Errors
/// As there.
pub(crate) fn open_key_unasked(
    client: &Client,
    repository: &dyn Repository,
    manifest: &[u8],
    tam_required: bool,
) -> Result<Option<OpenedKey>, ArchiveError> {
    match find_locked(client, repository, manifest, tam_required)? {
        Found::Open(opened) => Ok(Some(*opened)),
        Found::Locked(locked) => locked.unlock_unasked(),
    }
}

/// A key that was found.
enum Found<'a> {
    /// It has no passphrase.
    Open(Box<OpenedKey>),
    Locked(LockedKey<'a>),
}

/// A key that is kept with a passphrase.
struct LockedKey<'a> {
    client: &'a Client,
    mode: KeyMode,
    text: String,
    target: KeyTarget,
    tam_required: bool,
    /// What the passphrase may have been stretched to before.
    stretched: Option<Stretched>,
}

impl LockedKey<'_> {
    /// The key, if it is kept with this passphrase.
    fn unlock(&self, passphrase: Passphrase) -> Result<Option<OpenedKey>, ArchiveError> {
        let unlocked = Key::unlock_stretched(
            self.mode,
            &self.text,
            &passphrase,
            self.stretched.as_ref(),
            self.tam_required,
        );
        let key = match unlocked {
            // Borg calls every key that does not decode a repokey's, whatever it is.
            Err(CryptoError::InvalidKeyData(_)) => {
                return Err(ArchiveError::KeyfileInvalid {
                    location: self.client.location.clone(),
                    file: "(repokey)".into(),
                });
            }
            other => other?,
        };
        let opened = key.map(|key| OpenedKey {
            key,
            target: self.target.clone(),
            passphrase,
        });
        if let (Some(unlocked), Some(opened)) = (&self.client.unlocked, &opened) {
            unlocked.remember(self.kept(), opened.clone());
        }
        Ok(opened)
    }

    fn kept(&self) -> Kept {
        Kept {
            mode: self.mode,
            text: self.text.clone(),
            tam_required: self.tam_required,
        }
    }

    /// The key, as it was unlocked before, or with the passphrase that was given, or with none; `None` if somebody has
    /// to be asked.
    fn unlock_unasked(&self) -> Result<Option<OpenedKey>, ArchiveError> {
        let unlocked = self.client.unlocked.as_ref();
        if let Some(opened) = unlocked.and_then(|unlocked| unlocked.recall(&self.kept())) {
            let target = self.target.clone();
            return Ok(Some(OpenedKey { target, ..opened }));
        }
        if let Some(passphrase) = self.client.passphrases.given()? {
            let opened = self.unlock(passphrase)?;
            return opened.ok_or(ArchiveError::PassphraseWrong).map(Some);
        }
        self.unlock(Passphrase::new(Vec::new()))
    }
}

impl LockedKey<'_> {
    /// The key, with a passphrase somebody is asked for if there is none otherwise.
    fn unlock_asking(&self) -> Result<OpenedKey, ArchiveError> {
        if let Some(opened) = self.unlock_unasked()? {
            return Ok(opened);
        }
        let label = self.target.shown(&self.client.location);
        let prompt = format!("Enter passphrase for key {label}: ");
        for _ in 0..PASSPHRASE_TRIES {
            let passphrase = self.client.passphrases.ask(&prompt)?;
            if let Some(opened) = self.unlock(passphrase)? {
                return Ok(opened);
            }
        }
        Err(ArchiveError::PasswordRetriesExceeded)
    }
}

fn find_locked<'a>(
    client: &'a Client,
    repository: &dyn Repository,
    manifest: &[u8],
    tam_required: bool,
) -> Result<Found<'a>, ArchiveError> {
    let mode = KeyMode::of_manifest(manifest)?;
    if mode.storage() == KeyStorage::None {
        let opened = OpenedKey::unkept(Key::plaintext(), KeyTarget::None);
        return Ok(Found::Open(Box::new(opened)));
    }
    if mode.is_authenticated_only() && client.workarounds.authenticated_no_key {
        let key = Key::without_secrets(mode);
        let opened = OpenedKey::unkept(key, KeyTarget::Repository);
        return Ok(Found::Open(Box::new(opened)));
    }
    let (text, target) = find_key(client, repository, mode.storage())?;
    Ok(Found::Locked(LockedKey {
        client,
        mode,
        text: String::from_utf8_lossy(&text).into_owned(),
        target,
        tam_required,
        stretched: None,
    }))
}

/// Keeps a key with a passphrase, in the place of what was kept there. At any time the old or the new one is
/// there, whole.
///
/// # Errors
/// A key without secrets; a failed write.
pub(crate) fn keep_key(
    key: &mut Key,
    passphrase: &Passphrase,
    target: &KeyTarget,
    repository: &mut dyn Repository,
) -> Result<(), ArchiveError> {
    let text = key.lock(passphrase)?;
    match target {
        KeyTarget::File(path) => key_files::save(path, repository.id(), &text),
        KeyTarget::Repository | KeyTarget::None => Ok(repository.save_key(text.as_bytes())?),
    }
}

/// Makes the key for a new repository and keeps it where its mode says.
///
/// # Errors
/// No passphrase; a key file that is there already; unrelated secrets.
pub fn create_key(
    client: &Client,
    repository: &mut dyn Repository,
    mode: KeyMode,
    related: Option<&RelatedSecrets>,
) -> Result<OpenedKey, ArchiveError> {
    if mode == KeyMode::None {
        client.log(
            Level::Info,
            LOGGER,
            "Encryption NOT enabled.\nUse the \"--encryption=repokey|keyfile\" to enable encryption.",
        );
        return Ok(OpenedKey::unkept(Key::plaintext(), KeyTarget::None));
    }
    let passphrase = client.passphrases.new_passphrase()?;
    let mut key = match related {
        Some(related) => Key::generate_related(mode, repository.id(), related)?,
        None => Key::generate(mode, repository.id())?,
    };
    let text = key.lock(&passphrase)?;
    let target = match mode.storage() {
        KeyStorage::Keyfile => KeyTarget::File(key_files::create(client, repository.id(), &text)?),
        KeyStorage::Repository | KeyStorage::None => {
            repository.save_key(text.as_bytes())?;
            KeyTarget::Repository
        }
    };
    let label = match &target {
        KeyTarget::File(path) => path.display().to_string(),
        // Stock Borg shows the Python object here, and so these are its words.
        KeyTarget::Repository | KeyTarget::None => format!("<Repository {}>", client.location),
    };
    client.log(Level::Info, LOGGER, format!("Key in \"{label}\" created."));
    client.log(
        Level::Info,
        LOGGER,
        "Keep this key safe. Your data will be inaccessible without it.",
    );
    Ok(OpenedKey {
        key,
        target,
        passphrase,
    })
}

/// The key of a repository that has no manifest yet: the one there is, or else a new one.
///
/// # Errors
/// As those of [`open_key`] and [`create_key`]; a key that is not of this mode.
pub(crate) fn find_or_create_key(
    client: &Client,
    repository: &mut dyn Repository,
    mode: KeyMode,
) -> Result<OpenedKey, ArchiveError> {
    if mode.storage() == KeyStorage::None {
        return create_key(client, repository, mode, None);
    }
    match find_key(client, repository, mode.storage()) {
        Ok((text, target)) => {
            let locked = LockedKey {
                client,
                mode,
                text: String::from_utf8_lossy(&text).into_owned(),
                target,
                tam_required: true,
                stretched: None,
            };
            locked.unlock_asking()
        }
        Err(ArchiveError::RepoKeyNotFound { .. } | ArchiveError::KeyfileNotFound { .. }) => {
            create_key(client, repository, mode, None)
        }
        Err(error) => Err(error),
    }
}

/// The key's text without a key file's first line, and where it is.
pub(crate) fn find_key(
    client: &Client,
    repository: &dyn Repository,
    storage: KeyStorage,
) -> Result<(Vec<u8>, KeyTarget), ArchiveError> {
    if storage == KeyStorage::Repository {
        let text = repository.load_key()?;
        if text.is_empty() {
            return Err(ArchiveError::RepoKeyNotFound {
                location: client.location.clone(),
            });
        }
        return Ok((text, KeyTarget::Repository));
    }
    let (path, text) = key_files::find(client, repository.id())?;
    Ok((text, KeyTarget::File(path)))
}
