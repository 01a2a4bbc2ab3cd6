//! Going through many objects on all threads, with what is found out in the order asked for.
//!
//! Memory: for each thread a group of objects with their plaintexts, and the ids of the batches in flight.

use std::collections::VecDeque;
use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use ironborg_crypto::{CryptoError, Key};
use ironborg_object::{ObjectError, Opener};
use ironborg_repository::Repository;
use ironborg_types::ChunkId;

use crate::items::{ObjectReader, ObjectSource, ReadObject};
use crate::{ArchiveError, Session};

/// Objects handed to a thread at a time.
const BATCH: usize = 64;
/// Objects opened together: their ids are hashed side by side.
const GROUP: usize = 4;

/// What a thread makes of an object; `None` if it is not worth mentioning.
pub(super) type Judge<'a, T> =
    &'a (dyn Fn(&ChunkId, Result<&[u8], ArchiveError>) -> Option<T> + Sync);
/// Receives what was made of each object.
pub(super) type Handle<'a, T> = &'a mut dyn FnMut(&ChunkId, Option<T>) -> Result<(), ArchiveError>;

/// The objects of a repository.
#[derive(Clone, Copy)]
pub(super) struct Sweep<'a> {
    repository: &'a dyn Repository,
    objects: &'a dyn ReadObject,
    key: &'a Key,
    threads: usize,
}

/// Whether objects are opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Objects,
    Plaintexts,
}

/// A part of the ids, and where the answer is waited for.
struct Job<T> {
    range: Range<usize>,
    answer: Sender<Judged<T>>,
}

/// What was made of the objects of a batch.
type Judged<T> = Vec<Option<T>>;

impl<'a> Sweep<'a> {
    /// The objects of an open repository.
    pub(super) fn of(session: &'a Session) -> Self {
        Self {
            repository: session.repository.as_ref(),
            objects: &session.repository,
            key: &session.key,
            threads: session.client.threads,
        }
    }

    /// Reads objects and shows them to `judge`, on any thread; what it says goes to `handle`, in the order of `ids`.
    ///
    /// # Errors
    /// The first of `handle`: it decides what becomes of objects that cannot be read.
    pub(super) fn each_object<T: Send>(
        self,
        ids: &[ChunkId],
        judge: Judge<'_, T>,
        handle: Handle<'_, T>,
    ) -> Result<(), ArchiveError> {
        self.each(What::Objects, ids, judge, handle)
    }

    /// As [`Sweep::each_object`], with plaintexts, all checks passed. The error is one of the repository
    /// ([`ArchiveError::Repository`]) or of opening the object.
    ///
    /// # Errors
    /// As there.
    pub(super) fn each_plaintext<T: Send>(
        self,
        ids: &[ChunkId],
        judge: Judge<'_, T>,
        handle: Handle<'_, T>,
    ) -> Result<(), ArchiveError> {
        self.each(What::Plaintexts, ids, judge, handle)
    }

    fn each<T: Send>(
        self,
        what: What,
        ids: &[ChunkId],
        judge: Judge<'_, T>,
        handle: Handle<'_, T>,
    ) -> Result<(), ArchiveError> {
        let threads = self.threads.min(ids.len().div_ceil(BATCH));
        if threads <= 1 {
            let mut worker = Worker::new(self, what);
            for batch in ids.chunks(BATCH) {
                self.announce(batch);
                for (id, judged) in batch.iter().zip(worker.judge(batch, judge)) {
                    handle(id, judged)?;
                }
            }
            return Ok(());
        }
        thread::scope(|scope| {
            let (jobs, queue) = crossbeam_channel::unbounded::<Job<T>>();
            for _ in 0..threads {
                let queue: Receiver<Job<T>> = queue.clone();
                scope.spawn(move || {
                    let mut worker = Worker::new(self, what);
                    for job in queue {
                        let judged = worker.judge(&ids[job.range], judge);
                        // Nobody waits for more after an error.
                        let _ = job.answer.send(judged);
                    }
                });
            }
            drop(queue); // Only the threads hold this end, so that the loss of all of them is noticed.
            self.dispatch(ids, threads * 3, &jobs, handle)
        })
    }

    /// Hands out batches, at most `in_flight` at a time, and takes the answers in order.
    fn dispatch<T>(
        self,
        ids: &[ChunkId],
        in_flight: usize,
        jobs: &Sender<Job<T>>,
        handle: Handle<'_, T>,
    ) -> Result<(), ArchiveError> {
        let mut begun = 0;
        let mut waiting: VecDeque<(Range<usize>, Receiver<Judged<T>>)> = VecDeque::new();
        loop {
            while waiting.len() < in_flight && begun < ids.len() {
                let range = begun..ids.len().min(begun + BATCH);
                begun = range.end;
                self.announce(&ids[range.clone()]);
                let (answer, judged) = crossbeam_channel::bounded(1);
                let job = Job {
                    range: range.clone(),
                    answer,
                };
                jobs.send(job)
                    .expect("threads end only when no more jobs can come, or by a panic");
                waiting.push_back((range, judged));
            }
            let Some((range, judged)) = waiting.pop_front() else {
                return Ok(());
            };
            let judged = judged.recv().expect("every job is answered");
            for (id, judged) in ids[range].iter().zip(judged) {
                handle(id, judged)?;
            }
        }
    }

    /// Across a line objects are sent for before they are needed; files here are read ahead by the system.
    fn announce(self, ids: &[ChunkId]) {
        if self.repository.is_distant() {
            self.repository.will_need(ids);
        }
    }
}

/// What one thread works with.
struct Worker<'a> {
    sweep: Sweep<'a>,
    what: What,
    reader: ObjectReader<'a>,
    opener: Opener,
    object: Vec<u8>,
    plaintexts: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(sweep: Sweep<'a>, what: What) -> Self {
        let source = ObjectSource {
            objects: sweep.objects,
            key: sweep.key,
        };
        Self {
            sweep,
            what,
            reader: source.reader(),
            opener: Opener::new(),
            object: Vec::new(),
            plaintexts: Vec::new(),
        }
    }

    fn judge<T>(&mut self, ids: &[ChunkId], judge: Judge<'_, T>) -> Judged<T> {
        let mut judged = Vec::with_capacity(ids.len());
        if self.what == What::Objects {
            for id in ids {
                let got = self.sweep.repository.get(id, &mut self.object);
                let object = got.map(|()| self.object.as_slice());
                judged.push(judge(id, object.map_err(ArchiveError::from)));
            }
            return judged;
        }
        for group in ids.chunks(GROUP) {
            if group.contains(&ChunkId::MANIFEST) {
                judged.extend(group.iter().map(|id| self.judge_alone(id, judge)));
                continue;
            }
            // How long they are is not known here.
            let lens = &[usize::MAX; GROUP][..group.len()];
            let plaintexts = &mut self.plaintexts;
            let opened = self.reader.read_group(group, lens, plaintexts);
            for (id, opened) in group.iter().zip(opened) {
                judged.push(judge(id, opened.map(|range| &plaintexts[range])));
            }
        }
        judged
    }

    fn judge_alone<T>(&mut self, id: &ChunkId, judge: Judge<'_, T>) -> Option<T> {
        let plaintext = &mut self.plaintexts;
        let opened = open_one(
            self.sweep.repository,
            self.sweep.key,
            (&mut self.opener, &mut self.object, plaintext),
            id,
        );
        judge(id, opened.map(|()| plaintext.as_slice()))
    }
}

/// Reads and opens one object; the manifest, too, which is not stored under the hash of its plaintext.
pub(super) fn open_one(
    repository: &dyn Repository,
    key: &Key,
    (opener, object, plaintext): (&mut Opener, &mut Vec<u8>, &mut Vec<u8>),
    id: &ChunkId,
) -> Result<(), ArchiveError> {
    repository.get(id, object)?;
    if *id == ChunkId::MANIFEST {
        opener.open_manifest(key, object, plaintext)?;
    } else {
        opener.open(key, id, object, plaintext)?;
    }
    Ok(())
}

/// Why an object does not open, in the words Borg's check has for it: the chunk is named before.
pub(super) fn in_words(error: &ArchiveError) -> String {
    match error {
        ArchiveError::Object(ObjectError::Crypto(CryptoError::MacMismatch { .. })) => {
            "MAC Authentication failed".to_owned()
        }
        _ => error.to_string(),
    }
}
