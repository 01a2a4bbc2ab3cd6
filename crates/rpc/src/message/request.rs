//! Calls as a server receives them: nothing in them is trusted.

use std::borrow::Cow;

use ironborg_format::msgpack::{Kind, MsgpackError, Reader, Value};
use ironborg_types::ChunkId;

use super::{Call, Form, Open, SNAPSHOTS, Version};

/// Calls with more parameters than this are none: stock Borg's longest has seven, and each takes many times the
/// memory of its shortest encoding.
const PARAMETERS_MAX: usize = 64;

/// Values of a call that are not bytes are no longer than this, encoded; longer ones count as nil.
const SMALL_VALUE_LEN_MAX: usize = 1024;

/// What a reply has to repeat is no longer than this, encoded: a client could have it repeated many times over.
const MSGID_LEN_MAX: usize = 64;

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
                b"i" => msgid = repeatable(&mut reader)?,
                b"m" => method = Some(reader.read_raw()?),
                b"a" => {
                    let count = reader.read_map_len()?;
                    if count > PARAMETERS_MAX {
                        return Ok(None);
                    }
                    let mut named = Vec::with_capacity(count);
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
        let Some(msgid) = repeatable(&mut reader)? else {
            return Ok(None);
        };
        let method = reader.read_raw()?;
        let count = reader.read_array_len()?;
        if count > PARAMETERS_MAX {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(count);
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

/// Reads what a reply has to repeat, whatever it is; `None` if it is too long for that.
fn repeatable<'a>(reader: &mut Reader<'a>) -> Result<Option<Value<'a>>, MsgpackError> {
    let bytes = reader.skip_value()?;
    if bytes.len() > MSGID_LEN_MAX {
        return Ok(None);
    }
    Value::decode(bytes).map(Some)
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
            Value::Raw(Cow::Borrowed(bytes)) => Ok(bytes),
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

    /// Who the client is: a number from before 1.1, a map from later ones, and anything else from one newer still.
    ///
    /// Source: Borg 1.4, `RepositoryServer.negotiate`.
    fn client(&self, data: &Value<'_>) -> Result<Option<Version>, BadCall> {
        if data.as_u64() == Some(2) {
            return Ok(None);
        }
        if data.as_map().is_none() {
            return Ok(Some(Version::own()));
        }
        let version = data.get(b"client_version").and_then(Version::from_value);
        version
            .map(Some)
            .ok_or_else(|| self.bad("client_data", "a version expected for an argument"))
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
                Self::Negotiate {
                    client: arguments.client(&data)?,
                    snapshots: data.get(SNAPSHOTS).is_some_and(Value::is_truthy),
                }
            }
            b"open" => Self::Open(with("open").open()?),
            b"open_snapshot" => Self::OpenSnapshot {
                path: with("open_snapshot").raw("path", 0)?.to_vec(),
            },
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
