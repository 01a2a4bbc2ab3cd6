//! The repository as it is mounted: what is committed is read, no lock is kept, compaction is followed.
//!
//! A [`Follower`] has one session open at a time, which all threads share. When it cannot go on with that (the connection
//! is lost, its turn is over, what is to be read was moved while nobody looked), the first thread that notices opens
//! another one while the others wait. Whatever is read is verified against its id, so it does not matter in which
//! state of the repository it was found.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_object::Opener;
use ironborg_repository::RepositoryError;
use ironborg_types::{ArchiveId, ChunkId, ErrorKind};

use crate::MountError;

/// How often it is looked whether somebody has committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a repository could not be opened it is not tried again for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often a repository is opened anew for one request: others may commit faster than we look.
const OPENINGS_MAX: usize = 3;

/// Opens the mounted repository again.
pub trait Opens: Send + Sync {
    /// Opens the repository as it is committed now, without asking anybody: key and passphrase are remembered from the
    /// first time. No lock is kept if that can be.
    ///
    /// # Errors
    /// As those of [`Session::open`].
    fn open(&self) -> Result<Session, ArchiveError>;
}

/// Reads chunks on one thread, with buffers and decompressor states of its own.
#[derive(Debug, Default)]
pub struct ChunkReader {
    opener: Opener,
    object: Vec<u8>,
}

/// A repository that is read for a long time while others write to it.
pub struct Follower {
    current: RwLock<Arc<Session>>,
    opens: Box<dyn Opens>,
    turn: Mutex<Turn>,
}

/// Held by whoever opens the repository anew.
struct Turn {
    /// When it was looked for commits last.
    looked: Instant,
    /// When it could not be opened, and why.
    failed: Option<(Instant, String)>,
}

impl Follower {
    /// Follows the repository of a session; `opens` opens it again.
    pub fn new(session: Session, opens: Box<dyn Opens>) -> Self {
        Self {
            current: RwLock::new(Arc::new(session)),
            opens,
            turn: Mutex::new(Turn {
                looked: Instant::now(),
                failed: None,
            }),
        }
    }

    /// The session as of now: key, manifest, client. What is read through it is not followed.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The session on what is committed by now. It is looked at most once a second.
    ///
    /// # Errors
    /// The repository cannot be opened.
    pub fn newest(&self) -> Result<Arc<Session>, MountError> {
        let session = self.session();
        let mut turn = self.turn();
        if turn.looked.elapsed() < LOOK_EVERY {
            drop(turn);
            return Ok(self.session());
        }
        turn.looked = Instant::now();
        match session.repository.has_moved_on() {
            Ok(false) => Ok(session),
            Ok(true) => self.open_anew(&session, turn),
            Err(error) if is_about_connection(&error) => self.open_anew(&session, turn),
            Err(error) => Err(error.into()),
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
                .open_sized(&session.key, id, &reader.object, len, out)
                .map_err(ArchiveError::from)?;
            Ok(())
        })
    }

    /// Does something with the session, once more with a new one if that is needed.
    ///
    /// # Errors
    /// What `work` has at the end; the repository cannot be opened.
    pub fn following<T>(
        &self,
        mut work: impl FnMut(&Session) -> Result<T, MountError>,
    ) -> Result<T, MountError> {
        let mut session = self.session();
        for _ in 0..OPENINGS_MAX {
            match work(&session) {
                Err(error) if is_worth_another_look(&session, &error) => {
                    session = self.open_anew(&session, self.turn())?;
                }
                other => return other,
            }
        }
        work(&session)
    }

    /// A hint that these chunks will be read soon, in this order, with their stored lengths or 0.
    pub fn will_need(&self, chunks: &[(ChunkId, u32)]) {
        let session = self.session();
        if !session.repository.is_local() {
            session.repository.will_need_sized(chunks);
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
        self.session().repository.rest();
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the session `old`, or finds that somebody has done so.
    fn open_anew(
        &self,
        old: &Arc<Session>,
        mut turn: MutexGuard<'_, Turn>,
    ) -> Result<Arc<Session>, MountError> {
        let current = self.session();
        if !Arc::ptr_eq(&current, old) {
            return Ok(current);
        }
        if let Some((when, message)) = &turn.failed
            && when.elapsed() < TRY_AGAIN_AFTER
        {
            return Err(MountError::Unreachable {
                message: message.clone(),
            });
        }
        match self.opens.open() {
            Ok(session) => {
                let session = Arc::new(session);
                turn.failed = None;
                turn.looked = Instant::now();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::clone(&session);
                Ok(session)
            }
            Err(error) => {
                turn.failed = Some((Instant::now(), error.to_string()));
                Err(error.into())
            }
        }
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

/// Whether it may go better in the repository as it is by now.
fn is_worth_another_look(session: &Session, error: &MountError) -> bool {
    let error = match error {
        MountError::Repository(error) | MountError::Archive(ArchiveError::Repository(error)) => {
            error
        }
        _ => return false,
    };
    is_about_connection(error) || matches!(session.repository.has_moved_on(), Ok(true))
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
