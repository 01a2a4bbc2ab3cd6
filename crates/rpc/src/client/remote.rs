//! A repository on the other end of a pipe.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ironborg_repository::{Change, CheckOptions, CompactOptions, Repository, RepositoryError};
use ironborg_types::{
    ChunkId, ErrorKind, Event, Level, NonceStore, NonceStoreError, Reporter, RepositoryId, text,
};

use super::dial::Dial;
use super::faults;
use super::known::KnownIds;
use super::link::{Answer, Broken, Link, LinkOptions};
use super::since;
use crate::message::{Call, Fault, Form, Open, Payload, Reply, Version};

/// How much of a message that is none is shown.
const SHOWN_LEN: usize = 128;
/// How many ids are asked for at a time.
const LIST_PAGE: usize = 300_000;
/// Of so many objects the server is asked one by one; after that it is cheaper to know them all.
const ASKED_ALONE_MAX: usize = 8;

/// Logger of the client.
const LOGGER: &str = "borg.remote";
/// Said of the error by which a server before 1.0.7 is recognised, whose own words are in its log.
const TYPE_ERROR_NOTE: &str = "\
Please note:
If you see a TypeError complaining about the number of positional arguments
given to open(), you can ignore it if it comes from a borg version < 1.0.7.
This TypeError is a cosmetic side effect of the compatibility code borg
clients >= 1.0.7 have to support older borg servers.
This problem will go away as soon as the server has been upgraded to 1.0.7+.";

/// How a repository is reached and opened.
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
}

/// A repository on the other end of a pipe.
pub struct RemoteRepository {
    id: RepositoryId,
    connection: Arc<Connection>,
    append_only: bool,
    /// Which objects are stored; `None` until somebody needs to know.
    known: RwLock<Option<KnownIds>>,
    /// How often the server was asked for one.
    asked_alone: AtomicUsize,
    /// Changes, if they are noted.
    changes: Option<Vec<Change>>,
}

/// What the repository and its nonce store share.
struct Connection {
    link: Link,
    location: String,
}

impl RemoteRepository {
    /// Starts a server and has it open a repository.
    ///
    /// # Errors
    /// The server cannot be started, does not answer, or refuses.
    pub fn open(options: RemoteOptions) -> Result<Self, RepositoryError> {
        let RemoteOptions {
            dial,
            open,
            location,
            upload_rate,
            upload_buffer,
            reporter,
        } = options;
        let wire = dial.dial().map_err(|error| RepositoryError::Remote {
            kind: ErrorKind::Exception,
            message: error.to_string(),
        })?;
        let limits = LinkOptions {
            rate: Some(upload_rate),
            window: upload_buffer,
        };
        let mut lines = super::log_lines::LogLines::new(Arc::clone(&reporter));
        let mut link =
            Link::new(wire, limits, move |bytes| lines.feed(bytes)).map_err(|error| {
                RepositoryError::Remote {
                    kind: ErrorKind::Exception,
                    message: error.to_string(),
                }
            })?;
        negotiate(&mut link, &location)?;
        let mut connection = Connection { link, location };
        let append_only = open.append_only;
        let id = connection.open_as_understood(open, &*reporter)?;
        Ok(Self {
            id,
            connection: Arc::new(connection),
            append_only,
            known: RwLock::new(None),
            asked_alone: AtomicUsize::new(0),
            changes: None,
        })
    }

    /// The server's version.
    pub fn server_version(&self) -> &Version {
        self.connection.link.server()
    }

    fn ids(
        &self,
        limit: Option<usize>,
        marker: Option<&ChunkId>,
        call: fn(Option<u64>, Option<ChunkId>) -> Call<'static>,
    ) -> Result<Vec<ChunkId>, RepositoryError> {
        let limit = limit.map(|limit| limit as u64);
        self.connection
            .call(&call(limit, marker.copied()), |payload| payload.ids())
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
        self.connection.link.settle().map_err(broken)?;
        self.check_faults()
    }

    fn check_faults(&self) -> Result<(), RepositoryError> {
        match self.connection.link.take_fault() {
            Some(fault) => Err(self.connection.error(&fault)),
            None => Ok(()),
        }
    }

    fn commit_with(&mut self, call: &Call<'_>) -> Result<(), RepositoryError> {
        self.settle()?;
        self.connection.call_for_nothing(call)
    }
}

/// Exchanges versions.
fn negotiate(link: &mut Link, location: &str) -> Result<(), RepositoryError> {
    let hello = Call::Negotiate {
        client: Some(Version::own()),
    };
    let answer = match link.call(&hello) {
        Err(Broken::Closed) => {
            return Err(RepositoryError::Remote {
                kind: ErrorKind::ConnectionClosedWithHint,
                message: "Connection closed by remote host. Is borg working on the server?"
                    .to_owned(),
            });
        }
        other => other.map_err(broken)?,
    };
    let unsupported = |shown: String| RepositoryError::Remote {
        kind: ErrorKind::Exception,
        message: format!("The server uses an unsupported version of the protocol: {shown}"),
    };
    let frame = match answer {
        Answer::Frame(frame) => frame,
        Answer::Fault(fault) => return Err(faults::error(&fault, location)),
        Answer::Object(bytes) => return Err(unsupported(text::display(&bytes).into_owned())),
    };
    let payload = Reply::decode(&frame).and_then(|reply| reply.outcome.ok());
    let value = payload.and_then(Payload::small_value);
    match value {
        Some(value) if value.as_u64() == Some(2) => Ok(()),
        Some(value) => {
            let version = value.get(b"server_version").and_then(Version::from_value);
            let version = version.ok_or_else(|| unsupported(format!("{value:?}")))?;
            link.speak(Form::Named, version);
            Ok(())
        }
        None => Err(unsupported("(unknown)".to_owned())),
    }
}

/// The error for a connection that cannot be used any more.
fn broken(reason: Broken) -> RepositoryError {
    let (kind, message) = match reason {
        Broken::Closed => (
            ErrorKind::ConnectionClosed,
            ErrorKind::ConnectionClosed.row().message.to_owned(),
        ),
        Broken::Pipe => (
            ErrorKind::ConnectionBrokenWithHint,
            "Connection to remote host is broken. Broken Pipe".to_owned(),
        ),
        Broken::Garbage(bytes) => (
            ErrorKind::UnexpectedRPCDataFormatFromServer,
            format!(
                "Got unexpected RPC data format from server:\n{}",
                shown(&bytes)
            ),
        ),
    };
    RepositoryError::Remote { kind, message }
}

/// The beginning of bytes as text, or in hexadecimal, 16 in a line.
fn shown(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.chars().take(SHOWN_LEN).collect();
    }
    let lines = bytes[..bytes.len().min(SHOWN_LEN)].chunks(16).map(|line| {
        let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Connection {
    fn error(&self, fault: &Fault) -> RepositoryError {
        faults::error(fault, &self.location)
    }

    /// Makes a call and reads its result.
    fn call<T>(
        &self,
        call: &Call<'_>,
        read: impl FnOnce(Payload<'_>) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        let garbage = |frame: &[u8]| broken(Broken::Garbage(frame.to_vec()));
        match self.ask(call)? {
            Answer::Fault(fault) => Err(self.error(&fault)),
            Answer::Object(bytes) => Err(garbage(&bytes)),
            Answer::Frame(frame) => Reply::decode(&frame)
                .and_then(|reply| reply.outcome.ok())
                .and_then(read)
                .ok_or_else(|| garbage(&frame)),
        }
    }

    /// Makes a call whose result is of no interest.
    fn call_for_nothing(&self, call: &Call<'_>) -> Result<(), RepositoryError> {
        match self.ask(call)? {
            Answer::Fault(fault) => Err(self.error(&fault)),
            Answer::Object(_) | Answer::Frame(_) => Ok(()),
        }
    }

    /// Makes a call that brings bytes.
    fn call_for_bytes(&self, call: &Call<'_>) -> Result<Vec<u8>, RepositoryError> {
        self.ask(call).and_then(|answer| self.bytes(answer))
    }

    /// Makes a call, unless the server is too old for it.
    fn ask(&self, call: &Call<'_>) -> Result<Answer, RepositoryError> {
        match since::refusal(call, self.link.server()) {
            Some(error) => Err(error),
            None => self.link.call(call).map_err(broken),
        }
    }

    fn bytes(&self, answer: Answer) -> Result<Vec<u8>, RepositoryError> {
        match answer {
            Answer::Fault(fault) => Err(self.error(&fault)),
            Answer::Object(bytes) => Ok(bytes),
            Answer::Frame(frame) => Err(broken(Broken::Garbage(frame))),
        }
    }

    /// Opens the repository, the way the oldest servers want it if this is one of them.
    fn open_as_understood(
        &mut self,
        open: Open,
        reporter: &dyn Reporter,
    ) -> Result<RepositoryId, RepositoryError> {
        let is_unnamed = self.link.form() == Form::Positional;
        match self.open(open.clone()) {
            Err(RepositoryError::Foreign(error)) if is_unnamed && error.class == "TypeError" => {
                reporter.report(Event::log(Level::Warning, LOGGER, TYPE_ERROR_NOTE));
                self.link.speak(Form::Positional, Version::release(1, 0, 6));
                self.open(open)
            }
            other => other,
        }
    }

    fn open(&self, open: Open) -> Result<RepositoryId, RepositoryError> {
        let id = self.call_for_bytes(&Call::Open(open))?;
        RepositoryId::from_slice(&id).ok_or_else(|| broken(Broken::Garbage(id)))
    }
}

impl Repository for RemoteRepository {
    fn id(&self) -> RepositoryId {
        self.id
    }

    fn location(&self) -> String {
        self.connection.location.clone()
    }

    fn append_only(&self) -> bool {
        self.append_only
    }

    fn len(&self) -> Result<usize, RepositoryError> {
        let len = self
            .connection
            .call(&Call::Len, |payload| payload.number())?;
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
        match self.connection.link.get(id).map_err(broken)? {
            Answer::Object(object) => {
                *out = object;
                Ok(())
            }
            Answer::Fault(fault) if fault.class == b"ObjectNotFound" => {
                Err(RepositoryError::ObjectNotFound {
                    id: *id,
                    location: self.location(),
                })
            }
            other => self.connection.bytes(other).map(|_| ()),
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
        self.connection.link.will_need(unsized_objects);
    }

    fn will_need_sized(&self, objects: &[(ChunkId, u32)]) {
        self.connection.link.will_need(objects.iter().copied());
    }

    fn put(&mut self, id: &ChunkId, object: &[u8]) -> Result<(), RepositoryError> {
        self.check_faults()?;
        self.connection
            .link
            .change(&Call::Put {
                id: *id,
                data: object,
            })
            .map_err(broken)?;
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
            self.connection
                .link
                .change(&Call::Delete { id: *id })
                .map_err(broken)?;
            self.note(Change {
                id: *id,
                stored: None,
            });
        }
        self.settle()?;
        Ok(self.connection.link.take_missing())
    }

    fn note_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    fn take_changes(&mut self) -> Option<Vec<Change>> {
        self.changes.as_mut().map(std::mem::take)
    }

    fn commit(&mut self) -> Result<(), RepositoryError> {
        self.commit_with(&Call::Commit {
            save_space: false,
            compact: false,
            threshold: 0.1,
            cleanup_commits: false,
        })
    }

    fn commit_compact(&mut self, options: CompactOptions) -> Result<(), RepositoryError> {
        self.commit_with(&Call::Commit {
            save_space: false,
            compact: true,
            threshold: options.threshold,
            cleanup_commits: options.cleanup_commits,
        })
    }

    fn rollback(&mut self) -> Result<(), RepositoryError> {
        // What failed is forgotten with the rest.
        self.connection.link.settle().map_err(broken)?;
        let _ = self.connection.link.take_fault();
        *self.known.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(changes) = &mut self.changes {
            changes.clear();
        }
        self.connection.call_for_nothing(&Call::Rollback)
    }

    fn check(&mut self, options: &CheckOptions) -> Result<bool, RepositoryError> {
        self.settle()?;
        // A repair may lose some.
        *self.known.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(changes) = &mut self.changes {
            changes.clear();
        }
        let call = Call::Check {
            repair: options.repair,
            save_space: options.save_space,
            max_duration: options.max_duration_s,
        };
        self.connection.call(&call, |payload| payload.flag())
    }

    fn destroy(&mut self) -> Result<(), RepositoryError> {
        self.connection.call_for_nothing(&Call::Destroy)
    }

    fn break_lock(&mut self) -> Result<(), RepositoryError> {
        self.connection.call_for_nothing(&Call::BreakLock)
    }

    fn close(self: Box<Self>) -> Result<(), RepositoryError> {
        // The server forgets what was not committed when its input ends.
        drop(self);
        Ok(())
    }

    fn load_key(&self) -> Result<Vec<u8>, RepositoryError> {
        self.connection.call_for_bytes(&Call::LoadKey)
    }

    fn save_key(&mut self, key: &[u8]) -> Result<(), RepositoryError> {
        self.connection
            .call_for_nothing(&Call::SaveKey { keydata: key })
    }

    fn nonce_store(&self) -> Arc<dyn NonceStore> {
        Arc::new(RemoteNonces(Arc::clone(&self.connection)))
    }
}

/// The repository's part of the nonce reservations, across the pipe.
struct RemoteNonces(Arc<Connection>);

impl NonceStore for RemoteNonces {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        let read = |payload: Payload<'_>| match payload.is_nil() {
            true => Some(None),
            false => payload.number().map(Some),
        };
        self.0
            .call(&Call::GetFreeNonce, read)
            .map_err(|error| NonceStoreError(error.to_string()))
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        let call = Call::CommitNonceReservation {
            next_unreserved: next,
            start_nonce: expected,
        };
        self.0
            .call_for_nothing(&call)
            .map_err(|error| NonceStoreError(error.to_string()))
    }
}
