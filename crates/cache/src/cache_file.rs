//! The frame around every cache file: what it is, whose it is, and a checksum over all of it.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `IRONBORG` |
//! | 8 | 4 | kind |
//! | 12 | 4 | version of that kind, little-endian |
//! | 16 | 32 | id of the repository |
//! | 48 | 16 | XXH3-128 of the 48 bytes before and of everything after, little-endian |
//! | 64 | | body |
//!
//! The checksum finds damage, not malice: who can write here can do anything to backups made here.

use std::io::IoSliceMut;
use std::sync::Arc;

use ironborg_storage::{Storage, StorageError};
use ironborg_types::{Event, Level, Reporter, RepositoryId};
use xxhash_rust::xxh3::Xxh3;

use crate::CacheError;

const MAGIC: [u8; 8] = *b"IRONBORG";
const CHECKED_LEN: usize = 48;
/// Bytes that are read at once of a file that is not wanted in memory.
const PIECE_LEN: usize = 256 << 10;
/// Where the body begins.
pub(crate) const BODY_OFFSET: usize = 64;

/// Name of a repository's directory below Borg's cache directory.
///
/// Stock Borg looks at nothing there but directories named by repository ids, so it never comes here;
/// within its own directory it would stumble over files it does not know.
pub fn directory_name(repository: &RepositoryId) -> String {
    format!("ironborg/{repository}")
}

/// What a cache file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileKind {
    /// Four letters.
    pub(crate) tag: [u8; 4],
    /// Grows with every change of the body's layout.
    pub(crate) version: u32,
    /// What it is called in messages.
    pub(crate) description: &'static str,
}

/// The cache files of one repository.
#[derive(Clone)]
pub(crate) struct CacheFiles {
    storage: Arc<dyn Storage>,
    repository: RepositoryId,
}

impl CacheFiles {
    pub(crate) fn new(storage: Arc<dyn Storage>, repository: RepositoryId) -> Self {
        Self {
            storage,
            repository,
        }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    pub(crate) fn shared_storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// A file, frame included, if it is there and whole; the body is at [`BODY_OFFSET`].
    ///
    /// Anything else is reported (unless the file is just missing) and counts as missing.
    pub(crate) fn load(
        &self,
        kind: FileKind,
        name: &str,
        reporter: &dyn Reporter,
    ) -> Option<Vec<u8>> {
        let problem = match self.storage.read(name) {
            Ok(bytes) => match self.check(kind, &bytes) {
                Ok(()) => return Some(bytes),
                Err(Unusable::OtherVersion) => return None,
                Err(Unusable::Damaged) => self.corrupted(kind, name),
            },
            Err(error) if error.is_not_found() => return None,
            Err(error) => unreadable(kind, &error),
        };
        report(kind, problem, reporter);
        None
    }

    /// Reads all of a file in pieces, as [`CacheFiles::load`] does at once; gives the first `N` bytes of its body.
    pub(crate) fn verify<const N: usize>(
        &self,
        kind: FileKind,
        name: &str,
        reporter: &dyn Reporter,
    ) -> Option<Verified<N>> {
        self.verify_with(kind, name, &mut |_| {}, reporter)
    }

    /// As [`CacheFiles::verify`]; `see` is shown the body, piece by piece, before it is known whether the file is whole.
    pub(crate) fn verify_with<const N: usize>(
        &self,
        kind: FileKind,
        name: &str,
        see: &mut dyn FnMut(&[u8]),
        reporter: &dyn Reporter,
    ) -> Option<Verified<N>> {
        let problem = match self.check_in_pieces(kind, name, see) {
            Ok(Ok(verified)) => return Some(verified),
            Ok(Err(Unusable::OtherVersion)) => return None,
            Ok(Err(Unusable::Damaged)) => self.corrupted(kind, name),
            Err(error) if error.is_not_found() => return None,
            Err(error) => unreadable(kind, &error),
        };
        report(kind, problem, reporter);
        None
    }

    fn check_in_pieces<const N: usize>(
        &self,
        kind: FileKind,
        name: &str,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<Result<Verified<N>, Unusable>, StorageError> {
        let mut piece = vec![0; PIECE_LEN];
        let read = |offset: u64, piece: &mut [u8]| {
            let buffers = &mut [IoSliceMut::new(piece)];
            self.storage.read_at(name, offset, buffers)
        };
        let mut len = read(0, &mut piece)?;
        let Some((header, body)) = piece[..len].split_first_chunk::<BODY_OFFSET>() else {
            return Ok(Err(Unusable::Damaged));
        };
        let header = *header;
        let (checked, checksum) = header.split_at(CHECKED_LEN);
        let fields = body.first_chunk::<N>().copied();
        let mut hash = Xxh3::new();
        hash.update(checked);
        hash.update(body);
        see(body);
        let mut body_len = body.len() as u64;
        while len == PIECE_LEN {
            len = read(BODY_OFFSET as u64 + body_len, &mut piece)?;
            hash.update(&piece[..len]);
            see(&piece[..len]);
            body_len += len as u64;
        }
        if *checksum != hash.digest128().to_le_bytes() {
            return Ok(Err(Unusable::Damaged));
        }
        if *checked != self.header(kind) {
            return Ok(Err(Unusable::OtherVersion));
        }
        let verified = fields.map(|fields| Verified { fields, body_len });
        Ok(verified.ok_or(Unusable::Damaged))
    }

    fn corrupted(&self, kind: FileKind, name: &str) -> String {
        let path = self.storage.path(name);
        format!(
            "The {} is corrupted. [{}]",
            kind.description,
            path.display()
        )
    }

    fn check(&self, kind: FileKind, bytes: &[u8]) -> Result<(), Unusable> {
        let (header, body) = bytes
            .split_first_chunk::<BODY_OFFSET>()
            .ok_or(Unusable::Damaged)?;
        let expected = self.header(kind);
        let (checked, checksum) = header.split_at(CHECKED_LEN);
        if *checksum != frame_checksum(checked, &[body]) {
            return Err(Unusable::Damaged);
        }
        if *checked != expected {
            return Err(Unusable::OtherVersion);
        }
        Ok(())
    }

    fn header(&self, kind: FileKind) -> [u8; CHECKED_LEN] {
        let mut header = [0; CHECKED_LEN];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&kind.tag);
        header[12..16].copy_from_slice(&kind.version.to_le_bytes());
        header[16..].copy_from_slice(self.repository.as_bytes());
        header
    }

    /// Replaces a file by the concatenation of `body`, framed, once `may_go_on` says so; not if it says no.
    pub(crate) fn save_when(
        &self,
        kind: FileKind,
        name: &str,
        body: &[&[u8]],
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), CacheError> {
        self.save_by(kind, name, body, |content| {
            self.storage.replace_when(name, content, may_go_on)
        })
    }

    /// As [`CacheFiles::save_when`], for a file that is found to be damaged and made anew should power fail now.
    pub(crate) fn save_unsynced(
        &self,
        kind: FileKind,
        name: &str,
        body: &[&[u8]],
    ) -> Result<(), CacheError> {
        self.save_by(kind, name, body, |content| {
            self.storage.replace_unsynced(name, content)
        })
    }

    fn save_by(
        &self,
        kind: FileKind,
        name: &str,
        body: &[&[u8]],
        mut replace: impl FnMut(&[&[u8]]) -> Result<(), StorageError>,
    ) -> Result<(), CacheError> {
        let header = self.header(kind);
        let checksum = frame_checksum(&header, body);
        let mut content: Vec<&[u8]> = vec![&header, &checksum];
        content.extend_from_slice(body);
        match replace(&content) {
            Err(error) if error.is_not_found() => {
                let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                self.storage.create_dir_all(directory)?;
                Ok(replace(&content)?)
            }
            result => Ok(result?),
        }
    }
}

/// A file that is whole.
pub(crate) struct Verified<const N: usize> {
    /// What its body begins with.
    pub(crate) fields: [u8; N],
    pub(crate) body_len: u64,
}

fn unreadable(kind: FileKind, error: &StorageError) -> String {
    format!("The {} can't be read. [{error}]", kind.description)
}

fn report(kind: FileKind, problem: String, reporter: &dyn Reporter) {
    let consequence = format!(
        "Continuing without {} - expect lower performance.",
        kind.description
    );
    for message in [problem, consequence] {
        reporter.report(Event::log(Level::Warning, "borg.cache", message));
    }
}

enum Unusable {
    Damaged,
    /// Whole, but of another version or repository: not worth a warning.
    OtherVersion,
}

fn frame_checksum(header: &[u8], body: &[&[u8]]) -> [u8; 16] {
    let mut hash = Xxh3::new();
    hash.update(header);
    for part in body {
        hash.update(part);
    }
    hash.digest128().to_le_bytes()
}

/// Reads consecutive fixed-size fields of a body.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// `count` records of `len` bytes, if they are there.
    pub(crate) fn records(&mut self, count: u64, len: usize) -> Option<&'a [u8]> {
        let total = usize::try_from(count).ok()?.checked_mul(len)?;
        let (records, rest) = self.0.split_at_checked(total)?;
        self.0 = rest;
        Some(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_storage::MemoryStorage;
    use ironborg_types::NullReporter;

    const KIND: FileKind = FileKind {
        tag: *b"test",
        version: 1,
        description: "test file",
    };

    fn files(storage: &Arc<MemoryStorage>, id: u8) -> CacheFiles {
        CacheFiles::new(
            Arc::clone(storage) as Arc<dyn Storage>,
            RepositoryId([id; 32]),
        )
    }

    #[test]
    fn a_whole_file_is_read_back() {
        let storage = Arc::new(MemoryStorage::new());
        let files = files(&storage, 1);
        files
            .save_unsynced(KIND, "a/b/file", &[b"one", b"", b"two"])
            .unwrap();
        let bytes = files.load(KIND, "a/b/file", &NullReporter).unwrap();
        assert_eq!(&bytes[BODY_OFFSET..], b"onetwo");
        assert_eq!(files.load(KIND, "a/b/other", &NullReporter), None);
    }

    #[test]
    fn no_damaged_byte_and_no_missing_end_goes_unnoticed() {
        let storage = Arc::new(MemoryStorage::new());
        let files = files(&storage, 1);
        files
            .save_unsynced(KIND, "file", &[b"some content"])
            .unwrap();
        let good = storage.read("file").unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                storage.set("file", bad);
                assert_eq!(files.load(KIND, "file", &NullReporter), None, "byte {at}");
            }
            storage.set("file", &good[..at]);
            assert_eq!(files.load(KIND, "file", &NullReporter), None, "cut at {at}");
        }
    }

    #[test]
    fn files_of_other_repositories_kinds_and_versions_are_not_ours() {
        let storage = Arc::new(MemoryStorage::new());
        files(&storage, 1)
            .save_unsynced(KIND, "file", &[b"body"])
            .unwrap();
        let newer = FileKind { version: 2, ..KIND };
        let other = FileKind {
            tag: *b"else",
            ..KIND
        };
        assert!(
            files(&storage, 1)
                .load(KIND, "file", &NullReporter)
                .is_some()
        );
        assert!(
            files(&storage, 2)
                .load(KIND, "file", &NullReporter)
                .is_none()
        );
        assert!(
            files(&storage, 1)
                .load(newer, "file", &NullReporter)
                .is_none()
        );
        assert!(
            files(&storage, 1)
                .load(other, "file", &NullReporter)
                .is_none()
        );
    }
}
