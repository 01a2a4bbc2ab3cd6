//! A file without a name, for bytes that are too many for memory and of no use to anybody later.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, Mode, OFlags};

use crate::local::{WRITE_WINDOW, create_temporary};
use crate::{StorageError, sys};

/// Room that is kept when everything is forgotten: to write pages that are there takes a tenth of the time of new ones.
const KEPT_LEN: u64 = 512 * 1024 * 1024;

/// Bytes appended, read anywhere, and forgotten together; gone when it is dropped, or the process ends however it does.
///
/// Nothing is ever synced: what a crash would leave of it nobody could find.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Where it is, for messages.
    path: PathBuf,
    len: u64,
    /// Where the part begins whose writing out has not been asked for yet.
    window_start: u64,
}

impl Spool {
    /// An empty one in a directory, which is made if it is missing.
    ///
    /// # Errors
    /// Neither the directory nor a file in it can be made.
    pub fn create(directory: &Path) -> Result<Self, StorageError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| StorageError::io("create", directory, e))?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            // Not every file system knows files without names.
            Err(_) => Self::unlinked(directory)?,
        };
        Ok(Self {
            file,
            path: directory.to_owned(),
            len: 0,
            window_start: 0,
        })
    }

    fn unlinked(directory: &Path) -> Result<File, StorageError> {
        let (path, file) = create_temporary(&directory.join("spool"), ".", |candidate| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(candidate)
        })?;
        fs::remove_file(&path).map_err(|e| StorageError::io("remove", path, e))?;
        Ok(file)
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that may still be written to its file system.
    ///
    /// # Errors
    /// The system does not say.
    pub fn free_space(&self) -> Result<u64, StorageError> {
        let figures = rustix::fs::fstatvfs(&self.file)
            .map_err(|e| StorageError::io("statvfs", &self.path, e))?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }

    /// Appends bytes: all, or as far as [`Spool::len`] is concerned none.
    ///
    /// # Errors
    /// There is no room, or the disk fails.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_all_at(bytes, self.len)
            .map_err(|e| StorageError::io("write", &self.path, e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// As [`Spool::append`], of bytes that will hardly ever be read: they go to the disk as they come and leave memory to
    /// others. To fill new pages of it without end costs several times what it costs to use some again.
    ///
    /// # Errors
    /// As there.
    pub fn append_out(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.append(bytes)?;
        let pending = self.len - self.window_start;
        if pending >= WRITE_WINDOW {
            sys::start_writing_out(&self.file, self.window_start, pending);
            // What was begun before this is written by now as a rule; what is not stays a little longer.
            if let Some(begun) = NonZeroU64::new(self.window_start) {
                let _ = rustix::fs::fadvise(&self.file, 0, Some(begun), Advice::DontNeed);
            }
            self.window_start = self.len;
        }
        Ok(())
    }

    /// Writes bytes over others, or behind them; what is left out in between is zero.
    ///
    /// # Errors
    /// There is no room, or the disk fails; what is there then is the old or the new, byte by byte.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| StorageError::io("write", &self.path, e))?;
        self.len = self.len.max(offset.saturating_add(bytes.len() as u64));
        Ok(())
    }

    /// Reads the bytes at an offset, as many as `out` has room for.
    ///
    /// # Errors
    /// They are not all there, or the disk fails.
    pub fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> Result<(), StorageError> {
        let failed = |e: io::Error| StorageError::io("read", &self.path, e);
        if offset.saturating_add(out.len() as u64) > self.len {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.file.read_exact_at(out, offset).map_err(failed)
    }

    /// Forgets everything and gives the room back, but for what is soon written again as a rule.
    ///
    /// # Errors
    /// The disk fails.
    pub fn clear(&mut self) -> Result<(), StorageError> {
        let is_large = self.len > KEPT_LEN;
        (self.len, self.window_start) = (0, 0);
        if is_large {
            self.file
                .set_len(KEPT_LEN)
                .map_err(|e| StorageError::io("truncate", &self.path, e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spool: &mut Spool) {
        spool.append(b"one").unwrap();
        spool.append(b"two").unwrap();
        let mut out = [0; 4];
        spool.read_exact_at(1, &mut out).unwrap();
        assert_eq!(&out, b"netw");
        assert!(spool.read_exact_at(3, &mut out).is_err(), "past the end");
        spool.write_at(4, b"here").unwrap();
        spool.read_exact_at(4, &mut out).unwrap();
        assert_eq!((&out, spool.len()), (b"here", 8));
        assert!(spool.read_exact_at(u64::MAX, &mut out).is_err());
        spool.clear().unwrap();
        assert!(spool.is_empty());
        spool.append(b"three").unwrap();
        assert_eq!(spool.len(), 5);
        assert!(spool.free_space().unwrap() > 0);
    }

    #[test]
    fn bytes_are_kept_in_a_file_nobody_sees() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        let mut spool = Spool::create(&deep).unwrap();
        check(&mut spool);
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 0);
    }

    #[test]
    fn a_file_system_that_wants_names_gets_one_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool {
            file: Spool::unlinked(dir.path()).unwrap(),
            path: dir.path().to_owned(),
            len: 0,
            window_start: 0,
        };
        check(&mut spool);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_has_left_memory_is_there_when_it_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(dir.path()).unwrap();
        // Pieces end within pages; the second time pages of the first are written over.
        for seed in [1, 2] {
            let piece: Vec<u8> = (0..=250).cycle().skip(seed).take(5_000_003).collect();
            let count = 3 * WRITE_WINDOW / piece.len() as u64;
            for _ in 0..count {
                spool.append_out(&piece).unwrap();
            }
            assert!(spool.window_start > 2 * WRITE_WINDOW);
            let mut found = vec![0; piece.len()];
            for at in 0..count {
                let offset = at * piece.len() as u64;
                spool.read_exact_at(offset, &mut found).unwrap();
                assert!(found == piece, "piece {at}");
            }
            spool.clear().unwrap();
        }
    }

    #[test]
    fn much_room_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(dir.path()).unwrap();
        // Nothing was written there: the file has a hole.
        spool.len = 3 * KEPT_LEN;
        spool.append(b"end").unwrap();
        spool.clear().unwrap();
        assert_eq!(spool.file.metadata().unwrap().len(), KEPT_LEN);
        assert!(spool.read_exact_at(0, &mut [0]).is_err(), "it is empty");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        assert!(Spool::create(Path::new("/dev/null/spool")).is_err());
    }
}
