//! Reading attributes for a backup.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Arc;

use ironborg_types::{BytePath, Event, Level, Reporter, text};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::xattr::{Handle, XattrCalls};
use super::{AccessList, bsd_flags};
use crate::error::{ErrorFile, SourceError, errno_text};
use crate::users::Names;
use crate::walk::{FileKind, FileStat, Place, fstat};

/// First size of the buffers. Linux makes room for as much as it is offered before it looks, so offering the 64 KiB
/// that an attribute's value, or the list of names, has at most would cost more than looking twice now and then.
const BUFFER_SIZE: usize = 1024;
/// Where a file system that knows no such bound is left alone. Source: Borg 1.4, `platform/xattr.py`.
const BUFFER_SIZE_MAX: usize = 16 * 1024 * 1024;

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
const ACL_PREFIX: &[u8] = b"system.posix_acl_";

/// Which attributes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeOptions {
    /// Without `--noflags`.
    pub flags: bool,
    /// Without `--noxattrs`.
    pub xattrs: bool,
    /// Without `--noacls`.
    pub acls: bool,
    /// `--numeric-ids`: ACLs with numbers in place of names.
    pub numeric_ids: bool,
}

/// What an item records beyond `stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtendedAttributes {
    /// BSD flags; 0: none, and no key in the item.
    pub flags: u32,
    /// Names and values, sorted by name; an empty value is None. Empty: no key in the item.
    pub xattrs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Access ACL as text, for files with an extended ACL.
    pub acl_access: Option<Vec<u8>>,
    /// Default ACL as text, empty if there is none, for directories with an extended ACL.
    pub acl_default: Option<Vec<u8>>,
    /// Names of all attributes, ACLs among them, were wanted and there were none; and if the file is given some, its
    /// ctime changes.
    pub is_bare: bool,
}

/// Where attributes are read from.
#[derive(Debug, Clone, Copy)]
pub enum AttributeSource<'a> {
    /// An open file, with its path for messages.
    Open(BorrowedFd<'a>, &'a [u8]),
    /// A file that is not opened; also the way for devices and symlinks.
    Place(Place<'a>),
}

/// Reads attributes; one for each worker, for it keeps buffers and what it learned of devices.
#[derive(Debug)]
pub struct AttributeReader {
    options: AttributeOptions,
    names: Arc<Names>,
    calls: XattrCalls,
    list: Vec<u8>,
    value: Vec<u8>,
    devices: Vec<Device>,
}

/// What is known of a file system.
#[derive(Debug, Clone, Copy)]
struct Device {
    dev: u64,
    /// ACLs are among the names of attributes.
    lists_acls: bool,
    /// An inode's ctime changes with its attributes and ACLs.
    ctime_tells: bool,
    /// Files, and directories, answer the question for flags with "what?".
    no_flags: [bool; 2],
}

impl AttributeReader {
    /// A reader with these options.
    pub fn new(options: AttributeOptions, names: Arc<Names>) -> Self {
        Self {
            options,
            names,
            calls: XattrCalls::default(),
            list: Vec::new(),
            value: Vec::new(),
            devices: Vec::new(),
        }
    }

    /// The options it was made with.
    pub fn options(&self) -> AttributeOptions {
        self.options
    }

    /// What a file has that [was bare](ExtendedAttributes::is_bare) and has the ctime it had then.
    pub fn read_bare(
        &mut self,
        source: AttributeSource<'_>,
        stat: &FileStat,
    ) -> ExtendedAttributes {
        ExtendedAttributes {
            flags: if self.options.flags {
                self.flags(source, stat)
            } else {
                0
            },
            ..ExtendedAttributes::default()
        }
    }

    /// All wanted attributes of a file. Attributes that cannot be read are reported and left out.
    ///
    /// # Errors
    /// The list of attributes, or an ACL, cannot be read; the operation is `extended stat (xattrs)` or
    /// `extended stat (ACLs)`. A file system without them is no error.
    ///
    /// Source: Borg 1.4, `MetadataCollector.stat_ext_attrs`.
    pub fn read(
        &mut self,
        source: AttributeSource<'_>,
        stat: &FileStat,
        reporter: &dyn Reporter,
    ) -> Result<ExtendedAttributes, SourceError> {
        let mut attributes = ExtendedAttributes::default();
        if self.options.flags {
            attributes.flags = self.flags(source, stat);
        }
        if !self.options.xattrs && !self.options.acls {
            return Ok(attributes);
        }
        let has_acls = self.options.acls && stat.kind() != FileKind::Symlink;
        let lists_acls = has_acls && self.lists_acls(source, stat);
        let mut listed = 0;
        if self.options.xattrs || lists_acls {
            match self.list(source) {
                Ok(len) => {
                    listed = len;
                    let all = self.options.xattrs && lists_acls;
                    attributes.is_bare = len == 0 && all && self.ctime_tells(source, stat);
                }
                // No such thing on this file system, or none of our business.
                Err(Errno::NOTSUP | Errno::PERM) => {}
                Err(errno) => {
                    return Err(SourceError::Os {
                        op: "extended stat (xattrs)",
                        errno: errno.raw_os_error(),
                        file: source.xattr_file(),
                    });
                }
            }
        }
        let list = std::mem::take(&mut self.list);
        if self.options.xattrs {
            attributes.xattrs = self.read_listed(source, &list[..listed], reporter);
        }
        let has_listed_acl = names(&list[..listed]).any(|name| name.starts_with(ACL_PREFIX));
        self.list = list;
        if has_acls && (has_listed_acl || !lists_acls) {
            self.read_acls(source, stat, &mut attributes)?;
        }
        Ok(attributes)
    }

    /// Fetches the values of the listed attributes that are not ACLs.
    fn read_listed(
        &mut self,
        source: AttributeSource<'_>,
        list: &[u8],
        reporter: &dyn Reporter,
    ) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut xattrs = Vec::new();
        for name in names(list).filter(|name| !name.starts_with(ACL_PREFIX)) {
            match self.get(source, name) {
                Ok(value) => {
                    let value = (!value.is_empty()).then(|| value.to_vec());
                    xattrs.push((name.to_vec(), value));
                }
                // Removed since the list was made.
                Err(Errno::NODATA) => {}
                Err(errno) => {
                    let error = errno_text(errno.raw_os_error(), &source.xattr_file());
                    let name = text::display(name);
                    reporter.report(Event::log(
                        Level::Warning,
                        "borg.xattr",
                        format!("when getting extended attribute {name}: {error}"),
                    ));
                }
            }
        }
        xattrs.sort_unstable();
        xattrs
    }

    /// Fetches the ACLs if they say more than the mode does. Source: Borg 1.4, `acl_get`, and libacl,
    /// `acl_extended_fd`.
    fn read_acls(
        &mut self,
        source: AttributeSource<'_>,
        stat: &FileStat,
        attributes: &mut ExtendedAttributes,
    ) -> Result<(), SourceError> {
        let error = |errno: Errno| SourceError::Os {
            op: "extended stat (ACLs)",
            errno: errno.raw_os_error(),
            file: ErrorFile::Name(source.path().into()),
        };
        let mut fetch = |name| match self.get(source, name) {
            Ok(value) => AccessList::from_binary(value)
                .map(Some)
                .ok_or(error(Errno::INVAL)),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(errno) => Err(error(errno)),
        };
        let access = fetch(ACL_ACCESS)?;
        let is_dir = stat.kind() == FileKind::Directory;
        let default = if is_dir { fetch(ACL_DEFAULT)? } else { None };
        let extended = access.as_ref().is_some_and(|list| list.len() > 3)
            || default.as_ref().is_some_and(|list| list.len() >= 3);
        if !extended {
            return Ok(());
        }
        let (names, numeric) = (&self.names, self.options.numeric_ids);
        let access = access.unwrap_or_else(|| AccessList::from_mode(stat.mode));
        attributes.acl_access = Some(access.to_text(names, numeric));
        if is_dir {
            let default = default.map(|list| list.to_text(names, numeric));
            attributes.acl_default = Some(default.unwrap_or_default());
        }
        Ok(())
    }

    /// BSD flags of a file; 0 if they cannot be had. Mostly they came with `stat`.
    ///
    /// Source: Borg 1.4, `get_flags`.
    pub fn flags(&mut self, source: AttributeSource<'_>, stat: &FileStat) -> u32 {
        if let Some(flags) = stat.flags {
            return flags;
        }
        let kind = usize::from(stat.kind() == FileKind::Directory);
        let device = self.device(source, stat);
        if device.is_some_and(|at| self.devices[at].no_flags[kind]) {
            return 0;
        }
        let found = match source {
            AttributeSource::Open(fd, _) => rustix::fs::ioctl_getflags(fd),
            AttributeSource::Place(place) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(place.dirfd(), place.name(), flags, Mode::empty())
                    .and_then(rustix::fs::ioctl_getflags)
            }
        };
        match found {
            Ok(flags) => bsd_flags(flags),
            Err(errno) => {
                if let (Errno::NOTTY | Errno::NOTSUP | Errno::NOSYS, Some(at)) = (errno, device) {
                    self.devices[at].no_flags[kind] = true;
                }
                0
            }
        }
    }

    /// Whether the file's file system has ACLs among the names of attributes, so that no further call
    /// is needed to know that there are none. Others are asked for each file.
    fn lists_acls(&mut self, source: AttributeSource<'_>, stat: &FileStat) -> bool {
        let device = self.device(source, stat);
        device.is_some_and(|at| self.devices[at].lists_acls)
    }

    /// Whether the file's file system changes an inode's ctime with its attributes and ACLs.
    fn ctime_tells(&mut self, source: AttributeSource<'_>, stat: &FileStat) -> bool {
        let device = self.device(source, stat);
        device.is_some_and(|at| self.devices[at].ctime_tells)
    }

    /// What is known of the file's file system: a position in `devices`. None where only the file itself
    /// could tell, which is not open.
    fn device(&mut self, source: AttributeSource<'_>, stat: &FileStat) -> Option<usize> {
        /// ext2 to ext4, XFS, btrfs, tmpfs, f2fs (`linux/magic.h`).
        const LISTING_ACLS: [u64; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010];
        /// The same but f2fs, which leaves the ctime alone. None whose times another machine makes.
        const CTIME_TELLS: [u64; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];
        let known = self.devices.iter().position(|known| known.dev == stat.dev);
        if known.is_some() {
            return known;
        }
        let found = match source {
            AttributeSource::Open(fd, _) => rustix::fs::fstatfs(fd),
            AttributeSource::Place(place) => {
                // The directory speaks for its entries, unless this one is a mount point.
                let parent = fstat(place.dirfd(), "fstat").ok()?;
                if parent.dev != stat.dev {
                    return None;
                }
                if place.dirfd().as_raw_fd() == CWD.as_raw_fd() {
                    rustix::fs::statfs(".")
                } else {
                    rustix::fs::fstatfs(place.dirfd())
                }
            }
        };
        let magic = found
            .ok()
            .and_then(|found| u64::try_from(found.f_type).ok());
        self.devices.push(Device {
            dev: stat.dev,
            lists_acls: magic.is_some_and(|magic| LISTING_ACLS.contains(&magic)),
            ctime_tells: magic.is_some_and(|magic| CTIME_TELLS.contains(&magic)),
            no_flags: [false; 2],
        });
        Some(self.devices.len() - 1)
    }

    fn list(&mut self, source: AttributeSource<'_>) -> Result<usize, Errno> {
        let calls = &self.calls;
        with_buffer(&mut self.list, |list| calls.list(source.handle(), list))
    }

    fn get(&mut self, source: AttributeSource<'_>, name: &[u8]) -> Result<&[u8], Errno> {
        let calls = &self.calls;
        let len = with_buffer(&mut self.value, |value| {
            calls.get(source.handle(), name, value)
        })?;
        Ok(&self.value[..len])
    }
}

/// Calls with a buffer that grows until the answer fits.
fn with_buffer(
    buffer: &mut Vec<u8>,
    mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    if buffer.is_empty() {
        buffer.resize(BUFFER_SIZE, 0);
    }
    loop {
        match call(buffer) {
            Err(Errno::RANGE) if buffer.len() < BUFFER_SIZE_MAX => {
                buffer.resize(buffer.len() * 4, 0);
            }
            result => return result,
        }
    }
}

fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == 0).filter(|name| !name.is_empty())
}

impl<'a> AttributeSource<'a> {
    fn handle(&self) -> Handle<'a> {
        match *self {
            Self::Open(fd, _) => Handle::Fd(fd),
            Self::Place(place) => Handle::At(place.dirfd(), place.name()),
        }
    }

    fn path(&self) -> &'a [u8] {
        match *self {
            Self::Open(_, path) => path,
            Self::Place(place) => place.full_path(),
        }
    }

    /// How stock Borg names the file in errors about extended attributes.
    fn xattr_file(&self) -> ErrorFile {
        match self {
            Self::Open(fd, _) => ErrorFile::Name(BytePath::new(format!("<FD {}>", fd.as_raw_fd()))),
            Self::Place(place) => ErrorFile::Bytes(place.full_path().into()),
        }
    }
}
