//! The directory a restore is confined to, and the way to directories below it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use ironborg_types::BytePath;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{RestoreOptions, Target};
use crate::attributes::XattrCalls;
use crate::error::{ErrorFile, SourceError};
use crate::path::{self, join};
use crate::users::Names;
use crate::walk::{Dir, FileKind};

/// Open parent directories kept: enough for a walk that goes up and down a few levels.
const PARENTS_MAX: usize = 16;
const NEW_DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// A directory that items are restored into. Shared between threads.
///
/// Every path is taken apart and followed from here component by component, directories only: no symlink
/// is ever followed, whether an archive made it or somebody else.
#[derive(Debug)]
pub struct RestoreRoot {
    dir: Arc<OwnedFd>,
    path: Vec<u8>,
    parents: Mutex<Parents>,
    last_op: LastOp,
    pub(super) options: RestoreOptions,
    pub(super) names: Arc<Names>,
    pub(super) calls: XattrCalls,
}

/// What is being done, in stock Borg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    None,
    Makedirs,
    Link,
    Open,
    Write,
    TruncateAndAttrs,
    Attrs,
}

const OP_NAMES: [(Op, &str); 7] = [
    (Op::None, ""),
    (Op::Makedirs, "makedirs"),
    (Op::Link, "link"),
    (Op::Open, "open"),
    (Op::Write, "write"),
    (Op::TruncateAndAttrs, "truncate_and_attrs"),
    (Op::Attrs, "attrs"),
];

/// The operation begun last. Stock Borg's messages about anything but regular files name that one, which
/// mostly is the setting of attributes of the item before.
#[derive(Debug, Default)]
struct LastOp(AtomicU8);

/// Directories opened lately, the last used one first.
#[derive(Debug, Default)]
struct Parents(Vec<(Vec<u8>, Arc<OwnedFd>)>);

impl Parents {
    /// The directory at `key`, or the nearest one above it.
    fn nearest(&mut self, key: &[u8]) -> Option<(&[u8], Arc<OwnedFd>)> {
        let at = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, (known, _))| is_at_or_below(key, known))
            .max_by_key(|(_, (known, _))| known.len())
            .map(|(at, _)| at)?;
        let entry = self.0.remove(at);
        self.0.insert(0, entry);
        self.0
            .first()
            .map(|(known, dir)| (&known[..], Arc::clone(dir)))
    }

    fn insert(&mut self, key: Vec<u8>, dir: Arc<OwnedFd>) {
        self.0.truncate(PARENTS_MAX - 1);
        self.0.insert(0, (key, dir));
    }

    /// Forgets a directory that is about to be replaced, and all below it.
    fn forget(&mut self, key: &[u8]) {
        self.0.retain(|(known, _)| !is_at_or_below(known, key));
    }
}

/// Whether a path is another one or lies below it.
fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// An item's path, checked: the directories above it, without `.` and empty ones, and its name, which
/// is `.` for a directory meant itself.
struct Split<'p> {
    parents: Vec<&'p [u8]>,
    name: &'p [u8],
}

/// None if a component is `..`.
fn split(item_path: &[u8]) -> Option<Split<'_>> {
    let (above, name) = match item_path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&item_path[..slash], &item_path[slash + 1..]),
        None => (&b""[..], item_path),
    };
    let parents: Vec<&[u8]> = above
        .split(|&b| b == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
        .collect();
    if name == b".." || parents.contains(&&b".."[..]) {
        return None;
    }
    let name = if name.is_empty() { b"." } else { name };
    Some(Split { parents, name })
}

/// Whether missing parents are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Fail,
}

impl RestoreRoot {
    /// Opens the directory at `path` (`.`: the current one). Symlinks in `path` are followed: it is the
    /// user's word.
    pub fn open(
        path: &[u8],
        options: RestoreOptions,
        names: Arc<Names>,
    ) -> Result<Self, SourceError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| SourceError::os("open", errno, path))?;
        // Messages show whole paths; a current directory that has no path any more is left out.
        let current = rustix::process::getcwd(Vec::new()).map(std::ffi::CString::into_bytes);
        let absolute = path::normpath(&join(&current.unwrap_or_default(), path));
        Ok(Self {
            dir: Arc::new(dir),
            path: absolute,
            parents: Mutex::default(),
            last_op: LastOp::default(),
            options,
            names,
            calls: XattrCalls::default(),
        })
    }

    /// Absolute path of the directory, for messages.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Makes place for an item: checks its path, removes what is there (a directory only if it is empty;
    /// failing is no error), and makes the directories above it.
    ///
    /// # Errors
    /// [`SourceError::NotRelative`], [`SourceError::PathTraversal`], [`SourceError::SymlinkParent`]; a
    /// parent that cannot be made (operation `makedirs` for regular files).
    ///
    /// Source: Borg 1.4, `Archive.extract_item`.
    pub fn prepare(&self, item_path: &[u8], kind: FileKind) -> Result<Target<'_>, SourceError> {
        let split = check(item_path)?;
        if kind == FileKind::Regular {
            self.begin(Op::Makedirs);
        }
        let key = key_of(&split.parents, split.name);
        self.parents().forget(&key);
        let parent = self.parent(&split.parents, item_path, Missing::Create)?;
        remove_existing(&parent, split.name);
        Ok(Target::new(self, parent, split.name, item_path))
    }

    /// The place of a directory restored before, to set its attributes; made again if it has gone or been
    /// replaced meanwhile.
    ///
    /// # Errors
    /// As [`RestoreRoot::prepare`].
    pub fn prepare_again(&self, item_path: &[u8]) -> Result<Target<'_>, SourceError> {
        let split = check(item_path)?;
        if let Ok(parent) = self.parent(&split.parents, item_path, Missing::Fail) {
            let target = Target::new(self, parent, split.name, item_path);
            if target.is_dir() {
                return Ok(target);
            }
        }
        let target = self.prepare(item_path, FileKind::Directory)?;
        target.create_dir()?;
        Ok(target)
    }

    /// Makes sure that the source of a hard link (levels stripped) is a path below this directory. It need
    /// not exist.
    ///
    /// # Errors
    /// [`SourceError::HardlinkSource`], with the path of the item that is the link.
    pub fn check_link_source(&self, source: &[u8], item_path: &[u8]) -> Result<(), SourceError> {
        let unsafe_source = || SourceError::HardlinkSource {
            path: item_path.into(),
        };
        let split = split(source).ok_or_else(unsafe_source)?;
        match self.parent(&split.parents, source, Missing::Fail) {
            Ok(_) | Err(SourceError::Os { .. }) => Ok(()),
            Err(_) => Err(unsafe_source()),
        }
    }

    /// Open directory and name of something restored before, to look at it.
    ///
    /// # Errors
    /// As [`RestoreRoot::prepare`]; a directory above it that is not there.
    pub fn locate<'p>(&self, item_path: &'p [u8]) -> Result<(Dir, &'p [u8]), SourceError> {
        let (parent, name) = self.find(item_path)?;
        let fd = rustix::io::fcntl_dupfd_cloexec(&*parent, 0)
            .map_err(|errno| self.error(errno, item_path))?;
        Ok((Dir { fd }, name))
    }

    /// Open directory and name of a path in the root.
    pub(super) fn find<'p>(
        &self,
        item_path: &'p [u8],
    ) -> Result<(Arc<OwnedFd>, &'p [u8]), SourceError> {
        let split = check(item_path)?;
        let parent = self.parent(&split.parents, item_path, Missing::Fail)?;
        Ok((parent, split.name))
    }

    /// Opens the directories above an item one after the other.
    fn parent(
        &self,
        components: &[&[u8]],
        item_path: &[u8],
        missing: Missing,
    ) -> Result<Arc<OwnedFd>, SourceError> {
        let key = components.join(&b'/');
        if key.is_empty() {
            return Ok(Arc::clone(&self.dir));
        }
        let (known, mut dir) = match self.parents().nearest(&key) {
            Some((known, dir)) if known.len() == key.len() => return Ok(dir),
            Some((known, dir)) => (known.split(|&b| b == b'/').count(), dir),
            None => (0, Arc::clone(&self.dir)),
        };
        for (depth, &component) in components.iter().enumerate().skip(known) {
            let next = match (open_dir(&dir, component), missing) {
                (Err(Errno::NOENT), Missing::Create) => make_dir(&dir, component),
                (result, _) => result,
            };
            dir = Arc::new(next.map_err(|errno| match errno {
                Errno::NOTDIR | Errno::LOOP => SourceError::SymlinkParent {
                    path: item_path.into(),
                },
                _ => self.error(errno, &components[..=depth].join(&b'/')),
            })?);
        }
        self.parents().insert(key, Arc::clone(&dir));
        Ok(dir)
    }

    fn parents(&self) -> std::sync::MutexGuard<'_, Parents> {
        self.parents
            .lock()
            .expect("nothing can panic while the list is locked")
    }

    /// Remembers what is being done.
    pub(super) fn begin(&self, op: Op) {
        self.last_op.0.store(op as u8, Ordering::Relaxed);
    }

    /// The name of what was begun last.
    pub(super) fn op(&self) -> &'static str {
        let last = self.last_op.0.load(Ordering::Relaxed);
        OP_NAMES
            .iter()
            .find(|(op, _)| *op as u8 == last)
            .map_or("", |(_, name)| name)
    }

    /// The whole path of an item, for messages.
    pub(super) fn full_path(&self, item_path: &[u8]) -> BytePath {
        BytePath(join(&self.path, item_path))
    }

    /// An error about an item, in what was begun last.
    pub(super) fn error(&self, errno: Errno, item_path: &[u8]) -> SourceError {
        SourceError::Os {
            op: self.op(),
            errno: errno.raw_os_error(),
            file: ErrorFile::Name(self.full_path(item_path)),
        }
    }

    /// An error of a call to which Python gives no name.
    pub(super) fn nameless_error(&self, errno: Errno) -> SourceError {
        SourceError::os_fd(self.op(), errno)
    }
}

fn check(item_path: &[u8]) -> Result<Split<'_>, SourceError> {
    if item_path.starts_with(b"/") || item_path.starts_with(b"../") {
        return Err(SourceError::NotRelative {
            path: item_path.into(),
        });
    }
    split(item_path).ok_or_else(|| SourceError::PathTraversal {
        path: item_path.into(),
    })
}

fn key_of(parents: &[&[u8]], name: &[u8]) -> Vec<u8> {
    let mut key = parents.join(&b'/');
    if name != b"." {
        if !key.is_empty() {
            key.push(b'/');
        }
        key.extend_from_slice(name);
    }
    key
}

fn open_dir(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn make_dir(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(parent, name, NEW_DIR_MODE) {
        Ok(()) | Err(Errno::EXIST) => open_dir(parent, name),
        Err(errno) => Err(errno),
    }
}

/// Removes a file, or a directory if it is empty. What cannot be removed shows when it is in the way.
fn remove_existing(parent: &OwnedFd, name: &[u8]) {
    if name == b"." {
        return;
    }
    let parent = parent.as_fd();
    let Ok(found) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return;
    };
    let flags = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        _ => AtFlags::empty(),
    };
    let _ = rustix::fs::unlinkat(parent, name, flags);
}
