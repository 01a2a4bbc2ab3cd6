//! Fetching objects ahead of their reader.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use ironborg_crypto::Key;
use ironborg_object::{Opener, StoredForm};
use ironborg_repository::{Repository, RepositoryError};
use ironborg_types::ChunkId;

use crate::{ArchiveError, Session};

/// Room that is kept for objects between two groups of them, in bytes.
const OBJECTS_KEPT: usize = 4 << 20;

/// Something that objects can be read from, by many threads at once.
pub trait ReadObject: Sync {
    /// Reads one object into `out`, replacing what was there.
    ///
    /// # Errors
    /// As [`Repository::get`].
    fn read_object(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError>;

    /// As [`ReadObject::read_object`], as far as nothing else is said; see [`Repository::get_metadata`].
    ///
    /// # Errors
    /// As [`Repository::get`].
    fn read_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.read_object(id, out)
    }

    /// What was read is not that object; says whether to read it again. See [`Repository::reject_metadata`].
    fn reject(&self, id: &ChunkId) -> bool {
        let _ = id;
        false
    }

    /// Whether the object is there.
    ///
    /// # Errors
    /// As [`Repository::contains`].
    fn has_object(&self, id: &ChunkId) -> Result<bool, RepositoryError>;

    /// A hint that these objects will be read, in this order, with their stored lengths or 0.
    fn will_read(&self, objects: &[(ChunkId, u32)]);

    /// The same, by [`ReadObject::read_metadata`].
    fn will_read_metadata(&self, objects: &[(ChunkId, u32)]) {
        self.will_read(objects);
    }
}

impl ReadObject for Box<dyn Repository> {
    fn read_object(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.get(id, out)
    }

    fn read_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.get_metadata(id, out)
    }

    fn reject(&self, id: &ChunkId) -> bool {
        self.reject_metadata(id)
    }

    fn has_object(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.contains(id)
    }

    fn will_read(&self, objects: &[(ChunkId, u32)]) {
        // Files here are read ahead by the system, and nothing is known of what is asked for once more.
        if self.is_distant() {
            self.will_need_sized(objects);
        }
    }

    fn will_read_metadata(&self, objects: &[(ChunkId, u32)]) {
        if self.is_distant() {
            self.will_need_metadata(objects);
        }
    }
}

/// A session that is written to in between.
impl ReadObject for RwLock<&mut Session> {
    fn read_object(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.get(id, out)
    }

    fn read_metadata(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.get_metadata(id, out)
    }

    fn reject(&self, id: &ChunkId) -> bool {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.reject_metadata(id)
    }

    fn has_object(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.contains(id)
    }

    fn will_read(&self, objects: &[(ChunkId, u32)]) {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.will_read(objects);
    }

    fn will_read_metadata(&self, objects: &[(ChunkId, u32)]) {
        let session = self.read().unwrap_or_else(PoisonError::into_inner);
        session.repository.will_read_metadata(objects);
    }
}

/// The objects of an archive's metadata.
pub(crate) struct MetadataOf<'a>(pub(crate) &'a dyn ReadObject);

impl ReadObject for MetadataOf<'_> {
    fn read_object(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        self.0.read_metadata(id, out)
    }

    fn reject(&self, id: &ChunkId) -> bool {
        self.0.reject(id)
    }

    fn has_object(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        self.0.has_object(id)
    }

    fn will_read(&self, objects: &[(ChunkId, u32)]) {
        self.0.will_read_metadata(objects);
    }
}

/// Where objects come from and what opens them.
#[derive(Clone, Copy)]
pub struct ObjectSource<'a> {
    /// Holds the objects.
    pub objects: &'a dyn ReadObject,
    /// Opens them.
    pub key: &'a Key,
}

impl<'a> ObjectSource<'a> {
    /// The objects of an open repository.
    pub fn of(session: &'a Session) -> Self {
        Self {
            objects: &session.repository,
            key: &session.key,
        }
    }

    /// A reader for one thread.
    pub fn reader(self) -> ObjectReader<'a> {
        ObjectReader {
            source: self,
            opener: Opener::new(),
            object: Vec::new(),
            objects: Vec::new(),
        }
    }
}

/// Reads objects on one thread, with buffers and decompressor states of its own.
pub struct ObjectReader<'a> {
    source: ObjectSource<'a>,
    opener: Opener,
    object: Vec<u8>,
    /// For objects that are read together.
    objects: Vec<Vec<u8>>,
}

impl ObjectReader<'_> {
    /// Reads one object, verifies it and leaves its plaintext in `out` (replaced, capacity reused).
    /// Returns the object's stored size in bytes.
    pub fn read(&mut self, id: &ChunkId, out: &mut Vec<u8>) -> Result<usize, ArchiveError> {
        self.source.objects.read_object(id, &mut self.object)?;
        let opened = self.opener.open(self.source.key, id, &self.object, out);
        if opened.is_err() && self.source.objects.reject(id) {
            self.source.objects.read_object(id, &mut self.object)?;
            self.opener.open(self.source.key, id, &self.object, out)?;
        } else {
            opened?;
        }
        Ok(self.object.len())
    }

    /// As [`ObjectReader::read`]; also tells the form the plaintext is stored in.
    pub(crate) fn read_form(
        &mut self,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(usize, StoredForm), ArchiveError> {
        self.source.objects.read_object(id, &mut self.object)?;
        let form = self
            .opener
            .open_form(self.source.key, id, &self.object, out)?;
        Ok((self.object.len(), form))
    }

    /// Reads several objects, as [`ObjectReader::read`] reads one. Their plaintexts, which should have `lens` bytes each, are
    /// in `out` then, one behind the other; for each where.
    ///
    /// # Panics
    /// If there are not as many `lens` as `ids`.
    pub fn read_group(
        &mut self,
        ids: &[ChunkId],
        lens: &[usize],
        out: &mut Vec<u8>,
    ) -> Vec<Result<Range<usize>, ArchiveError>> {
        assert_eq!(ids.len(), lens.len(), "a length for each object");
        if self.objects.len() < ids.len() {
            self.objects.resize_with(ids.len(), Vec::new);
        }
        trim(&mut self.objects, OBJECTS_KEPT);
        let ObjectReader {
            source,
            opener,
            objects,
            ..
        } = self;
        let got: Vec<_> = ids
            .iter()
            .zip(objects.iter_mut())
            .map(|(id, object)| source.objects.read_object(id, object))
            .collect();
        let there = got.iter().zip(ids.iter().zip(lens).zip(objects.iter()));
        let there = there.filter(|(got, _)| got.is_ok());
        let (named, lens): (Vec<(ChunkId, &[u8])>, Vec<usize>) = there
            .map(|(_, ((id, len), object))| ((*id, object.as_slice()), *len))
            .unzip();
        let mut opened = opener.open_many(source.key, &named, &lens, out).into_iter();
        let mut results = Vec::with_capacity(ids.len());
        for got in got {
            results.push(match got {
                Ok(()) => {
                    let opened = opened.next().expect("what was read is opened");
                    opened.map_err(ArchiveError::from)
                }
                Err(error) => Err(error.into()),
            });
        }
        results
    }
}

/// Gives the largest buffers back until all together have room for no more than `kept` bytes: chunks are of very different
/// lengths, and each buffer would end up with room for the longest.
fn trim(buffers: &mut [Vec<u8>], kept: usize) {
    let mut held: usize = buffers.iter().map(Vec::capacity).sum();
    while held > kept
        && let Some(largest) = buffers.iter_mut().max_by_key(|buffer| buffer.capacity())
    {
        held -= largest.capacity();
        *largest = Vec::new();
    }
}

/// One plaintext, with the size of the object it came from.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Verified plaintext.
    pub plaintext: Vec<u8>,
    /// Size of the stored object in bytes.
    pub stored_size: usize,
}

type Outcome = Result<Fetched, ArchiveError>;

struct Job {
    number: u64,
    id: ChunkId,
    buffer: Vec<u8>,
}

/// Reads objects in the order asked for, several at once.
///
/// At most `2 * threads + 2` objects are in flight or waiting to be taken; with one thread they are
/// read when taken.
pub struct ReadAhead<'a> {
    objects: &'a dyn ReadObject,
    how: How<'a>,
    asked: u64,
    taken: u64,
    spare: Vec<Vec<u8>>,
}

/// How many objects of a sequence are announced before they are asked for.
pub(super) struct Window {
    len: usize,
    announced: usize,
}

impl Window {
    /// So many ahead at most.
    pub(super) fn new(len: usize) -> Self {
        Self { len, announced: 0 }
    }
}

enum How<'a> {
    Inline {
        reader: Box<ObjectReader<'a>>,
        asked: VecDeque<ChunkId>,
    },
    Threads {
        jobs: Sender<Job>,
        done: Receiver<(u64, Outcome)>,
        early: VecDeque<Option<Outcome>>,
    },
}

impl<'a> ReadAhead<'a> {
    /// Calls `use_it` with a reader that works on `threads` threads; `expected` objects at most will
    /// be asked for, as far as that is known.
    pub fn scope<T>(
        source: ObjectSource<'a>,
        threads: usize,
        expected: usize,
        use_it: impl FnOnce(ReadAhead<'a>) -> T,
    ) -> T {
        // One or two objects are read sooner than a thread is started.
        if threads <= 1 || expected <= 2 {
            let how = How::Inline {
                reader: Box::new(source.reader()),
                asked: VecDeque::with_capacity(4),
            };
            return use_it(Self::new(source, how));
        }
        let (job_tx, job_rx) = bounded::<Job>(window(threads));
        let (done_tx, done_rx) = bounded::<(u64, Outcome)>(window(threads));
        thread::scope(|scope| {
            for _ in 0..threads.min(expected) {
                let (jobs, done) = (job_rx.clone(), done_tx.clone());
                scope.spawn(move || serve(source, &jobs, &done));
            }
            drop((job_rx, done_tx)); // Only workers may hold these ends, or the scope never ends.
            let early = VecDeque::with_capacity(window(threads));
            let how = How::Threads {
                jobs: job_tx,
                done: done_rx,
                early,
            };
            use_it(Self::new(source, how))
        })
    }

    fn new(source: ObjectSource<'a>, how: How<'a>) -> Self {
        Self {
            objects: source.objects,
            how,
            asked: 0,
            taken: 0,
            spare: Vec::new(),
        }
    }

    /// How many more objects can be asked for before one has to be taken.
    pub fn room(&self) -> usize {
        let limit = match &self.how {
            How::Inline { .. } => 1,
            How::Threads { jobs, .. } => jobs.capacity().unwrap_or(1),
        };
        limit.saturating_sub(usize::try_from(self.asked - self.taken).unwrap_or(usize::MAX))
    }

    /// Tells of objects that will be asked for later, half a window at a time: across a line they are sent for
    /// already. `taken` of `count` objects were taken; `object` gives one with its stored length or 0.
    pub(super) fn announce(
        &self,
        window: &mut Window,
        taken: usize,
        count: usize,
        object: impl Fn(usize) -> (ChunkId, u32),
    ) {
        if window.announced < count && window.announced <= taken + window.len / 2 {
            let end = count.min(taken + window.len);
            let next: Vec<(ChunkId, u32)> = (window.announced..end).map(object).collect();
            self.objects.will_read(&next);
            window.announced = end;
        }
    }

    /// Tells of objects that will be asked for next, in this order: across a line they are sent for already.
    pub(crate) fn will_ask(&self, objects: &[(ChunkId, u32)]) {
        self.objects.will_read(objects);
    }

    /// How many objects were asked for and not taken.
    pub fn in_flight(&self) -> u64 {
        self.asked - self.taken
    }

    /// Asks for an object; there must be [`ReadAhead::room`].
    pub fn ask(&mut self, id: ChunkId) {
        assert!(
            self.room() > 0,
            "more objects asked for than may be in flight"
        );
        let number = self.asked;
        self.asked += 1;
        match &mut self.how {
            How::Inline { asked, .. } => asked.push_back(id),
            How::Threads { jobs, .. } => {
                let buffer = self.spare.pop().unwrap_or_default();
                jobs.send(Job { number, id, buffer })
                    .expect("workers live as long as the scope");
            }
        }
    }

    /// Takes the oldest object asked for and not taken yet; waits for it. `None`: there is none.
    pub fn take(&mut self) -> Option<Result<Fetched, ArchiveError>> {
        if self.taken == self.asked {
            return None;
        }
        let number = self.taken;
        self.taken += 1;
        match &mut self.how {
            How::Inline { reader, asked } => {
                let id = asked.pop_front().expect("one was asked for and not taken");
                let mut plaintext = self.spare.pop().unwrap_or_default();
                let outcome = reader.read(&id, &mut plaintext);
                Some(outcome.map(|stored_size| Fetched {
                    plaintext,
                    stored_size,
                }))
            }
            How::Threads { done, early, .. } => {
                if let Some(slot) = early.pop_front()
                    && let Some(outcome) = slot
                {
                    return Some(outcome);
                }
                loop {
                    let (finished, outcome) = done.recv().expect("a worker holds the job");
                    if finished == number {
                        return Some(outcome);
                    }
                    // Later ones wait in a ring whose front is the object after this one.
                    let slot = usize::try_from(finished - number - 1).expect("within the window");
                    while early.len() <= slot {
                        early.push_back(None);
                    }
                    early[slot] = Some(outcome);
                }
            }
        }
    }

    /// Gives a buffer back for reuse.
    pub fn recycle(&mut self, fetched: Fetched) {
        if self.spare.len() < 4 {
            self.spare.push(fetched.plaintext);
        }
    }

    /// Forgets what was asked for and not taken.
    pub fn forget(&mut self) {
        while let Some(outcome) = self.take() {
            if let Ok(fetched) = outcome {
                self.recycle(fetched);
            }
        }
    }
}

fn window(threads: usize) -> usize {
    2 * threads + 2
}

fn serve(source: ObjectSource<'_>, jobs: &Receiver<Job>, done: &Sender<(u64, Outcome)>) {
    let mut reader = source.reader();
    for Job {
        number,
        id,
        buffer: mut plaintext,
    } in jobs
    {
        let alarm = Alarm { number, done };
        let outcome = reader.read(&id, &mut plaintext).map(|stored_size| Fetched {
            plaintext,
            stored_size,
        });
        drop(alarm);
        if done.send((number, outcome)).is_err() {
            return; // Nobody waits any more.
        }
    }
}

/// Tells of a panic: nobody shall wait for an object that will never come.
struct Alarm<'a> {
    number: u64,
    done: &'a Sender<(u64, Outcome)>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = ArchiveError::other("a thread that reads objects panicked");
            let _ = self.done.send((self.number, Err(error)));
        }
    }
}
