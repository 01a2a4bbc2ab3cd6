//! A tree as programs see it through the kernel: every fact of every name, in the order directories are listed in.
//!
//! Unlike a [`crate::Snapshot`], which has what a backup keeps, this has all that `stat`, `readdir`, `readlink`,
//! `getxattr` and `read` say, and their errors too. It is for comparing two mounts of the same archives.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// A result whose error is the system's number for it.
pub type Seen<T> = Result<T, i32>;

/// One name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewEntry {
    /// Relative to the top, which itself is the empty path.
    pub path: Vec<u8>,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Names that lead here, as the mount counts them.
    pub nlink: u64,
    /// Device number.
    pub rdev: u64,
    /// Block size, and blocks of 512 bytes.
    pub blocks: (u64, u64),
    /// Access, modification and change time in nanoseconds since 1970.
    pub times_ns: [i128; 3],
    /// The first path that was seen with the same inode number: itself, but for further hard links.
    pub same_as: Vec<u8>,
    /// Where a symbolic link points.
    pub target: Option<Seen<Vec<u8>>>,
    /// Extended attributes.
    pub xattrs: Seen<BTreeMap<Vec<u8>, Seen<Vec<u8>>>>,
    /// SHA-256 of a file's content in hex.
    pub content: Option<Seen<String>>,
    /// For a directory that cannot be listed, why.
    pub unlisted: Option<i32>,
}

/// A whole tree, names in the order `find` would show them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// All names.
    pub entries: Vec<ViewEntry>,
}

impl View {
    /// Looks at everything below `top`. Times that are not older than `since` are those of the mount itself and become 0.
    ///
    /// # Panics
    /// When a name that was listed cannot be looked at, or a directory does not end.
    #[track_caller]
    pub fn of(top: &Path, since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).expect("after 1970");
        let mut walk = Walk {
            view: Self::default(),
            inodes: HashMap::new(),
            since_ns: i128::try_from(since.as_nanos()).expect("this century"),
        };
        walk.add(top, &[]);
        walk.view
    }

    /// Without the ACLs that are shown as extended attributes.
    #[must_use]
    pub fn without_acls(mut self) -> Self {
        for xattrs in self
            .entries
            .iter_mut()
            .filter_map(|entry| entry.xattrs.as_mut().ok())
        {
            xattrs.retain(|name, _| !name.starts_with(b"system.posix_acl_"));
        }
        self
    }

    /// The entry of a path.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn entry(&self, path: &str) -> &ViewEntry {
        let mut entries = self.entries.iter();
        let found = entries.find(|entry| entry.path == path.as_bytes());
        found.unwrap_or_else(|| panic!("{path} is not there, but {:?}", self.paths()))
    }

    /// All paths, as text.
    pub fn paths(&self) -> Vec<String> {
        let paths = self.entries.iter();
        paths
            .map(|entry| entry.path.escape_ascii().to_string())
            .collect()
    }

    /// One line for each difference of `found` from this, order of names included.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let theirs: HashMap<&[u8], &ViewEntry> =
            found.entries.iter().map(|e| (&*e.path, e)).collect();
        let ours: HashMap<&[u8], &ViewEntry> = self.entries.iter().map(|e| (&*e.path, e)).collect();
        for entry in &self.entries {
            match theirs.get(&*entry.path) {
                None => lines.push(format!("{}: missing", entry.path.escape_ascii())),
                Some(other) => entry.differences(other, &mut lines),
            }
        }
        for entry in &found.entries {
            if !ours.contains_key(&*entry.path) {
                lines.push(format!(
                    "{}: should not be there",
                    entry.path.escape_ascii()
                ));
            }
        }
        if lines.is_empty() {
            let pairs = self.entries.iter().zip(&found.entries);
            let turned = pairs.into_iter().find(|(one, two)| one.path != two.path);
            if let Some((one, two)) = turned {
                let (want, have) = (one.path.escape_ascii(), two.path.escape_ascii());
                lines.push(format!("{have}: listed where {want} should be"));
            }
            let counts = (self.entries.len(), found.entries.len());
            if counts.0 != counts.1 {
                lines.push(format!("{} names, not {}", counts.1, counts.0));
            }
        }
        lines
    }

    /// Checks that both are the same; `found` is what is judged.
    ///
    /// # Panics
    /// When they differ; the message lists the first differences.
    #[track_caller]
    pub fn assert_same(&self, found: &Self, what: &str) {
        let differences = self.differences(found);
        assert!(
            differences.is_empty(),
            "{what}: {} differences\n{}",
            differences.len(),
            differences[..differences.len().min(40)].join("\n")
        );
    }
}

impl ViewEntry {
    fn differences(&self, found: &Self, lines: &mut Vec<String>) {
        let mut note = |what: &str, want: &dyn Debug, have: &dyn Debug| {
            let (want, have) = (format!("{want:?}"), format!("{have:?}"));
            if want != have {
                lines.push(format!(
                    "{}: {what} is {have}, not {want}",
                    self.path.escape_ascii()
                ));
            }
        };
        note("mode", &octal(self.mode), &octal(found.mode));
        note("owner", &(self.uid, self.gid), &(found.uid, found.gid));
        note("size", &self.size, &found.size);
        note("number of links", &self.nlink, &found.nlink);
        note("device", &self.rdev, &found.rdev);
        note("blocks", &self.blocks, &found.blocks);
        note(
            "times (access, modification, change)",
            &self.times_ns,
            &found.times_ns,
        );
        note(
            "same inode as",
            &shown(&self.same_as),
            &shown(&found.same_as),
        );
        note("target", &self.target, &found.target);
        note("xattrs", &self.xattrs, &found.xattrs);
        note("content", &self.content, &found.content);
        note("listing", &self.unlisted, &found.unlisted);
    }
}

struct Walk {
    view: View,
    /// First path of each inode number.
    inodes: HashMap<u64, Vec<u8>>,
    since_ns: i128,
}

impl Walk {
    #[track_caller]
    fn add(&mut self, path: &Path, name: &[u8]) {
        let meta = fs::symlink_metadata(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (kind, ino) = (meta.file_type(), meta.ino());
        let same_as = self.inodes.entry(ino).or_insert_with(|| name.to_vec());
        let time = |seconds: i64, nanoseconds: i64| {
            let ns = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
            if ns >= self.since_ns { 0 } else { ns }
        };
        let listed = kind.is_dir().then(|| list(path));
        self.view.entries.push(ViewEntry {
            path: name.to_vec(),
            mode: meta.mode(),
            uid: meta.uid(),
            gid: meta.gid(),
            size: meta.size(),
            nlink: meta.nlink(),
            rdev: meta.rdev(),
            blocks: (meta.blksize(), meta.blocks()),
            times_ns: [
                time(meta.atime(), meta.atime_nsec()),
                time(meta.mtime(), meta.mtime_nsec()),
                time(meta.ctime(), meta.ctime_nsec()),
            ],
            same_as: same_as.clone(),
            target: kind.is_symlink().then(|| {
                let target = fs::read_link(path).map_err(|error| number(&error));
                target.map(|target| target.as_os_str().as_bytes().to_vec())
            }),
            xattrs: xattrs(path),
            content: kind.is_file().then(|| content(path)),
            unlisted: listed
                .as_ref()
                .and_then(|listed| listed.as_ref().err().copied()),
        });
        for (child, child_ino) in listed.and_then(Result::ok).unwrap_or_default() {
            let inner = path.join(std::ffi::OsStr::from_bytes(&child));
            let mut relative = name.to_vec();
            if !relative.is_empty() {
                relative.push(b'/');
            }
            relative.extend_from_slice(&child);
            let stat = fs::symlink_metadata(&inner)
                .unwrap_or_else(|error| panic!("{}: {error}", inner.display()));
            assert_eq!(
                stat.ino(),
                child_ino,
                "{}: listed and looked up",
                inner.display()
            );
            self.add(&inner, &relative);
        }
    }
}

/// Names and inode numbers in a directory, in its order.
fn list(path: &Path) -> Seen<Vec<(Vec<u8>, u64)>> {
    let entries = fs::read_dir(path).map_err(|error| number(&error))?;
    let entries = entries.map(|entry| {
        let entry = entry.map_err(|error| number(&error))?;
        Ok((entry.file_name().as_bytes().to_vec(), entry.ino()))
    });
    entries.collect()
}

fn xattrs(path: &Path) -> Seen<BTreeMap<Vec<u8>, Seen<Vec<u8>>>> {
    let mut buf = vec![0; 1 << 16];
    let len =
        rustix::fs::llistxattr(path, &mut buf[..]).map_err(rustix::io::Errno::raw_os_error)?;
    let names = buf[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]);
        let len = len.map_err(rustix::io::Errno::raw_os_error)?;
        value.truncate(len);
        Ok(value)
    };
    Ok(names.map(|name| (name.to_vec(), value(name))).collect())
}

fn content(path: &Path) -> Seen<String> {
    let mut file = File::open(path).map_err(|error| number(&error))?;
    let mut hash = Sha256::new();
    let mut buf = vec![0; 1 << 17];
    loop {
        let len = file.read(&mut buf).map_err(|error| number(&error))?;
        if len == 0 {
            return Ok(crate::generate::hex(&hash.finalize()));
        }
        hash.update(&buf[..len]);
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

fn octal(mode: u32) -> String {
    format!("{mode:o}")
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}
