//! Reading.

use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_crypto::{BLOCK_SALT_LEN, BLOCK_TAG_LEN, BlockAddress, BlockSeal, Key};
use ironborg_storage::{Spool, Storage};

use super::{SEALED_BLOCK_LEN, STORED_LEN, TRAILER_NUMBER};
use crate::CacheError;

const MAGIC: [u8; 8] = *b"IRONBORG";
/// Bytes before the first block.
pub(super) const HEADER_LEN: usize = 64;
/// Bytes of the trailer, whose meaning is the caller's.
pub const TRAILER_LEN: usize = 256;
/// The trailer with what authenticates it.
pub(super) const STORED_TRAILER_LEN: usize = TRAILER_LEN + BLOCK_TAG_LEN;

/// What a sealed file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedKind {
    /// Four letters.
    pub tag: [u8; 4],
    /// Grows with every change of the content's layout.
    pub version: u32,
}

impl SealedKind {
    /// What begins a file of this kind.
    pub(super) fn header(self, salt: &[u8; BLOCK_SALT_LEN]) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&self.tag);
        header[12..16].copy_from_slice(&self.version.to_le_bytes());
        header[16..48].copy_from_slice(salt);
        header
    }

    /// What seals a file of this kind that `names` stand for.
    pub(super) fn seal(self, key: &Key, salt: &[u8; BLOCK_SALT_LEN], names: &[&[u8]]) -> BlockSeal {
        let version = self.version.to_le_bytes();
        let mut all: Vec<&[u8]> = vec![&self.tag, &version];
        all.extend_from_slice(names);
        key.block_seal(salt, &all)
    }
}

/// Where the bytes of a sealed file are.
pub(super) enum Place {
    /// A file that is kept.
    Kept {
        storage: Arc<dyn Storage>,
        name: String,
    },
    /// A file without a name.
    Spool(Spool),
    /// Nowhere else.
    Memory(Vec<u8>),
}

impl Place {
    fn size(&self) -> Result<Option<u64>, CacheError> {
        Ok(match self {
            Self::Kept { storage, name } => storage.status(name)?.map(|status| status.size),
            Self::Spool(spool) => Some(spool.len()),
            Self::Memory(bytes) => Some(bytes.len() as u64),
        })
    }

    /// Fills `out`; false: the file ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<bool, CacheError> {
        match self {
            Self::Kept { storage, name } => {
                let read = storage.read_at(name, offset, &mut [IoSliceMut::new(out)])?;
                Ok(read == out.len())
            }
            Self::Spool(spool) => {
                spool.read_exact_at(offset, out)?;
                Ok(true)
            }
            Self::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(from..).and_then(|rest| rest.get(..out.len()));
                if let Some(found) = found {
                    out.copy_from_slice(found);
                }
                Ok(found.is_some())
            }
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Kept { storage, name } => storage.path(name),
            Self::Spool(_) => PathBuf::from("a temporary file"),
            Self::Memory(_) => PathBuf::from("memory"),
        }
    }
}

/// A stream of bytes in sealed blocks, read by any number of threads.
pub struct SealedFile {
    place: Place,
    seal: BlockSeal,
    /// Bytes of the stream.
    len: u64,
    trailer: [u8; TRAILER_LEN],
}

impl SealedFile {
    /// Opens a file that was kept, if there is one and it is of this kind; `names` say which file is meant, and were the
    /// same when it was written.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] also for a file that stood for other names, or another key.
    pub fn open_kept(
        storage: Arc<dyn Storage>,
        name: &str,
        kind: SealedKind,
        key: &Key,
        names: &[&[u8]],
    ) -> Result<Option<Self>, CacheError> {
        let place = Place::Kept {
            storage,
            name: name.to_owned(),
        };
        let Some(size) = place.size()? else {
            return Ok(None);
        };
        let damaged = || CacheError::Damaged { path: place.path() };
        let mut header = [0; HEADER_LEN];
        if !place.read(0, &mut header)? {
            return Err(damaged());
        }
        let salt: [u8; BLOCK_SALT_LEN] = *header[16..].first_chunk().expect("48 bytes follow");
        if header != kind.header(&salt) {
            let is_ours = header[..12] == kind.header(&salt)[..12];
            return if is_ours { Ok(None) } else { Err(damaged()) };
        }
        let len = stream_len(size).ok_or_else(damaged)?;
        let seal = kind.seal(key, &salt, names);
        let mut stored = [0; STORED_TRAILER_LEN];
        if !place.read(size - STORED_TRAILER_LEN as u64, &mut stored)? {
            return Err(damaged());
        }
        let (bytes, tag) = stored.split_at_mut(TRAILER_LEN);
        let tag = tag.first_chunk().expect("the tag is what is left");
        if !seal.open(trailer_address(len), bytes, tag) {
            return Err(damaged());
        }
        let trailer = *bytes.first_chunk().expect("it was split there");
        Ok(Some(Self {
            place,
            seal,
            len,
            trailer,
        }))
    }

    pub(super) fn new(place: Place, seal: BlockSeal, len: u64, trailer: [u8; TRAILER_LEN]) -> Self {
        Self {
            place,
            seal,
            len,
            trailer,
        }
    }

    /// Bytes of the stream.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was said at the end of writing.
    pub fn trailer(&self) -> &[u8; TRAILER_LEN] {
        &self.trailer
    }

    /// Reads block `number` of the stream into `out`, which is replaced.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]; also for a block beyond the end. The disk fails.
    pub fn read_block(&self, number: u64, out: &mut Vec<u8>) -> Result<(), CacheError> {
        out.clear();
        let damaged = || CacheError::Damaged {
            path: self.place.path(),
        };
        let begin = number.checked_mul(SEALED_BLOCK_LEN as u64);
        let left = begin.and_then(|begin| self.len.checked_sub(begin));
        let left = left.filter(|&left| left > 0).ok_or_else(damaged)?;
        let len = usize::try_from(left).map_or(SEALED_BLOCK_LEN, |left| left.min(SEALED_BLOCK_LEN));
        out.resize(len + BLOCK_TAG_LEN, 0);
        let offset = HEADER_LEN as u64 + number * STORED_LEN as u64;
        let is_there = self.place.read(offset, out)?;
        let (block, tag) = out.split_at_mut(len);
        let tag = tag.first_chunk().expect("the tag is what is left");
        let address = BlockAddress {
            number,
            generation: 0,
        };
        if !is_there || !self.seal.open(address, block, tag) {
            out.clear();
            return Err(damaged());
        }
        out.truncate(len);
        Ok(())
    }
}

impl std::fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedFile")
            .field("path", &self.place.path())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The trailer's address has the length of the stream in it: one that was cut and mended does not pass.
pub(super) fn trailer_address(len: u64) -> BlockAddress {
    BlockAddress {
        number: TRAILER_NUMBER | len,
        generation: 0,
    }
}

/// Bytes of the stream in a file of this size; `None`: no such file has it.
fn stream_len(size: u64) -> Option<u64> {
    let blocks = size.checked_sub((HEADER_LEN + STORED_TRAILER_LEN) as u64)?;
    let (full, rest) = (blocks / STORED_LEN as u64, blocks % STORED_LEN as u64);
    let last = match rest {
        0 => 0,
        rest => rest
            .checked_sub(BLOCK_TAG_LEN as u64)
            .filter(|&len| len > 0)?,
    };
    Some(full * SEALED_BLOCK_LEN as u64 + last)
}
