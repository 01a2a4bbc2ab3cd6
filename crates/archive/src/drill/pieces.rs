//! A large file, chunk by chunk: fetched, verified, compared with the live file at its place, never written.

use ironborg_format::item::{ChunkEntry, Item};
use ironborg_source::walk::{OpenMode, check_same};
use ironborg_source::{Place, SourceError, SourceFile};
use ironborg_types::text;

use super::judge::{Content, first_difference};
use super::live::is_unchanged;
use super::{Drill, Verdict, is_of_one_file};
use crate::ArchiveError;
use crate::extract::report::Report;
use crate::extract::size_mismatch;
use crate::items::with_content;

/// How far a large file is known to be restorable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The chunk that comes next.
    pub chunk: usize,
    /// Everything before it was compared with the live file.
    pub is_compared: bool,
}

/// How far it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pieces {
    /// It was stopped; this is what comes next.
    Stopped(Progress),
    /// To the end: a verdict on each item.
    Done(Vec<Verdict>),
}

/// Why reading ends early.
enum Halt {
    Stopped,
    Failed(ArchiveError),
}

impl From<ArchiveError> for Halt {
    fn from(error: ArchiveError) -> Self {
        Self::Failed(error)
    }
}

/// Bytes of the chunks of an item.
pub(super) fn content_len(item: &Item) -> u64 {
    let chunks = item.chunks.as_deref().unwrap_or_default();
    chunks
        .iter()
        .map(|chunk| u64::from(chunk.size))
        .fold(0, u64::saturating_add)
}

/// The live file while it is being compared.
struct Live {
    path: Vec<u8>,
    file: SourceFile,
    buffer: Vec<u8>,
}

/// One large file on its way.
struct Reading {
    at: usize,
    offset: u64,
    live: Option<Live>,
    /// The first byte that is another one in the live file.
    differs_at: Option<u64>,
    /// What is wrong with it.
    bad: Option<String>,
}

impl Reading {
    /// A chunk that was read.
    fn take(&mut self, chunk: &ChunkEntry, data: &[u8]) {
        if data.len() as u64 != u64::from(chunk.size) {
            let (id, len, size) = (chunk.id, data.len(), chunk.size);
            self.bad = Some(format!("chunk {id} has {len} bytes, not {size}"));
        }
        if let (Some(live), None) = (&mut self.live, self.differs_at) {
            match live.differs_at(data, self.offset) {
                Ok(differs_at) => self.differs_at = differs_at,
                Err(_) => self.live = None, // It cannot be read: there is nothing to compare with.
            }
        }
        self.pass(chunk);
    }

    /// On to the next one.
    fn pass(&mut self, chunk: &ChunkEntry) {
        self.at += 1;
        self.offset = self.offset.saturating_add(u64::from(chunk.size));
    }
}

impl Live {
    /// Where the file first differs from what should be in it at `offset`.
    fn differs_at(&mut self, data: &[u8], offset: u64) -> Result<Option<u64>, SourceError> {
        self.buffer.resize(data.len(), 0);
        let mut filled = 0;
        while filled < data.len() {
            let at = offset.saturating_add(filled as u64);
            match self.file.read_at(&mut self.buffer[filled..], at)? {
                0 => break,
                len => filled += len,
            }
        }
        let at = first_difference(data, &self.buffer[..filled]);
        Ok(at.map(|at| offset.saturating_add(at)))
    }
}

impl Drill<'_> {
    /// Reads the first of the items, a file, from where it was left; the others are its hard links. `go_on` is told
    /// the length of every chunk that was read and says whether there is time for another.
    ///
    /// # Errors
    /// As [`Drill::restore`].
    pub fn restore_in_pieces(
        &mut self,
        items: &[Item],
        from: Option<Progress>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Pieces, ArchiveError> {
        let Some((file, chunks)) = items
            .first()
            .and_then(|file| Some((file, file.chunks.as_deref()?)))
        else {
            return self.restore(items).map(Pieces::Done);
        };
        let from = from.filter(|from| from.chunk < chunks.len());
        let start = from.map_or(0, |from| from.chunk);
        let before = chunks[..start].iter().map(|chunk| u64::from(chunk.size));
        let is_comparable = from.is_none_or(|from| from.is_compared);
        let mut reading = Reading {
            at: start,
            offset: before.fold(0, u64::saturating_add),
            live: is_comparable.then(|| self.open_live(file)).flatten(),
            differs_at: None,
            bad: None,
        };
        self.read_on(file, chunks, &mut reading, go_on)?;
        let is_compared = self.is_still_live(file, &mut reading);
        if let Some(what) = reading.bad {
            return Ok(Pieces::Done(vec![Verdict::Different(what); items.len()]));
        }
        if reading.at < chunks.len() {
            return Ok(Pieces::Stopped(Progress {
                chunk: reading.at,
                is_compared,
            }));
        }
        if let Some(size) = file.size
            && size != reading.offset
        {
            let what = size_mismatch(size, reading.offset);
            return Ok(Pieces::Done(vec![Verdict::Different(what); items.len()]));
        }
        let content = if is_compared {
            Content::Same
        } else {
            Content::Read
        };
        let contents = vec![content; items.len()];
        self.restore_with(items, &contents).map(Pieces::Done)
    }

    /// Reads until there is no more, or no more time. A damaged chunk is named and passed over.
    fn read_on(
        &self,
        file: &Item,
        chunks: &[ChunkEntry],
        reading: &mut Reading,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), ArchiveError> {
        let client = &self.session.client;
        let report = Report::new(client.reporter.as_ref(), &self.archive.name, None);
        while reading.at < chunks.len() {
            let rest = &chunks[reading.at..];
            let result = with_content(self.session, |content| {
                content.read(rest, |chunk, data| {
                    if client.interrupt.stop_requested() {
                        return Err(Halt::Failed(ArchiveError::Interrupted));
                    }
                    reading.take(chunk, data);
                    if go_on(data.len() as u64) {
                        Ok(())
                    } else {
                        Err(Halt::Stopped)
                    }
                })
            });
            match result {
                Ok(()) | Err(Halt::Stopped) => return Ok(()),
                Err(Halt::Failed(ArchiveError::Interrupted)) => {
                    return Err(ArchiveError::Interrupted);
                }
                Err(Halt::Failed(error)) if !is_of_one_file(error.kind()) => return Err(error),
                Err(Halt::Failed(error)) => {
                    let chunk = &chunks[reading.at];
                    reading.bad = Some(error.to_string());
                    report.chunk_error(0, file, chunk, reading.offset, error);
                    reading.pass(chunk);
                    if !go_on(0) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens the live file if it has not changed.
    fn open_live(&self, item: &Item) -> Option<Live> {
        let (path, stat) = self.live.unchanged(item)?;
        let file = Place::path(&path).open_file(OpenMode::Normal).ok()?;
        check_same(&stat, &file.stat().ok()?).ok()?;
        file.advise_sequential();
        let buffer = Vec::new();
        Some(Live { path, file, buffer })
    }

    /// Whether all that was read was compared with a live file that has not changed meanwhile. If it has, a
    /// difference from it is none.
    fn is_still_live(&self, item: &Item, reading: &mut Reading) -> bool {
        let Some(live) = &reading.live else {
            return false;
        };
        let now = Place::path(&live.path).stat();
        let is_live = now.is_ok_and(|stat| is_unchanged(item, &stat));
        if let Some(offset) = reading.differs_at {
            if is_live && self.is_settled(item) {
                let path = text::display(&live.path);
                reading.bad = Some(format!(
                    "its content differs from that of {path} from byte {offset} on"
                ));
            }
            return false;
        }
        is_live
    }
}
