//! The connection to a server, which may be a new one after every call: what one link has lost the next one makes up for.
//!
//! A server forgets everything since the last commit when its pipe closes. So all changes since then are kept in a journal
//! and sent again, if the repository still is what it was at that commit; reads are simply asked again. Whoever
//! notices that a link is broken brings up the next one while the others wait.
//!
//! Locks are taken in this order: `redial`, `transaction`, `link`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ironborg_repository::RepositoryError;
use ironborg_storage::StorageError;
use ironborg_types::{ChunkId, ErrorKind, Reporter, RepositoryId};

use super::answers::{self, broken};
use super::dial::Dial;
use super::journal::JournalOptions;
use super::link::{Answer, Broken, Estate, Link, LinkOptions};
use super::log_lines::LogLines;
use super::redial::Outage;
use super::remote::RemoteOptions;
use super::transaction::{Transaction, Verdict};
use super::{handshake, since};
use crate::message::{Call, Fault, Form, Open, Version};

/// A server's repository, through however many links.
pub(super) struct Connection {
    link: RwLock<Arc<Link>>,
    transaction: Mutex<Transaction>,
    redial: Mutex<Redial>,
    location: String,
    id: RepositoryId,
    reads_snapshot: bool,
}

/// What is asked for when a repository is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// What the options say.
    AsSaid,
    /// Reading without a lock, where the server has that; else what the options say.
    SnapshotIfPossible,
}

/// How to get a new link; held by whoever is doing that.
struct Redial {
    dial: Arc<dyn Dial>,
    open: Open,
    reads_snapshot: bool,
    limits: LinkOptions,
    reporter: Arc<dyn Reporter>,
    form: Form,
    outage: Outage,
    /// There will be no new link, and this is why.
    given_up: Option<(ErrorKind, String)>,
}

/// Why there is no new link.
enum Failed {
    /// There may be one later.
    Yet,
    /// There will be none.
    Finally(RepositoryError),
}

/// Why changes could not be sent again.
enum NotRepeated {
    Broken,
    Journal(StorageError),
}

impl From<StorageError> for NotRepeated {
    fn from(error: StorageError) -> Self {
        Self::Journal(error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error for a repository somebody else has written to.
fn overtaken() -> RepositoryError {
    let kind = ErrorKind::ConnectionClosed;
    let lost = kind.row().message;
    RepositoryError::Remote {
        kind,
        message: format!(
            "{lost}. It is back, but the repository was changed by somebody else in the meantime."
        ),
    }
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

impl Connection {
    /// Starts a server and has it open a repository; if that is wished for and the server can, for reading what is
    /// committed without a lock.
    pub(super) fn open(options: RemoteOptions, access: Access) -> Result<Self, RepositoryError> {
        let RemoteOptions {
            dial,
            open,
            location,
            upload_rate,
            upload_buffer,
            reporter,
            reconnect,
            journal,
        } = options;
        let limits = LinkOptions {
            rate: Some(upload_rate),
            window: upload_buffer,
        };
        let cannot_start = |error: std::io::Error| RepositoryError::Remote {
            kind: ErrorKind::Exception,
            message: error.to_string(),
        };
        let wire = dial.dial().map_err(cannot_start)?;
        let mut lines = LogLines::new(Arc::clone(&reporter));
        let link = Link::new(wire, limits, move |bytes| lines.feed(bytes));
        let mut link = link.map_err(cannot_start)?;
        let may_read_snapshot = access == Access::SnapshotIfPossible;
        handshake::negotiate(&mut link, &location, may_read_snapshot, None)?;
        let reads_snapshot = may_read_snapshot && link.has_snapshots();
        let id = if reads_snapshot {
            handshake::open_snapshot(&link, &open.path, &location, None)?
        } else {
            handshake::open(&mut link, open.clone(), &location, None, &*reporter)?
        };
        let journal = if reconnect.limit.is_zero() {
            JournalOptions::default()
        } else {
            journal
        };
        Ok(Self {
            redial: Mutex::new(Redial {
                outage: Outage::new(reconnect, Arc::clone(&reporter), location.clone()),
                form: link.form(),
                dial,
                limits,
                reporter,
                reads_snapshot,
                given_up: None,
                // What is opened again exists.
                open: Open {
                    create: false,
                    make_parent_dirs: false,
                    ..open
                },
            }),
            link: RwLock::new(Arc::new(link)),
            transaction: Mutex::new(Transaction::new(journal)),
            location,
            id,
            reads_snapshot,
        })
    }

    /// The repository's id.
    pub(super) fn id(&self) -> RepositoryId {
        self.id
    }

    /// Whether what is committed is read, without a lock.
    pub(super) fn reads_snapshot(&self) -> bool {
        self.reads_snapshot
    }

    /// Whether the manifest is another one than the one that was read last.
    pub(super) fn has_other_manifest(&self) -> Result<bool, RepositoryError> {
        loop {
            let link = self.link();
            match link.get(&ChunkId::MANIFEST) {
                Ok(answer) => {
                    let found = answers::bytes(answer, &self.location)?;
                    return Ok(!lock(&self.transaction).has_seen(&found));
                }
                Err(reason) => self.recover(&link, reason)?,
            }
        }
    }

    /// The location as the user gave it.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// The server's version.
    pub(super) fn server(&self) -> Version {
        self.link().server().clone()
    }

    fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a call that does no harm if it is made twice.
    pub(super) fn ask(&self, call: &Call<'_>) -> Result<Answer, RepositoryError> {
        loop {
            let link = self.link();
            since::refusal(call, link.server()).map_or(Ok(()), Err)?;
            match link.call(call) {
                Ok(answer) => return Ok(answer),
                Err(reason) => self.recover(&link, reason)?,
            }
        }
    }

    /// Makes a call that is not repeated: nobody could tell whether it was done.
    pub(super) fn ask_once(&self, call: &Call<'_>) -> Result<Answer, RepositoryError> {
        let link = self.link();
        since::refusal(call, link.server()).map_or(Ok(()), Err)?;
        link.call(call)
            .map_err(|reason| lock(&self.redial).give_up(broken(reason)))
    }

    /// Reserves nonces; `None` if nobody can tell whether they are.
    pub(super) fn reserve(&self, call: &Call<'_>) -> Result<Option<Answer>, RepositoryError> {
        let link = self.link();
        match link.call(call) {
            Ok(answer) => Ok(Some(answer)),
            Err(reason) => self.recover(&link, reason).map(|()| None),
        }
    }

    /// Reads an object.
    pub(super) fn get(&self, id: &ChunkId) -> Result<Answer, RepositoryError> {
        loop {
            let link = self.link();
            match link.get(id) {
                Ok(answer) => {
                    if let (ChunkId::MANIFEST, Answer::Object(object)) = (*id, &answer) {
                        lock(&self.transaction).saw_manifest(object);
                    }
                    return Ok(answer);
                }
                Err(reason) => self.recover(&link, reason)?,
            }
        }
    }

    /// Takes back the buffer of an object.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.link().give_back(buffer);
    }

    /// Asks for objects that will be needed.
    pub(super) fn will_need(&self, objects: impl IntoIterator<Item = (ChunkId, u32)>) {
        self.link().will_need(objects);
    }

    /// Makes a change without waiting for its answer, but for room in the window.
    pub(super) fn change(&self, call: &Call<'_>) -> Result<(), RepositoryError> {
        loop {
            let link = self.link();
            if let Err(reason) = link.wait_for_room() {
                self.recover(&link, reason)?;
                continue;
            }
            let mut transaction = lock(&self.transaction);
            // Only with this lock held is it sure that the link is not replaced between journal and sending.
            if !Arc::ptr_eq(&link, &self.link()) {
                continue;
            }
            if transaction.is_overtaken() {
                return Err(overtaken());
            }
            let prepared = link.prepare(call);
            transaction.changes(call, &prepared.frame);
            let sent = link.send(prepared);
            drop(transaction);
            // It is in the journal: there is nothing to be repeated here.
            return sent.or_else(|reason| self.recover(&link, reason));
        }
    }

    /// Waits until all changes were answered.
    pub(super) fn settle(&self) -> Result<(), RepositoryError> {
        loop {
            let link = self.link();
            match link.settle() {
                Ok(()) => return Ok(()),
                Err(reason) => self.recover(&link, reason)?,
            }
        }
    }

    /// The first error of a change that nobody was told yet; later ones are forgotten with it.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.link().take_fault()
    }

    /// The removals of objects that were not there.
    pub(super) fn take_missing(&self) -> Vec<ChunkId> {
        self.link().take_missing()
    }

    /// Whether what was not committed is going to be too much to be sent again.
    pub(super) fn wants_commit(&self) -> bool {
        lock(&self.transaction).journal.is_long()
    }

    /// Ends the transaction, whose changes were all answered and without errors.
    pub(super) fn commit(&self, call: &Call<'_>) -> Result<(), RepositoryError> {
        lock(&self.transaction).commit_begins();
        loop {
            let link = self.link();
            match link.call(call) {
                Ok(answer) => return self.finish_commit(answer),
                Err(reason) => self.recover(&link, reason)?,
            }
            if !lock(&self.transaction).commit_in_flight() {
                return Ok(());
            }
            self.settle()?;
            if let Some(fault) = self.take_fault() {
                return self.finish_commit(Answer::Fault(fault));
            }
        }
    }

    /// Ends the transaction in a way that is not repeated.
    pub(super) fn commit_once(&self, call: &Call<'_>) -> Result<(), RepositoryError> {
        let answer = self.ask_once(call)?;
        self.finish_commit(answer)
    }

    fn finish_commit(&self, answer: Answer) -> Result<(), RepositoryError> {
        let result = answers::nothing(answer, &self.location);
        let mut transaction = lock(&self.transaction);
        match &result {
            Ok(()) => transaction.committed(),
            Err(_) => transaction.commit_failed(),
        }
        result
    }

    /// Forgets the transaction. A server that is gone has done so.
    pub(super) fn rollback(&self) -> Result<(), RepositoryError> {
        let link = self.link();
        let settled = link.settle();
        let _ = link.take_fault();
        let _ = link.take_missing();
        lock(&self.transaction).rolled_back();
        match settled.and_then(|()| link.call(&Call::Rollback)) {
            Ok(answer) => answers::nothing(answer, &self.location),
            Err(_) => Ok(()),
        }
    }

    /// Ends the connection for good.
    pub(super) fn close(&self) {
        lock(&self.redial).give_up(broken(Broken::Closed));
        self.link().close();
    }

    /// Replaces a broken link, or finds that somebody has done so.
    fn recover(&self, old: &Arc<Link>, reason: Broken) -> Result<(), RepositoryError> {
        let mut redial = lock(&self.redial);
        if !Arc::ptr_eq(&self.link(), old) {
            return Ok(());
        }
        if let Some((kind, message)) = redial.given_up.clone() {
            return Err(RepositoryError::Remote { kind, message });
        }
        let mut transaction = lock(&self.transaction);
        match redial.replace(self, old, reason, &mut transaction) {
            Ok(link) => {
                *self.link.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(link);
                Ok(())
            }
            Err(error) => Err(redial.give_up(error)),
        }
    }
}

impl Redial {
    /// Remembers that there will be no new link.
    fn give_up(&mut self, error: RepositoryError) -> RepositoryError {
        self.given_up
            .get_or_insert_with(|| (error.kind(), error.to_string()));
        error
    }

    /// Tries until there is a new link, with everything on its way again, or no hope.
    fn replace(
        &mut self,
        connection: &Connection,
        old: &Link,
        reason: Broken,
        transaction: &mut Transaction,
    ) -> Result<Link, RepositoryError> {
        let is_garbage = matches!(reason, Broken::Garbage(_));
        if is_garbage || !self.outage.is_bearable() || !transaction.is_resumable() {
            return Err(broken(reason));
        }
        self.outage.begins(old.has_progressed());
        old.close();
        let estate = old.take_estate();
        loop {
            if !self.outage.pause() {
                return Err(broken(reason));
            }
            let link = match self.reopen(connection) {
                Ok(link) => link,
                Err(Failed::Yet) => continue,
                Err(Failed::Finally(error)) => return Err(error),
            };
            match self.resume(&link, estate.clone(), transaction) {
                Ok(()) => {
                    self.outage.ends();
                    return Ok(link);
                }
                Err(Failed::Yet) => {}
                Err(Failed::Finally(error)) => return Err(error),
            }
        }
    }

    /// A link to a server that has opened the repository again.
    fn reopen(&self, connection: &Connection) -> Result<Link, Failed> {
        let failed = |error: RepositoryError| match error {
            error if is_about_connection(&error) => Failed::Yet,
            // The server that was lost may not have noticed yet.
            RepositoryError::LockTimeout { .. } => Failed::Yet,
            error => Failed::Finally(error),
        };
        let patience = self.outage.patience();
        let wire = self.dial.dial().map_err(|_| Failed::Yet)?;
        let mut lines = LogLines::new(Arc::clone(&self.reporter));
        let link = Link::new(wire, self.limits, move |bytes| lines.feed(bytes));
        let mut link = link.map_err(|_| Failed::Yet)?;
        let location = connection.location();
        let asks = self.reads_snapshot;
        handshake::negotiate(&mut link, location, asks, Some(&patience)).map_err(failed)?;
        let id = if self.reads_snapshot {
            if !link.has_snapshots() {
                return Err(Failed::Finally(overtaken()));
            }
            handshake::open_snapshot(&link, &self.open.path, location, Some(&patience))
        } else {
            let open = self.open.clone();
            handshake::open(&mut link, open, location, Some(&patience), &*self.reporter)
        };
        let id = id.map_err(failed)?;
        // Messages are repeated as they are, so the server has to understand them as the last one did.
        if id != connection.id || link.form() != self.form {
            return Err(Failed::Finally(overtaken()));
        }
        Ok(link)
    }

    /// Puts the transaction, and what else was under way, on a new link.
    fn resume(
        &mut self,
        link: &Link,
        estate: Estate,
        transaction: &mut Transaction,
    ) -> Result<(), Failed> {
        if transaction.wants_manifest() {
            let found = self.manifest(link)?;
            let exclusive = self.open.lock && self.open.exclusive != Some(false);
            match transaction.verdict(found.as_deref(), exclusive) {
                Verdict::Resume => {}
                Verdict::Committed => transaction.committed(),
                Verdict::Overtaken => transaction.overtaken(),
                Verdict::Foreign => return Err(Failed::Finally(overtaken())),
            }
        }
        let journal = &transaction.journal;
        link.adopt(estate, journal.count());
        let patience = self.outage.patience().without_end();
        let mut sent = 0;
        let repeated = journal.read(|frames| {
            let repeated = link.repeat(frames, &patience);
            repeated.map_err(|_| NotRepeated::Broken)?;
            sent += frames.len() as u64;
            Ok(())
        });
        match repeated {
            Ok(()) => {
                link.resume_prefetch();
                Ok(())
            }
            Err(NotRepeated::Broken) => {
                self.outage.got(sent);
                Err(Failed::Yet)
            }
            Err(NotRepeated::Journal(error)) => Err(Failed::Finally(error.into())),
        }
    }

    /// The manifest as it is now.
    fn manifest(&self, link: &Link) -> Result<Option<Vec<u8>>, Failed> {
        let call = Call::Get {
            id: ChunkId::MANIFEST,
        };
        match link.call_within(&call, &self.outage.patience()) {
            Ok(Answer::Object(object)) => Ok(Some(object)),
            Ok(Answer::Fault(fault)) if fault.class == b"ObjectNotFound" => Ok(None),
            Ok(other) => match answers::bytes(other, "") {
                Ok(_) => Ok(None),
                Err(error) => Err(Failed::Finally(error)),
            },
            Err(_) => Err(Failed::Yet),
        }
    }
}

#[cfg(test)]
mod model_server;
#[cfg(test)]
mod tests;
