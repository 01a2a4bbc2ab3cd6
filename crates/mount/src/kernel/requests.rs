//! The kernel's requests, each a call of the tree.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use ironborg_types::Level;

use super::errno::{errno, is_worth_telling};
use crate::MountError;
use crate::tree::attributes::{Attributes, KIND_BITS, Lasts, REGULAR_FILE};
use crate::tree::inode::Inode;
use crate::tree::{DirectoryHandle, Entry, Tree};

/// Of what never changes. The kernel forgets it sooner if it needs the memory.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);
/// Of what comes and goes; the repository is looked at as often.
const BRIEFLY: Duration = Duration::from_secs(1);
/// Size of the blocks that `stat` and `statfs` count in.
const BLOCK_SIZE: u32 = 512;
/// Bytes of a name, as stock Borg says it; there may be longer ones.
const NAME_LEN_SAID: u32 = 255;
/// Requests the kernel may send ahead.
const BACKGROUND_MAX: u16 = 64;
/// Bytes an entry takes in an answer at least, with attributes and without.
const ENTRY_LEN_MIN: [usize; 2] = [32, 160];
/// What is asked for as a size to hear how much there is.
const ASKS_SIZE: u32 = 0;

/// Answers the kernel.
pub(super) struct Requests {
    tree: Arc<Tree>,
    /// Whether the kernel can do without opening directories.
    may_leave_opendir_out: bool,
    /// Whether it can do without opening files.
    may_leave_open_out: bool,
}

impl Requests {
    pub(super) fn new(tree: Arc<Tree>) -> Self {
        Self {
            tree,
            may_leave_opendir_out: false,
            may_leave_open_out: false,
        }
    }

    /// Does a request; what goes wrong is told, and becomes a number. A bug in it ends this request, not the mount.
    fn answer<T>(
        &self,
        inode: Inode,
        request: impl FnOnce(&Tree) -> Result<T, MountError>,
    ) -> Result<T, Errno> {
        match catch_unwind(AssertUnwindSafe(|| request(&self.tree))) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_worth_telling(&error) {
                    self.tree.tell(inode, &error);
                }
                Err(errno(&error))
            }
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                let said = said.unwrap_or("a request of the kernel failed");
                self.tree
                    .log(Level::Error, format!("inode {}: {said}", inode.0));
                Err(Errno::EIO)
            }
        }
    }
}

impl Filesystem for Requests {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Each is asked for by itself: an older kernel knows only some.
        for wanted in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_PARALLEL_DIROPS,
            // Attributes come along with names, always: they cost next to nothing here, and asking again does.
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_EXPORT_SUPPORT,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_AUTO_INVAL_DATA,
        ] {
            let _ = config.add_capabilities(wanted);
        }
        let without_opendir = InitFlags::FUSE_NO_OPENDIR_SUPPORT;
        self.may_leave_opendir_out = config.add_capabilities(without_opendir).is_ok();
        let without_open = InitFlags::FUSE_NO_OPEN_SUPPORT;
        self.may_leave_open_out = config.add_capabilities(without_open).is_ok();
        // As much as the kernel lets: the error says how much that is.
        if let Err(most) = config.set_max_readahead(u32::MAX) {
            let _ = config.set_max_readahead(most);
        }
        let _ = config.set_max_background(BACKGROUND_MAX);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let directory = Inode(parent.0);
        let found = self.answer(directory, |tree| {
            match tree.lookup(directory, name.as_bytes()) {
                // That there is nothing is remembered too: programs look for files in many places.
                Err(MountError::NoEntry) if tree.is_lasting(directory) => Ok(None),
                found => found.map(Some),
            }
        });
        match found {
            Ok(Some(attributes)) => match shown(&attributes) {
                Some((attributes, lasts)) => reply.entry(&lasts, &attributes, Generation(0)),
                None => reply.error(Errno::EIO),
            },
            Ok(None) => reply.entry(&FOREVER, &nothing(), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let inode = Inode(inode.0);
        let found = self.answer(inode, |tree| tree.attributes(inode));
        match found.map(|attributes| shown(&attributes)) {
            Ok(Some((attributes, lasts))) => reply.attr(&lasts, &attributes),
            Ok(None) => reply.error(Errno::EIO),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _request: &Request, inode: INodeNo, reply: ReplyData) {
        let inode = Inode(inode.0);
        match self.answer(inode, |tree| tree.target_of_link(inode)) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let inode = Inode(inode.0);
        let may_open_all = |tree: &Tree| Ok(self.may_leave_open_out && tree.may_open_all());
        if self.answer(inode, may_open_all) == Ok(true) {
            // The kernel does not ask again, nor tell when a file is closed; what it has read it keeps.
            reply.error(Errno::ENOSYS);
            return;
        }
        match self.answer(inode, |tree| tree.may_open(inode)) {
            Ok(()) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH;
                reply.opened(FileHandle(0), flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let inode = Inode(inode.0);
        let size = usize::try_from(size).expect("pointers have at least 32 bits");
        let read = self.answer(inode, |tree| tree.read(inode, offset, size));
        match read {
            Ok(slices) => {
                if let Some(bytes) = slices.as_one() {
                    return reply.data(bytes);
                }
                let mut bytes = Vec::new();
                slices.copy_to(&mut bytes);
                reply.data(&bytes);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn flush(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // The kernel does not ask again.
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if self.may_leave_opendir_out && self.tree.is_fixed() {
            // The kernel does not ask again, and remembers what it has read of directories.
            reply.error(Errno::ENOSYS);
            return;
        }
        let inode = Inode(inode.0);
        match self.answer(inode, |tree| tree.open_directory(inode)) {
            Ok(DirectoryHandle(0)) => {
                let flags = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
                reply.opened(FileHandle(0), flags);
            }
            Ok(DirectoryHandle(handle)) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let inode = Inode(inode.0);
        let room = room(false);
        let listed = self.answer(inode, |tree| {
            let handle = DirectoryHandle(handle.0);
            tree.list(inode, handle, offset, room, &mut |entry: Entry<'_>| {
                let kind = kind(entry.attributes.mode).unwrap_or(FileType::RegularFile);
                let number = INodeNo(entry.attributes.inode.0);
                full(reply.add(number, entry.next, kind, OsStr::from_bytes(entry.name)))
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let inode = Inode(inode.0);
        let room = room(true);
        let listed = self.answer(inode, |tree| {
            let handle = DirectoryHandle(handle.0);
            tree.list(inode, handle, offset, room, &mut |entry: Entry<'_>| {
                let Entry {
                    next,
                    name,
                    attributes,
                } = entry;
                let number = INodeNo(attributes.inode.0);
                // Of a kind nobody knows the name is listed; looking at it is an error.
                let (attributes, lasts) = shown(&attributes).unwrap_or_else(|| {
                    let mode = attributes.mode & !KIND_BITS | REGULAR_FILE;
                    let (as_file, _) =
                        shown(&Attributes { mode, ..attributes }).expect("regular files are known");
                    (as_file, Duration::ZERO)
                });
                let name = OsStr::from_bytes(name);
                full(reply.add(number, next, name, &lasts, &attributes, Generation(0)))
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.tree.close_directory(DirectoryHandle(handle.0));
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK_SIZE, NAME_LEN_SAID, BLOCK_SIZE);
    }

    fn getxattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let inode = Inode(inode.0);
        match self.answer(inode, |tree| tree.attribute(inode, name.as_bytes())) {
            Ok(value) => reply_xattr(reply, &value, size),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _request: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        let inode = Inode(inode.0);
        match self.answer(inode, |tree| tree.attribute_names(inode)) {
            Ok(names) => {
                let mut list = Vec::new();
                for name in names.iter().filter(|name| !name.contains(&0)) {
                    list.extend_from_slice(name);
                    list.push(0);
                }
                reply_xattr(reply, &list, size);
            }
            Err(errno) => reply.error(errno),
        }
    }
}

/// How many entries to prepare for one answer. The size of the answer is not told; what does not fit is asked for again.
fn room(with_attributes: bool) -> usize {
    const ANSWER_LEN: usize = 32 << 10;
    ANSWER_LEN / ENTRY_LEN_MIN[usize::from(with_attributes)]
}

fn full(is_full: bool) -> ControlFlow<()> {
    if is_full {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    let Ok(len) = u32::try_from(value.len()) else {
        return reply.error(Errno::E2BIG);
    };
    if size == ASKS_SIZE {
        reply.size(len);
    } else if len > size {
        reply.error(Errno::ERANGE);
    } else {
        reply.data(value);
    }
}

/// Attributes as fuser has them, and how long they last; `None` for a kind of file that does not exist.
fn shown(attributes: &Attributes) -> Option<(FileAttr, Duration)> {
    let lasts = match attributes.lasts {
        Lasts::Forever => FOREVER,
        Lasts::Briefly => BRIEFLY,
    };
    let shown = FileAttr {
        ino: INodeNo(attributes.inode.0),
        size: attributes.size,
        blocks: attributes.size.div_ceil(BLOCK_SIZE.into()),
        atime: time(attributes.atime),
        mtime: time(attributes.mtime),
        ctime: time(attributes.ctime),
        crtime: time(attributes.mtime),
        kind: kind(attributes.mode)?,
        perm: u16::try_from(attributes.mode & !KIND_BITS & 0o7777).expect("these are 12 bits"),
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: attributes.rdev,
        blksize: BLOCK_SIZE,
        flags: 0,
    };
    Some((shown, lasts))
}

/// What the kernel takes for "there is nothing": number 0.
fn nothing() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

fn kind(mode: u32) -> Option<FileType> {
    Some(match mode & KIND_BITS {
        0o140_000 => FileType::Socket,
        0o120_000 => FileType::Symlink,
        0o100_000 => FileType::RegularFile,
        0o060_000 => FileType::BlockDevice,
        0o040_000 => FileType::Directory,
        0o020_000 => FileType::CharDevice,
        0o010_000 => FileType::NamedPipe,
        _ => return None,
    })
}

fn time(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let time = if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.expect("64 bits of nanoseconds are within what the system can say")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_times() {
        for (nanoseconds, seconds) in [(0, 0.0), (1_500_000_000, 1.5), (-1_500_000_000, -1.5)] {
            let time = time(nanoseconds);
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            let found = since.map_or_else(|e| -e.duration().as_secs_f64(), |d| d.as_secs_f64());
            assert!((found - seconds).abs() < 1e-9, "{found} {seconds}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            time(extreme);
        }
    }

    #[test]
    fn a_kind_of_file_that_does_not_exist_is_none() {
        for mode in 0..16_u32 {
            let known = matches!(mode, 1 | 2 | 4 | 6 | 8 | 10 | 12);
            assert_eq!(kind(mode << 12 | 0o644).is_some(), known, "{mode:o}");
        }
    }
}
