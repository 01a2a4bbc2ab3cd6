//! Entries that are no files of this system: their items come ready, with content in memory or in pieces.

use std::cell::RefCell;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ironborg_format::Item;
use ironborg_source::SourceError;

use super::content::{Content, ContentError, ContentInput, Reading};
use super::items::set_size;
use super::outcome::EntryOutcome;
use super::shared::Over;
use super::step::Linked;
use super::work::{SMALL_FILE_SIZE_MAX, Unstored, Worker};
use crate::error::ArchiveError;

/// Pieces of a large content that may wait to be read.
const PIECES_IN_FLIGHT: usize = 4;

/// An entry whose item is made.
#[derive(Debug)]
pub(crate) struct MadeEntry {
    /// The item, without chunks.
    pub(crate) item: Item,
    /// Status letter, and the name it is shown with.
    pub(crate) status: char,
    pub(crate) shown: Vec<u8>,
    /// As how many files it counts.
    pub(crate) nfiles: u64,
    pub(crate) content: MadeContent,
}

/// What an entry contains.
#[derive(Debug)]
pub(crate) enum MadeContent {
    /// It is not of a kind that does.
    None,
    /// All of it, no more than [`SMALL_FILE_SIZE_MAX`] bytes.
    Whole(Vec<u8>),
    /// It comes in pieces.
    Pieces(Pieces),
}

impl MadeEntry {
    /// How much there is to do for it; what is large is more than [`SMALL_FILE_SIZE_MAX`].
    pub(super) fn content_len(&self) -> u64 {
        match &self.content {
            MadeContent::None => 0,
            MadeContent::Whole(content) => content.len() as u64,
            MadeContent::Pieces(_) => SMALL_FILE_SIZE_MAX + 1,
        }
    }
}

/// A piece of content, or its end: if there is neither, whoever was to give them has failed.
type Piece = Option<Vec<u8>>;

/// Content that arrives piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    receiver: Receiver<Piece>,
    current: RefCell<Current>,
}

#[derive(Debug, Default)]
struct Current {
    piece: Vec<u8>,
    taken: usize,
    ended: bool,
    /// It ended as it should.
    whole: bool,
}

/// Where the pieces are given.
#[derive(Debug)]
pub(crate) struct PieceSender(Sender<Piece>);

impl PieceSender {
    /// Gives one piece; waits while there are many. `false`: nobody wants it any more.
    pub(crate) fn send(&self, piece: Vec<u8>) -> bool {
        piece.is_empty() || self.0.send(Some(piece)).is_ok()
    }

    /// Says that those were all.
    pub(crate) fn finish(self) -> bool {
        self.0.send(None).is_ok()
    }
}

/// Both ends of a content in pieces.
pub(crate) fn pieces() -> (PieceSender, Pieces) {
    let (sender, receiver) = bounded(PIECES_IN_FLIGHT);
    let current = RefCell::default();
    (PieceSender(sender), Pieces { receiver, current })
}

impl Pieces {
    /// Takes what was received; without the end mark the sender is gone, and has said why elsewhere.
    fn received(current: &mut Current, piece: Option<Piece>) {
        match piece {
            Some(Some(piece)) => (current.piece, current.taken) = (piece, 0),
            Some(None) => (current.ended, current.whole) = (true, true),
            None => current.ended = true,
        }
    }
}

impl ContentInput for Pieces {
    fn read(&self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let mut current = self.current.borrow_mut();
        if current.taken == current.piece.len() && !current.ended {
            let piece = self.receiver.recv().ok();
            Self::received(&mut current, piece);
        }
        let rest = &current.piece[current.taken..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        current.taken += len;
        Ok(len)
    }

    fn wait_ready(&self, timeout_ms: u32) -> bool {
        let mut current = self.current.borrow_mut();
        if current.taken < current.piece.len() || current.ended {
            return true;
        }
        let timeout = Duration::from_millis(timeout_ms.into());
        let piece = match self.receiver.recv_timeout(timeout) {
            Ok(piece) => Some(piece),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        Self::received(&mut current, piece);
        true
    }
}

impl Worker<'_> {
    /// An entry whose item is made; also gives the chunks in the arena that are still to be stored.
    pub(super) fn made(
        &mut self,
        batch: u64,
        made: MadeEntry,
    ) -> Result<(EntryOutcome, Unstored), Over> {
        let mut item = made.item;
        let mut outcome = EntryOutcome::new(made.shown.clone(), Linked::Alone);
        outcome.status = Some(made.status);
        outcome.nfiles = made.nfiles;
        let mut unstored = None;
        match made.content {
            MadeContent::None => {}
            MadeContent::Whole(content) => {
                let start = self.arena.len();
                self.arena.extend_from_slice(&content);
                self.reader.cut_whole(&content, &mut self.cuts);
                let cuts = self.cuts.iter();
                unstored = Some(cuts.map(|cut| start + cut.start..start + cut.end).collect());
                item.chunks = Some(Vec::new());
            }
            MadeContent::Pieces(pieces) => {
                let reading = Reading {
                    batch,
                    item: &item,
                    device: None,
                };
                let read = self
                    .reader
                    .read(self.shared, &mut self.sealing, &pieces, &reading);
                let Content {
                    chunks,
                    chunks_in_parts,
                } = read.map_err(|error| match error {
                    ContentError::Over => Over,
                    ContentError::Source(error, _) => self.shared.fail(error.into()),
                })?;
                if !pieces.current.borrow().whole {
                    // Whoever was to give the rest has failed and said why; that came first.
                    let error = ArchiveError::other("internal error: content was cut off");
                    return Err(self.shared.fail(error));
                }
                item.chunks = Some(chunks);
                outcome.chunks_in_parts = chunks_in_parts;
                set_size(&mut item);
            }
        }
        outcome.item = Ok(item);
        Ok((outcome, unstored))
    }
}
