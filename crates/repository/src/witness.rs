//! Looking at objects while segments are read for another reason, so that nothing is read twice.

use ironborg_types::{ChunkId, SegmentId};

use crate::{Repository, RepositoryError};

/// An object that is stored, in the buffer its segment was read into.
#[derive(Debug)]
pub struct StoredObject<'a> {
    /// Which.
    pub id: ChunkId,
    /// The segment that holds it.
    pub segment: SegmentId,
    /// Offset of its entry there.
    pub offset: u32,
    /// The object, its entry checked against the checksum; or why it cannot be read, as [`Repository::get`] says it.
    pub object: Result<&'a [u8], RepositoryError>,
}

/// Wants to see objects.
pub trait Witness: Sync {
    /// Whether it does. The repository is open for reading as it was committed last.
    fn is_interested(&self, repository: &dyn Repository) -> bool {
        let _ = repository;
        true
    }

    /// What one of the threads that read shows objects to.
    fn watcher(&self) -> Box<dyn Watcher + '_>;

    /// Every object that is stored now was shown once, and no other.
    fn has_seen_all(&self) {}
}

/// Is shown objects on one thread.
pub trait Watcher {
    /// Is shown all objects in a piece of a segment, in their order. Pieces are numbered in the order of storage, and
    /// each is shown once.
    fn show(&mut self, piece: u64, objects: &[StoredObject<'_>]);
}
