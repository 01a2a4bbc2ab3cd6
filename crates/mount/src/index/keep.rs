//! Where indexes are kept: `paths/ARCHIVE` in the cache of the repository.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ironborg_cache::{CacheError, SealedFile, SealedTarget};
use ironborg_crypto::Key;
use ironborg_storage::Storage;
use ironborg_types::{ArchiveId, RepositoryId};

use super::layout::KIND;

const DIRECTORY: &str = "paths";
/// What is being written for longer was left behind by a crash.
const WRITING_MAX: Duration = Duration::from_mins(30);

/// Where the index of an archive is kept.
pub(super) struct Kept {
    storage: Arc<dyn Storage>,
    repository: RepositoryId,
    archive: ArchiveId,
}

impl Kept {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        repository: RepositoryId,
        archive: ArchiveId,
    ) -> Self {
        Self {
            storage,
            repository,
            archive,
        }
    }

    /// What the file stands for.
    pub(super) fn names(&self) -> [&[u8]; 2] {
        [self.repository.as_bytes(), self.archive.as_bytes()]
    }

    pub(super) fn target(&self) -> SealedTarget {
        SealedTarget::Kept {
            storage: Arc::clone(&self.storage),
            name: self.name(),
        }
    }

    fn name(&self) -> String {
        format!("{DIRECTORY}/{}", self.archive)
    }

    /// The index, if it is there.
    pub(super) fn open(&self, key: &Key) -> Result<Option<SealedFile>, CacheError> {
        let storage = Arc::clone(&self.storage);
        SealedFile::open_kept(storage, &self.name(), KIND, key, &self.names())
    }

    /// Removes indexes of archives that are gone, and what a crash left behind. What cannot be removed stays.
    pub(super) fn clean(&self, archives: &HashSet<ArchiveId>) {
        for entry in self.storage.list(DIRECTORY).unwrap_or_default() {
            let path = format!("{DIRECTORY}/{}", entry.name);
            let is_outdated = match entry.name.strip_suffix(".tmp") {
                Some(name) => name.parse::<ArchiveId>().is_ok() && self.is_abandoned(&path),
                None => match entry.name.parse::<ArchiveId>() {
                    Ok(archive) => archive != self.archive && !archives.contains(&archive),
                    Err(_) => false,
                },
            };
            if is_outdated {
                let _ = self.storage.remove(&path);
            }
        }
    }

    fn is_abandoned(&self, path: &str) -> bool {
        let modified = self.storage.modified(path);
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        age.is_some_and(|age| age > WRITING_MAX)
    }
}
