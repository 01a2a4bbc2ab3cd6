//! Chunks made anew on all cores: compressed again, or cut out of what was read.

use std::collections::VecDeque;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use ironborg_cache::ChunkTable;
use ironborg_chunker::Chunker;
use ironborg_crypto::{Key, Nonces};
use ironborg_object::{Compression, Sealer, StoredForm};
use ironborg_types::ChunkId;

use super::Recompress;
use crate::ArchiveError;
use crate::items::{ObjectReader, ObjectSource};

/// Something to be done about chunks.
#[derive(Debug)]
pub(super) enum Job {
    /// Read a stored chunk and compress it again.
    Recompress(ChunkId),
    /// Read the chunks of a small file and cut it anew.
    Recut(Vec<ChunkId>),
    /// A chunk that was cut already.
    Store(Vec<u8>),
}

/// What came of a chunk.
#[derive(Debug)]
pub(super) struct NewChunk {
    pub(super) id: ChunkId,
    /// Bytes of plaintext.
    pub(super) size: u32,
    /// Bytes of the object that is stored; 0 if nobody looked.
    pub(super) stored_size: u32,
    /// The object to be stored, unless the one that is there will do.
    pub(super) object: Option<Vec<u8>>,
}

type Outcome = Result<Vec<NewChunk>, ArchiveError>;

/// What every worker needs.
#[derive(Clone, Copy)]
pub(super) struct Workplace<'a> {
    pub(super) source: ObjectSource<'a>,
    pub(super) nonces: &'a Nonces,
    pub(super) table: &'a ChunkTable,
    pub(super) compression: &'a Compression,
    pub(super) recompress: Recompress,
    pub(super) chunker: Option<&'a Chunker>,
}

/// Workers that take jobs; results come in the order the jobs were given in.
pub(super) struct Pool {
    jobs: Sender<(u64, Job)>,
    done: Receiver<(u64, Outcome)>,
    early: VecDeque<Option<Outcome>>,
    asked: u64,
    taken: u64,
    limit: u64,
}

impl Pool {
    /// Calls `use_it` with a pool of `threads` workers (none: nothing may be asked).
    pub(super) fn scope<T>(
        workplace: Workplace<'_>,
        threads: usize,
        use_it: impl FnOnce(Self) -> T,
    ) -> T {
        let (job_tx, job_rx) = unbounded::<(u64, Job)>();
        let (done_tx, done_rx) = unbounded();
        thread::scope(|scope| {
            for _ in 0..threads {
                let (jobs, done) = (job_rx.clone(), done_tx.clone());
                let worker = Worker::new(workplace);
                scope.spawn(move || worker.run(&jobs, &done));
            }
            drop((job_rx, done_tx)); // Only workers may hold these ends, or the scope never ends.
            use_it(Self {
                jobs: job_tx,
                done: done_rx,
                early: VecDeque::new(),
                asked: 0,
                taken: 0,
                limit: 2 * threads as u64 + 2,
            })
        })
    }

    /// Whether another job may be given before a result is taken.
    pub(super) fn has_room(&self) -> bool {
        self.asked - self.taken < self.limit
    }

    /// Gives a job; there must be room.
    pub(super) fn ask(&mut self, job: Job) {
        assert!(self.has_room(), "more jobs than may be in flight");
        self.jobs
            .send((self.asked, job))
            .expect("workers live as long as the scope");
        self.asked += 1;
    }

    /// Takes the result of the oldest job not taken yet; waits for it.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn take(&mut self) -> Outcome {
        assert!(self.taken < self.asked, "a result for each job");
        let number = self.taken;
        self.taken += 1;
        if let Some(Some(outcome)) = self.early.pop_front() {
            return outcome;
        }
        loop {
            let (finished, outcome) = self.done.recv().expect("a worker holds the job");
            if finished == number {
                return outcome;
            }
            // Later ones wait in a ring whose front is the job after this one.
            let slot = usize::try_from(finished - number - 1).expect("within the limit");
            while self.early.len() <= slot {
                self.early.push_back(None);
            }
            self.early[slot] = Some(outcome);
        }
    }
}

struct Worker<'a> {
    workplace: Workplace<'a>,
    key: &'a Key,
    reader: ObjectReader<'a>,
    sealer: Sealer,
    chunker: Option<Chunker>,
    plaintext: Vec<u8>,
    file: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(workplace: Workplace<'a>) -> Self {
        Self {
            key: workplace.source.key,
            reader: workplace.source.reader(),
            sealer: Sealer::new(workplace.compression.clone()),
            chunker: workplace.chunker.cloned(),
            plaintext: Vec::new(),
            file: Vec::new(),
            workplace,
        }
    }

    fn run(mut self, jobs: &Receiver<(u64, Job)>, done: &Sender<(u64, Outcome)>) {
        for (number, job) in jobs {
            let alarm = Alarm { number, done };
            let outcome = self.work(job);
            drop(alarm);
            if done.send((number, outcome)).is_err() {
                return; // Nobody waits any more.
            }
        }
    }

    fn work(&mut self, job: Job) -> Outcome {
        match job {
            Job::Recompress(id) => Ok(vec![self.recompress(id)?]),
            Job::Store(data) => Ok(vec![self.store(&data)?]),
            Job::Recut(ids) => self.recut(&ids),
        }
    }

    fn recompress(&mut self, id: ChunkId) -> Result<NewChunk, ArchiveError> {
        let mut plaintext = std::mem::take(&mut self.plaintext);
        let (stored, form) = self.reader.read_form(&id, &mut plaintext)?;
        let object = self.seal(&plaintext, Some(form))?;
        let size = length(plaintext.len());
        self.plaintext = plaintext;
        Ok(NewChunk {
            id,
            size,
            stored_size: length(stored),
            object,
        })
    }

    fn recut(&mut self, ids: &[ChunkId]) -> Outcome {
        let mut file = std::mem::take(&mut self.file);
        file.clear();
        for id in ids {
            self.reader.read(id, &mut self.plaintext)?;
            file.extend_from_slice(&self.plaintext);
        }
        let chunker = self.chunker.as_mut().expect("files are only cut with one");
        chunker.restart();
        let mut cuts = Vec::new();
        let mut start = 0;
        while let Some(len) = chunker.next_cut(&file[start..], true) {
            cuts.push(start..start + len);
            start += len;
        }
        let stored = cuts.into_iter().map(|cut| self.store(&file[cut])).collect();
        self.file = file;
        stored
    }

    /// Seals a chunk unless the repository has it, in a form that will do.
    fn store(&mut self, data: &[u8]) -> Result<NewChunk, ArchiveError> {
        let id = self.key.id_hash(data);
        let Workplace {
            table,
            source,
            recompress,
            ..
        } = self.workplace;
        // An archive may refer to an object that has been lost; here it comes back.
        let is_known = table.get(&id).is_some() && source.objects.has_object(&id)?;
        let mut stored_size = 0;
        let object = match (is_known, recompress) {
            (true, Recompress::Never) => None,
            (true, Recompress::IfDifferent) => {
                let (stored, form) = self.reader.read_form(&id, &mut self.plaintext)?;
                stored_size = length(stored);
                self.seal(data, Some(form))?
            }
            _ => self.seal(data, None)?,
        };
        Ok(NewChunk {
            id,
            size: length(data.len()),
            stored_size,
            object,
        })
    }

    /// An object for `data`, unless one of the form `present` is wanted anyway.
    fn seal(
        &mut self,
        data: &[u8],
        present: Option<StoredForm>,
    ) -> Result<Option<Vec<u8>>, ArchiveError> {
        let mut object = Vec::new();
        let nonces = self.workplace.nonces;
        match present {
            Some(form) if self.workplace.recompress == Recompress::IfDifferent => {
                let sealed = self
                    .sealer
                    .seal_unless(form, self.key, nonces, data, &mut object)?;
                Ok(sealed.then_some(object))
            }
            _ => {
                self.sealer.seal(self.key, nonces, data, &mut object)?;
                Ok(Some(object))
            }
        }
    }
}

/// Tells of a panic: nobody shall wait for a result that will never come.
struct Alarm<'a> {
    number: u64,
    done: &'a Sender<(u64, Outcome)>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = ArchiveError::other("a thread that makes chunks panicked");
            let _ = self.done.send((self.number, Err(error)));
        }
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("objects and chunks are smaller than 4 GiB")
}
