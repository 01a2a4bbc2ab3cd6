//! The index in its file: looked up there, changed in memory, written anew by copying.
//!
//! So a change of a few objects takes little memory however many there are. The file was compared with its digest when it was
//! opened, and is again while it is copied: what has become damaged meanwhile does not get a new digest.

use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironborg_format::hashindex::{
    HEADER_LEN, HashIndexError, Patched, PatchedTable, TableSurvey, entries_in,
};
use ironborg_format::integrity::{IntegrityWriter, Known, Verifier};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::ChunkId;

use super::{EntryLocation, Index};
use crate::RepositoryError;

/// Buckets read at once by whoever reads all of them. They are to stay in a core's cache.
const PIECE_LEN: usize = 6400 * PatchedTable::<8>::BUCKET_LEN;
/// A question to the file costs about as much as loading so many bytes of it.
const QUESTION_LEN: u64 = 2048;

/// The file of an index, and what is to be changed in it.
#[derive(Debug)]
pub(crate) struct FiledIndex {
    storage: StorageHandle,
    name: String,
    table: PatchedTable<8>,
    /// The integrity data of the file as it is, if there are any.
    integrity: Option<String>,
    asked: AtomicU64,
    questions_max: u64,
}

struct StorageHandle(Arc<dyn Storage>);

impl std::fmt::Debug for StorageHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

/// Why a file is not opened as an index.
pub(crate) enum NotFiled {
    /// It cannot be read.
    Storage(StorageError),
    /// It is not what was written.
    Digest(ironborg_format::integrity::IntegrityError),
    /// It is no table.
    Table(HashIndexError),
}

impl FiledIndex {
    /// Opens a file of so many bytes after comparing it with its digests. `None`: it has to be loaded.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        name: &str,
        size: u64,
        (integrity, mut verifier): (Option<String>, Option<Verifier>),
        is_loaded_when_asked: bool,
    ) -> Result<Option<Self>, NotFiled> {
        let mut survey = None;
        let mut piece = vec![0; PIECE_LEN];
        let mut offset = 0;
        while offset < size {
            let len = piece_len(offset, size);
            let bytes = &mut piece[..len];
            read_exactly(&**storage, name, offset, bytes).map_err(NotFiled::Storage)?;
            if let Some(verifier) = &mut verifier {
                verifier.update(bytes).map_err(NotFiled::Digest)?;
            }
            match &mut survey {
                None => survey = Some(TableSurvey::new(bytes, size).map_err(NotFiled::Table)?),
                Some(survey) => survey.take(bytes),
            }
            offset += len as u64;
        }
        if let Some(verifier) = verifier {
            verifier.finish().map_err(NotFiled::Digest)?;
        }
        let survey = survey.ok_or(NotFiled::Table(HashIndexError::TruncatedHeader(0)))?;
        let table = survey.finish().map_err(NotFiled::Table)?;
        Ok(table.map(|table| Self {
            storage: StorageHandle(Arc::clone(storage)),
            name: name.to_owned(),
            table,
            integrity,
            asked: AtomicU64::new(0),
            questions_max: if is_loaded_when_asked {
                size / QUESTION_LEN
            } else {
                u64::MAX
            },
        }))
    }

    pub(super) fn size(&self) -> u64 {
        self.table.size()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Where an object is; and whether so much was asked that the table had better be loaded.
    pub(super) fn get(&self, id: &ChunkId) -> Result<(Option<EntryLocation>, bool), StorageError> {
        let value = self.table.get(&id.0, |at, out| self.read(at, out))?;
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        Ok((
            value.map(EntryLocation::decode),
            asked >= self.questions_max,
        ))
    }

    pub(super) fn insert(
        &mut self,
        id: &ChunkId,
        at: EntryLocation,
    ) -> Result<Patched<8>, StorageError> {
        let Self {
            storage,
            name,
            table,
            ..
        } = self;
        table.insert(&id.0, &at.encode(), |at, out| {
            read_exactly(&*storage.0, name, at, out)
        })
    }

    pub(super) fn remove(&mut self, id: &ChunkId) -> Result<Patched<8>, StorageError> {
        let Self {
            storage,
            name,
            table,
            ..
        } = self;
        table.remove(&id.0, |at, out| read_exactly(&*storage.0, name, at, out))
    }

    /// As [`Index::ids`].
    pub(super) fn ids(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, StorageError> {
        let first = match marker {
            None => Some(HEADER_LEN as u64),
            Some(marker) => self.table.behind(&marker.0, |at, out| self.read(at, out))?,
        };
        let Some(mut offset) = first else {
            return Ok(Vec::new());
        };
        let limit = limit.unwrap_or(usize::MAX);
        let mut ids = Vec::with_capacity(limit.min(self.len()));
        let mut piece = vec![0; PIECE_LEN];
        while offset < self.size() && ids.len() < limit {
            let bytes = &mut piece[..piece_len(offset, self.size())];
            self.read(offset, bytes)?;
            self.table.patch(offset, bytes);
            offset += bytes.len() as u64;
            let found = entries_in::<8>(bytes).map(|(id, _)| ChunkId(*id));
            ids.extend(found.take(limit - ids.len()));
        }
        Ok(ids)
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.table.bucket_count()
    }

    pub(super) fn locate(
        &self,
        id: &ChunkId,
    ) -> Result<Option<(usize, EntryLocation)>, StorageError> {
        let found = self.table.locate(&id.0, |at, out| self.read(at, out))?;
        Ok(found.map(|(bucket, value)| (bucket, EntryLocation::decode(value))))
    }

    /// Everything, in bucket order.
    pub(super) fn for_each(
        &self,
        look: &mut dyn FnMut(ChunkId, EntryLocation) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut offset = HEADER_LEN as u64;
        let mut piece = vec![0; PIECE_LEN];
        while offset < self.size() {
            let bytes = &mut piece[..piece_len(offset, self.size())];
            self.read(offset, bytes)?;
            self.table.patch(offset, bytes);
            offset += bytes.len() as u64;
            for (id, value) in entries_in::<8>(bytes) {
                look(ChunkId(*id), EntryLocation::decode(*value))?;
            }
        }
        Ok(())
    }

    /// Everything with its bucket, in this order.
    pub(super) fn for_each_place(
        &self,
        look: &mut dyn FnMut(usize, ChunkId) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let (mut offset, mut first) = (HEADER_LEN as u64, 0);
        let mut piece = vec![0; PIECE_LEN];
        while offset < self.size() {
            let bytes = &mut piece[..piece_len(offset, self.size())];
            self.read(offset, bytes)?;
            self.table.patch(offset, bytes);
            offset += bytes.len() as u64;
            for bucket in bytes.chunks_exact(PatchedTable::<8>::BUCKET_LEN) {
                if let Some((id, _)) = entries_in::<8>(bucket).next() {
                    look(first, ChunkId(*id))?;
                }
                first += 1;
            }
        }
        Ok(())
    }

    /// The whole table in memory.
    pub(super) fn load(&self) -> Result<Index, StorageError> {
        let mut bytes = self.storage.0.read(&self.name)?;
        if bytes.len() as u64 != self.size() {
            return Err(self.changed());
        }
        self.table.patch(0, &mut bytes);
        Index::from_bytes(bytes).map_err(|_| self.changed())
    }

    /// Stages a copy with all changes under another name; gives its integrity data.
    pub(super) fn stage(&self, name: &str) -> Result<String, RepositoryError> {
        let mut verifier = self.integrity.as_ref().and_then(|data| {
            match Known::of(&self.name, Some(HEADER_LEN), data) {
                Ok(Known::Algorithm(verifier)) => Some(verifier),
                _ => None,
            }
        });
        let mut digest = IntegrityWriter::new(name);
        let (mut offset, size) = (0, self.size());
        self.storage.0.stage_pieces(name, &mut |piece| {
            piece.resize(piece_len(offset, size), 0);
            self.read(offset, piece)?;
            if let Some(verifier) = &mut verifier {
                verifier.update(piece).map_err(|_| self.changed())?;
            }
            self.table.patch(offset, piece);
            digest.update(piece);
            if offset == 0 {
                digest.end_header();
            }
            offset += piece.len() as u64;
            match verifier.take_if(|_| offset == size) {
                Some(verifier) => verifier.finish().map_err(|_| self.changed()),
                None => Ok(()),
            }
        })?;
        Ok(digest.finish())
    }

    /// From now on the file is the one that was staged.
    pub(super) fn settle(&mut self, name: &str, integrity: &str) {
        name.clone_into(&mut self.name);
        self.integrity = Some(integrity.to_owned());
        self.table.settle();
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), StorageError> {
        read_exactly(&*self.storage.0, &self.name, offset, out)
    }

    fn changed(&self) -> StorageError {
        changed(&*self.storage.0, &self.name)
    }
}

/// Bytes of the piece at `offset`: the header is one, and there is none at the end.
fn piece_len(offset: u64, size: u64) -> usize {
    let max = if offset == 0 { HEADER_LEN } else { PIECE_LEN };
    usize::try_from(size - offset).map_or(max, |left| left.min(max))
}

fn read_exactly(
    storage: &dyn Storage,
    name: &str,
    offset: u64,
    out: &mut [u8],
) -> Result<(), StorageError> {
    let len = out.len();
    if storage.read_at(name, offset, &mut [IoSliceMut::new(out)])? == len {
        Ok(())
    } else {
        Err(changed(storage, name))
    }
}

/// Somebody has changed a file that nobody may change while the repository is locked, or it has become damaged.
fn changed(storage: &dyn Storage, name: &str) -> StorageError {
    let error = io::Error::other("the index has changed since it was opened");
    StorageError::io("read", storage.path(name), error)
}
