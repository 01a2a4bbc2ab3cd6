//! The index of a transaction, looked up in its file.
//!
//! Nothing is loaded, so that a repository of any size is open at once and takes no memory. The file is not compared with
//! its digest either: an entry it leads to is checked when it is read, and when one is missing the digest is looked
//! at then.

use std::io::IoSliceMut;

use ironborg_format::hashindex::{HEADER_LEN, Probe, TableFile};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::{ChunkId, SegmentId};

use crate::index::EntryLocation;

/// Buckets read at once; a search seldom needs more, as a quarter of them is empty.
const WINDOW: usize = 32;

/// The file of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexFile {
    pub(super) id: SegmentId,
    name: String,
    table: TableFile<8>,
}

impl IndexFile {
    /// The index of a transaction; `None` if the file cannot be one.
    ///
    /// # Errors
    /// It cannot be read, or is gone by now.
    pub(super) fn find(storage: &dyn Storage, id: SegmentId) -> Result<Option<Self>, StorageError> {
        let name = format!("index.{id}");
        let mut header = [0; HEADER_LEN];
        let count = storage.read_at(&name, 0, &mut [IoSliceMut::new(&mut header)])?;
        let size = storage.status(&name)?.map_or(0, |status| status.size);
        let table = TableFile::new(&header[..count], size).ok();
        Ok(table.map(|table| Self { id, name, table }))
    }

    /// Where the object is, if the file is sound.
    pub(super) fn get(
        &self,
        storage: &dyn Storage,
        id: &ChunkId,
    ) -> Result<Option<EntryLocation>, StorageError> {
        let mut window = [0; WINDOW * TableFile::<8>::BUCKET_LEN];
        let mut buckets = self.table.search(&id.0);
        loop {
            let (offset, len) = self.table.part(buckets, WINDOW);
            let part = &mut window[..len];
            let count = storage.read_at(&self.name, offset, &mut [IoSliceMut::new(part)])?;
            match self.table.probe(&id.0, buckets, &part[..count]) {
                Probe::Found(value) => return Ok(Some(EntryLocation::decode(value))),
                Probe::Absent => return Ok(None),
                Probe::GoOn(further) => buckets = further,
            }
        }
    }
}
