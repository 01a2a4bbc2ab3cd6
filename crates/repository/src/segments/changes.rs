//! Reading many segments from end to end, each once: one thread reads large pieces ahead, others check every entry in
//! them and show objects to whoever wants to see them, and what is found is handed over in order.

use std::ops::ControlFlow;
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use ironborg_format::segment::{
    Entry, EntryError, HEADER_LEN, Header, KEYED_HEADER_LEN, Tag, decode_entry,
};
use ironborg_types::{ChunkId, SegmentId};

use super::pieces::{Piece, Pieces};
use super::{Entries, FoundEntry, SegmentLog, bad_entry};
use crate::index::EntryLocation;
use crate::replay::Change;
use crate::{RepositoryError, StoredObject, Watcher, Witness};

/// Threads that check at most if nobody looks at objects: more are faster than any disk, and a slow one they only send
/// to and fro.
const CHECKERS_MAX: usize = 8;

/// What a whole segment does to the index; an error if it cannot be read to its end.
pub(crate) type Changes = Result<SegmentChanges, RepositoryError>;

/// The changes of a segment all of which is whole.
#[derive(Debug)]
pub(crate) enum SegmentChanges {
    Noted(Vec<Change>),
    /// So many that the segment is read again for them.
    TooMany,
}

impl SegmentChanges {
    /// Notes more, as long as there are not more than `max`.
    fn note(&mut self, changes: Vec<Change>, max: usize) {
        match self {
            Self::Noted(noted) if noted.is_empty() && changes.len() <= max => *noted = changes,
            Self::Noted(noted) if noted.len() + changes.len() <= max => noted.extend(changes),
            _ => *self = Self::TooMany,
        }
    }
}

/// What becomes of entries that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The segment ends there.
    Ends,
    /// The object is shown as damaged, as long as its header leads to the next.
    IsShown,
}

/// Who wants to see objects, and which.
#[derive(Clone, Copy)]
pub(crate) struct Showing<'a> {
    pub(crate) witness: &'a dyn Witness,
    pub(crate) wanted: &'a (dyn Fn(&ChunkId, EntryLocation) -> bool + Sync),
    pub(crate) damage: Damage,
}

/// What was found in a piece of a segment.
pub(crate) struct Checked {
    pub(crate) number: u64,
    pub(crate) segment: SegmentId,
    /// The changes; the error behind the first ones of them ends the segment.
    pub(crate) changes: Vec<Change>,
    pub(crate) error: Option<RepositoryError>,
    /// No piece of the segment follows.
    pub(crate) is_last: bool,
}

/// A piece to be checked, and where what it holds is waited for.
struct Job {
    piece: Piece,
    answer: Sender<Checked>,
}

impl SegmentLog {
    /// Reads a segment to its end, every entry checked against its checksum, and notes at most `noted_max` changes.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for damage anywhere in it.
    pub(crate) fn changes(&self, segment: SegmentId, noted_max: usize) -> Changes {
        let mut changes = SegmentChanges::Noted(Vec::new());
        let mut entries = Entries::new(segment);
        while let Some(found) = entries.next(self)? {
            let Some(change) = Change::of(&found) else {
                continue;
            };
            match &mut changes {
                SegmentChanges::Noted(noted) if noted.len() < noted_max => noted.push(change),
                _ => changes = SegmentChanges::TooMany,
            }
        }
        Ok(changes)
    }

    /// Calls `apply` with each change of a segment, whatever of them was noted.
    ///
    /// # Errors
    /// Those of `apply`, and damage that was not there before.
    pub(crate) fn apply_changes(
        &self,
        segment: SegmentId,
        changes: &SegmentChanges,
        mut apply: impl FnMut(&Change) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        if let SegmentChanges::Noted(noted) = changes {
            return noted.iter().try_for_each(apply);
        }
        let mut entries = Entries::new(segment);
        while let Some(found) = entries.next(self)? {
            if let Some(change) = Change::of(&found) {
                apply(&change)?;
            }
        }
        Ok(())
    }

    /// Reads segments, each once, and hands over what they hold in the order given, until `handle` has
    /// enough. A segment is handled before `handle` may change those behind it.
    ///
    /// Memory: that of [`SegmentLog::for_each_piece`], and `noted_max` changes, 44 bytes each.
    pub(crate) fn for_each_changes(
        &self,
        segments: &[SegmentId],
        (threads, noted_max): (usize, usize),
        showing: Option<Showing<'_>>,
        mut handle: impl FnMut(SegmentId, Changes) -> Result<ControlFlow<()>, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let nothing = || Ok(SegmentChanges::Noted(Vec::new()));
        let mut whole: Changes = nothing();
        self.for_each_piece(segments, threads, showing, &mut |checked| {
            if let Ok(changes) = &mut whole {
                changes.note(checked.changes, noted_max);
            }
            if let (Some(error), Ok(_)) = (checked.error, &whole) {
                whole = Err(error);
            }
            if !checked.is_last {
                return Ok(ControlFlow::Continue(()));
            }
            let changes = std::mem::replace(&mut whole, nothing());
            handle(checked.segment, changes)
        })
    }

    /// Reads segments, each once, in pieces, and hands over what they hold in order, until `handle` has enough.
    ///
    /// Memory: two pieces for each thread and three more (4 MiB each, unless an entry is larger), with their changes.
    pub(crate) fn for_each_piece(
        &self,
        segments: &[SegmentId],
        threads: usize,
        showing: Option<Showing<'_>>,
        handle: &mut dyn FnMut(Checked) -> Result<ControlFlow<()>, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut pieces = Pieces::new(self, segments);
        if threads <= 1 {
            let mut checker = Checker::new(self, showing);
            while let Some(piece) = pieces.next(Vec::new()) {
                let (checked, buffer) = checker.check(piece);
                pieces.recycle(buffer);
                if handle(checked)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let checkers = if showing.is_some() {
            threads
        } else {
            threads.min(CHECKERS_MAX)
        };
        thread::scope(|scope| {
            let (jobs, queue) = crossbeam_channel::bounded::<Job>(checkers);
            let (order, waiting) = crossbeam_channel::bounded::<Receiver<Checked>>(2 * checkers);
            let (spare_tx, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
            for _ in 0..checkers {
                let (queue, spare) = (queue.clone(), spare_tx.clone());
                scope.spawn(move || {
                    let mut checker = Checker::new(self, showing);
                    for job in queue {
                        let (checked, buffer) = checker.check(job.piece);
                        // Nobody waits behind the last one that was wanted, or for another buffer at the end.
                        let _ = (job.answer.send(checked), spare.send(buffer));
                    }
                });
            }
            drop((queue, spare_tx)); // Only the checkers hold these ends.
            scope.spawn(move || {
                while let Some(piece) = pieces.next(spare.try_recv().unwrap_or_default()) {
                    let (answer, checked) = crossbeam_channel::bounded(1);
                    if order.send(checked).is_err() || jobs.send(Job { piece, answer }).is_err() {
                        return; // Enough.
                    }
                }
            });
            for checked in waiting {
                let Ok(checked) = checked.recv() else {
                    // Its checker has panicked, which the end of the scope tells.
                    break;
                };
                if handle(checked)?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Checks pieces on one thread.
struct Checker<'a> {
    log: &'a SegmentLog,
    showing: Option<(Showing<'a>, Box<dyn Watcher + 'a>)>,
}

impl<'a> Checker<'a> {
    fn new(log: &'a SegmentLog, showing: Option<Showing<'a>>) -> Self {
        Self {
            log,
            showing: showing.map(|showing| (showing, showing.witness.watcher())),
        }
    }

    /// What a piece holds, and its buffer.
    fn check(&mut self, piece: Piece) -> (Checked, Vec<u8>) {
        let Piece {
            number,
            segment,
            offset,
            bytes,
            range,
            is_last,
            error,
        } = piece;
        let mut checked = Checked {
            number,
            segment,
            changes: Vec::new(),
            error: None,
            is_last,
        };
        let mut shown = Vec::new();
        let damage = self
            .showing
            .as_ref()
            .map_or(Damage::Ends, |(s, _)| s.damage);
        let mut left = &bytes[range];
        let mut offset = offset;
        while !left.is_empty() {
            let step = match decode_entry(left) {
                Ok((entry, size)) => {
                    let Ok(at) = u32::try_from(offset) else {
                        let error = EntryError::TooBig(u32::MAX);
                        checked.error = Some(bad_entry(segment, offset, error));
                        break;
                    };
                    if let (Entry::Put { id, object }, Some((showing, _))) = (&entry, &self.showing)
                        && (showing.wanted)(
                            id,
                            EntryLocation {
                                segment,
                                offset: at,
                            },
                        )
                    {
                        shown.push(StoredObject {
                            id: *id,
                            segment,
                            offset: at,
                            object: Ok(object),
                        });
                    }
                    if damage == Damage::Ends {
                        let size = u32::try_from(size).expect("bounded by the format");
                        checked.changes.extend(Change::of(&FoundEntry {
                            entry,
                            offset: at,
                            size,
                        }));
                    }
                    size
                }
                Err(error) => {
                    if damage == Damage::IsShown
                        && let Some(size) = self.show_damaged(left, segment, offset, &mut shown)
                    {
                        size
                    } else {
                        checked.error = Some(bad_entry(segment, offset, error));
                        break;
                    }
                }
            };
            left = left.get(step..).unwrap_or_default();
            offset += step as u64;
        }
        if checked.error.is_none() {
            checked.error = error;
        }
        if let Some((_, watcher)) = &mut self.showing {
            watcher.show(number, &shown);
        }
        drop(shown);
        (checked, bytes)
    }

    /// Shows an object whose entry is damaged behind the header; gives the size of the entry, `None` if its header leads
    /// nowhere.
    fn show_damaged(
        &self,
        bytes: &[u8],
        segment: SegmentId,
        offset: u64,
        shown: &mut Vec<StoredObject<'_>>,
    ) -> Option<usize> {
        let header = Header::decode(bytes, HEADER_LEN).ok()?;
        Tag::from_byte(header.tag)?;
        let offset = u32::try_from(offset).ok()?;
        let id = bytes.get(HEADER_LEN..KEYED_HEADER_LEN);
        let id = id.and_then(|id| id.first_chunk()).map(|id| ChunkId(*id));
        let at = EntryLocation { segment, offset };
        if let (Some(id), Some((showing, _))) = (id, &self.showing)
            && (showing.wanted)(&id, at)
        {
            // Read again: it may have been the memory. And the words are those for a single object.
            let mut object = Vec::new();
            let error = self.log.read_object(at, &id, &mut object).err();
            let lost = || bad_entry(segment, offset.into(), EntryError::Checksum);
            shown.push(StoredObject {
                id,
                segment,
                offset,
                object: Err(error.unwrap_or_else(lost)),
            });
        }
        Some(header.size as usize)
    }
}
