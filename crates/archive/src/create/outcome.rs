//! What workers report to the collector.

use std::ops::Range;

use ironborg_cache::PathHash;
use ironborg_format::{ChunkEntry, Item};
use ironborg_source::{FileStat, SourceError};
use ironborg_types::{ChunkId, ErrorKind};

use super::plain::Encoded;
use super::step::{Entry, Linked};
use crate::error::ArchiveError;

/// A message to the collector.
pub(super) enum Done {
    /// New objects to be stored.
    Objects(SealedObjects),
    /// What came of a batch of steps.
    Batch {
        /// Number of the batch, counting from 0 without gaps.
        number: u64,
        /// What came of the steps, in order.
        outcomes: Vec<Outcome>,
        /// What [`Outcome::Unchanged`] is about.
        encoded: Encoded,
    },
    /// An entry that was archived again.
    Again(Box<EntryOutcome>),
    /// What has been read so far of the file at the head, for a checkpoint.
    Part(Box<FilePart>),
    /// The walk is over: there are so many batches.
    WalkEnd {
        /// Count of batches.
        batches: u64,
    },
    /// The operation has failed.
    Fatal(ArchiveError),
}

/// New objects, one behind the other in one buffer: small ones cost a message only together.
#[derive(Debug, Default)]
pub(super) struct SealedObjects {
    /// The objects.
    pub(super) bytes: Vec<u8>,
    /// Id, length of the plaintext, and where in `bytes` the object ends.
    pub(super) entries: Vec<(ChunkId, u32, usize)>,
}

/// What came of one step, or of several.
pub(super) enum Outcome {
    /// A line for the list.
    Status {
        /// Status letter.
        status: char,
        /// Path as walked.
        path: Vec<u8>,
    },
    /// A warning.
    Warning {
        /// Borg's class.
        kind: ErrorKind,
        /// The whole message.
        message: String,
    },
    /// Neither file nor directory nor anything else known.
    UnknownType {
        /// Path as walked.
        path: Vec<u8>,
    },
    /// A directory.
    Directory(Box<Item>),
    /// Files that are unchanged, by their numbers among those of the batch that are encoded.
    Unchanged(Range<usize>),
    /// Anything else.
    Entry(Box<EntryOutcome>),
}

/// Part of a file that is still being read.
pub(super) struct FilePart {
    /// The file's item so far, without chunks.
    pub(super) item: Item,
    /// The chunks since the last part.
    pub(super) chunks: Vec<ChunkEntry>,
}

/// What came of an entry that is not a directory.
pub(super) struct EntryOutcome {
    /// Path as walked.
    pub(super) path: Vec<u8>,
    /// Status letter shown when its reading began (regular files) or when it was done (others); `None` if
    /// it did not come to that.
    pub(super) status: Option<char>,
    /// The item, unless it failed. `csize` of a chunk is 0 where the worker did not know it.
    pub(super) item: Result<Item, SourceError>,
    /// Chunks that were read before an error ended the reading: they count in the statistics.
    pub(super) orphans: Vec<ChunkEntry>,
    /// Whether the file changed while it was read.
    pub(super) changed: bool,
    /// As how many files it counts.
    pub(super) nfiles: u64,
    /// Chunks that part items have already brought in.
    pub(super) chunks_in_parts: usize,
    /// Its other names.
    pub(super) linked: Linked,
    /// What to remember in the files cache.
    pub(super) memorize: Option<Memorize>,
    /// The entry itself, where it may have to be archived again because the first of its names failed.
    pub(super) again: Option<Box<Entry>>,
}

impl EntryOutcome {
    /// The outcome of an entry nothing has been done about yet.
    pub(super) fn new(path: Vec<u8>, linked: Linked) -> Self {
        Self {
            path,
            status: None,
            item: Ok(Item::default()),
            orphans: Vec::new(),
            changed: false,
            nfiles: 0,
            chunks_in_parts: 0,
            linked,
            memorize: None,
            again: None,
        }
    }
}

impl EntryOutcome {
    /// Whether any of its content was stored.
    pub(super) fn has_chunks(&self) -> bool {
        match &self.item {
            Ok(item) => item
                .chunks
                .as_ref()
                .is_some_and(|chunks| !chunks.is_empty()),
            Err(_) => !self.orphans.is_empty(),
        }
    }
}

/// A new entry for the files cache.
pub(super) struct Memorize {
    /// Hash of the absolute path.
    pub(super) hash: PathHash,
    /// Status before the file was read.
    pub(super) stat: FileStat,
    /// It has neither extended attributes nor an ACL, and its ctime will tell should it be given some.
    pub(super) is_bare: bool,
}
