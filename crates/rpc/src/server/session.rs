//! What the client of one connection has open, and what is done for it.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use ironborg_format::msgpack::{
    Value, push_array_len, push_bool, push_map_len, push_nil, push_raw, push_uint,
};
use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, CreateOptions, LocalRepository, LockMode, OpenOptions,
    Repository, SnapshotRepository,
};
use ironborg_types::{ChunkId, ErrorKind, Event, Level, RepositoryId};

use super::elsewhere::{self, Opened, Purpose, Reopen};
use super::faults::{CallError, Injected};
use super::outgoing::Outgoing;
use super::paths::Paths;
use super::{Host, ServeError, ServerOptions};
use crate::message::{Call, Form, Open, Reply, Request, SNAPSHOTS, Version};

/// Logger of messages that stock Borg gives no name.
const ROOT: &str = "root";
/// Logger of the protocol.
const LOGGER: &str = "borg.remote";
/// What clients before 1.1 exchange in place of versions.
const OLD_PROTOCOL: u64 = 2;
/// Objects asked for that are looked up together.
const GETS_MAX: usize = 256;

/// The repository of this connection.
enum Slot {
    /// Nothing this client may have was asked for.
    Never,
    /// It could not be opened.
    Failed,
    /// It is open.
    Open(Box<LocalRepository>),
    /// What is committed in it is read.
    Reading(Box<SnapshotRepository>),
}

impl Slot {
    /// What can be read from.
    fn readable(&self) -> Option<&dyn Repository> {
        match self {
            Self::Never | Self::Failed => None,
            Self::Open(repository) => Some(&**repository),
            Self::Reading(repository) => Some(&**repository),
        }
    }

    /// Reads an object.
    fn get(&self, id: &ChunkId, object: &mut Vec<u8>) -> Result<(), CallError> {
        if let (Self::Reading(repository), ChunkId::MANIFEST) = (self, *id)
            && repository.has_moved_on()?
        {
            // Who asks for the manifest wants to know what there is now.
            repository.refresh()?;
        }
        let repository = self.readable().ok_or(CallError::NotOpen("get"))?;
        Ok(repository.get(id, object)?)
    }
}

/// An object that was asked for.
struct WaitingGet {
    msgid: Value<'static>,
    form: Form,
    id: ChunkId,
}

/// What a call brings.
enum Answer {
    Nil,
    Flag(bool),
    Number(u64),
    Raw(Vec<u8>),
    Ids(Vec<ChunkId>),
    /// The server's version, in a map.
    Version {
        /// Whether reading without a lock is offered, to who asked.
        snapshots: bool,
    },
}

/// One connection.
pub(super) struct Session<'a> {
    options: &'a ServerOptions,
    host: &'a dyn Host,
    slot: Slot,
    /// How to open what is read for a change of its key, if the client may have that.
    reopen: Option<Box<Reopen>>,
    /// Objects asked for in a row and not answered yet.
    waiting: Vec<WaitingGet>,
    /// Where objects are read into, one after the other.
    object: Vec<u8>,
}

impl<'a> Session<'a> {
    /// Nothing is open.
    pub(super) fn new(options: &'a ServerOptions, host: &'a dyn Host) -> Self {
        Self {
            options,
            host,
            slot: Slot::Never,
            reopen: None,
            waiting: Vec::new(),
            object: Vec::new(),
        }
    }

    /// Answers a call, or keeps it until [`Session::answer_waiting`] because what follows it may be of use.
    pub(super) fn take(
        &mut self,
        request: Request<'_>,
        out: &mut Outgoing<impl Write>,
    ) -> Result<(), ServeError> {
        let Request { msgid, form, call } = request;
        if let Ok(Call::Get { id }) = &call {
            self.waiting.push(WaitingGet {
                msgid: msgid.into_owned(),
                form,
                id: *id,
            });
            if self.waiting.len() < GETS_MAX {
                return Ok(());
            }
            return self.answer_waiting(out);
        }
        self.answer_waiting(out)?;
        let answer = match call {
            Ok(call) => self.perform(call),
            Err(bad) => Err(CallError::Call(bad)),
        };
        match answer {
            Ok(Answer::Raw(bytes)) => {
                Reply::encode_head(form, &msgid, out.buffer());
                out.object(&bytes)
            }
            Ok(answer) => {
                Reply::encode_head(form, &msgid, out.buffer());
                encode(&answer, out)
            }
            Err(error) => self.refuse(&error, form, &msgid, out),
        }
    }

    /// Answers the calls that were kept.
    pub(super) fn answer_waiting(
        &mut self,
        out: &mut Outgoing<impl Write>,
    ) -> Result<(), ServeError> {
        if let (Some(repository), true) = (self.slot.readable(), self.waiting.len() > 1) {
            let ids: Vec<ChunkId> = self.waiting.iter().map(|get| get.id).collect();
            repository.will_need(&ids);
        }
        let mut object = std::mem::take(&mut self.object);
        for get in std::mem::take(&mut self.waiting) {
            let read = self.slot.get(&get.id, &mut object);
            match read {
                Ok(()) => {
                    Reply::encode_head(get.form, &get.msgid, out.buffer());
                    out.object(&object)?;
                }
                Err(error) => self.refuse(&error, get.form, &get.msgid, out)?,
            }
        }
        self.object = object;
        Ok(())
    }

    /// Forgets what was not committed and gives the lock back; says whether there was a repository.
    pub(super) fn end(self) -> Result<bool, ServeError> {
        match self.slot {
            Slot::Never => Ok(false),
            Slot::Failed | Slot::Reading(_) => Ok(true),
            Slot::Open(repository) => {
                let closed = LocalRepository::close(*repository);
                closed.map(|()| true).map_err(ServeError::Close)
            }
        }
    }

    fn log(&self, level: Level, logger: &'static str, text: &str) {
        self.options
            .reporter
            .report(Event::log(level, logger, text));
    }

    /// Tells the client of an error, and the log where the client learns little.
    fn refuse(
        &self,
        error: &CallError,
        form: Form,
        msgid: &Value<'_>,
        out: &mut Outgoing<impl Write>,
    ) -> Result<(), ServeError> {
        let mut told = error.told();
        let story = || String::from_utf8_lossy(&told.fault.full.join(&b'\n')).into_owned();
        match form {
            Form::Named => {
                if !told.is_expected {
                    self.log(Level::Debug, ROOT, &story());
                }
                told.fault.sysinfo = self.host.system_information().into_bytes();
            }
            Form::Positional if !told.is_expected => {
                self.log(Level::Error, ROOT, &told.log);
                let level = if told.fault.trace {
                    Level::Error
                } else {
                    Level::Debug
                };
                let mut story = story();
                if story == told.log {
                    story.clear();
                }
                let story = format!("{story}\n\n{}", self.host.system_information());
                if !story.trim().is_empty() {
                    self.log(level, ROOT, story.trim());
                }
            }
            Form::Positional => {}
        }
        told.fault.encode(form, msgid, out.buffer());
        out.reply_ends()
    }

    /// Does what is asked for, where that is a matter of the connection.
    fn perform(&mut self, call: Call<'_>) -> Result<Answer, CallError> {
        match call {
            Call::Negotiate { client: None, .. } => Ok(Answer::Number(OLD_PROTOCOL)),
            Call::Negotiate {
                client: Some(_),
                snapshots,
            } => {
                self.host.log_as_json();
                let text = "Initialized logging system for JSON-based protocol";
                self.log(Level::Debug, LOGGER, text);
                Ok(Answer::Version { snapshots })
            }
            Call::Open(open) => self.open(&open).map(|id| Answer::Raw(id.0.to_vec())),
            Call::OpenSnapshot { path } => {
                let id = self.open_snapshot(&path)?;
                Ok(Answer::Raw(id.0.to_vec()))
            }
            Call::InjectException { kind } => inject(kind),
            Call::GetFreeNonce => {
                let next = match &self.slot {
                    Slot::Open(repository) => repository.next_unreserved_nonce()?,
                    Slot::Reading(repository) => repository.next_unreserved_nonce()?,
                    Slot::Never | Slot::Failed => {
                        return Err(CallError::NotOpen("get_free_nonce"));
                    }
                };
                Ok(next.map_or(Answer::Nil, Answer::Number))
            }
            call => {
                let repository = self.slot.readable();
                let repository = repository.ok_or(CallError::NotOpen(call.method()))?;
                if let Call::SaveKey { keydata } = &call
                    && let (Some(reopen), Some(elsewhere)) = (&self.reopen, self.host.elsewhere())
                {
                    reopen.save_key(elsewhere, keydata)?;
                    return Ok(Answer::Nil);
                }
                if let Some(answer) = look(repository, &call)? {
                    return Ok(answer);
                }
                match &mut self.slot {
                    Slot::Open(repository) => change(repository, &call, self.options),
                    Slot::Reading(repository) => Err(repository.refusal().into()),
                    Slot::Never | Slot::Failed => Err(CallError::NotOpen(call.method())),
                }
            }
        }
    }

    /// The repository a client asks for, if it may have it; one that was open before is closed.
    fn resolve(&mut self, path: &[u8]) -> Result<PathBuf, CallError> {
        let shown = path.escape_ascii();
        let text = format!("Resolving repository path b'{shown}'");
        self.log(Level::Debug, ROOT, &text);
        let paths = Paths {
            options: self.options,
            host: self.host,
        };
        let path = paths.resolve(path)?;
        let text = format!("Resolved repository path to '{}'", path.display());
        self.log(Level::Debug, ROOT, &text);
        self.reopen = None;
        // Whatever happens to the other one is of no interest to who opens this one.
        if let Slot::Open(other) = std::mem::replace(&mut self.slot, Slot::Failed)
            && let Err(error) = LocalRepository::close(*other)
        {
            self.log(Level::Error, ROOT, &error.to_string());
        }
        Ok(path)
    }

    /// Opens a repository for reading what is committed in it, without a lock.
    fn open_snapshot(&mut self, path: &[u8]) -> Result<RepositoryId, CallError> {
        let path = self.resolve(path)?;
        let options = OpenOptions {
            lock: LockMode::None,
            lock_wait: None,
            owner: self.options.owner.clone(),
            append_only: self.options.append_only,
            storage_quota: self.options.storage_quota,
            reporter: self.options.reporter.clone(),
        };
        let repository = match self.host.elsewhere() {
            Some(elsewhere) => {
                let storage = elsewhere.storage(&path, Purpose::Read)?;
                SnapshotRepository::open_in(&storage, &options)?
            }
            None => SnapshotRepository::open(&path, &options)?,
        };
        let id = repository.id();
        self.slot = Slot::Reading(Box::new(repository));
        Ok(id)
    }

    /// Opens or makes a repository.
    fn open(&mut self, open: &Open) -> Result<RepositoryId, CallError> {
        let path = self.resolve(&open.path)?;
        let options = self.open_options(open);
        let repository = if open.create {
            let create = CreateOptions {
                append_only: open.append_only,
                storage_quota: self.options.storage_quota.filter(|&quota| quota > 0),
                make_parent_dirs: open.make_parent_dirs,
            };
            match self.host.elsewhere() {
                Some(elsewhere) => elsewhere::create(elsewhere, &path, &create, options)?,
                None => LocalRepository::create(&path, &create, options)?,
            }
        } else if let Some(elsewhere) = self.host.elsewhere() {
            match elsewhere::open(elsewhere, &path, options)? {
                Opened::Whole(repository) => *repository,
                Opened::Committed(repository, reopen) => {
                    let id = repository.id();
                    self.slot = Slot::Reading(repository);
                    self.reopen = Some(reopen);
                    return Ok(id);
                }
            }
        } else {
            LocalRepository::open(&path, options)?
        };
        let id = repository.id();
        self.slot = Slot::Open(Box::new(repository));
        Ok(id)
    }

    fn open_options(&self, open: &Open) -> OpenOptions {
        OpenOptions {
            lock: match (open.lock, open.exclusive) {
                (false, _) => LockMode::None,
                (true, Some(true)) => LockMode::Exclusive,
                (true, Some(false)) => LockMode::Shared,
                (true, None) => LockMode::SharedUntilWrite,
            },
            // A wait too long for a clock is one without end.
            lock_wait: open
                .lock_wait
                .and_then(|wait| Duration::try_from_secs_f64(wait.max(0.0)).ok()),
            owner: self.options.owner.clone(),
            // A new repository is what the client wants it to be: what the administrator decided for this client
            // is decided again with every session.
            append_only: open.append_only || (self.options.append_only && !open.create),
            storage_quota: self.options.storage_quota,
            reporter: self.options.reporter.clone(),
        }
    }
}

/// Answers what changes nothing; `None` for calls that do.
fn look(repository: &dyn Repository, call: &Call<'_>) -> Result<Option<Answer>, CallError> {
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Some(match call {
        Call::Len => Answer::Number(repository.len()? as u64),
        Call::List { marker, .. } | Call::Scan { marker, .. }
            if marker_is_missing(repository, marker.as_ref())? =>
        {
            return Err(CallError::NoMarker);
        }
        Call::List { limit, marker } => {
            Answer::Ids(repository.list(limit.map(count), marker.as_ref())?)
        }
        Call::Scan { limit: Some(0), .. } => {
            let text = "please use limit > 0 or limit = None";
            return Err(CallError::Value(text.to_owned()));
        }
        Call::Scan { limit, marker } => {
            let limit = limit.map_or(usize::MAX, count);
            Answer::Ids(repository.scan(limit, marker.as_ref())?)
        }
        Call::LoadKey => Answer::Raw(repository.load_key()?),
        _ => return Ok(None),
    }))
}

/// Does what changes a repository, or may.
fn change(
    repository: &mut LocalRepository,
    call: &Call<'_>,
    options: &ServerOptions,
) -> Result<Answer, CallError> {
    let interrupt = options.interrupt;
    match call {
        Call::Check {
            repair,
            save_space,
            max_duration,
        } => {
            let is_sound = repository.check(&CheckOptions {
                mode: if *repair {
                    CheckMode::Repair
                } else {
                    CheckMode::Look
                },
                save_space: *save_space,
                max_duration_s: *max_duration,
                threads: options.threads,
                interrupt,
            })?;
            return Ok(Answer::Flag(is_sound));
        }
        Call::Commit {
            compact: true,
            threshold,
            cleanup_commits,
            ..
        } => repository.commit_compact(CompactOptions {
            threshold: *threshold,
            cleanup_commits: *cleanup_commits,
            interrupt,
        })?,
        Call::Commit { compact: false, .. } => repository.commit()?,
        Call::Rollback => repository.rollback()?,
        Call::Destroy => repository.destroy()?,
        Call::BreakLock => Repository::break_lock(repository)?,
        Call::Put { id, data } => repository.put(id, data)?,
        Call::Delete { id } => repository.delete(id)?,
        Call::SaveKey { keydata } => repository.save_key(keydata)?,
        Call::CommitNonceReservation {
            next_unreserved,
            start_nonce,
        } => repository.reserve_nonces(*next_unreserved, *start_nonce)?,
        call => unreachable!("{} is answered elsewhere", call.method()),
    }
    Ok(Answer::Nil)
}

fn marker_is_missing(
    repository: &dyn Repository,
    marker: Option<&ChunkId>,
) -> Result<bool, CallError> {
    match marker {
        Some(marker) => Ok(!repository.contains(marker)?),
        None => Ok(false),
    }
}

/// Appends what a call brought behind the head of the reply.
fn encode(answer: &Answer, out: &mut Outgoing<impl Write>) -> Result<(), ServeError> {
    let buffer = out.buffer();
    match answer {
        Answer::Nil => push_nil(buffer),
        Answer::Flag(flag) => push_bool(buffer, *flag),
        Answer::Number(number) => push_uint(buffer, *number),
        Answer::Raw(bytes) => push_raw(buffer, bytes),
        Answer::Version { snapshots } => {
            push_map_len(buffer, 1 + usize::from(*snapshots));
            push_raw(buffer, b"server_version");
            Version::own().encode(buffer);
            if *snapshots {
                push_raw(buffer, SNAPSHOTS);
                push_bool(buffer, true);
            }
        }
        Answer::Ids(ids) => {
            push_array_len(buffer, ids.len());
            for id in ids {
                push_raw(out.buffer(), id.as_bytes());
                // Long ones leave piece by piece.
                out.reply_ends()?;
            }
        }
    }
    out.reply_ends()
}

/// Fails as asked to.
fn inject(kind: &[u8]) -> Result<Answer, CallError> {
    const ONE: &[&str] = &["test string"];
    let injected = match kind {
        b"DoesNotExist" => Injected::Kind(ErrorKind::RepositoryDoesNotExist, ONE),
        b"AlreadyExists" => Injected::Kind(ErrorKind::RepositoryAlreadyExists, ONE),
        b"CheckNeeded" => Injected::Kind(ErrorKind::RepositoryCheckNeeded, ONE),
        b"IntegrityError" => Injected::Kind(ErrorKind::IntegrityError, ONE),
        b"PathNotAllowed" => Injected::Kind(ErrorKind::PathNotAllowed, &["foo"]),
        b"ObjectNotFound" => Injected::Kind(
            ErrorKind::RepositoryObjectNotFound,
            &["test string", "test string2"],
        ),
        b"InvalidRPCMethod" => Injected::Kind(ErrorKind::InvalidRPCMethod, ONE),
        b"divide" => Injected::Division,
        _ => return Ok(Answer::Nil),
    };
    Err(CallError::Injected(injected))
}
