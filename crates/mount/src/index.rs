//! Path index of an archive: its nodes, their names and attributes.
//!
//! An archive is a stream of items; to find one, or to list a directory, the whole stream has to be read. That is done
//! once. What comes out is a file in the cache directory, sealed with a key that comes from the repository's, and from
//! then on names and attributes are read from there, a block at a time. An index that is damaged, or forged, is built
//! anew; nodes have the same numbers then. Layout: docs/format.md, "Path index".
//!
//! ```text
//! build     one archive, or all versions of all archives
//!   stream    items and where they begin, chunks fetched ahead
//!   walk      which items are shown and where; hard links
//!   builder   nodes and names, as stock Borg's dictionaries have them
//!   write     lists of names; sections of the file
//! keep      where the file is
//! file      asking it; blocks in memory (blocks), items by place (items)
//! ```

mod blocks;
mod build;
mod builder;
#[doc(hidden)]
pub mod exercise;
mod file;
mod items;
mod keep;
mod layout;
mod origin;
mod owners;
mod record;
mod shape;
mod stream;
mod versions;
mod walk;
mod write;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ironborg_archive::Archive;
use ironborg_cache::CacheError;
use ironborg_format::item::Item;
use ironborg_types::{ArchiveId, BytePath, ChunkId, Level};

use self::build::{build_archive, build_versions};
use self::file::IndexFile;
use self::items::read_item;
use self::keep::Kept;
use self::origin::Origin;
use self::shape::Shared;
use crate::MountError;
use crate::follow::Follower;
use crate::node::{ItemPlace, Node, NodeId};

pub use self::owners::Owner;
pub use self::shape::Shape;

const LOGGER: &str = "borg.fuse";

/// The nodes of an archive, or of a view of versions. Any number of threads may ask.
pub struct PathIndex {
    origin: Arc<dyn Origin>,
    shared: Arc<Shared>,
    file: RwLock<Arc<IndexFile>>,
    owners: Vec<Owner>,
    /// The archive whose index is kept, and can be built anew.
    archive: Option<(BytePath, ArchiveId)>,
    /// Held by whoever does that.
    mending: Mutex<()>,
}

impl PathIndex {
    /// The index of an archive: as it is kept, or else built, and kept if everything of the archive is shown.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn open_or_build(
        follower: &Arc<Follower>,
        archive: &Archive,
        shape: &Shape,
    ) -> Result<Self, MountError> {
        let chunks = &archive.metadata.items;
        let follower = Arc::clone(follower) as Arc<dyn Origin>;
        Self::of_archive(follower, &archive.name, archive.id, chunks, shape)
    }

    /// The index of all versions of all files in these archives, which are merged in this order.
    ///
    /// # Errors
    /// An archive cannot be read.
    pub fn build_versions(
        follower: &Arc<Follower>,
        archives: &[Archive],
        shape: &Shape,
    ) -> Result<Self, MountError> {
        let streams: Vec<_> = archives
            .iter()
            .map(|archive| (&archive.name, archive.metadata.items.as_slice()))
            .collect();
        Self::of_versions(Arc::clone(follower) as Arc<dyn Origin>, &streams, shape)
    }

    fn of_archive(
        origin: Arc<dyn Origin>,
        name: &BytePath,
        id: ArchiveId,
        chunks: &[ChunkId],
        shape: &Shape,
    ) -> Result<Self, MountError> {
        let shared = Arc::clone(&shape.shared);
        if !shape.is_whole() {
            let file = build_archive(origin.as_ref(), shape, name, chunks, None)?;
            let file = IndexFile::new(file, Arc::clone(&shared))?;
            return Ok(Self::new(origin, shared, file, None));
        }
        let storage = shared.storage(origin.as_ref());
        let kept = Kept::new(storage, origin.repository(), id);
        let file = match open_kept(origin.as_ref(), &kept, &shared) {
            Some(file) => file,
            None => build(origin.as_ref(), Some(&kept), &shared, name, chunks)?,
        };
        Ok(Self::new(origin, shared, file, Some((name.clone(), id))))
    }

    fn of_versions(
        origin: Arc<dyn Origin>,
        archives: &[(&BytePath, &[ChunkId])],
        shape: &Shape,
    ) -> Result<Self, MountError> {
        let shared = Arc::clone(&shape.shared);
        let file = build_versions(origin.as_ref(), shape, archives)?;
        let file = IndexFile::new(file, Arc::clone(&shared))?;
        Ok(Self::new(origin, shared, file, None))
    }

    fn new(
        origin: Arc<dyn Origin>,
        shared: Arc<Shared>,
        file: IndexFile,
        archive: Option<(BytePath, ArchiveId)>,
    ) -> Self {
        Self {
            origin,
            shared,
            owners: file.owners().to_vec(),
            file: RwLock::new(Arc::new(file)),
            archive,
            mending: Mutex::new(()),
        }
    }

    /// What is known of a node.
    ///
    /// # Errors
    /// There is no such node; the index has to be built anew and cannot be, as with all that follows.
    pub fn node(&self, id: NodeId) -> Result<Node, MountError> {
        self.ask(|file| file.node(id))
    }

    /// The node of a name in a directory. What is no directory has no names in it.
    pub fn find(&self, directory: NodeId, name: &[u8]) -> Result<Option<NodeId>, MountError> {
        self.ask(|file| file.find(directory, name))
    }

    /// At most `room` of a directory's names, with their nodes, in the order stock Borg lists them; `from`: how many
    /// were listed already. Fewer than `room`: there are no more.
    pub fn children(
        &self,
        directory: NodeId,
        from: u32,
        room: usize,
    ) -> Result<Vec<(NodeId, BytePath)>, MountError> {
        self.ask(|file| file.children(directory, from, room))
    }

    /// The path of a node; of several the first.
    pub fn path(&self, id: NodeId) -> Result<BytePath, MountError> {
        self.ask(|file| file.path(id))
    }

    /// All owners there are; [`crate::node::OwnerId`] counts them.
    pub fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// Whether some file has chunks that a repair replaced.
    pub fn has_damaged(&self) -> bool {
        self.file().has_damaged()
    }

    /// Numbers of nodes are below this. Not all of them are in use.
    pub fn nodes(&self) -> u32 {
        self.file().count()
    }

    /// Reads an item of the archive.
    ///
    /// # Errors
    /// There is none; its chunks cannot be read.
    pub fn item(&self, place: ItemPlace) -> Result<Item, MountError> {
        let chunk = |number| self.ask(|file| file.chunk(number));
        read_item(self.origin.as_ref(), &self.shared.items, place, chunk)
    }

    fn file(&self) -> Arc<IndexFile> {
        Arc::clone(&self.file.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the index; if it turns out to be damaged, once more when it is mended.
    fn ask<T>(
        &self,
        question: impl Fn(&IndexFile) -> Result<T, CacheError>,
    ) -> Result<T, MountError> {
        let file = self.file();
        let error = match question(&file) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let file = self.mend(&file, &error, Keeping::Allowed)?;
        let error = match question(&file) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // The place where it is kept is no good.
        Ok(question(
            self.mend(&file, &error, Keeping::Futile)?.as_ref(),
        )?)
    }

    /// Replaces a damaged index: somebody else may have done so, in this process or another one; else it is built anew.
    fn mend(
        &self,
        old: &Arc<IndexFile>,
        error: &CacheError,
        keeping: Keeping,
    ) -> Result<Arc<IndexFile>, MountError> {
        let _turn = self.mending.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.file();
        if !Arc::ptr_eq(&current, old) {
            return Ok(current);
        }
        let origin = self.origin.as_ref();
        let Some((name, id)) = &self.archive else {
            return Err(CacheError::Damaged {
                path: "a temporary path index".into(),
            }
            .into());
        };
        origin.log(
            Level::Warning,
            format!("The path index of archive {name} cannot be read, it is built anew. [{error}]"),
        );
        let chunks = origin.item_stream(name, *id)?;
        let kept = Kept::new(self.shared.storage(origin), origin.repository(), *id);
        let kept = Some(&kept).filter(|_| keeping == Keeping::Allowed);
        let file = Arc::new(build(origin, kept, &self.shared, name, &chunks)?);
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&file);
        Ok(file)
    }
}

/// Whether an index that is built anew goes where the damaged one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Allowed,
    Futile,
}

impl std::fmt::Debug for PathIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PathIndex").finish_non_exhaustive()
    }
}

/// The index that is kept, if it is there and good.
fn open_kept(origin: &dyn Origin, kept: &Kept, shared: &Arc<Shared>) -> Option<IndexFile> {
    let opened = kept.open(&origin.key()).and_then(|file| {
        file.map(|file| IndexFile::new(file, Arc::clone(shared)))
            .transpose()
    });
    opened.unwrap_or_else(|error| {
        origin.log(Level::Debug, format!("a path index is built anew: {error}"));
        None
    })
}

/// Builds the index of all of an archive, and keeps it if that can be.
fn build(
    origin: &dyn Origin,
    kept: Option<&Kept>,
    shared: &Arc<Shared>,
    name: &BytePath,
    chunks: &[ChunkId],
) -> Result<IndexFile, MountError> {
    let shape = Shape::whole_sharing(Arc::clone(shared));
    if let Some(kept) = kept {
        kept.clean(&origin.archives());
        let file = build_archive(origin, &shape, name, chunks, Some(kept))?;
        if let Ok(file) = IndexFile::new(file, Arc::clone(shared)) {
            return Ok(file);
        }
    }
    let file = build_archive(origin, &shape, name, chunks, None)?;
    Ok(IndexFile::new(file, Arc::clone(shared))?)
}

#[cfg(test)]
mod tests;
