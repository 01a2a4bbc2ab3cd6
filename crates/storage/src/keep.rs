//! Copies of what is kept far away, in a directory of this machine: to be lost at any time, and never to be believed without
//! a look at their digests.
//!
//! Each has a name and a tag, which says what it is a copy of; with another tag it is none. Several processes may use the
//! same directory: files come to be under their names whole. Nothing is synced, and nothing that goes wrong here is an
//! error. Layout: docs/format.md, "Copies on this machine".

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use crate::local::create_temporary;

/// Bytes that have a digest together.
const BLOCK_LEN: usize = 32 << 10;
/// Last bytes of a file.
const MAGIC: [u8; 8] = *b"IRONKEP1";
/// Length of content, length of tag, digest of what is behind the content up to here, magic.
const END_LEN: usize = 4 * 8;
/// No tag is longer.
const TAG_LEN_MAX: usize = 4096;
/// What was used within this time is not marked as used again.
const MARKED_ANEW: Duration = Duration::from_hours(1);
/// A file that is still being written after this time has been left behind.
const LEFT_BEHIND: Duration = Duration::from_hours(24);

/// A directory of copies.
#[derive(Debug)]
pub struct Keep {
    dir: PathBuf,
    len_max: u64,
    /// Bytes that may be added before it is looked whether there is too much.
    allowance: AtomicU64,
}

impl Keep {
    /// The copies in a directory, which is made when there is one; about `len_max` bytes at most, those that have not been
    /// used for longest go first.
    pub fn new(dir: &Path, len_max: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            len_max,
            allowance: AtomicU64::new(0),
        }
    }

    /// A copy that has this tag; its content is compared with its digests when it is read.
    pub fn open(&self, name: &str, tag: &str) -> Option<Kept> {
        let kept = Kept::open(&self.file(name), tag)?;
        let now = SystemTime::now();
        let used = kept.file.metadata().and_then(|meta| meta.modified()).ok()?;
        if self.len_max < u64::MAX && now.duration_since(used).is_ok_and(|age| age > MARKED_ANEW) {
            // Read-only or somebody else's: then it goes first.
            let _ = kept.file.set_modified(now);
        }
        Some(kept)
    }

    /// The whole of a copy; one that is damaged is removed.
    pub fn read(&self, name: &str, tag: &str) -> Option<Vec<u8>> {
        let kept = self.open(name, tag)?;
        let mut content = vec![0; usize::try_from(kept.len()).ok()?];
        let count = kept.read_at(0, &mut [IoSliceMut::new(&mut content)]);
        if count == Some(content.len()) {
            return Some(content);
        }
        self.remove(name);
        None
    }

    /// Keeps a copy, in place of another one of this name.
    pub fn put(&self, name: &str, tag: &str, content: &[u8]) {
        let mut writer = self.writer(name);
        writer.append(content);
        writer.finish(tag);
    }

    /// Begins a copy that comes piece by piece.
    pub fn writer(&self, name: &str) -> KeepWriter<'_> {
        KeepWriter {
            keep: self,
            name: self.file(name),
            open: self.create(name).ok(),
            len: 0,
            block: Vec::new(),
            digests: Vec::new(),
        }
    }

    fn create(&self, name: &str) -> io::Result<(PathBuf, File)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let created = create_temporary(&self.file(name), "-", |candidate| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(candidate)
        });
        created.map_err(io::Error::other)
    }

    /// Removes a copy.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.file(name));
    }

    /// Removes copies that are not wanted, by their names.
    pub fn retain(&self, mut is_wanted: impl FnMut(&str) -> bool) {
        for (path, _, _) in self.files() {
            let name = path.file_name().and_then(|name| name.to_str());
            if !is_temporary(&path) && name.is_some_and(|name| !is_wanted(&shown(name))) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Removes everything.
    pub fn clear(&self) {
        let _ = fs::remove_dir_all(&self.dir);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name.replace('/', "@"))
    }

    /// Files with their lengths, and when they were used last.
    fn files(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten();
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((entry.path(), meta.len(), meta.modified().ok()?))
            })
            .collect()
    }

    /// So much was added.
    fn added(&self, len: u64) {
        let took = self
            .allowance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(len)
            });
        if self.len_max == u64::MAX || took.is_ok() {
            return;
        }
        self.allowance.store(self.len_max / 16, Ordering::Relaxed);
        let mut files = self.files();
        let mut held: u64 = files.iter().map(|(_, len, _)| len).sum();
        files.sort_by_key(|(_, _, used)| *used);
        let now = SystemTime::now();
        for (path, len, used) in files {
            let age = now.duration_since(used).unwrap_or_default();
            let is_leftover = is_temporary(&path) && age > LEFT_BEHIND;
            if (held > self.len_max || is_leftover) && fs::remove_file(path).is_ok() {
                held -= len;
            }
        }
    }
}

fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tmp")
}

fn shown(name: &str) -> String {
    name.replace('@', "/")
}

/// A copy being written. Dropped without its end it never comes to be.
#[derive(Debug)]
pub struct KeepWriter<'a> {
    keep: &'a Keep,
    name: PathBuf,
    /// `None` once something has failed.
    open: Option<(PathBuf, File)>,
    len: u64,
    /// The beginning of the next block.
    block: Vec<u8>,
    digests: Vec<u64>,
}

impl KeepWriter<'_> {
    /// Adds bytes at the end.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_LEN - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK_LEN {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.digests.push(xxh3_64(&self.block));
        let mut block = std::mem::take(&mut self.block);
        self.write(&block);
        block.clear();
        self.block = block;
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some((path, file)) = &self.open
            && file.write_all_at(bytes, self.len).is_err()
        {
            let _ = fs::remove_file(path);
            self.open = None;
        }
        self.len += bytes.len() as u64;
    }

    /// Ends it: it is a copy of what has this tag.
    pub fn finish(mut self, tag: &str) {
        if tag.is_empty() || tag.len() > TAG_LEN_MAX {
            return;
        }
        if !self.block.is_empty() {
            self.end_block();
        }
        let content_len = self.len;
        let mut end: Vec<u8> = self.digests.iter().flat_map(|d| d.to_le_bytes()).collect();
        end.extend_from_slice(tag.as_bytes());
        end.extend_from_slice(&content_len.to_le_bytes());
        end.extend_from_slice(&u64::try_from(tag.len()).unwrap_or(0).to_le_bytes());
        end.extend_from_slice(&xxh3_64(&end).to_le_bytes());
        end.extend_from_slice(&MAGIC);
        self.write(&end);
        let Some((path, _)) = self.open.take() else {
            return;
        };
        if fs::rename(&path, &self.name).is_err() {
            let _ = fs::remove_file(path);
            return;
        }
        self.keep.added(self.len);
    }
}

impl Drop for KeepWriter<'_> {
    fn drop(&mut self) {
        if let Some((path, _)) = self.open.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// A copy.
#[derive(Debug)]
pub struct Kept {
    file: File,
    len: u64,
    digests: Vec<u8>,
}

impl Kept {
    fn open(path: &Path, tag: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut end = [0; END_LEN];
        let end_at = size.checked_sub(END_LEN as u64)?;
        file.read_exact_at(&mut end, end_at).ok()?;
        let [len, tag_len, digest, magic] = [0, 8, 16, 24].map(|at| {
            let bytes = end[at..].first_chunk::<8>().copied();
            u64::from_le_bytes(bytes.unwrap_or_default())
        });
        if tag_len != tag.len() as u64 || magic != u64::from_le_bytes(MAGIC) {
            return None;
        }
        let digests_len = len.div_ceil(BLOCK_LEN as u64).checked_mul(8)?;
        let sum = len.checked_add(digests_len)?.checked_add(tag_len)?;
        if sum != end_at {
            return None;
        }
        let mut behind = vec![0; usize::try_from(end_at - len).ok()?];
        file.read_exact_at(&mut behind, len).ok()?;
        let tag_at = behind.len() - tag.len();
        if behind.get(tag_at..) != Some(tag.as_bytes()) {
            return None;
        }
        behind.extend_from_slice(&end[..16]);
        if xxh3_64(&behind) != digest {
            return None;
        }
        behind.truncate(tag_at);
        Some(Self {
            file,
            len,
            digests: behind,
        })
    }

    /// Bytes of its content.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills the buffers from `offset` on, as [`crate::Storage::read_at`]; `None` if it is damaged.
    pub fn read_at(&self, offset: u64, buffers: &mut [IoSliceMut<'_>]) -> Option<usize> {
        let mut block = Block {
            number: u64::MAX,
            bytes: Vec::new(),
        };
        let mut done = 0;
        for buffer in buffers {
            let mut filled = 0;
            while filled < buffer.len() {
                let at = offset.checked_add(done as u64)?;
                if at >= self.len {
                    return Some(done);
                }
                self.load(at / BLOCK_LEN as u64, &mut block)?;
                let within = usize::try_from(at % BLOCK_LEN as u64).ok()?;
                let there = block.bytes.get(within..)?;
                let count = there.len().min(buffer.len() - filled);
                buffer[filled..filled + count].copy_from_slice(&there[..count]);
                filled += count;
                done += count;
            }
        }
        Some(done)
    }

    fn load(&self, number: u64, block: &mut Block) -> Option<()> {
        if block.number == number {
            return Some(());
        }
        let offset = number * BLOCK_LEN as u64;
        let len = (self.len - offset).min(BLOCK_LEN as u64);
        block.bytes.resize(usize::try_from(len).ok()?, 0);
        block.number = u64::MAX;
        self.file.read_exact_at(&mut block.bytes, offset).ok()?;
        let at = usize::try_from(number).ok()?.checked_mul(8)?;
        let digest = self.digests.get(at..)?.first_chunk::<8>()?;
        if xxh3_64(&block.bytes) != u64::from_le_bytes(*digest) {
            return None;
        }
        block.number = number;
        Some(())
    }
}

/// The block that was read last.
struct Block {
    number: u64,
    bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    #[test]
    fn what_was_kept_is_there_under_its_tag_only() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(&dir.path().join("deep/er"), u64::MAX);
        for len in [0, 1, BLOCK_LEN - 1, BLOCK_LEN, 3 * BLOCK_LEN + 17] {
            keep.put("data/0/7", "tag", &content(len));
            assert_eq!(keep.read("data/0/7", "tag"), Some(content(len)), "{len}");
            assert_eq!(keep.read("data/0/7", "gat"), None);
            assert_eq!(keep.read("data/0/7", "other"), None);
            assert_eq!(keep.read("data/0/8", "tag"), None);
        }
        let kept = keep.open("data/0/7", "tag").unwrap();
        let (mut first, mut second) = ([0; 5], vec![0; 70_000]);
        let buffers = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(kept.read_at(BLOCK_LEN as u64 - 2, buffers), Some(65_555));
        let expected = content(3 * BLOCK_LEN + 17);
        assert_eq!(first, expected[BLOCK_LEN - 2..BLOCK_LEN + 3]);
        assert_eq!(second[..65_550], expected[BLOCK_LEN + 3..]);
        keep.put("x", "", b"without a tag nobody could tell");
        keep.retain(|name| name != "data/0/7");
        assert_eq!(keep.files().len(), 0);
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path(), u64::MAX);
        keep.put("name", "tag", &content(BLOCK_LEN + 100));
        let path = keep.file("name");
        let whole = fs::read(&path).unwrap();
        let places = (0..whole.len()).filter(|at| at % 997 == 0 || at + 70 > whole.len());
        for at in places {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let read = keep.read("name", "tag");
            assert_eq!(read, None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(keep.read("name", "tag"), None, "cut at {at}");
        }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path(), 64 << 10);
        let day = Duration::from_hours(24);
        for number in 0..20_u32 {
            let name = number.to_string();
            keep.put(&name, "tag", &content(6 << 10));
            let file = OpenOptions::new().write(true).open(keep.file(&name));
            let used = SystemTime::now() - day * (40 - number);
            let _ = file.map(|file| file.set_modified(used));
            // Used again and again.
            assert!(keep.read("0", "tag").is_some(), "{number}");
        }
        let held: u64 = keep.files().iter().map(|(_, len, _)| len).sum();
        assert!(held <= 72 << 10, "{held}");
        assert!(keep.read("19", "tag").is_some() && keep.read("1", "tag").is_none());
        keep.clear();
        assert_eq!(keep.read("0", "tag"), None);
    }
}
