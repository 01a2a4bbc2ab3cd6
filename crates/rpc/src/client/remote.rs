//! A repository on the other end of a pipe.

// The methods themselves are for one lifetime only.
#![allow(clippy::redundant_closure_for_method_calls)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ironborg_repository::{
    Change, CheckMode, CheckOptions, CompactOptions, Repository, RepositoryError,
};
use ironborg_types::{
    ChunkId, ErrorKind, Event, Level, NonceStore, NonceStoreError, Reporter, RepositoryId,
    Reservation,
};

use super::connection::{Access, Connection};
use super::dial::Dial;
use super::handshake::LOGGER;
use super::journal::JournalOptions;
use super::known::KnownIds;
use super::link::Answer;
use super::nonces::NoNonces;
use super::redial::ReconnectOptions;
use super::{answers, faults};
use crate::message::{Call, Open, Payload, Version};

/// How many ids are asked for at a time.
const LIST_PAGE: usize = 300_000;
/// Of so many objects the server is asked one by one; after that it is cheaper to know them all.
const ASKED_ALONE_MAX: usize = 8;

/// How a repository is reached and opened.
#[derive(Clone)]
pub struct RemoteOptions {
    /// The way to a server.
    pub dial: Arc<dyn Dial>,
    /// What the server is asked to open.
    pub open: Open,
    /// The location as the user gave it, for messages.
    pub location: String,
    /// Bytes a second that are sent at most; 0 for no limit.
    pub upload_rate: u64,
    /// Bytes of puts that may wait for the connection.
    pub upload_buffer: usize,
    /// Receives what the server has to say.
    pub reporter: Arc<dyn Reporter>,
    /// What is done when the connection is lost.
    pub reconnect: ReconnectOptions,
    /// Where that is kept which a lost server forgets.
    pub journal: JournalOptions,
}

/// A repository on the other end of a pipe.
pub struct RemoteRepository {
    connection: Arc<Connection>,
    append_only: bool,
    /// Whether a lock was asked for.
    holds_lock: bool,
    /// Which objects are stored; `None` until somebody needs to know.
    known: RwLock<Option<KnownIds>>,
    /// How often the server was asked for one.
    asked_alone: AtomicUsize,
    /// Changes, if they are noted.
    changes: Option<Vec<Change>>,
    reporter: Arc<dyn Reporter>,
}

impl RemoteRepository {
    /// Starts a server and has it open a repository.
    ///
    /// # Errors
    /// The server cannot be started, does not answer, or refuses.
    pub fn open(options: RemoteOptions) -> Result<Self, RepositoryError> {
        Self::open_with(options, Access::AsSaid)
    }

    /// The same for who only reads: where the server can, what is committed is read, and no lock is kept. A server that
    /// cannot opens the repository as `options` say.
    ///
    /// # Errors
    /// As those of [`RemoteRepository::open`].
    pub fn open_snapshot(options: RemoteOptions) -> Result<Self, RepositoryError> {
        Self::open_with(options, Access::SnapshotIfPossible)
    }

    fn open_with(options: RemoteOptions, access: Access) -> Result<Self, RepositoryError> {
        let append_only = options.open.append_only;
        let reporter = Arc::clone(&options.reporter);
        Ok(Self {
            holds_lock: options.open.lock,
            connection: Arc::new(Connection::open(options, access)?),
            append_only,
            known: RwLock::new(None),
            asked_alone: AtomicUsize::new(0),
            changes: None,
            reporter,
        })
    }

    /// The server's version.
    pub fn server_version(&self) -> Version {
        self.connection.server()
    }

    fn value<T>(
        &self,
        answer: Answer,
        read: impl FnOnce(Payload<'_>) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        answers::value(answer, self.connection.location(), read)
    }

    fn nothing(&self, answer: Answer) -> Result<(), RepositoryError> {
        answers::nothing(answer, self.connection.location())
    }

    fn ids(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
        call: fn(Option<u64>, Option<ChunkId>) -> Call<'static>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        let limit = limit.map(|limit| limit as u64);
        let answer = self.connection.ask(&call(limit, marker.copied()))?;
        self.value(answer, |payload| payload.ids())
    }

    /// Learns which objects are stored, if that is not known yet.
    fn load_known(&self) -> Result<(), RepositoryError> {
        if self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            return Ok(());
        }
        let mut ids = Vec::new();
        let mut marker = None;
        loop {
            let page = self.list(Some(LIST_PAGE), marker.as_ref())?;
            let Some(last) = page.last() else { break };
            if marker == Some(*last) {
                break;
            }
            marker = Some(*last);
            ids.reserve_exact(page.len());
            ids.extend(page);
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(KnownIds::new(ids));
        Ok(())
    }

    fn note(&mut self, change: Change) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            known.note(change);
        }
        if let Some(changes) = &mut self.changes {
            changes.push(change);
        }
    }

    /// Waits for the answers to all changes.
    fn settle(&self) -> Result<(), RepositoryError> {
        self.connection.settle()?;
        self.check_faults()
    }

    fn check_faults(&self) -> Result<(), RepositoryError> {
        match self.connection.take_fault() {
            Some(fault) => Err(faults::error(&fault, self.connection.location())),
            None => Ok(()),
        }
    }
}

impl Repository for RemoteRepository {
    fn id(&self) -> RepositoryId {
        self.connection.id()
    }

    fn location(&self) -> String {
        self.connection.location().to_owned()
    }

    fn append_only(&self) -> bool {
        self.append_only
    }

    fn holds_lock(&self) -> bool {
        self.holds_lock && !self.connection.reads_snapshot()
    }

    fn has_moved_on(&self) -> Result<bool, RepositoryError> {
        // As long as there is a lock nobody commits.
        Ok(self.connection.reads_snapshot() && self.connection.has_other_manifest()?)
    }

    fn rest(&self) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.connection.close();
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        let answer = self.connection.ask(&Call::Len)?;
        let len = self.value(answer, |payload| payload.number())?;
        Ok(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn list(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.ids(limit, marker, |limit, marker| Call::List { limit, marker })
    }

    fn scan(
        &self,
        limit: usize,
        marker: Option<&ChunkId>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        self.ids(Some(limit), marker, |limit, marker| Call::Scan {
            limit,
            marker,
        })
    }

    fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let is_known = || self.known.read().is_ok_and(|known| known.is_some());
        if self.asked_alone.fetch_add(1, Ordering::Relaxed) < ASKED_ALONE_MAX && !is_known() {
            return Ok(self.stored_size(id)?.is_some());
        }
        self.load_known()?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.as_ref().is_some_and(|known| known.contains(id)))
    }

    fn get(&self, id: &ChunkId, out: &mut Vec<u8>) -> Result<(), RepositoryError> {
        match self.connection.get(id)? {
            Answer::Object(object) => {
                self.connection.give_back(std::mem::replace(out, object));
                Ok(())
            }
            Answer::Fault(fault) if fault.class == b"ObjectNotFound" => {
                Err(RepositoryError::ObjectNotFound {
                    id: *id,
                    location: self.location(),
                })
            }
            other => answers::bytes(other, self.connection.location()).map(|_| ()),
        }
    }

    fn stored_size(&self, id: &ChunkId) -> Result<Option<u32>, RepositoryError> {
        let mut object = Vec::new();
        match self.get(id, &mut object) {
            Ok(()) => Ok(u32::try_from(object.len()).ok()),
            Err(RepositoryError::ObjectNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn storage_order(&self, _: &ChunkId) -> Option<u64> {
        None
    }

    fn will_need(&self, ids: &[ChunkId]) {
        let unsized_objects = ids.iter().map(|id| (*id, 0));
        self.connection.will_need(unsized_objects);
    }

    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        self.connection.will_need(objects.iter().copied());
    }

    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.check_faults()?;
        self.connection.change(&Call::Put {
            id: *id,
            data: object,
        })?;
        self.note(Change {
            id: *id,
            stored: Some(u32::try_from(object.len()).unwrap_or(u32::MAX)),
        });
        Ok(())
    }

    fn delete(&mut self, id: &ChunkId) -> Result<(), RepositoryError> {
        let missing = self.delete_many(&[*id])?;
        if missing.contains(id) {
            return Err(RepositoryError::ObjectNotFound {
                id: *id,
                location: self.location(),
            });
        }
        Ok(())
    }

    fn delete_many(&mut self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, RepositoryError> {
        self.check_faults()?;
        for id in ids {
            self.connection.change(&Call::Delete { id: *id })?;
            self.note(Change {
                id: *id,
                stored: None,
            });
        }
        self.settle()?;
        Ok(self.connection.take_missing())
    }

    fn note_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    fn take_changes(&mut self) -> Option<Vec<Change>> {
        self.changes.as_mut().map(std::mem::take)
    }

    fn wants_commit(&self) -> bool {
        self.connection.wants_commit()
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        self.settle()?;
        self.connection.commit(&Call::Commit {
            save_space: false,
            compact: false,
            threshold: 0.1,
            cleanup_commits: false,
        })
    }

    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        self.settle()?;
        self.connection.commit_once(&Call::Commit {
            save_space: false,
            compact: true,
            threshold: options.threshold,
            cleanup_commits: options.cleanup_commits,
        })
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        *self.known.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(changes) = &mut self.changes {
            changes.clear();
        }
        self.connection.rollback()
    }

    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        self.settle()?;
        // A repair may lose some.
        *self.known.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(changes) = &mut self.changes {
            changes.clear();
        }
        if options.mode == CheckMode::Plan {
            let message = "What a repair would change in the segments and the index of a repository behind a \
                           server cannot be told: they are only checked.";
            self.reporter
                .report(Event::log(Level::Warning, LOGGER, message));
        }
        let call = Call::Check {
            repair: options.mode == CheckMode::Repair,
            save_space: options.save_space,
            max_duration: options.max_duration_s,
        };
        let answer = self.connection.ask_once(&call)?;
        self.value(answer, |payload| payload.flag())
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        let answer = self.connection.ask_once(&Call::Destroy)?;
        self.nothing(answer)
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        let answer = self.connection.ask_once(&Call::BreakLock)?;
        self.nothing(answer)
    }

    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        // The server forgets what was not committed when its input ends.
        self.connection.close();
        Ok(())
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        let answer = self.connection.ask(&Call::LoadKey)?;
        answers::bytes(answer, self.connection.location())
    }

    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError> {
        let answer = self.connection.ask(&Call::SaveKey { keydata: key })?;
        self.nothing(answer)
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        // They would refuse the calls, and show that as an error of theirs.
        if self.server_version() < Version::release(1, 1, 0) {
            return Arc::new(NoNonces::new(Arc::clone(&self.reporter)));
        }
        Arc::new(RemoteNonces(Arc::clone(&self.connection)))
    }
}

impl Drop for RemoteRepository {
    fn drop(&mut self) {
        // What else still has the connection has no use for it.
        self.connection.close();
    }
}

fn nonce_error(error: &RepositoryError) -> NonceStoreError {
    NonceStoreError {
        kind: error.kind(),
        message: error.to_string(),
    }
}

/// The repository's part of the nonce reservations, across the pipe.
struct RemoteNonces(Arc<Connection>);

impl NonceStore for RemoteNonces {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        let read = |payload: Payload<'_>| {
            if payload.is_nil() {
                return Some(None);
            }
            payload.number().map(Some)
        };
        self.0
            .ask(&Call::GetFreeNonce)
            .and_then(|answer| answers::value(answer, self.0.location(), read))
            .map_err(|error| nonce_error(&error))
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        match self.try_reserve(next, expected)? {
            Reservation::Made => Ok(()),
            Reservation::Unknown => {
                let lost = ErrorKind::ConnectionClosed.row().message;
                Err(NonceStoreError {
                    kind: ErrorKind::ConnectionClosed,
                    message: lost.to_owned(),
                })
            }
        }
    }

    fn try_reserve(
        &self,
        next: u64,
        expected: Option<u64>,
    ) -> Result<Reservation, NonceStoreError> {
        let call = Call::CommitNonceReservation {
            next_unreserved: next,
            start_nonce: expected,
        };
        let reserved = self.0.reserve(&call).and_then(|answer| match answer {
            Some(answer) => answers::nothing(answer, self.0.location()).map(|()| Reservation::Made),
            None => Ok(Reservation::Unknown),
        });
        reserved.map_err(|error| nonce_error(&error))
    }
}
