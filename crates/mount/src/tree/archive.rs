//! One archive as a tree of nodes, or all archives merged into one.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_archive::Archive;
use ironborg_format::item::{Item, OwnerName};
use ironborg_source::{access_acl_value, default_acl_value};
use ironborg_types::BytePath;

use super::attributes::{
    Attributes, KIND_BITS, Lasts, Look, REGULAR_FILE, SYMLINK, ShownOwner, StoredOwner,
};
use super::deliver;
use super::files::Files;
use super::inode::Inode;
use super::siblings::Siblings;
use crate::MountError;
use crate::content::{ContentStore, FileChunks, Slices};
use crate::follow::Follower;
use crate::index::{Owner, PathIndex};
use crate::node::{ItemPlace, Node, NodeId};

/// Names the kernel has for access control lists, in its own form.
const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// Bytes of files that are expected to be read next.
const EXPECTED_SIZE: u64 = 4 << 20;

/// Is told of the entries of a directory.
pub(super) type EachChild<'a> =
    dyn FnMut(NodeId, &[u8]) -> Result<ControlFlow<()>, MountError> + 'a;

/// A small file that will probably be read soon.
pub(super) struct Coming {
    pub(super) node: NodeId,
    file: Arc<FileChunks>,
}

/// What all archives of a repository share.
pub(super) struct Connection {
    pub(super) follower: Arc<Follower>,
    pub(super) content: ContentStore,
}

/// An archive whose index is open.
pub(super) struct OpenArchive {
    connection: Arc<Connection>,
    /// `None` for the merged tree.
    archive: Option<Archive>,
    index: PathIndex,
    /// By the index's number of owners.
    owners: Vec<ShownOwner>,
    files: Files,
    siblings: Mutex<Siblings>,
}

impl OpenArchive {
    /// How many nodes it has.
    pub(super) fn nodes(&self) -> u32 {
        self.index.nodes()
    }

    pub(super) fn new(
        connection: Arc<Connection>,
        archive: Option<Archive>,
        index: PathIndex,
        look: &Look,
    ) -> Self {
        let owners = index
            .owners()
            .iter()
            .map(|owner| look.owner(&stored_owner(owner)));
        Self {
            owners: owners.collect(),
            connection,
            archive,
            index,
            files: Files::default(),
            siblings: Mutex::default(),
        }
    }

    pub(super) fn node(&self, id: NodeId) -> Result<Node, MountError> {
        if id.0 >= self.index.nodes() {
            return Err(MountError::Stale);
        }
        self.explained(self.index.node(id))
    }

    pub(super) fn find(&self, directory: NodeId, name: &[u8]) -> Result<NodeId, MountError> {
        self.explained(self.index.find(directory, name))?
            .ok_or(MountError::NoEntry)
    }

    /// Attributes of a node; `inode` is its number.
    pub(super) fn attributes(
        &self,
        look: &Look,
        inode: Inode,
        id: NodeId,
    ) -> Result<Attributes, MountError> {
        let node = self.node(id)?;
        if node.item.is_none() {
            return Ok(look.directory(inode, None, Lasts::Forever));
        }
        let owner = node.owner.and_then(|owner| {
            let at = usize::try_from(owner.0).ok()?;
            self.owners.get(at).copied()
        });
        let owner = owner.unwrap_or_else(|| look.owner(&StoredOwner::default()));
        Ok(look.node(inode, &node, owner))
    }

    /// Goes through the entries of a directory behind the first `from`, until `each` has enough.
    pub(super) fn list(
        &self,
        directory: NodeId,
        from: u64,
        room: usize,
        each: &mut EachChild<'_>,
    ) -> Result<(), MountError> {
        let Ok(from) = u32::try_from(from) else {
            return Ok(());
        };
        for (id, name) in self.explained(self.index.children(directory, from, room))? {
            if each(id, &name)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Target of a symbolic link.
    pub(super) fn target(&self, id: NodeId) -> Result<Vec<u8>, MountError> {
        let node = self.node(id)?;
        if node.mode & KIND_BITS != SYMLINK {
            return Err(MountError::WrongKind);
        }
        let item = self.item(node.item.ok_or(MountError::WrongKind)?)?;
        item.source.ok_or(MountError::WrongKind)
    }

    /// Names of a node's extended attributes.
    pub(super) fn attribute_names(
        &self,
        look: &Look,
        id: NodeId,
    ) -> Result<Vec<Vec<u8>>, MountError> {
        let Some(item) = self.item_with_xattrs(id)? else {
            return Ok(Vec::new());
        };
        let xattrs = item.xattrs.iter().flatten();
        let mut names: Vec<Vec<u8>> = xattrs.map(|(name, _)| name.clone()).collect();
        for name in [ACL_ACCESS, ACL_DEFAULT] {
            if acl(look, &item, name).is_some() {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Value of an extended attribute.
    pub(super) fn attribute(
        &self,
        look: &Look,
        id: NodeId,
        name: &[u8],
    ) -> Result<Vec<u8>, MountError> {
        let item = self.item_with_xattrs(id)?.ok_or(MountError::NoAttribute)?;
        let mut xattrs = item.xattrs.iter().flatten();
        if let Some((_, value)) = xattrs.find(|(known, _)| known == name) {
            return Ok(value.clone().unwrap_or_default());
        }
        acl(look, &item, name).ok_or(MountError::NoAttribute)
    }

    /// Whether a file may be opened: one that a repair has put zeros into only if that is wanted.
    pub(super) fn may_open(&self, id: NodeId, damaged_too: bool) -> Result<(), MountError> {
        let node = self.node(id)?;
        if node.damaged && !damaged_too {
            return Err(MountError::DamagedFile {
                path: self.path(id),
            });
        }
        Ok(())
    }

    /// Whether [`OpenArchive::may_open`] says so of every file.
    pub(super) fn may_open_all(&self, damaged_too: bool) -> bool {
        damaged_too || !self.index.has_damaged()
    }

    /// Bytes of a file; and small files whose content is worth having before it is asked for, now that this one is read.
    pub(super) fn read(
        &self,
        id: NodeId,
        offset: u64,
        size: usize,
    ) -> Result<(Slices, Vec<Coming>), MountError> {
        let node = self.node(id)?;
        if node.mode & KIND_BITS != REGULAR_FILE {
            return Err(MountError::WrongKind);
        }
        let place = node.content.or(node.item).ok_or(MountError::WrongKind)?;
        let (file, coming) = if let Some(file) = self.files.get(place) {
            (file, Vec::new())
        } else {
            (self.chunks(place)?, self.expect_siblings(id))
        };
        let path = Shown { archive: self, id };
        let read = self.connection.content.slices(&file, offset, size, &path);
        Ok((self.explained(read)?, coming))
    }

    /// All of the content of a small file.
    pub(super) fn content(&self, coming: &Coming) -> Result<Slices, MountError> {
        let (archive, id) = (self, coming.node);
        let len = usize::try_from(coming.file.size()).expect("it is a small one");
        let path = Shown { archive, id };
        self.connection.content.slices(&coming.file, 0, len, &path)
    }

    /// Where a node is: in which archive, at which path.
    pub(super) fn path(&self, id: NodeId) -> String {
        Shown { archive: self, id }.to_string()
    }

    /// Whether an error was not told before.
    pub(super) fn is_news(&self, error: &MountError) -> bool {
        self.connection.content.is_news(error)
    }

    fn item(&self, place: ItemPlace) -> Result<Item, MountError> {
        self.explained(self.index.item(place))
    }

    fn item_with_xattrs(&self, id: NodeId) -> Result<Option<Item>, MountError> {
        let node = self.node(id)?;
        match node.item {
            Some(place) if node.has_xattrs || node.has_acls => Ok(Some(self.item(place)?)),
            _ => Ok(None),
        }
    }

    fn chunks(&self, place: ItemPlace) -> Result<Arc<FileChunks>, MountError> {
        let item = self.item(place)?;
        let chunks = item.chunks.as_deref().unwrap_or_default();
        Ok(self.files.insert(place, Arc::new(FileChunks::new(chunks))))
    }

    /// Has the content of the files behind this one fetched, if files near each other are read.
    fn expect_siblings(&self, id: NodeId) -> Vec<Coming> {
        let mut siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        let next = siblings.begins(id.0);
        drop(siblings);
        self.expect(&next)
    }

    /// Returns the small ones.
    fn expect(&self, nodes: &[u32]) -> Vec<Coming> {
        if nodes.is_empty() {
            return Vec::new();
        }
        let mut left = EXPECTED_SIZE;
        let mut expected: Vec<Arc<FileChunks>> = Vec::new();
        let mut coming = Vec::new();
        let there = nodes.iter().map(|node| NodeId(*node));
        for id in there.filter(|id| id.0 < self.index.nodes()) {
            // Whatever is wrong with it is told when it is read.
            let Ok(node) = self.index.node(id) else {
                break;
            };
            let is_file = node.mode & KIND_BITS == REGULAR_FILE && node.size > 0;
            let Some(place) = node.content.or(node.item).filter(|_| is_file) else {
                continue;
            };
            let known = self.files.get(place);
            let Ok(file) = known.map_or_else(|| self.chunks(place), Ok) else {
                break;
            };
            let is_last = node.size > left;
            left = left.saturating_sub(node.size);
            expected.push(Arc::clone(&file));
            if is_last {
                break;
            }
            // What the kernel takes for the size must be what there is.
            let is_small = node.size <= deliver::LEN_MAX && node.size == file.size();
            if is_small && !node.damaged && node.id == id {
                coming.push(Coming { node: id, file });
            }
        }
        let chunks = expected.iter().flat_map(|file| file.entries());
        self.connection.content.expect(chunks);
        coming
    }

    /// Says that the archive is gone where that is the reason for an error.
    fn explained<T>(&self, result: Result<T, MountError>) -> Result<T, MountError> {
        result.map_err(|error| match (&self.archive, &error) {
            (
                Some(archive),
                MountError::Content { .. } | MountError::Archive(_) | MountError::Repository(_),
            ) => self.connection.follower.explain(archive, error),
            _ => error,
        })
    }
}

/// A node, for people.
struct Shown<'a> {
    archive: &'a OpenArchive,
    id: NodeId,
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self
            .archive
            .index
            .path(self.id)
            .unwrap_or_else(|_| BytePath::from("?"));
        match &self.archive.archive {
            Some(archive) => write!(f, "{}/{path}", archive.name),
            None => write!(f, "{path}"),
        }
    }
}

/// An item's access control list in the kernel's form, by the name of the attribute.
fn acl(look: &Look, item: &Item, name: &[u8]) -> Option<Vec<u8>> {
    let numeric_ids = look.numeric_ids();
    match name {
        ACL_ACCESS => access_acl_value(item.acl_access.as_ref()?, look.names(), numeric_ids),
        ACL_DEFAULT => default_acl_value(item.acl_default.as_ref()?, look.names(), numeric_ids),
        _ => None,
    }
}

fn stored_owner(owner: &Owner) -> StoredOwner<'_> {
    StoredOwner {
        uid: owner.uid,
        gid: owner.gid,
        user: name(&owner.user),
        group: name(&owner.group),
    }
}

fn name(stored: &OwnerName) -> Option<&[u8]> {
    match stored {
        OwnerName::Name(name) => Some(name),
        OwnerName::Nil | OwnerName::Absent => None,
    }
}
