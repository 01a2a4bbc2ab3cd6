//! Everything a backup keeps about a file tree, read back from the file system.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{IFlags, ioctl_getflags};
use sha2::{Digest, Sha256};

/// What a name in a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file: size and SHA-256 of its content in hex.
    File {
        /// Bytes.
        size: u64,
        /// Hex.
        sha256: String,
    },
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device and its number.
    CharacterDevice(u64),
    /// A block device and its number.
    BlockDevice(u64),
}

/// One name in a tree with everything a backup keeps about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Extended attributes, ACLs and capabilities included, as the kernel gives them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The flags Borg keeps (nodump, immutable, append-only, compressed), as the kernel numbers them.
    pub flags: u32,
    /// The first name (in byte order) of the same inode when there are several in the tree.
    pub link_of: Option<Vec<u8>>,
    /// Blocks of 512 bytes in use; sparse files use fewer than their size.
    pub blocks: u64,
}

/// A whole tree, by path relative to its top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All names; the top itself is the empty path.
    pub nodes: BTreeMap<Vec<u8>, Node>,
}

impl Snapshot {
    /// Reads the tree at `top`.
    ///
    /// # Panics
    /// When something in it cannot be read.
    pub fn of(top: &Path) -> Self {
        let mut snapshot = Self::default();
        let mut inodes = BTreeMap::new();
        snapshot.add(top, &[], &mut inodes);
        for names in inodes
            .into_values()
            .filter(|names: &Vec<Vec<u8>>| names.len() > 1)
        {
            let first = names.iter().min().expect("more than one").clone();
            for name in names {
                let node = snapshot.nodes.get_mut(&name).expect("added before");
                node.link_of = Some(first.clone());
            }
        }
        snapshot
    }

    /// Without what the predicate refuses.
    #[must_use]
    pub fn without(mut self, mut refused: impl FnMut(&[u8], &Node) -> bool) -> Self {
        self.nodes.retain(|path, node| !refused(path, node));
        self
    }

    /// Without the times that are not older than `start`: those of directories nobody gave a time.
    #[must_use]
    pub fn without_times_since(mut self, start: SystemTime) -> Self {
        // File times lag behind the clock by up to a tick.
        let start = start - Duration::from_millis(50);
        let start = start
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let start = i128::try_from(start).expect("this century");
        let is_new = |node: &&mut Node| node.mtime_ns >= start;
        self.nodes
            .values_mut()
            .filter(is_new)
            .for_each(|node| node.mtime_ns = 0);
        self
    }

    /// What a backup of this tree brings back: no sockets, and times within Borg's range.
    #[must_use]
    pub fn as_restored(self) -> Self {
        const LATEST_NS: i128 = ((1 << 31) - 1 - 48 * 3600) * 1_000_000_000;
        let mut restored = self.without(|_, node| node.kind == NodeKind::Socket);
        for node in restored.nodes.values_mut() {
            node.mtime_ns = node.mtime_ns.clamp(0, LATEST_NS);
        }
        restored
    }

    fn add(&mut self, path: &Path, name: &[u8], inodes: &mut BTreeMap<(u64, u64), Vec<Vec<u8>>>) {
        let node = read_node(path);
        let meta = fs::symlink_metadata(path).expect("just read");
        let is_dir = node.kind == NodeKind::Directory;
        if !is_dir {
            inodes
                .entry((meta.dev(), meta.ino()))
                .or_default()
                .push(name.to_vec());
        }
        self.nodes.insert(name.to_vec(), node);
        if !is_dir {
            return;
        }
        for entry in
            fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        {
            let entry = entry.expect("a listed directory");
            let mut child = name.to_vec();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend_from_slice(entry.file_name().as_bytes());
            self.add(&entry.path(), &child, inodes);
        }
    }
}

fn read_node(path: &Path) -> Node {
    let meta =
        fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kind = meta.file_type();
    let kind = if kind.is_dir() {
        NodeKind::Directory
    } else if kind.is_symlink() {
        NodeKind::Symlink(
            fs::read_link(path)
                .expect("a symlink")
                .as_os_str()
                .as_bytes()
                .to_vec(),
        )
    } else if kind.is_fifo() {
        NodeKind::Fifo
    } else if kind.is_socket() {
        NodeKind::Socket
    } else if kind.is_char_device() {
        NodeKind::CharacterDevice(meta.rdev())
    } else if kind.is_block_device() {
        NodeKind::BlockDevice(meta.rdev())
    } else {
        NodeKind::File {
            size: meta.size(),
            sha256: content_hash(path),
        }
    };
    let has_flags = matches!(kind, NodeKind::File { .. } | NodeKind::Directory);
    Node {
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        xattrs: read_xattrs(path),
        flags: if has_flags { read_flags(path) } else { 0 },
        link_of: None,
        blocks: meta.blocks(),
        kind,
    }
}

fn content_hash(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hash = Sha256::new();
    let mut buf = vec![0; 1 << 20];
    loop {
        let len = file
            .read(&mut buf)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if len == 0 {
            break;
        }
        hash.update(&buf[..len]);
    }
    crate::generate::hex(&hash.finalize())
}

fn read_xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let Ok(len) = rustix::fs::llistxattr(path, &mut names[..]) else {
        return BTreeMap::new();
    };
    let names = names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let mut xattrs = BTreeMap::new();
    for name in names {
        let mut value = vec![0; 1 << 16];
        // An attribute we may not read (trusted.* for an ordinary user) is not in the backup either.
        if let Ok(len) = rustix::fs::lgetxattr(path, name, &mut value[..]) {
            value.truncate(len);
            xattrs.insert(name.to_vec(), value);
        }
    }
    xattrs
}

fn read_flags(path: &Path) -> u32 {
    let kept = IFlags::NODUMP | IFlags::IMMUTABLE | IFlags::APPEND | IFlags::COMPRESSED;
    let handle = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ioctl_getflags(&handle).map_or(0, |flags| (flags & kept).bits())
}
