//! Calls: what a client asks a server to do.

use ironborg_format::msgpack::{
    Kind, MsgpackError, Reader, Value, push_array_len, push_bool, push_float64, push_int,
    push_map_len, push_nil, push_raw, push_uint,
};
use ironborg_types::ChunkId;

use super::Version;

/// What the positional form gives as type of every message.
const POSITIONAL_TYPE: i64 = 1;
/// Positional calls have no more parameters than this.
const POSITIONAL_MAX: usize = 16;

/// Values of a call that are not bytes are no longer than this, encoded.
const SMALL_VALUE_LEN_MAX: usize = 1024;

/// How the parameters of a call are given; the reply has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A map with the parameters by name: 1.1 and newer.
    Named,
    /// An array with the parameters in a fixed order.
    Positional,
}

/// How a repository is to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// The path as the client's location has it.
    pub path: Vec<u8>,
    /// Make it.
    pub create: bool,
    /// Seconds to wait for the lock; `None` waits for ever.
    pub lock_wait: Option<f64>,
    /// Lock it at all.
    pub lock: bool,
    /// For writing; `None` from clients before 1.1, who do not say.
    pub exclusive: Option<bool>,
    /// Remove nothing for good.
    pub append_only: bool,
    /// Make missing directories above it too.
    pub make_parent_dirs: bool,
}

/// A call with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Call<'a> {
    /// The first call: versions are exchanged. `None` is a client before 1.1.
    Negotiate {
        /// The client's version.
        client: Option<Version>,
    },
    /// Opens or makes a repository. Replies with its id.
    Open(Open),
    /// Checks the repository, without looking at archives. Replies whether it is sound.
    Check {
        /// Repair what is not.
        repair: bool,
        /// Work in small portions to save space.
        save_space: bool,
        /// Seconds after which to stop; 0 for never.
        max_duration: i64,
    },
    /// Ends the transaction.
    Commit {
        /// Ignored by newer servers.
        save_space: bool,
        /// Compact too.
        compact: bool,
        /// What share of a segment must be free for compaction.
        threshold: f64,
        /// Remove segments that only hold a commit.
        cleanup_commits: bool,
    },
    /// Forgets the transaction.
    Rollback,
    /// Removes the repository.
    Destroy,
    /// Removes the lock whoever holds it.
    BreakLock,
    /// How many objects there are.
    Len,
    /// Ids in index order after `marker`.
    List {
        /// At most so many.
        limit: Option<u64>,
        /// The last id of the page before.
        marker: Option<ChunkId>,
    },
    /// Ids in the order of storage after `marker`.
    Scan {
        /// At most so many.
        limit: Option<u64>,
        /// The last id of the page before.
        marker: Option<ChunkId>,
    },
    /// Reads an object.
    Get {
        /// Which.
        id: ChunkId,
    },
    /// Stores an object.
    Put {
        /// Which.
        id: ChunkId,
        /// The object.
        data: &'a [u8],
    },
    /// Removes an object.
    Delete {
        /// Which.
        id: ChunkId,
    },
    /// Keeps the key with the repository.
    SaveKey {
        /// Its text.
        keydata: &'a [u8],
    },
    /// The key kept with the repository; empty if there is none.
    LoadKey,
    /// The first nonce nobody has reserved, or nil.
    GetFreeNonce,
    /// Reserves nonces.
    CommitNonceReservation {
        /// The first that is free afterwards.
        next_unreserved: u64,
        /// The first that was free before.
        start_nonce: Option<u64>,
    },
    /// Fails as told, for tests of clients.
    InjectException {
        /// How.
        kind: &'a [u8],
    },
}

/// A call as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// What the reply has to repeat.
    pub msgid: Value<'a>,
    /// The form of the reply.
    pub form: Form,
    /// What is asked for.
    pub call: Result<Call<'a>, BadCall>,
}

/// Why a well-formed message asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCall {
    /// There is no such method.
    Method(Vec<u8>),
    /// A parameter is missing or not what it should be.
    Parameter {
        /// The method.
        method: &'static str,
        /// Which parameter, and what is wrong.
        reason: String,
    },
}

impl Call<'_> {
    /// The name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Negotiate { .. } => "negotiate",
            Self::Open(_) => "open",
            Self::Check { .. } => "check",
            Self::Commit { .. } => "commit",
            Self::Rollback => "rollback",
            Self::Destroy => "destroy",
            Self::BreakLock => "break_lock",
            Self::Len => "__len__",
            Self::List { .. } => "list",
            Self::Scan { .. } => "scan",
            Self::Get { .. } => "get",
            Self::Put { .. } => "put",
            Self::Delete { .. } => "delete",
            Self::SaveKey { .. } => "save_key",
            Self::LoadKey => "load_key",
            Self::GetFreeNonce => "get_free_nonce",
            Self::CommitNonceReservation { .. } => "commit_nonce_reservation",
            Self::InjectException { .. } => "inject_exception",
        }
    }

    /// Appends the message for a server. `server` decides how many parameters the positional form has.
    pub fn encode(&self, form: Form, msgid: u64, server: &Version, out: &mut Vec<u8>) {
        let mut parameters = Parameters {
            form,
            count: 0,
            encoded: Vec::new(),
        };
        if let Self::Put { id, data } = self {
            // The one large message is written without a copy in between.
            head(form, msgid, self.method(), 2, out);
            name(form, "id", out);
            push_raw(out, id.as_bytes());
            name(form, "data", out);
            push_raw(out, data);
            return;
        }
        self.push_parameters(&mut parameters, server);
        head(form, msgid, self.method(), parameters.count, out);
        out.extend_from_slice(&parameters.encoded);
    }

    fn push_parameters(&self, to: &mut Parameters, server: &Version) {
        match self {
            Self::Negotiate { client } => to.push("client_data", |out| match client {
                Some(version) => {
                    push_map_len(out, 1);
                    push_raw(out, b"client_version");
                    version.encode(out);
                }
                None => push_int(out, 2),
            }),
            Self::Open(open) => to.push_open(open, server),
            Self::Check {
                repair,
                save_space,
                max_duration,
            } => {
                to.flag("repair", *repair);
                to.flag("save_space", *save_space);
                to.named_only("max_duration", |out| push_int(out, *max_duration));
            }
            Self::Commit {
                save_space,
                compact,
                threshold,
                cleanup_commits,
            } => {
                to.flag("save_space", *save_space);
                to.named_only("compact", |out| push_bool(out, *compact));
                to.named_only("threshold", |out| push_float64(out, *threshold));
                to.named_only("cleanup_commits", |out| push_bool(out, *cleanup_commits));
            }
            Self::List { limit, marker } | Self::Scan { limit, marker } => {
                to.push("limit", |out| push_optional(out, *limit));
                to.push("marker", |out| match marker {
                    Some(id) => push_raw(out, id.as_bytes()),
                    None => push_nil(out),
                });
            }
            Self::Get { id } | Self::Delete { id } => {
                to.push("id", |out| push_raw(out, id.as_bytes()))
            }
            Self::Put { id, data } => {
                to.push("id", |out| push_raw(out, id.as_bytes()));
                to.push("data", |out| push_raw(out, data));
            }
            Self::SaveKey { keydata } => to.push("keydata", |out| push_raw(out, keydata)),
            Self::CommitNonceReservation {
                next_unreserved,
                start_nonce,
            } => {
                to.push("next_unreserved", |out| push_uint(out, *next_unreserved));
                to.push("start_nonce", |out| push_optional(out, *start_nonce));
            }
            Self::InjectException { kind } => to.push("kind", |out| push_raw(out, kind)),
            Self::Rollback
            | Self::Destroy
            | Self::BreakLock
            | Self::Len
            | Self::LoadKey
            | Self::GetFreeNonce => {}
        }
    }
}

fn push_optional(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => push_uint(out, number),
        None => push_nil(out),
    }
}

/// Everything of a message before the first parameter.
fn head(form: Form, msgid: u64, method: &str, parameters: usize, out: &mut Vec<u8>) {
    match form {
        Form::Named => {
            push_map_len(out, 3);
            push_raw(out, b"i");
            push_uint(out, msgid);
            push_raw(out, b"m");
            push_raw(out, method.as_bytes());
            push_raw(out, b"a");
            push_map_len(out, parameters);
        }
        Form::Positional => {
            push_array_len(out, 4);
            push_int(out, POSITIONAL_TYPE);
            push_uint(out, msgid);
            push_raw(out, method.as_bytes());
            push_array_len(out, parameters);
        }
    }
}

fn name(form: Form, name: &str, out: &mut Vec<u8>) {
    if form == Form::Named {
        push_raw(out, name.as_bytes());
    }
}

/// Parameters being encoded.
struct Parameters {
    form: Form,
    count: usize,
    encoded: Vec<u8>,
}

impl Parameters {
    fn push(&mut self, parameter: &str, value: impl FnOnce(&mut Vec<u8>)) {
        name(self.form, parameter, &mut self.encoded);
        value(&mut self.encoded);
        self.count += 1;
    }

    fn flag(&mut self, parameter: &str, value: bool) {
        self.push(parameter, |out| push_bool(out, value));
    }

    /// A parameter the positional form never had.
    fn named_only(&mut self, parameter: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.form == Form::Named {
            self.push(parameter, value);
        }
    }

    fn push_open(&mut self, open: &Open, server: &Version) {
        self.push("path", |out| push_raw(out, &open.path));
        self.flag("create", open.create);
        self.push("lock_wait", |out| match open.lock_wait {
            // Whole seconds, as a rule; and all that old servers understand.
            #[allow(clippy::cast_possible_truncation)] // Compared with what it was.
            Some(wait) if (wait as i64) as f64 == wait => push_int(out, wait as i64),
            Some(wait) => push_float64(out, wait),
            None => push_nil(out),
        });
        self.flag("lock", open.lock);
        if self.form == Form::Positional && *server < Version::release(1, 0, 7) {
            return;
        }
        self.push("exclusive", |out| match open.exclusive {
            Some(exclusive) => push_bool(out, exclusive),
            None => push_nil(out),
        });
        self.flag("append_only", open.append_only);
        self.named_only("make_parent_dirs", |out| {
            push_bool(out, open.make_parent_dirs)
        });
    }
}

impl<'a> Request<'a> {
    /// Understands one whole message; `None` if it is no call at all.
    pub fn decode(frame: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let (msgid, form, method, parameters) = match reader.read_map_len() {
            Ok(len) => Self::named(reader, len).ok()??,
            Err(_) => Self::positional(Reader::new(frame)).ok()??,
        };
        let call = Call::decode(method, parameters);
        Some(Self { msgid, form, call })
    }

    fn named(mut reader: Reader<'a>, len: usize) -> Result<Option<Parts<'a>>, MsgpackError> {
        let (mut msgid, mut method, mut parameters) = (None, None, None);
        for _ in 0..len {
            match reader.read_raw()? {
                b"i" => msgid = Some(small_value(&mut reader)?),
                b"m" => method = Some(reader.read_raw()?),
                b"a" => {
                    let count = reader.read_map_len()?;
                    let mut named = Vec::with_capacity(count.min(POSITIONAL_MAX));
                    for _ in 0..count {
                        named.push((reader.read_raw()?, small_value(&mut reader)?));
                    }
                    parameters = Some(Given::Named(named));
                }
                _ => {
                    reader.skip_value()?;
                }
            }
        }
        let (Some(msgid), Some(method), Some(parameters)) = (msgid, method, parameters) else {
            return Ok(None);
        };
        Ok(Some((msgid, Form::Named, method, parameters)))
    }

    fn positional(mut reader: Reader<'a>) -> Result<Option<Parts<'a>>, MsgpackError> {
        if reader.read_array_len()? != 4 {
            return Ok(None);
        }
        reader.skip_value()?;
        let msgid = small_value(&mut reader)?;
        let method = reader.read_raw()?;
        let count = reader.read_array_len()?;
        let mut values = Vec::with_capacity(count.min(POSITIONAL_MAX));
        for _ in 0..count {
            values.push(small_value(&mut reader)?);
        }
        Ok(Some((
            msgid,
            Form::Positional,
            method,
            Given::Positional(values),
        )))
    }
}

/// Reads a value without ever taking more memory than the message itself: what is neither bytes nor short is nil.
fn small_value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, MsgpackError> {
    if reader.peek()? == Kind::Raw {
        return reader.read_value();
    }
    let bytes = reader.skip_value()?;
    if bytes.len() > SMALL_VALUE_LEN_MAX {
        return Ok(Value::Nil);
    }
    Reader::new(bytes).read_value()
}

type Parts<'a> = (Value<'a>, Form, &'a [u8], Given<'a>);

/// Parameters as they were received.
enum Given<'a> {
    Named(Vec<(&'a [u8], Value<'a>)>),
    Positional(Vec<Value<'a>>),
}

/// The parameters of one method being looked at.
struct Arguments<'a> {
    method: &'static str,
    given: Given<'a>,
}

impl<'a> Arguments<'a> {
    /// A parameter; `position` is its place in the positional form, if it has one there.
    fn find(&mut self, name: &str, position: Option<usize>) -> Option<Value<'a>> {
        match &mut self.given {
            Given::Named(named) => named
                .iter_mut()
                .rev()
                .find(|(given, _)| *given == name.as_bytes())
                .map(|(_, value)| std::mem::replace(value, Value::Nil)),
            Given::Positional(values) => values
                .get_mut(position?)
                .map(|value| std::mem::replace(value, Value::Nil)),
        }
    }

    fn bad(&self, name: &str, what: &str) -> BadCall {
        BadCall::Parameter {
            method: self.method,
            reason: format!("{what}: '{name}'"),
        }
    }

    fn required(&mut self, name: &str, position: Option<usize>) -> Result<Value<'a>, BadCall> {
        self.find(name, position)
            .ok_or_else(|| self.bad(name, "missing a required argument"))
    }

    fn flag(&mut self, name: &str, position: Option<usize>, default: bool) -> bool {
        self.find(name, position)
            .map_or(default, |value| value.is_truthy())
    }

    fn raw(&mut self, name: &str, position: usize) -> Result<&'a [u8], BadCall> {
        match self.required(name, Some(position))? {
            Value::Raw(std::borrow::Cow::Borrowed(bytes)) => Ok(bytes),
            _ => Err(self.bad(name, "bytes expected for an argument")),
        }
    }

    fn id(&mut self, name: &str, position: usize) -> Result<ChunkId, BadCall> {
        let bytes = self.raw(name, position)?;
        ChunkId::from_slice(bytes)
            .ok_or_else(|| self.bad(name, "32 bytes expected for an argument"))
    }

    fn optional_id(&mut self, name: &str, position: usize) -> Result<Option<ChunkId>, BadCall> {
        match self.find(name, Some(position)) {
            None | Some(Value::Nil) => Ok(None),
            Some(value) => value
                .as_raw()
                .and_then(ChunkId::from_slice)
                .map(Some)
                .ok_or_else(|| self.bad(name, "32 bytes expected for an argument")),
        }
    }

    fn optional_number(&mut self, name: &str, position: usize) -> Result<Option<u64>, BadCall> {
        match self.find(name, Some(position)) {
            None | Some(Value::Nil) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| self.bad(name, "a number expected for an argument")),
        }
    }

    fn float(&mut self, name: &str, position: Option<usize>) -> Result<Option<f64>, BadCall> {
        match self.find(name, position) {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::Float(number)) if number.is_finite() => Ok(Some(number)),
            Some(Value::Int(number)) => Ok(Some(number as f64)),
            Some(_) => Err(self.bad(name, "a number expected for an argument")),
        }
    }

    fn open(&mut self) -> Result<Open, BadCall> {
        if let Given::Positional(values) = &self.given {
            // Clients before 1.0.7 give four, later ones six.
            if values.len() < 6 && values.len() != 4 {
                return Err(self.bad("open", "a wrong number of arguments"));
            }
        }
        Ok(Open {
            path: self.raw("path", 0)?.to_vec(),
            create: self.flag("create", Some(1), false),
            lock_wait: self.float("lock_wait", Some(2))?,
            lock: self.flag("lock", Some(3), true),
            exclusive: match self.find("exclusive", Some(4)) {
                None | Some(Value::Nil) => None,
                Some(value) => Some(value.is_truthy()),
            },
            append_only: self.flag("append_only", Some(5), false),
            make_parent_dirs: self.flag("make_parent_dirs", None, false),
        })
    }
}

impl<'a> Call<'a> {
    fn decode(method: &'a [u8], given: Given<'a>) -> Result<Self, BadCall> {
        let with = |method| Arguments { method, given };
        Ok(match method {
            b"negotiate" => {
                let mut arguments = with("negotiate");
                let data = arguments.required("client_data", Some(0))?;
                let client = data.get(b"client_version").and_then(Version::from_value);
                Self::Negotiate { client }
            }
            b"open" => Self::Open(with("open").open()?),
            b"check" => {
                let mut arguments = with("check");
                let max_duration = arguments.float("max_duration", None)?.unwrap_or(0.0);
                #[allow(clippy::cast_possible_truncation)]
                // Saturating; nobody waits for so many seconds.
                let max_duration = max_duration as i64;
                Self::Check {
                    repair: arguments.flag("repair", Some(0), false),
                    save_space: arguments.flag("save_space", Some(1), false),
                    max_duration,
                }
            }
            b"commit" => {
                let mut arguments = with("commit");
                Self::Commit {
                    save_space: arguments.flag("save_space", Some(0), false),
                    compact: arguments.flag("compact", None, true),
                    threshold: arguments.float("threshold", None)?.unwrap_or(0.1),
                    cleanup_commits: arguments.flag("cleanup_commits", None, false),
                }
            }
            b"rollback" => Self::Rollback,
            b"destroy" => Self::Destroy,
            b"break_lock" => Self::BreakLock,
            b"__len__" => Self::Len,
            b"list" => {
                let mut arguments = with("list");
                Self::List {
                    limit: arguments.optional_number("limit", 0)?,
                    marker: arguments.optional_id("marker", 1)?,
                }
            }
            b"scan" => {
                let mut arguments = with("scan");
                Self::Scan {
                    limit: arguments.optional_number("limit", 0)?,
                    marker: arguments.optional_id("marker", 1)?,
                }
            }
            b"get" => Self::Get {
                id: with("get").id("id", 0)?,
            },
            b"put" => {
                let mut arguments = with("put");
                Self::Put {
                    id: arguments.id("id", 0)?,
                    data: arguments.raw("data", 1)?,
                }
            }
            b"delete" => Self::Delete {
                id: with("delete").id("id", 0)?,
            },
            b"save_key" => Self::SaveKey {
                keydata: with("save_key").raw("keydata", 0)?,
            },
            b"load_key" => Self::LoadKey,
            b"get_free_nonce" => Self::GetFreeNonce,
            b"commit_nonce_reservation" => {
                let mut arguments = with("commit_nonce_reservation");
                let next = arguments.optional_number("next_unreserved", 0)?;
                Self::CommitNonceReservation {
                    next_unreserved: next.ok_or_else(|| {
                        arguments.bad("next_unreserved", "a number expected for an argument")
                    })?,
                    start_nonce: arguments.optional_number("start_nonce", 1)?,
                }
            }
            b"inject_exception" => Self::InjectException {
                kind: with("inject_exception").raw("kind", 0)?,
            },
            other => return Err(BadCall::Method(other.to_vec())),
        })
    }
}
