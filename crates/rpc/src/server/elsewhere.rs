//! Repositories that are not directories of this machine, but are named by clients as if they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, OpenOptions, Repository, RepositoryError,
    SnapshotRepository,
};
use ironborg_storage::Storage;

/// What is done with the files of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// They are read.
    Read,
    /// They are written, too.
    Write,
}

/// Where they are.
pub trait Elsewhere {
    /// The files of the repository at a path: absolute and without `.` and `..`. There need not be one.
    ///
    /// # Errors
    /// There can be none at such a path, or the place cannot be used.
    fn storage(&self, path: &Path, purpose: Purpose) -> Result<Arc<dyn Storage>, RepositoryError>;
}

/// A repository that was opened.
pub(super) enum Opened {
    /// To be written, or with nothing that keeps others out.
    Whole(Box<LocalRepository>),
    /// Readers have no lock there: they read what was committed last, whoever writes.
    Committed(Box<SnapshotRepository>, Box<Reopen>),
}

/// What a reader needs that is going to replace the key after all.
pub(super) struct Reopen {
    path: PathBuf,
    options: OpenOptions,
}

/// Opens a repository.
pub(super) fn open(
    elsewhere: &dyn Elsewhere,
    path: &Path,
    options: OpenOptions,
) -> Result<Opened, RepositoryError> {
    if options.lock != LockMode::Shared {
        let purpose = match options.lock {
            LockMode::None => Purpose::Read,
            _ => Purpose::Write,
        };
        let storage = elsewhere.storage(path, purpose)?;
        let repository = LocalRepository::open_in(storage, options)?;
        return Ok(Opened::Whole(Box::new(repository)));
    }
    let storage = elsewhere.storage(path, Purpose::Read)?;
    let repository = SnapshotRepository::open_in(&storage, &options)?;
    let reopen = Reopen {
        path: path.to_owned(),
        options,
    };
    Ok(Opened::Committed(Box::new(repository), Box::new(reopen)))
}

/// Makes a repository.
pub(super) fn create(
    elsewhere: &dyn Elsewhere,
    path: &Path,
    create: &CreateOptions,
    options: OpenOptions,
) -> Result<LocalRepository, RepositoryError> {
    let storage = elsewhere.storage(path, Purpose::Write)?;
    // A repository within a repository is never meant: the outer one would take it along when it is deleted.
    for above in path.ancestors().skip(1) {
        let above = elsewhere.storage(above, Purpose::Read)?;
        if LocalRepository::is_repository_in(&*above) {
            let path = above.path("");
            return Err(RepositoryError::AlreadyExists { path });
        }
    }
    LocalRepository::create_in(storage, create, options)
}

impl Reopen {
    /// Replaces the key. Stock Borg's clients share the lock for that; here it is taken for the moment.
    pub(super) fn save_key(
        &self,
        elsewhere: &dyn Elsewhere,
        key: &[u8],
    ) -> Result<(), RepositoryError> {
        let options = OpenOptions {
            lock: LockMode::Exclusive,
            ..self.options.clone()
        };
        let storage = elsewhere.storage(&self.path, Purpose::Write)?;
        let mut repository = LocalRepository::open_in(storage, options)?;
        repository.save_key(key)?;
        LocalRepository::close(repository)
    }
}
