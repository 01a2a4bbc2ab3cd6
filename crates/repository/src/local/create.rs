//! Making a repository, and telling whether there is one.

use std::io::IoSliceMut;
use std::path::Path;
use std::sync::Arc;

use ironborg_storage::{Conditional, EntryKind, LocalStorage, Storage, StorageError};
use ironborg_types::{Reporter, RepositoryId};

use super::{CreateOptions, LocalRepository, OpenOptions};
use crate::RepositoryError;
use crate::segments::DATA;
use crate::settings::{CONFIG, SECTION, new_config, save_config};

/// Name of the file that says what the directory is.
pub(crate) const README: &str = "README";
/// What it says.
pub(crate) const README_TEXT: &str =
    "This is a Borg Backup repository.\nSee https://borgbackup.readthedocs.io/\n";
/// A README with one of these near its beginning makes a directory a repository; Borg 1.0 wrote the
/// latter.
const README_MARKS: [&[u8]; 2] = [b"Borg Backup repository", b"Borg repository"];
/// How far they are looked for.
const README_HEAD_LEN: usize = 100;

impl LocalRepository {
    /// Makes a new repository at an absolute path and opens it.
    pub fn create(
        path: &Path,
        create: &CreateOptions,
        open: OpenOptions,
    ) -> Result<Self, RepositoryError> {
        let local = Arc::new(LocalStorage::new(path));
        let storage: Arc<dyn Storage> = Arc::clone(&local) as _;
        check_vacant(&*storage)?;
        // A repository within a repository is never meant, and its files could be taken for the
        // other's.
        for parent in path.ancestors().skip(1) {
            if Self::is_repository(parent) {
                let path = parent.to_owned();
                return Err(RepositoryError::AlreadyExists { path });
            }
        }
        if let (true, Some(parent)) = (create.make_parent_dirs, path.parent()) {
            LocalStorage::new(parent).create_dir_all("")?;
        }
        let repository = Self::create_in(storage, create, open)?;
        local.sync_root_name()?;
        Ok(repository)
    }

    /// Makes a new repository in a storage and opens it.
    pub fn create_in(
        storage: Arc<dyn Storage>,
        create: &CreateOptions,
        open: OpenOptions,
    ) -> Result<Self, RepositoryError> {
        check_vacant(&*storage)?;
        let made = storage.create_dir("").map_err(|error| {
            if error.is_not_found() {
                RepositoryError::ParentPathDoesNotExist {
                    path: storage.path(""),
                }
            } else {
                error.into()
            }
        })?;
        if let Err(error) = write_files(&*storage, create, &*open.reporter) {
            // It would only be in the way of the next attempt. The failure to report is the first one.
            let _ = remove_files(&*storage, made);
            return Err(error);
        }
        let files = Arc::clone(&storage);
        let opened = Self::open_in(storage, open);
        if let Err(RepositoryError::Storage(error)) = &opened
            && error.is_no_space()
        {
            let _ = remove_files(&*files, made);
        }
        let mut repository = opened?;
        repository.created = true;
        Ok(repository)
    }

    /// Whether the directory's README says it is a repository.
    pub fn is_repository(path: &Path) -> bool {
        Self::is_repository_in(&LocalStorage::new(path))
    }

    /// The same of any storage.
    pub fn is_repository_in(storage: &dyn Storage) -> bool {
        is_repository(storage)
    }
}

/// Everything a new repository consists of, the config last.
fn write_files(
    storage: &dyn Storage,
    create: &CreateOptions,
    reporter: &dyn Reporter,
) -> Result<(), RepositoryError> {
    storage.write(README, README_TEXT.as_bytes())?;
    storage.create_dir(DATA)?;
    let mut id = [0; RepositoryId::LEN];
    getrandom::fill(&mut id)
        .map_err(|e| StorageError::io("read", "/dev/urandom", std::io::Error::other(e)))?;
    let mut config = new_config(RepositoryId(id), create.append_only, create.storage_quota);
    if let Some(size) = storage.conditional().and_then(Conditional::segment_size) {
        config.set(SECTION, "max_segment_size", size.to_string());
    }
    save_config(storage, None, &config, true, reporter)
}

/// Takes [`write_files`] back.
fn remove_files(storage: &dyn Storage, with_root: bool) -> Result<(), StorageError> {
    for file in [CONFIG, README] {
        if storage.status(file)?.is_some() {
            storage.remove(file)?;
        }
    }
    storage.remove_dir(DATA)?;
    if with_root {
        storage.remove_dir("")?;
    }
    Ok(())
}

fn is_repository(storage: &dyn Storage) -> bool {
    let mut head = [0; README_HEAD_LEN];
    let count = storage.read_at(README, 0, &mut [IoSliceMut::new(&mut head)]);
    // What cannot be read is not ours.
    let head = &head[..count.unwrap_or(0)];
    README_MARKS
        .iter()
        .any(|mark| head.windows(mark.len()).any(|window| window == *mark))
}

/// Checks that a repository may be made here: nothing is there, or an empty directory.
fn check_vacant(storage: &dyn Storage) -> Result<(), RepositoryError> {
    let path = storage.path("");
    let denied = |error: StorageError| {
        if error.is_permission_denied() {
            RepositoryError::PathPermissionDenied {
                path: storage.path(""),
            }
        } else {
            error.into()
        }
    };
    let Some(status) = storage.status("").map_err(denied)? else {
        return Ok(());
    };
    if is_repository(storage) {
        return Err(RepositoryError::AlreadyExists { path });
    }
    if status.kind != EntryKind::Directory || !storage.list("").map_err(denied)?.is_empty() {
        return Err(RepositoryError::PathAlreadyExists { path });
    }
    Ok(())
}
