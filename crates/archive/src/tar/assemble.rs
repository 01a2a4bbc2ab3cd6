//! Parts of a tarball: what goes into one, and the workers that put it together.

use std::ops::Range;

use crossbeam_channel::{Receiver, Sender};
use ironborg_format::item::ChunkEntry;
use ironborg_format::tar::padding;

use crate::ArchiveError;
use crate::extract::chunks::ChunkQueue;

/// A job is handed out once its part has so many bytes.
pub(super) const JOB_LEN: u64 = 1 << 20;

/// A part of a tarball to be put together.
#[derive(Debug, Default)]
pub(super) struct Job {
    pieces: Vec<Piece>,
    /// All headers, one after the other.
    headers: Vec<u8>,
    headers_taken: usize,
    /// Paths of the files that chunks belong to, one after the other.
    paths: Vec<u8>,
    len: u64,
}

#[derive(Debug)]
enum Piece {
    /// Bytes of `headers`.
    Headers(Range<usize>),
    /// The first `taken` bytes of a chunk of the file at `path` in `paths`.
    Chunk {
        entry: ChunkEntry,
        taken: u64,
        path: Range<usize>,
    },
    Padding(usize),
}

impl Job {
    /// Where a header is appended; [`Job::end_headers`] comes next.
    pub(super) fn headers(&mut self) -> &mut Vec<u8> {
        &mut self.headers
    }

    /// Adds what was appended to the headers since the last time.
    pub(super) fn end_headers(&mut self) {
        let range = self.headers_taken..self.headers.len();
        self.headers_taken = range.end;
        self.len += range.len() as u64;
        match self.pieces.last_mut() {
            Some(Piece::Headers(last)) => last.end = range.end,
            _ => self.pieces.push(Piece::Headers(range)),
        }
    }

    /// Adds the beginning of a chunk of the file at `path`.
    pub(super) fn add_chunk(&mut self, entry: &ChunkEntry, taken: u64, path: &[u8]) {
        let start = self.paths.len();
        self.paths.extend_from_slice(path);
        self.len += taken;
        self.pieces.push(Piece::Chunk {
            entry: *entry,
            taken,
            path: start..self.paths.len(),
        });
    }

    /// Fills up the last block of a file of this size.
    pub(super) fn add_padding(&mut self, size: u64) {
        let len = padding(size);
        if len > 0 {
            self.len += len as u64;
            self.pieces.push(Piece::Padding(len));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= JOB_LEN
    }

    /// The chunks it needs.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &ChunkEntry> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Chunk { entry, .. } => Some(entry),
            _ => None,
        })
    }

    /// Puts the part together; the error comes with the path it is about.
    fn assemble(&self, queue: &mut ChunkQueue<'_>) -> Part {
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).unwrap_or(0));
        queue.set(self.chunks());
        for piece in &self.pieces {
            match piece {
                Piece::Headers(range) => bytes.extend_from_slice(&self.headers[range.clone()]),
                Piece::Padding(len) => bytes.resize(bytes.len() + len, 0),
                Piece::Chunk { entry, taken, path } => {
                    let fail = |error| (self.paths[path.clone()].to_vec(), error);
                    let plaintext = queue.take().map_err(fail)?;
                    if plaintext.len() as u64 != u64::from(entry.size) {
                        return Err(fail(wrong_length(entry, plaintext.len())));
                    }
                    let taken = usize::try_from(*taken).expect("no more than the chunk has");
                    bytes.extend_from_slice(&plaintext[..taken]);
                }
            }
        }
        Ok(bytes)
    }
}

fn wrong_length(entry: &ChunkEntry, len: usize) -> ArchiveError {
    ArchiveError::Damaged {
        what: "item",
        name: entry.id.to_string().as_bytes().into(),
        detail: format!("the chunk has {len} bytes instead of {}", entry.size),
    }
}

/// The bytes of a part, or the path and the error that are to blame.
pub(super) type Part = Result<Vec<u8>, (Vec<u8>, ArchiveError)>;

/// Does jobs until there are no more.
pub(super) fn work(
    mut queue: ChunkQueue<'_>,
    jobs: &Receiver<(u64, Job)>,
    done: &Sender<(u64, Part)>,
) {
    for (number, job) in jobs {
        let alarm = Alarm { number, done };
        let part = job.assemble(&mut queue);
        drop(alarm);
        if done.send((number, part)).is_err() {
            return; // The operation is over.
        }
    }
}

/// Tells of a panic: nobody shall wait for a job that will never be done.
struct Alarm<'a> {
    number: u64,
    done: &'a Sender<(u64, Part)>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = ArchiveError::other("internal error: a worker thread panicked");
            let _ = self.done.send((self.number, Err((Vec::new(), error))));
        }
    }
}
