//! The repository as it is mounted: what is committed is read, no lock is kept, compaction is followed.
//!
//! A [`Follower`] has one session open at a time, which all threads share. When it cannot go on with that (the connection
//! is lost, its time is over, what is to be read was moved while nobody looked), the first thread that notices opens
//! another one while the others wait. Whatever is read is verified against its id, so it does not matter in which
//! state of the repository it was found.

mod turn;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_archive::items::ReadObject;
use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_cache::CacheError;
use ironborg_object::Opener;
use ironborg_repository::RepositoryError;
use ironborg_types::{ArchiveId, ChunkId, ErrorKind};

use crate::MountError;
use crate::content::WantedChunk;
use turn::{LOCK_PAUSE, Turn};

/// How often it is looked whether somebody has committed, if that takes no more than listing a directory.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same across a line.
const LOOK_FAR_EVERY: Duration = Duration::from_secs(4);
/// After a repository could not be opened it is not tried again for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often a repository is opened anew for one request: others may commit faster than we look.
const OPENINGS_MAX: usize = 4;
/// How long is waited for somebody who writes, where reading takes the lock.
const LOCK_WAIT_MAX: Duration = Duration::from_mins(10);
/// The pause between two attempts to get that lock; each waits by itself as long as it is told to.
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// Opens the mounted repository again.
pub trait Opens: Send + Sync {
    /// Opens the repository as it is committed now, without asking anybody: key and passphrase are remembered from the
    /// first time. No lock is kept if that can be.
    ///
    /// # Errors
    /// As those of [`Session::open`].
    fn open(&self) -> Result<Session, ArchiveError>;
}

/// Opens a session, once more if it was overtaken by somebody who committed between two looks of it: what it found may
/// then be older than what that somebody has left on this machine.
///
/// # Errors
/// Those of the last attempt.
pub fn open_settled<E>(
    mut open: impl FnMut() -> Result<Session, E>,
    is_overtaken: impl Fn(&E) -> bool,
) -> Result<Session, E> {
    match open() {
        Err(error) if is_overtaken(&error) => open(),
        opened => opened,
    }
}

/// Whether a session could not be opened because of something newer that was seen on this machine.
pub fn is_overtaken(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Cache(CacheError::RepositoryReplay | CacheError::RepositoryIdNotUnique)
    )
}

/// Reads chunks on one thread, with buffers and decompressor states of its own.
#[derive(Debug, Default)]
pub struct ChunkReader {
    opener: Opener,
    object: Vec<u8>,
    /// For chunks that are read together.
    group: Vec<Vec<u8>>,
}

impl ChunkReader {
    /// Gives memory back that large chunks have needed: what is kept is up to `len` bytes, for several at once twice that.
    pub fn trim(&mut self, len: usize) {
        // What is left of it need not be zeroed again.
        self.object.truncate(len);
        self.object.shrink_to(len);
        let mut held: usize = self.group.iter().map(Vec::capacity).sum();
        while held > 2 * len
            && let Some(largest) = self.group.iter_mut().max_by_key(|object| object.capacity())
        {
            held -= largest.capacity();
            *largest = Vec::new();
        }
    }
}

/// A repository that is read for a long time while others write to it.
pub struct Follower {
    shared: Arc<Shared>,
}

/// What the follower shares with the thread that gives back in time what was not used.
struct Shared {
    current: RwLock<Arc<Turn>>,
    opens: Box<dyn Opens>,
    opening: Mutex<Opening>,
    /// Somebody has begun a turn, or the follower has gone.
    begun: Condvar,
    /// The turn that thread is about.
    watched: Mutex<Option<Weak<Turn>>>,
}

/// Held by whoever opens the repository anew.
struct Opening {
    /// When it was looked for commits last.
    looked: Instant,
    /// When it could not be opened, and why.
    failed: Option<(Instant, String)>,
}

impl Follower {
    /// Follows the repository of a session; `opens` opens it again.
    pub fn new(session: Session, opens: Box<dyn Opens>) -> Self {
        let turn = Arc::new(Turn::new(session));
        let shared = Arc::new(Shared {
            current: RwLock::new(Arc::clone(&turn)),
            opens,
            opening: Mutex::new(Opening {
                looked: Instant::now(),
                failed: None,
            }),
            begun: Condvar::new(),
            watched: Mutex::new(None),
        });
        shared.watch(&turn);
        Self { shared }
    }

    /// The session as of now: key, manifest, client. What is read through it is not followed: its connection may have
    /// been given back.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.shared.turn().session)
    }

    /// The session on what is committed by now. It is looked at most once a second, less often across a line. While
    /// somebody writes who cannot be read beside, it is the one there was before.
    ///
    /// # Errors
    /// The repository cannot be opened.
    pub fn newest(&self) -> Result<Arc<Session>, MountError> {
        let turn = self.shared.turn();
        let every = if turn.session.repository.is_local() {
            LOOK_EVERY
        } else {
            LOOK_FAR_EVERY
        };
        let mut opening = match self.shared.opening.try_lock() {
            Ok(opening) => opening,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever opens it anew now sees what is newest.
            Err(TryLockError::WouldBlock) => return Ok(self.session()),
        };
        if opening.looked.elapsed() < every {
            return Ok(self.session());
        }
        opening.looked = Instant::now();
        let moved_on = match turn.enter() {
            Some(_use) => turn.session.repository.has_moved_on(),
            None => Ok(true),
        };
        let opened = match moved_on {
            Ok(false) => return Ok(Arc::clone(&turn.session)),
            Ok(true) => self.shared.open_anew(&turn, &mut opening),
            Err(error) if is_about_connection(&error) => self.shared.open_anew(&turn, &mut opening),
            Err(error) => return Err(error.into()),
        };
        match opened {
            Err(error) if is_locked(&error) => Ok(Arc::clone(&turn.session)),
            other => Ok(Arc::clone(&other?.session)),
        }
    }

    /// Reads a chunk, verifies it, and leaves it in `out` (replaced, capacity reused). Many threads may do that at once.
    ///
    /// # Errors
    /// The chunk is not in the repository any more, or damaged; the repository cannot be reached.
    pub fn read(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        self.following(|session| {
            session.repository.get(id, &mut reader.object)?;
            reader
                .opener
                .open(&session.key, id, &reader.object, out)
                .map_err(ArchiveError::from)?;
            Ok(())
        })
    }

    /// As [`Follower::read`], for a chunk that should have `len` bytes: then `out` needs no more room than that.
    ///
    /// # Errors
    /// As [`Follower::read`].
    pub fn read_sized(
        &self,
        reader: &mut ChunkReader,
        id: &ChunkId,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        self.following(|session| {
            session.repository.get(id, &mut reader.object)?;
            reader
                .opener
                .open_sized(&session.key, id, &mut reader.object, len, out)
                .map_err(ArchiveError::from)?;
            Ok(())
        })
    }

    /// As [`Follower::read_sized`], for several chunks at once, which are verified faster together. For each how it went.
    pub fn read_group(
        &self,
        reader: &mut ChunkReader,
        wanted: &mut [WantedChunk],
    ) -> Vec<Result<(), MountError>> {
        let opened = if wanted.len() > 1 {
            self.open_group(reader, wanted)
        } else {
            Vec::new()
        };
        let mut opened = opened.into_iter();
        let mut read = |chunk: &mut WantedChunk| {
            if opened.next() == Some(true) {
                return Ok(());
            }
            // On its own, where it is known what to do about an error.
            let WantedChunk { id, len, plaintext } = chunk;
            self.read_sized(reader, id, *len, plaintext)
        };
        wanted.iter_mut().map(&mut read).collect()
    }

    /// Which of several chunks could be read with the session as it is; nothing if not all of them are there.
    fn open_group(&self, reader: &mut ChunkReader, wanted: &mut [WantedChunk]) -> Vec<bool> {
        let turn = self.shared.turn();
        let Some(_use) = turn.enter() else {
            return Vec::new();
        };
        let ChunkReader { opener, group, .. } = reader;
        if group.len() < wanted.len() {
            group.resize_with(wanted.len(), Vec::new);
        }
        let repository = &turn.session.repository;
        for (chunk, object) in wanted.iter().zip(&mut *group) {
            if repository.get(&chunk.id, object).is_err() {
                return Vec::new();
            }
        }
        let ids: Vec<ChunkId> = wanted.iter().map(|chunk| chunk.id).collect();
        let lens: Vec<usize> = wanted.iter().map(|chunk| chunk.len).collect();
        let outs = wanted.iter_mut();
        let mut outs: Vec<Vec<u8>> = outs
            .map(|chunk| std::mem::take(&mut chunk.plaintext))
            .collect();
        let objects = &mut group[..ids.len()];
        let opened = opener.open_each(&turn.session.key, &ids, objects, &lens, &mut outs);
        for (chunk, plaintext) in wanted.iter_mut().zip(outs) {
            chunk.plaintext = plaintext;
        }
        opened.iter().map(Result::is_ok).collect()
    }

    /// Does something with the session, once more with a new one if that is needed.
    ///
    /// # Errors
    /// What `work` has at the end; the repository cannot be opened.
    pub fn following<T>(
        &self,
        mut work: impl FnMut(&Session) -> Result<T, MountError>,
    ) -> Result<T, MountError> {
        let mut turn = self.shared.turn();
        for _ in 0..OPENINGS_MAX {
            let done = turn.enter().map(|_use| work(&turn.session));
            match done {
                Some(Err(error)) if !is_worth_another_look(&turn, &error) => return Err(error),
                Some(Ok(done)) => return Ok(done),
                Some(Err(_)) | None => turn = self.shared.open_waiting(&turn)?,
            }
        }
        work(&turn.session)
    }

    /// A hint that these chunks will be read soon, in this order, with their stored lengths or 0.
    pub fn will_need(&self, chunks: &[(ChunkId, u32)]) {
        let turn = self.shared.turn();
        if turn.session.repository.is_distant()
            && let Some(_use) = turn.enter()
        {
            turn.session.repository.will_need_sized(chunks);
        }
    }

    /// The error of something that belongs to an archive: if that was deleted in the meantime this is the reason.
    pub fn explain(&self, archive: &Archive, error: MountError) -> MountError {
        if self.lists(archive.id) {
            return error;
        }
        MountError::ArchiveGone {
            name: archive.name.clone(),
        }
    }

    /// Whether the archive is there, as far as that is known.
    fn lists(&self, id: ArchiveId) -> bool {
        let session = self.newest().unwrap_or_else(|_| self.session());
        let mut archives = session.manifest.archives.values();
        archives.any(|entry| entry.id == id)
    }

    /// Gives memory and connection back until the next use.
    pub fn rest(&self) {
        let turn = self.shared.turn();
        if turn.is_limited() {
            turn.end();
        } else {
            turn.session.repository.rest();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        *lock(&self.shared.watched) = None;
        self.shared.begun.notify_all();
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

/// Objects that are read one by one, by many threads.
impl ReadObject for Follower {
    fn read_object(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        let read = self.following(|session| Ok(session.repository.get(id, out)?));
        read.map_err(of_repository)
    }

    fn has_object(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let found = self.following(|session| Ok(session.repository.contains(id)?));
        found.map_err(of_repository)
    }

    fn will_read(&self, objects: &[(ChunkId, u32)]) {
        self.will_need(objects);
    }
}

impl Shared {
    fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the turn `old`, waiting for those who write if need be.
    fn open_waiting(self: &Arc<Self>, old: &Arc<Turn>) -> Result<Arc<Turn>, MountError> {
        let mut opening = lock(&self.opening);
        let deadline = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match self.open_anew(old, &mut opening) {
                Err(error) if is_locked(&error) && Instant::now() < deadline => {
                    if old.session.client.interrupt.stop_requested() {
                        return Err(error);
                    }
                    thread::sleep(LOCK_RETRY);
                }
                other => return other,
            }
        }
    }

    /// Replaces the turn `old`, or finds that somebody has done so.
    fn open_anew(
        self: &Arc<Self>,
        old: &Arc<Turn>,
        opening: &mut MutexGuard<'_, Opening>,
    ) -> Result<Arc<Turn>, MountError> {
        let current = self.turn();
        if !Arc::ptr_eq(&current, old) && !current.is_over() {
            return Ok(current);
        }
        if let Some((when, message)) = &opening.failed
            && when.elapsed() < TRY_AGAIN_AFTER
        {
            return Err(MountError::Unreachable {
                message: message.clone(),
            });
        }
        if current.holds_lock() {
            // Its lock goes before another one is asked for, and somebody who waits for it gets it.
            current.end();
            thread::sleep(LOCK_PAUSE);
        }
        match open_settled(|| self.opens.open(), is_overtaken) {
            Ok(session) => {
                let turn = Arc::new(Turn::new(session));
                opening.failed = None;
                opening.looked = Instant::now();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&turn);
                self.watch(&turn);
                Ok(turn)
            }
            Err(error) => {
                let error = MountError::from(error);
                // A lock is waited for by who needs it, whatever somebody else found who does not.
                if !is_locked(&error) {
                    opening.failed = Some((Instant::now(), error.to_string()));
                }
                Err(error)
            }
        }
    }

    /// Has a turn ended in time, if it takes something that is to be given back.
    fn watch(self: &Arc<Self>, turn: &Arc<Turn>) {
        if !turn.is_limited() {
            return;
        }
        let mut watched = lock(&self.watched);
        let is_first = watched.is_none();
        *watched = Some(Arc::downgrade(turn));
        drop(watched);
        self.begun.notify_all();
        if is_first {
            let shared = Arc::clone(self);
            let watching = thread::Builder::new().name("mount-turns".to_owned());
            if watching.spawn(move || shared.end_turns()).is_err() {
                // Without the thread, what is held is given back by who uses it next.
                *lock(&self.watched) = None;
            }
        }
    }

    /// Ends turns when their time is over, until the follower is gone.
    fn end_turns(&self) {
        let mut watched = lock(&self.watched);
        while let Some(turn) = &*watched {
            let turn = turn.upgrade().filter(|turn| !turn.is_over());
            let left = turn.as_ref().map(|turn| turn.left());
            watched = match left {
                // It is over; there may be another one.
                None => {
                    let waited = self.begun.wait(watched);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                Some(Some(left)) => {
                    drop(turn);
                    let waited = self.begun.wait_timeout(watched, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(None) => {
                    drop(watched);
                    if let Some(turn) = turn {
                        turn.end();
                    }
                    lock(&self.watched)
                }
            };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of the repository in an error, if that is what it is.
fn repository_error(error: &MountError) -> Option<&RepositoryError> {
    match error {
        MountError::Repository(error) | MountError::Archive(ArchiveError::Repository(error)) => {
            Some(error)
        }
        _ => None,
    }
}

fn of_repository(error: MountError) -> RepositoryError {
    match error {
        MountError::Repository(error) | MountError::Archive(ArchiveError::Repository(error)) => {
            error
        }
        other => RepositoryError::Remote {
            kind: ErrorKind::ConnectionClosed,
            message: other.to_string(),
        },
    }
}

/// Whether it may go better in the repository as it is by now.
fn is_worth_another_look(turn: &Turn, error: &MountError) -> bool {
    let Some(error) = repository_error(error) else {
        return false;
    };
    turn.is_over()
        || is_about_connection(error)
        || matches!(turn.session.repository.has_moved_on(), Ok(true))
}

/// Whether somebody else has the lock.
fn is_locked(error: &MountError) -> bool {
    repository_error(error).is_some_and(|error| error.kind() == ErrorKind::LockTimeout)
}

/// Whether an error only says that there is no connection.
fn is_about_connection(error: &RepositoryError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionClosed
            | ErrorKind::ConnectionClosedWithHint
            | ErrorKind::ConnectionBrokenWithHint
    )
}
