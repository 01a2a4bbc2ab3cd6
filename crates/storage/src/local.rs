//! Files in a directory of the local machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::{Advice, OFlags};

use crate::handles::HandleCache;
use crate::storage::{AppendFile, EntryKind, NextPiece, Status, Storage, StorageEntry};
use crate::{StorageError, sys};

/// Bytes written before the kernel is told to start writing them out, as Borg's `SyncFile` does: the
/// final sync then finds little left to do, and a backup does not fill the page cache with dirty pages.
pub(crate) const WRITE_WINDOW: u64 = 16 << 20;

/// With less room than this on the disk nothing is written there before it is its turn.
const ROOM_FOR_OTHERS: u64 = 1 << 30;

/// Attempts at a name nobody else has taken.
const NAME_ATTEMPTS: usize = 100;

/// A [`Storage`] below one directory.
///
/// File and directory modes are left to the process's umask, as Borg does.
pub struct LocalStorage {
    root: PathBuf,
    handles: Mutex<HandleCache>,
}

impl LocalStorage {
    /// The files below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            handles: Mutex::new(HandleCache::new()),
        }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn full(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.root.clone()
        } else {
            self.root.join(name)
        }
    }

    /// An open file for reading ranges; kept open for the next reader.
    fn handle(&self, name: &str) -> Result<Arc<File>, StorageError> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = handles.get(name) {
            return Ok(file);
        }
        drop(handles);
        let path = self.full(name);
        let file = open_for_reading(&path).map_err(|e| StorageError::io("open", path, e))?;
        let file = Arc::new(file);
        handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.insert(name, Arc::clone(&file));
        Ok(file)
    }

    /// Forgets the open file of a name that is about to stand for something else.
    fn forget(&self, name: &str) {
        self.handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// Writes a temporary file durably, under the very name given.
    fn write_durably(file: File, path: &Path, content: &[&[u8]]) -> Result<(), StorageError> {
        Self::write_all(file, path, content)?
            .sync_all()
            .map_err(|e| StorageError::io("sync", path, e))
    }

    fn write_all(mut file: File, path: &Path, content: &[&[u8]]) -> Result<File, StorageError> {
        for part in content {
            file.write_all(part)
                .map_err(|e| StorageError::io("write", path, e))?;
        }
        Ok(file)
    }

    /// Writes what is made piece by piece durably. The disk works while further pieces are made.
    fn write_pieces_durably(
        mut file: &File,
        path: &Path,
        next: &mut NextPiece<'_>,
    ) -> Result<(), StorageError> {
        let (mut piece, mut written, mut window_start) = (Vec::new(), 0, 0);
        loop {
            next(&mut piece)?;
            if piece.is_empty() {
                return file
                    .sync_all()
                    .map_err(|e| StorageError::io("sync", path, e));
            }
            file.write_all(&piece)
                .map_err(|e| StorageError::io("write", path, e))?;
            written += piece.len() as u64;
            if written - window_start >= WRITE_WINDOW {
                sys::start_writing_out(file, window_start, written - window_start);
                window_start = written;
            }
        }
    }

    /// Writes a file beside the one it then takes the place of, unless `write` says no; returns where that is.
    fn replace_with(
        &self,
        name: &str,
        write: impl FnOnce(File, &Path) -> Result<bool, StorageError>,
    ) -> Result<Option<PathBuf>, StorageError> {
        let path = self.full(name);
        let (temporary, file) = create_temporary(&path, "-", |candidate| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o666)
                .open(candidate)
        })?;
        let result = write(file, &temporary).and_then(|may_go_on| {
            if may_go_on {
                fs::rename(&temporary, &path)
                    .map_err(|e| StorageError::io("rename", &temporary, e))?;
            }
            Ok(may_go_on)
        });
        if !matches!(result, Ok(true)) {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        if !result? {
            return Ok(None);
        }
        self.forget(name);
        Ok(Some(path))
    }

    fn sync_dir_at(path: &Path) -> Result<(), StorageError> {
        let dir = File::open(path).map_err(|e| StorageError::io("open", path, e))?;
        match rustix::fs::fsync(&dir) {
            // Some network file systems cannot sync a directory and say so with EINVAL.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(e) => Err(StorageError::io("sync", path, e)),
        }
    }
}

impl LocalStorage {
    /// Makes a directory's own name durable: without it all that is synced in there could not be found.
    fn sync_name_of(dir: &Path) -> Result<(), StorageError> {
        match Self::sync_dir_at(parent_of(dir)) {
            // One may be allowed to make names where one may not list them.
            Err(error) if error.is_permission_denied() => Ok(()),
            synced => synced,
        }
    }

    /// Makes the root's own name durable.
    pub fn sync_root_name(&self) -> Result<(), StorageError> {
        Self::sync_name_of(&self.root)
    }
}

impl Storage for LocalStorage {
    fn path(&self, name: &str) -> PathBuf {
        self.full(name)
    }

    fn status(&self, name: &str) -> Result<Option<Status>, StorageError> {
        let path = self.full(name);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(Status {
                kind: kind_of(metadata.file_type()),
                size: metadata.len(),
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StorageError::io("stat", path, e)),
        }
    }

    fn modified(&self, name: &str) -> Option<SystemTime> {
        fs::metadata(self.full(name)).ok()?.modified().ok()
    }

    fn list(&self, dir: &str) -> Result<Vec<StorageEntry>, StorageError> {
        let path = self.full(dir);
        let failed = |e| StorageError::io("list", &path, e);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let mut file_type = entry.file_type().map_err(failed)?;
            if file_type.is_symlink() {
                // Segments may have been moved to another disk and linked back.
                match fs::metadata(entry.path()) {
                    Ok(metadata) => file_type = metadata.file_type(),
                    Err(_) => continue,
                }
            }
            entries.push(StorageEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind: kind_of(file_type),
            });
        }
        Ok(entries)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let path = self.full(name);
        read_whole(&path).map_err(|e| StorageError::io("read", path, e))
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        let file = self.handle(name)?;
        let mut buffers = buffers;
        let mut done = 0_usize;
        loop {
            if buffers.iter().all(|buffer| buffer.is_empty()) {
                return Ok(done);
            }
            match rustix::io::preadv(&*file, buffers, offset + done as u64) {
                Ok(0) => return Ok(done),
                Ok(count) => {
                    done += count;
                    IoSliceMut::advance_slices(&mut buffers, count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(StorageError::io("read", self.full(name), e)),
            }
        }
    }

    fn will_need(&self, name: &str, offset: u64, len: u64) {
        if let (Ok(file), Some(len)) = (self.handle(name), std::num::NonZeroU64::new(len)) {
            // Only a hint: nothing depends on its success.
            let _ = rustix::fs::fadvise(&*file, offset, Some(len), Advice::WillNeed);
        }
    }

    fn forget_open(&self) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.clear();
    }

    fn create(&self, name: &str) -> Result<Box<dyn AppendFile>, StorageError> {
        let path = self.full(name);
        self.forget(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| StorageError::io("create", &path, e))?;
        Ok(Box::new(LocalAppend {
            file,
            path,
            written: 0,
            window_start: 0,
        }))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let path = self.full(name);
        let old = fs::read(&path);
        write_in_place(&path, content).map_err(|e| {
            // On a full disk others' entries in a lock's roster must outlive an attempt at one more.
            let _ = match old {
                Ok(old) => write_in_place(&path, &old),
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => fs::remove_file(&path),
                Err(_) => Ok(()),
            };
            StorageError::io("write", path, e)
        })
    }

    fn append(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let path = self.full(name);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| file.write_all(content))
            .map_err(|e| StorageError::io("append", path, e))
    }

    fn replace(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let replaced = self.replace_with(name, |file, temporary| {
            Self::write_durably(file, temporary, content).map(|()| true)
        })?;
        replaced.map_or(Ok(()), |path| Self::sync_dir_at(parent_of(&path)))
    }

    fn replace_when(
        &self,
        name: &str,
        content: &[&[u8]],
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), StorageError> {
        // Whoever is waited for may need what room there is.
        let len: u64 = content.iter().map(|part| part.len() as u64).sum();
        if self
            .free_space()
            .is_ok_and(|free| free < len.saturating_add(ROOM_FOR_OTHERS))
        {
            if !may_go_on() {
                return Ok(());
            }
            return self.replace(name, content);
        }
        let replaced = self.replace_with(name, |file, temporary| {
            Self::write_durably(file, temporary, content)?;
            Ok(may_go_on())
        })?;
        replaced.map_or(Ok(()), |path| Self::sync_dir_at(parent_of(&path)))
    }

    fn replace_unsynced(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        self.replace_with(name, |file, temporary| {
            Self::write_all(file, temporary, content).map(|_| true)
        })
        .map(drop)
    }

    fn stage(&self, name: &str, content: &[&[u8]]) -> Result<(), StorageError> {
        let path = self.full(&format!("{name}.tmp"));
        let file = File::create(&path).map_err(|e| StorageError::io("create", &path, e))?;
        let written = Self::write_durably(file, &path, content);
        if written.is_err() {
            // On a full disk half an index is best given back at once.
            let _ = fs::remove_file(&path);
        }
        written
    }

    fn stage_pieces(&self, name: &str, next: &mut NextPiece<'_>) -> Result<(), StorageError> {
        let path = self.full(&format!("{name}.tmp"));
        let file = File::create(&path).map_err(|e| StorageError::io("create", &path, e))?;
        let written = Self::write_pieces_durably(&file, &path, next);
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written
    }

    fn publish_unsynced(&self, names: &[&str]) -> Result<(), StorageError> {
        for name in names {
            let staged = self.full(&format!("{name}.tmp"));
            fs::rename(&staged, self.full(name))
                .map_err(|e| StorageError::io("rename", staged, e))?;
            self.forget(name);
        }
        Ok(())
    }

    fn publish(&self, names: &[&str]) -> Result<(), StorageError> {
        self.publish_unsynced(names)?;
        match names.first() {
            Some(name) => Self::sync_dir_at(parent_of(&self.full(name))),
            None => Ok(()),
        }
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.forget(name);
        let path = self.full(name);
        let failure = match fs::remove_file(&path) {
            Ok(()) => return Ok(()),
            Err(e) => StorageError::io("remove", &path, e),
        };
        if !failure.is_no_space() {
            return Err(failure);
        }
        // Copy-on-write file systems need room even for removing. Truncating makes some, but it would
        // also empty the file for anybody who has linked it elsewhere.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.nlink() == 1 => {}
            _ => return Err(failure),
        }
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) if file.set_len(0).is_ok() => {}
            _ => return Err(failure),
        }
        fs::remove_file(&path).map_err(|e| StorageError::io("remove", path, e))
    }

    fn erase(&self, name: &str) -> Result<(), StorageError> {
        self.forget(name);
        let path = self.full(name);
        let failed = |e| StorageError::io("erase", &path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.nlink() == 1 {
            let mut left = metadata.len();
            let mut noise = [0_u8; 4096];
            while left > 0 {
                let count = usize::try_from(left).map_or(noise.len(), |l| l.min(noise.len()));
                getrandom::fill(&mut noise[..count]).map_err(|e| failed(io::Error::other(e)))?;
                file.write_all(&noise[..count]).map_err(failed)?;
                left -= count as u64;
            }
            file.sync_all().map_err(failed)?;
        }
        fs::remove_file(&path).map_err(failed)
    }

    fn link(&self, name: &str, second: &str) -> Result<bool, StorageError> {
        let (path, second) = (self.full(name), self.full(second));
        match fs::hard_link(&path, second) {
            Ok(()) => Ok(true),
            Err(e) if cannot_link(&e) => Ok(false),
            Err(e) => Err(StorageError::io("link", path, e)),
        }
    }

    fn create_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let path = self.full(dir);
        match fs::create_dir(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(e) => Err(StorageError::io("mkdir", path, e)),
        }
    }

    fn create_dir_all(&self, dir: &str) -> Result<(), StorageError> {
        let path = self.full(dir);
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .collect();
        fs::create_dir_all(&path).map_err(|e| StorageError::io("mkdir", &path, e))?;
        for made in missing {
            Self::sync_name_of(made)?;
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<bool, StorageError> {
        let path = self.full(dir);
        match fs::remove_dir(&path) {
            Ok(()) => Ok(true),
            Err(e) if is_not_empty(&e) || e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StorageError::io("rmdir", path, e)),
        }
    }

    fn remove_tree(&self, dir: &str) -> Result<(), StorageError> {
        self.handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let path = self.full(dir);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StorageError::io("remove", path, e))
            }
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &str) -> Result<(), StorageError> {
        Self::sync_dir_at(&self.full(dir))
    }

    fn free_space(&self) -> Result<u64, StorageError> {
        let figures = rustix::fs::statvfs(&self.root)
            .map_err(|e| StorageError::io("statvfs", &self.root, e))?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }

    fn claim_dir(&self, dir: &str, file: &str) -> Result<bool, StorageError> {
        let path = self.full(dir);
        let (temporary, ()) = create_temporary(&path, ".", |candidate| {
            DirBuilder::new().mode(0o700).create(candidate)
        })?;
        let inner = temporary.join(file);
        let claimed = File::create(&inner)
            .map_err(|e| StorageError::io("create", &inner, e))
            .map(|_| fs::rename(&temporary, &path).is_ok());
        if !matches!(claimed, Ok(true)) {
            // Somebody else was first; what is left of the attempt does no harm, but is litter.
            let _ = fs::remove_file(&inner);
            let _ = fs::remove_dir(&temporary);
        }
        claimed
    }
}

/// A file that grows at its end.
struct LocalAppend {
    file: File,
    path: PathBuf,
    written: u64,
    /// Where the part begins whose writing out has not been asked for yet.
    window_start: u64,
}

impl AppendFile for LocalAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_all(bytes)
            .map_err(|e| StorageError::io("write", &self.path, e))?;
        self.written += bytes.len() as u64;
        let pending = self.written - self.window_start;
        if pending >= WRITE_WINDOW {
            sys::start_writing_out(&self.file, self.window_start, pending);
            self.window_start = self.written;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.file
            .sync_data()
            .map_err(|e| StorageError::io("sync", &self.path, e))?;
        self.window_start = self.written;
        // What was just written will hardly be read soon; leave the page cache to others.
        let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed);
        Ok(())
    }

    fn seal(mut self: Box<Self>) -> Result<(), StorageError> {
        self.sync()?;
        LocalStorage::sync_dir_at(parent_of(&self.path))
    }
}

/// Writes over what is there before cutting off what is left of it: that takes no room it does not have already.
fn write_in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_file() {
        EntryKind::File
    } else {
        EntryKind::Other
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Makes `PATH SEPARATOR RANDOM .tmp` with `create`, trying other names while that one is taken.
pub(crate) fn create_temporary<T>(
    path: &Path,
    separator: &str,
    create: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), StorageError> {
    let mut candidate = path.to_owned();
    for _ in 0..NAME_ATTEMPTS {
        let random = random_name().map_err(|e| StorageError::io("name", path, e))?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{separator}{random}.tmp"));
        candidate = PathBuf::from(name);
        match create(&candidate) {
            Ok(made) => return Ok((candidate, made)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StorageError::io("create", candidate, e)),
        }
    }
    let taken = io::Error::from_raw_os_error(libc::EEXIST);
    Err(StorageError::io("create", candidate, taken))
}

/// Eight characters as Python's `tempfile` makes them.
fn random_name() -> io::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

fn is_not_empty(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOTEMPTY | libc::EEXIST | libc::ENOTDIR)
    )
}

/// The answers of file systems that have no hard links.
fn cannot_link(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMLINK | libc::ENOSYS | libc::EPERM | libc::EACCES | libc::ENOTSUP | libc::EIO)
    )
}
/// Opens a file that may be anything: whoever put a fifo in its place must not have us wait for a writer.
fn open_for_reading(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::other("not a regular file"))
}

/// From this size on a file is read into large pages: an index of 18 MB is there in two thirds of the time.
const LARGE_FILE: usize = 4 << 20;

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_for_reading(path)?;
    let mut content = Vec::new();
    let len = file.metadata().map_or(0, |meta| meta.len());
    if let Some(len) = usize::try_from(len).ok().filter(|len| *len >= LARGE_FILE) {
        content.try_reserve_exact(len)?;
        sys::advise_large_pages(content.spare_capacity_mut());
    }
    file.read_to_end(&mut content)?;
    Ok(content)
}
