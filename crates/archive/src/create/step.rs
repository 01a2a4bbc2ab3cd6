//! What the walk hands to the workers, and the workers to the collector.

use std::sync::Arc;

use ironborg_format::item::Item;
use ironborg_source::walk::OpenMode;
use ironborg_source::{Dir, FileStat, Place};
use ironborg_types::{BytePath, ErrorKind};

use crate::gate::Gate;

/// A directory kept open while its entries are being archived.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) dir: Dir,
    pub(super) gate: Arc<Gate>,
}

impl Drop for OpenDir {
    fn drop(&mut self) {
        self.gate.give_back(1);
    }
}

/// One thing the walk found, in walk order.
#[derive(Debug)]
pub(crate) enum Step {
    /// A line for the list.
    Status {
        /// Status letter.
        status: char,
        /// Path as walked.
        path: Vec<u8>,
    },
    /// A warning about a path that could not be looked at.
    Warning {
        /// Borg's class.
        kind: ErrorKind,
        /// The whole message.
        message: String,
    },
    /// Something that is neither file nor directory nor anything else known.
    UnknownType {
        /// Path as walked.
        path: Vec<u8>,
    },
    /// A directory, its item complete.
    Directory(Box<Item>),
    /// So many of the batch's plain files.
    Plain(usize),
    /// Anything else that a worker has to look at.
    Entry(Box<Entry>),
    /// Standard input or the output of a command.
    Piped(super::piped::PipedInput),
    /// What is no file of this system, its item made already.
    Made(Box<super::made::MadeEntry>),
}

/// An inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LinkKey {
    pub(super) ino: u64,
    pub(super) dev: u64,
}

/// How a name relates to the other names of its inode.
#[derive(Debug, Clone)]
pub(super) enum Linked {
    /// It is the only one, or of a type whose links are not remembered.
    Alone,
    /// The first that was met.
    First {
        /// The inode.
        key: LinkKey,
    },
    /// A later one.
    Later {
        /// The inode.
        key: LinkKey,
        /// Archived path of the first.
        first: Arc<[u8]>,
    },
}

/// How an entry is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// With content.
    File(OpenMode),
    /// With a target.
    Symlink,
    /// As a named pipe.
    Fifo,
    /// As a character device.
    CharDevice,
    /// As a block device.
    BlockDevice,
}

/// Anything but a directory, for a worker to archive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The directory it is in; `None`: the path is taken from the current directory.
    pub(super) dir: Option<Arc<OpenDir>>,
    /// Path as walked.
    pub(super) path: Vec<u8>,
    /// Where the last component begins in `path`, if there is a directory.
    pub(super) name_start: usize,
    /// Path as archived.
    pub(super) archived: Vec<u8>,
    /// What the walk saw.
    pub(super) stat: FileStat,
    /// How it is archived.
    pub(super) kind: EntryKind,
    /// Its other names.
    pub(super) linked: Linked,
}

impl Entry {
    /// The path for its item, which it needs itself only if it may be archived again.
    pub(super) fn item_path(&mut self) -> BytePath {
        BytePath::new(match self.linked {
            Linked::Later { .. } => self.archived.clone(),
            Linked::Alone | Linked::First { .. } => std::mem::take(&mut self.archived),
        })
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place<'_> {
        match &self.dir {
            Some(dir) => Place::entry(&dir.dir, &self.path[self.name_start..], &self.path),
            None => Place::path(&self.path),
        }
    }
}
