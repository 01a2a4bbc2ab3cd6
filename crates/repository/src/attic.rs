//! Repositories of Attic, Borg's predecessor: the same files under other magic words.
//!
//! Source: Borg 1.4, `AtticRepositoryUpgrader`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_format::hashindex;
use ironborg_format::segment::{ATTIC_MAGIC, MAGIC};
use ironborg_storage::{EntryKind, LocalStorage, Storage};
use ironborg_types::{Reporter, RepositoryId, SegmentId};

use crate::RepositoryError;
use crate::local::{LOCK, README, README_TEXT};
use crate::lock::{Lock, LockOptions};
use crate::segments::SegmentLog;
use crate::settings::{self, Settings};

/// First bytes of Attic's index.
const ATTIC_INDEX_MAGIC: [u8; 8] = *b"ATTICIDX";
/// Name of an index file, before its number.
const INDEX: &str = "index.";

/// A repository seen as files, of which Attic's are given the magic words of Borg.
pub struct AtticRepository {
    storage: Arc<dyn Storage>,
    id: RepositoryId,
    log: SegmentLog,
}

impl std::fmt::Debug for AtticRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtticRepository")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AtticRepository {
    /// Opens the repository at an absolute path without a lock. One of Borg will do as well.
    ///
    /// # Errors
    /// No repository there, or none with a config.
    pub fn open(path: &Path) -> Result<Self, RepositoryError> {
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(path));
        settings::check_directory(&*storage)?;
        let config = settings::load_config(&*storage)?;
        let settings = Settings::from_config(&config, &*storage)?;
        let log = SegmentLog::new(
            Arc::clone(&storage),
            settings.segments_per_dir,
            settings.segment_size_max,
        );
        Ok(Self {
            storage,
            id: settings.id,
            log,
        })
    }

    /// The repository's id.
    pub fn id(&self) -> RepositoryId {
        self.id
    }

    /// Makes a copy of the whole repository, in which files are second names of the same ones. What is converted
    /// later is not changed in the copy, as it gets a file of its own.
    ///
    /// # Errors
    /// A target that is there already; a file system without hard links.
    pub fn copy_to(&self, target: &Path) -> Result<(), RepositoryError> {
        let source = self.storage.path("");
        let parent = source.parent().unwrap_or(Path::new("/"));
        let storage = LocalStorage::new(parent);
        let name = |path: &Path| {
            let name = path.strip_prefix(parent).unwrap_or(path);
            name.to_string_lossy().into_owned()
        };
        copy_tree(&storage, &name(&source), &name(target))
    }

    /// Takes the repository's lock for writing.
    ///
    /// # Errors
    /// Others have it for too long.
    pub fn lock(
        &self,
        options: LockOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Lock, RepositoryError> {
        Lock::acquire(Arc::clone(&self.storage), LOCK, options, reporter)
    }

    /// The newest index file.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn index(&self) -> Result<Option<PathBuf>, RepositoryError> {
        Ok(self.index_name()?.map(|name| self.storage.path(&name)))
    }

    fn index_name(&self) -> Result<Option<String>, RepositoryError> {
        let entries = self.storage.list("")?;
        let number = |name: &str| name.strip_prefix(INDEX)?.parse::<u32>().ok();
        let newest = entries.iter().filter_map(|entry| number(&entry.name)).max();
        Ok(newest.map(|number| format!("{INDEX}{number}")))
    }

    /// Gives the newest index file Borg's magic word, if it has Attic's.
    ///
    /// # Errors
    /// A failed read or write.
    pub fn convert_index(&self) -> Result<(), RepositoryError> {
        match self.index_name()? {
            Some(name) => self.convert(&name, ATTIC_INDEX_MAGIC, hashindex::MAGIC),
            None => Ok(()),
        }
    }

    /// All segments, ascending. Converted in this order, the repository is Attic's until the last one is.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn segments(&self) -> Result<Vec<SegmentId>, RepositoryError> {
        Ok(self.log.segments()?)
    }

    /// Gives a segment Borg's magic word, if it has Attic's.
    ///
    /// # Errors
    /// A failed read or write.
    pub fn convert_segment(&self, segment: SegmentId) -> Result<(), RepositoryError> {
        self.convert(&self.log.name(segment), ATTIC_MAGIC, MAGIC)
    }

    /// Puts Borg's README in the place of Attic's.
    ///
    /// # Errors
    /// A failed write.
    pub fn replace_readme(&self) -> Result<(), RepositoryError> {
        Ok(self.storage.replace(README, &[README_TEXT.as_bytes()])?)
    }

    /// The file is replaced whole: at any time one of the two is there, and a second name keeps the old one.
    fn convert(&self, name: &str, old: [u8; 8], new: [u8; 8]) -> Result<(), RepositoryError> {
        let mut magic = [0; 8];
        let head = &mut [std::io::IoSliceMut::new(&mut magic)];
        let len = self.storage.read_at(name, 0, head)?;
        if len < magic.len() || magic != old {
            return Ok(());
        }
        // Attic's segments have 5 MiB.
        let content = self.storage.read(name)?;
        let rest = content.get(old.len()..).unwrap_or_default();
        Ok(self.storage.replace(name, &[&new, rest])?)
    }
}

fn copy_tree(storage: &LocalStorage, from: &str, to: &str) -> Result<(), RepositoryError> {
    if !storage.create_dir(to)? {
        return Err(RepositoryError::PathAlreadyExists {
            path: storage.path(to),
        });
    }
    for entry in storage.list(from)? {
        let from = format!("{from}/{}", entry.name);
        let to = format!("{to}/{}", entry.name);
        match entry.kind {
            EntryKind::Directory => copy_tree(storage, &from, &to)?,
            EntryKind::File => {
                if !storage.link(&from, &to)? {
                    return Err(RepositoryError::PathPermissionDenied {
                        path: storage.path(&to),
                    });
                }
            }
            EntryKind::Other => {}
        }
    }
    Ok(storage.sync_dir(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(storage: &LocalStorage, name: &str, content: &[u8]) {
        storage.write(name, content).unwrap();
    }

    #[test]
    fn files_are_converted_and_the_copy_keeps_the_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        let storage = LocalStorage::new(&path);
        storage.create_dir_all("data/0").unwrap();
        let config = format!(
            "[repository]\nversion = 1\nsegments_per_dir = 10000\nmax_segment_size = 5242880\nid = {}\n",
            "ab".repeat(32)
        );
        write(&storage, "config", config.as_bytes());
        write(&storage, "README", b"This is an Attic repository\n");
        write(&storage, "data/0/0", b"ATTICSEG and more");
        write(&storage, "data/0/1", b"BORG_SEG and more");
        write(&storage, "data/0/2", b"ATT");
        write(&storage, "index.0", b"ATTICIDX and more");
        write(&storage, "index.x", b"ATTICIDX and more");

        let attic = AtticRepository::open(&path).unwrap();
        assert_eq!(attic.id().to_string(), "ab".repeat(32));
        let copy = dir.path().join("copy");
        attic.copy_to(&copy).unwrap();
        assert!(attic.copy_to(&copy).is_err());
        assert_eq!(attic.index().unwrap(), Some(path.join("index.0")));
        attic.convert_index().unwrap();
        for segment in attic.segments().unwrap() {
            attic.convert_segment(segment).unwrap();
        }
        attic.replace_readme().unwrap();

        let read = |name: &str| storage.read(name).unwrap();
        assert_eq!(read("data/0/0"), b"BORG_SEG and more");
        assert_eq!(read("data/0/1"), b"BORG_SEG and more");
        assert_eq!(read("data/0/2"), b"ATT");
        assert_eq!(read("index.0"), b"BORG_IDX and more");
        assert_eq!(read("index.x"), b"ATTICIDX and more");
        assert_eq!(read("README"), README_TEXT.as_bytes());
        let copied = LocalStorage::new(&copy);
        assert_eq!(copied.read("data/0/0").unwrap(), b"ATTICSEG and more");
        assert_eq!(copied.read("index.0").unwrap(), b"ATTICIDX and more");
        assert_eq!(
            copied.read("README").unwrap(),
            b"This is an Attic repository\n"
        );
    }
}
