//! Reading an item stream from one end to the other, its chunks fetched and opened ahead on several threads.
//!
//! Memory: `4 * threads + 2` chunks, and the item that is incomplete.

use std::collections::VecDeque;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use ironborg_archive::ArchiveError;
use ironborg_format::item::{ItemDecoder, ItemView};
use ironborg_types::{BytePath, ChunkId};

use super::origin::Origin;
use crate::MountError;
use crate::content::WantedChunk;
use crate::follow::ChunkReader;

/// Chunks that are announced to a repository across a wire.
const ANNOUNCED_MAX: usize = 64;
/// Chunks that a thread reads together, if so many are wanted.
const GROUP: usize = 4;

/// An item stream: which archive it belongs to, and its chunks.
pub(super) struct ItemStream<'a> {
    pub(super) archive: &'a BytePath,
    pub(super) chunks: &'a [ChunkId],
}

/// Where an item begins in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamPlace {
    /// The chunk, counted from 0.
    pub(super) chunk: u32,
    /// Bytes from the beginning of the chunk.
    pub(super) offset: u32,
    /// The chunk it ends in.
    pub(super) last: u32,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// With the end of an item.
    Whole,
    /// So many bytes after the end of the last whole item. (Stock Borg does not notice.)
    Torn(usize),
}

type Fetched = Result<Vec<u8>, MountError>;

struct Job {
    number: usize,
    buffer: Vec<u8>,
}

impl ItemStream<'_> {
    /// Hands every item to `take`, with its place.
    pub(super) fn for_each(
        &self,
        origin: &dyn Origin,
        mut take: impl FnMut(StreamPlace, &ItemView<'_>) -> Result<(), MountError>,
    ) -> Result<StreamEnd, MountError> {
        let mut items = Items::new(self);
        let threads = origin.threads().min(self.chunks.len());
        if threads <= 1 {
            let (mut reader, mut plaintext) = (ChunkReader::default(), Vec::new());
            for (number, id) in self.chunks.iter().enumerate() {
                self.announce(origin, number);
                origin.read(&mut reader, id, &mut plaintext)?;
                items.push(&plaintext, &mut take)?;
            }
            return Ok(items.end());
        }
        let window = GROUP * threads + 2;
        let (job_tx, job_rx) = bounded::<Job>(window);
        let (done_tx, done_rx) = bounded::<(usize, Fetched)>(window);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (jobs, done) = (job_rx.clone(), done_tx.clone());
                scope.spawn(move || self.serve(origin, &jobs, &done));
            }
            drop((job_rx, done_tx)); // Only workers may hold these ends, or the scope never ends.
            let jobs = job_tx; // Dropped on the way out, which ends the workers.
            let mut early: VecDeque<Option<Fetched>> = VecDeque::with_capacity(window);
            let mut spare = Vec::new();
            let mut asked = 0;
            for number in 0..self.chunks.len() {
                while asked < self.chunks.len() && asked < number + window {
                    self.announce(origin, asked);
                    let buffer = spare.pop().unwrap_or_default();
                    let job = Job {
                        number: asked,
                        buffer,
                    };
                    jobs.send(job).expect("workers live as long as the channel");
                    asked += 1;
                }
                let plaintext = next(&done_rx, &mut early, number)?;
                items.push(&plaintext, &mut take)?;
                spare.push(plaintext);
            }
            Ok(items.end())
        })
    }

    /// Tells of chunks that will be asked for, half a window at a time.
    fn announce(&self, origin: &dyn Origin, number: usize) {
        if number.is_multiple_of(ANNOUNCED_MAX / 2) {
            // The first time both halves.
            let from = if number == 0 {
                0
            } else {
                number + ANNOUNCED_MAX / 2
            };
            let to = self.chunks.len().min(number + ANNOUNCED_MAX);
            let coming: Vec<_> = self.chunks.get(from..to).unwrap_or_default().to_vec();
            let coming: Vec<_> = coming.into_iter().map(|id| (id, 0)).collect();
            if !coming.is_empty() {
                origin.will_need(&coming);
            }
        }
    }

    fn serve(&self, origin: &dyn Origin, jobs: &Receiver<Job>, done: &Sender<(usize, Fetched)>) {
        let mut reader = ChunkReader::default();
        while let Ok(first) = jobs.recv() {
            let group = std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1));
            let (mut alarms, mut wanted) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
            for Job { number, buffer } in group {
                alarms.push(Alarm { number, done });
                wanted.push(WantedChunk {
                    id: self.chunks[number],
                    len: usize::MAX, // It is not known.
                    plaintext: buffer,
                });
            }
            let read = origin.read_group(&mut reader, &mut wanted);
            for ((alarm, chunk), read) in alarms.into_iter().zip(wanted).zip(read) {
                let fetched = read.map(|()| chunk.plaintext);
                if done.send((alarm.number, fetched)).is_err() {
                    return; // Nobody waits any more.
                }
            }
        }
    }
}

/// The chunk `number`, waited for; those that come before their turn are put into a ring.
fn next(
    done: &Receiver<(usize, Fetched)>,
    early: &mut VecDeque<Option<Fetched>>,
    number: usize,
) -> Fetched {
    if let Some(Some(fetched)) = early.pop_front() {
        return fetched;
    }
    loop {
        let (finished, fetched) = done.recv().expect("a worker holds the job");
        if finished == number {
            return fetched;
        }
        let slot = finished - number - 1;
        while early.len() <= slot {
            early.push_back(None);
        }
        early[slot] = Some(fetched);
    }
}

/// Tells of a panic: nobody shall wait for a chunk that will never come.
struct Alarm<'a> {
    number: usize,
    done: &'a Sender<(usize, Fetched)>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = ArchiveError::other("a thread that reads items panicked");
            let _ = self.done.send((self.number, Err(error.into())));
        }
    }
}

/// Finds items in chunks, and where they begin.
struct Items<'a> {
    archive: &'a BytePath,
    decoder: ItemDecoder,
    pushed: u64,
    /// Where chunks begin in the stream: that of the next item, and those after it.
    begins: VecDeque<u64>,
    /// The number of the first of these.
    chunk: u32,
}

impl<'a> Items<'a> {
    fn new(stream: &ItemStream<'a>) -> Self {
        Self {
            archive: stream.archive,
            decoder: ItemDecoder::new(),
            pushed: 0,
            begins: VecDeque::new(),
            chunk: 0,
        }
    }

    fn push(
        &mut self,
        plaintext: &[u8],
        take: &mut impl FnMut(StreamPlace, &ItemView<'_>) -> Result<(), MountError>,
    ) -> Result<(), MountError> {
        self.begins.push_back(self.pushed);
        self.pushed += plaintext.len() as u64;
        self.decoder.push(plaintext);
        let later = u32::try_from(self.begins.len() - 1).expect("an archive has fewer chunks");
        let last = self.chunk + later;
        loop {
            let begin = self.pushed - self.decoder.pending_len() as u64;
            while self.begins.get(1).is_some_and(|next| *next <= begin) {
                self.begins.pop_front();
                self.chunk += 1;
            }
            let place = StreamPlace {
                chunk: self.chunk,
                offset: u32::try_from(begin - self.begins[0]).expect("chunks are below 4 GiB"),
                // It was incomplete until this chunk came.
                last,
            };
            match self.decoder.next_view() {
                Ok(Some(item)) => take(place, &item)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
    }

    fn end(&self) -> StreamEnd {
        match self.decoder.pending_len() {
            0 => StreamEnd::Whole,
            len => StreamEnd::Torn(len),
        }
    }

    fn damaged(&self, detail: &str) -> MountError {
        let damaged = ArchiveError::Damaged {
            what: "item stream",
            name: self.archive.clone(),
            detail: detail.to_owned(),
        };
        damaged.into()
    }
}
