//! Key files on this client: finding the one of a repository, reading, making and replacing it.
//!
//! Source: Borg 1.4, `KeyfileKey`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_format::key::{decode_key_text, key_file_content};
use ironborg_storage::{EntryKind, LocalStorage, Storage};
use ironborg_types::{Level, RepositoryId};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::keys::LOGGER;

/// First word of a key file.
const FILE_ID: &[u8] = b"BORG_KEY ";
/// Longest key file looked at: real ones have less than 1 KiB.
const KEY_FILE_SIZE_MAX: u64 = 1 << 20;

/// The key file for a repository: the one the user names, else the first in the keys directory that fits.
pub(crate) fn find(client: &Client, id: RepositoryId) -> Result<(PathBuf, Vec<u8>), ArchiveError> {
    if let Some(path) = &client.directories.key_file {
        let text = read_key_file(client, path, id)?;
        return Ok((path.clone(), text));
    }
    find_in_keys_directory(client, id)?.ok_or_else(|| ArchiveError::KeyfileNotFound {
        location: client.location.clone(),
        keys_dir: client.directories.keys.clone(),
    })
}

/// The directory of key files, which has a name: without one the current directory is not meant.
fn keys_directory(client: &Client) -> Result<&Path, ArchiveError> {
    let directory = client.directories.keys.as_path();
    if directory.as_os_str().is_empty() {
        let message = "[Errno 2] No such file or directory: ''";
        return Err(ArchiveError::other(message));
    }
    Ok(directory)
}

fn find_in_keys_directory(
    client: &Client,
    id: RepositoryId,
) -> Result<Option<(PathBuf, Vec<u8>)>, ArchiveError> {
    let keys_dir = keys_directory(client)?;
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
            Ok(text) => return Ok(Some((path, text))),
            Err(ArchiveError::KeyfileInvalid { .. } | ArchiveError::KeyfileMismatch { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// Where the key file of a repository is, or would be made: the one the user names, whatever it holds, else the
/// one there is, else a new name.
pub(crate) fn place(client: &Client, id: RepositoryId) -> Result<PathBuf, ArchiveError> {
    if let Some(path) = &client.directories.key_file {
        return Ok(path.clone());
    }
    match find_in_keys_directory(client, id)? {
        Some((path, _)) => Ok(path),
        None => new_place(client),
    }
}

/// A name in the keys directory that is not taken.
fn new_place(client: &Client) -> Result<PathBuf, ArchiveError> {
    let directory = keys_directory(client)?;
    LocalStorage::new(directory).create_dir_all("")?;
    free_name(directory, &client.key_file_stem)
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
pub(crate) fn create(
    client: &Client,
    id: RepositoryId,
    text: &str,
) -> Result<PathBuf, ArchiveError> {
    let path = match &client.directories.key_file {
        Some(path) => path.clone(),
        None => new_place(client)?,
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
    save(&path, id, text)?;
    Ok(path)
}

/// Replaces a key file whole.
pub(crate) fn save(path: &Path, id: RepositoryId, text: &str) -> Result<(), ArchiveError> {
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

/// A key file of an older program.
#[derive(Debug)]
pub(crate) struct OldKeyFile {
    pub(crate) path: PathBuf,
    content: Vec<u8>,
}

/// Looks in a directory for a key file that begins with `mark`, a blank and the repository's id.
pub(crate) fn find_old(
    dir: &Path,
    mark: &str,
    id: RepositoryId,
) -> Result<Option<OldKeyFile>, ArchiveError> {
    let storage = LocalStorage::new(dir);
    let entries = match storage.list("") {
        Err(error) if error.is_not_found() => return Ok(None),
        entries => entries?,
    };
    let first_line = format!("{mark} {id}");
    for entry in entries {
        let size = storage.status(&entry.name)?.map_or(0, |status| status.size);
        if entry.kind == EntryKind::Directory || size > KEY_FILE_SIZE_MAX {
            continue;
        }
        let content = storage.read(&entry.name)?;
        let line = content.split(|byte| *byte == b'\n').next();
        if line.map(<[u8]>::trim_ascii) == Some(first_line.as_bytes()) {
            return Ok(Some(OldKeyFile {
                path: dir.join(&entry.name),
                content,
            }));
        }
    }
    Ok(None)
}

impl OldKeyFile {
    /// Where it goes in the keys directory: under its own name, unless something else has that.
    pub(crate) fn new_place(&self, client: &Client, mark: &str) -> Result<PathBuf, ArchiveError> {
        let keys = keys_directory(client)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let storage = LocalStorage::new(keys);
        match storage.status(&name)? {
            Some(_) if storage.read(&name)? != self.converted(mark) => free_name(keys, &name),
            _ => Ok(keys.join(&*name)),
        }
    }

    /// The content as a key file of Borg.
    fn converted(&self, mark: &str) -> Vec<u8> {
        let rest = self.content.trim_ascii_start();
        let rest = rest.strip_prefix(mark.as_bytes()).unwrap_or_default();
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        [FILE_ID, rest].concat()
    }

    /// Writes it there, durably.
    pub(crate) fn write(
        &self,
        client: &Client,
        place: &Path,
        mark: &str,
    ) -> Result<(), ArchiveError> {
        LocalStorage::new(&client.directories.keys).create_dir_all("")?;
        let (storage, name) = storage_of(place);
        storage.replace(&name, &[&self.converted(mark)])?;
        Ok(())
    }
}
