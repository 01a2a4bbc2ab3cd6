//! Finding, opening, making and keeping a repository's key.
//!
//! Where the key is kept depends on the mode: nowhere, in the repository's config, or in a file of the
//! client's keys directory. Source: Borg 1.4, `KeyfileKeyBase`, `KeyfileKey`, `RepoKey`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_crypto::{CryptoError, Key, KeyMode, KeyStorage, Passphrase, RelatedSecrets};
use ironborg_format::key::{decode_key_text, key_file_content};
use ironborg_repository::Repository;
use ironborg_storage::{EntryKind, LocalStorage, Storage};
use ironborg_types::{Level, RepositoryId};

use crate::client::Client;
use crate::error::ArchiveError;

/// How often a person is asked for the passphrase of an existing key.
const PASSPHRASE_TRIES: usize = 3;
/// First word of a key file.
const FILE_ID: &[u8] = b"BORG_KEY ";
const LOGGER: &str = "borg.crypto.key";
/// Longest key file looked at: real ones have less than 1 KiB.
const KEY_FILE_SIZE_MAX: u64 = 1 << 20;

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

/// Opens the key of the repository whose manifest object is `manifest`.
///
/// # Errors
/// No key, no passphrase, the wrong passphrase, a damaged key; Borg's messages.
pub fn open_key(
    client: &Client,
    repository: &dyn Repository,
    manifest: &[u8],
    tam_required: bool,
) -> Result<(Key, KeyTarget), ArchiveError> {
    let mode = KeyMode::of_manifest(manifest)?;
    if mode.storage() == KeyStorage::None {
        return Ok((Key::plaintext(), KeyTarget::None));
    }
    if mode.is_authenticated_only() && client.workarounds.authenticated_no_key {
        return Ok((Key::without_secrets(mode), KeyTarget::Repository));
    }
    let (text, target, label) = find_key(client, repository, mode)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let unlock = |passphrase: &Passphrase| match Key::unlock(mode, &text, passphrase, tam_required)
    {
        // Borg calls every key that does not decode a repokey's, whatever it is.
        Err(CryptoError::InvalidKeyData(_)) => Err(ArchiveError::KeyfileInvalid {
            location: client.location.clone(),
            file: "(repokey)".into(),
        }),
        other => other.map_err(ArchiveError::from),
    };
    if let Some(passphrase) = client.passphrases.given()? {
        let key = unlock(&passphrase)?.ok_or(ArchiveError::PassphraseWrong)?;
        return Ok((key, target));
    }
    if let Some(key) = unlock(&Passphrase::new(Vec::new()))? {
        return Ok((key, target));
    }
    let prompt = format!("Enter passphrase for key {label}: ");
    for _ in 0..PASSPHRASE_TRIES {
        if let Some(key) = unlock(&client.passphrases.ask(&prompt)?)? {
            return Ok((key, target));
        }
    }
    Err(ArchiveError::PasswordRetriesExceeded)
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
) -> Result<(Key, KeyTarget), ArchiveError> {
    if mode == KeyMode::None {
        client.log(
            Level::Info,
            LOGGER,
            "Encryption NOT enabled.\nUse the \"--encryption=repokey|keyfile\" to enable encryption.",
        );
        return Ok((Key::plaintext(), KeyTarget::None));
    }
    let passphrase = client.passphrases.new_passphrase()?;
    let mut key = match related {
        Some(related) => Key::generate_related(mode, repository.id(), related)?,
        None => Key::generate(mode, repository.id())?,
    };
    let text = key.lock(&passphrase)?;
    let target = match mode.storage() {
        KeyStorage::Keyfile => KeyTarget::File(create_key_file(client, repository.id(), &text)?),
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
    Ok((key, target))
}

/// The key's text without a key file's first line, where it is, and what prompts call it.
fn find_key(
    client: &Client,
    repository: &dyn Repository,
    mode: KeyMode,
) -> Result<(Vec<u8>, KeyTarget, String), ArchiveError> {
    if mode.storage() == KeyStorage::Repository {
        let text = repository.load_key()?;
        if text.is_empty() {
            return Err(ArchiveError::RepoKeyNotFound {
                location: client.location.clone(),
            });
        }
        return Ok((text, KeyTarget::Repository, client.location.clone()));
    }
    let (path, text) = find_key_file(client, repository.id())?;
    let label = path.display().to_string();
    Ok((text, KeyTarget::File(path), label))
}

/// The key file for a repository: the one the user names, else the first in the keys directory that fits.
fn find_key_file(client: &Client, id: RepositoryId) -> Result<(PathBuf, Vec<u8>), ArchiveError> {
    if let Some(path) = &client.directories.key_file {
        let text = read_key_file(client, path, id)?;
        return Ok((path.clone(), text));
    }
    let keys_dir = &client.directories.keys;
    let storage = LocalStorage::new(keys_dir);
    let entries = match storage.list("") {
        Err(error) if error.is_not_found() => Vec::new(),
        entries => entries?,
    };
    for entry in entries {
        if entry.kind == EntryKind::Directory {
            continue;
        }
        let path = keys_dir.join(&entry.name);
        match read_key_file(client, &path, id) {
            Ok(text) => return Ok((path, text)),
            Err(ArchiveError::KeyfileInvalid { .. } | ArchiveError::KeyfileMismatch { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Err(ArchiveError::KeyfileNotFound {
        location: client.location.clone(),
        keys_dir: keys_dir.clone(),
    })
}

/// Reads a key file that must be for repository `id`; returns what follows its first line.
fn read_key_file(client: &Client, path: &Path, id: RepositoryId) -> Result<Vec<u8>, ArchiveError> {
    let (storage, name) = storage_of(path);
    let invalid = || ArchiveError::KeyfileInvalid {
        location: client.location.clone(),
        file: path.display().to_string(),
    };
    let mismatch = || ArchiveError::KeyfileMismatch {
        location: client.location.clone(),
        file: path.display().to_string(),
    };
    let warn = |problem: &str| {
        let message = format!("borg key sanity check: {problem} [{}]", path.display());
        client.log(Level::Warning, LOGGER, message);
    };
    match storage.status(&name)? {
        Some(status) if status.size > KEY_FILE_SIZE_MAX => return Err(invalid()),
        _ => {}
    }
    let content = storage.read(&name)?;
    let rest = content.strip_prefix(FILE_ID).ok_or_else(invalid)?;
    if !rest.starts_with(id.to_string().as_bytes()) {
        return Err(mismatch());
    }
    let line_end = content
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(content.len(), |at| at + 1);
    let (first, text) = content.split_at(line_end);
    if text.is_empty() {
        warn("expected 2+ lines total.");
        return Err(invalid());
    }
    if first.trim_ascii_end().len() > FILE_ID.len() + 2 * RepositoryId::LEN {
        warn("key line 1 seems too long.");
        return Err(invalid());
    }
    if std::str::from_utf8(text)
        .ok()
        .and_then(decode_key_text)
        .is_none()
    {
        warn("key line 2+ does not look like base64, or is suspiciously short.");
        return Err(invalid());
    }
    Ok(text.to_vec())
}

/// Writes a new key file, never over another one.
fn create_key_file(client: &Client, id: RepositoryId, text: &str) -> Result<PathBuf, ArchiveError> {
    let path = if let Some(path) = &client.directories.key_file {
        path.clone()
    } else {
        LocalStorage::new(&client.directories.keys).create_dir_all("")?;
        free_name(&client.directories.keys, &client.key_file_stem)?
    };
    let (storage, name) = storage_of(&path);
    if storage
        .status(&name)?
        .is_some_and(|status| status.kind == EntryKind::File)
    {
        let message = format!(
            "Aborting because key in \"{}\" already exists.",
            path.display()
        );
        return Err(ArchiveError::other(message));
    }
    save_key_file(&path, id, text)?;
    Ok(path)
}

/// Replaces a key file whole.
fn save_key_file(path: &Path, id: RepositoryId, text: &str) -> Result<(), ArchiveError> {
    let (storage, name) = storage_of(path);
    storage.replace(&name, &[key_file_content(&id, text).as_bytes()])?;
    Ok(())
}

/// `STEM`, or `STEM.2`, `STEM.3`… if that is taken.
fn free_name(dir: &Path, stem: &str) -> Result<PathBuf, ArchiveError> {
    let storage = LocalStorage::new(dir);
    let mut name = stem.to_owned();
    let mut number = 1;
    while storage.status(&name)?.is_some() {
        number += 1;
        name = format!("{stem}.{number}");
    }
    Ok(dir.join(name))
}

/// The directory of a file as a storage, and the file's name in it.
fn storage_of(path: &Path) -> (Arc<dyn Storage>, String) {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    (Arc::new(LocalStorage::new(dir)), name)
}
