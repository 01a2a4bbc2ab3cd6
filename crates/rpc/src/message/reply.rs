//! Replies: what a server answers.

use ironborg_format::msgpack::{
    MsgpackError, Reader, Value, push_array_len, push_bool, push_int, push_map_len, push_nil,
    push_raw,
};

use ironborg_types::ChunkId;

use super::Form;

/// What the positional form says instead of an error's text.
const POSITIONAL_FAULT: &[u8] = b"Remote Exception (see remote log for the traceback)";

/// Results and errors that are read as a tree are no longer than this, encoded.
const SMALL_LEN_MAX: usize = 1024 * 1024;

/// Texts of one kind an error has are no more than this: a traceback of Python's has about two thousand at most.
const FAULT_TEXTS_MAX: usize = 4096;

/// An error on its way from server to client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// Name of the class, without the class around it.
    pub class: Vec<u8>,
    /// A number before the other arguments: `errno` of an error of the system. A received one is the first text
    /// of `args`.
    pub errno: Option<i64>,
    /// Its arguments, as text; `None` from servers before 1.1.
    pub args: Option<Vec<Vec<u8>>>,
    /// The traceback.
    pub full: Vec<Vec<u8>>,
    /// The message.
    pub short: Vec<Vec<u8>>,
    /// Whether the traceback is worth showing.
    pub trace: bool,
    /// What system the server is.
    pub sysinfo: Vec<u8>,
}

/// A reply as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<'a> {
    /// Which call it answers.
    pub msgid: u64,
    /// The result.
    pub outcome: Result<Payload<'a>, Fault>,
}

/// The result of a call, not looked at yet: what it should be is known to who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    /// Bytes; `None` if it is something else.
    pub fn bytes(self) -> Option<&'a [u8]> {
        Reader::new(self.0).read_raw().ok()
    }

    /// Nothing.
    pub fn is_nil(self) -> bool {
        Reader::new(self.0).read_nil().is_ok()
    }

    /// Whether it counts as true in Python.
    pub fn flag(self) -> Option<bool> {
        Reader::new(self.0).read_bool().ok()
    }

    /// A number that is not negative.
    pub fn number(self) -> Option<u64> {
        Reader::new(self.0).read_u64().ok()
    }

    /// A list of ids.
    pub fn ids(self) -> Option<Vec<ChunkId>> {
        let mut reader = Reader::new(self.0);
        let len = reader.read_array_len().ok()?;
        let mut ids = Vec::with_capacity(len.min(self.0.len() / 32));
        for _ in 0..len {
            ids.push(ChunkId(*reader.read_raw_array::<32>().ok()?));
        }
        Some(ids)
    }

    /// A small value of any kind; `None` if it is not small.
    pub fn small_value(self) -> Option<Value<'a>> {
        (self.0.len() <= SMALL_LEN_MAX)
            .then(|| Value::decode(self.0).ok())
            .flatten()
    }
}

impl Fault {
    /// The texts a client shows, joined.
    pub fn short_text(&self) -> Vec<u8> {
        self.short.join(&b'\n')
    }

    /// Appends the whole reply.
    pub fn encode(&self, form: Form, msgid: &Value<'_>, out: &mut Vec<u8>) {
        match form {
            Form::Named => {
                push_map_len(out, 7);
                push_raw(out, b"i");
                msgid.encode(out);
                push_raw(out, b"exception_class");
                push_raw(out, &self.class);
                push_raw(out, b"exception_args");
                let args = self.args.as_deref().unwrap_or_default();
                push_array_len(out, args.len() + usize::from(self.errno.is_some()));
                if let Some(errno) = self.errno {
                    push_int(out, errno);
                }
                push_raws(out, args);
                push_raw(out, b"exception_full");
                push_list(out, &self.full);
                push_raw(out, b"exception_short");
                push_list(out, &self.short);
                push_raw(out, b"exception_trace");
                push_bool(out, self.trace);
                push_raw(out, b"sysinfo");
                push_raw(out, &self.sysinfo);
            }
            Form::Positional => {
                push_array_len(out, 4);
                push_int(out, 1);
                msgid.encode(out);
                push_raw(out, &self.class);
                push_raw(out, POSITIONAL_FAULT);
            }
        }
    }

    /// What a map without a result says.
    fn decode(map: &Value<'_>) -> Option<Self> {
        let text = |value: &Value<'_>| value.as_raw().map(<[u8]>::to_vec);
        let texts = |key: &[u8]| -> Option<Vec<Vec<u8>>> {
            let values = map.get(key)?.as_array()?;
            Some(values.iter().take(FAULT_TEXTS_MAX).map(as_text).collect())
        };
        Some(Self {
            class: map.get(b"exception_class").and_then(text)?,
            errno: None,
            args: texts(b"exception_args"),
            full: texts(b"exception_full").unwrap_or_default(),
            short: texts(b"exception_short").unwrap_or_default(),
            trace: map.get(b"exception_trace").is_none_or(Value::is_truthy),
            sysinfo: map.get(b"sysinfo").and_then(text).unwrap_or_default(),
        })
    }
}

/// An argument as text, whatever it is.
fn as_text(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Raw(bytes) => bytes.to_vec(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Uint(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

fn push_list(out: &mut Vec<u8>, texts: &[Vec<u8>]) {
    push_array_len(out, texts.len());
    push_raws(out, texts);
}

fn push_raws(out: &mut Vec<u8>, texts: &[Vec<u8>]) {
    for text in texts {
        push_raw(out, text);
    }
}

impl<'a> Reply<'a> {
    /// Appends everything of a reply but the result, which has to follow.
    pub fn encode_head(form: Form, msgid: &Value<'_>, out: &mut Vec<u8>) {
        match form {
            Form::Named => {
                push_map_len(out, 2);
                push_raw(out, b"i");
                msgid.encode(out);
                push_raw(out, b"r");
            }
            Form::Positional => {
                push_array_len(out, 4);
                push_int(out, 1);
                msgid.encode(out);
                push_nil(out);
            }
        }
    }

    /// Understands one whole message; `None` if it is no reply.
    pub fn decode(frame: &'a [u8]) -> Option<Self> {
        match Reader::new(frame).read_map_len() {
            Ok(len) => Self::named(frame, len).ok()?,
            Err(_) => Self::positional(frame).ok()?,
        }
    }

    fn named(frame: &'a [u8], len: usize) -> Result<Option<Self>, MsgpackError> {
        let mut reader = Reader::new(frame);
        reader.read_map_len()?;
        let (mut msgid, mut result, mut is_fault) = (None, None, false);
        for _ in 0..len {
            match reader.read_raw()? {
                b"i" => msgid = Some(reader.read_u64()?),
                b"r" => result = Some(Payload(reader.skip_value()?)),
                key => {
                    is_fault |= key == b"exception_class";
                    reader.skip_value()?;
                }
            }
        }
        let outcome = if is_fault && frame.len() > SMALL_LEN_MAX {
            None
        } else if is_fault {
            Fault::decode(&Reader::new(frame).read_value()?).map(Err)
        } else {
            result.map(Ok)
        };
        Ok(msgid
            .zip(outcome)
            .map(|(msgid, outcome)| Self { msgid, outcome }))
    }

    fn positional(frame: &'a [u8]) -> Result<Option<Self>, MsgpackError> {
        let mut reader = Reader::new(frame);
        if reader.read_array_len()? != 4 {
            return Ok(None);
        }
        reader.skip_value()?;
        let msgid = reader.read_u64()?;
        let class = if reader.read_nil_if_next() {
            None
        } else {
            Some(reader.read_raw()?)
        };
        let result = Payload(reader.skip_value()?);
        let outcome = match class {
            Some(class) if !class.is_empty() => Err(Fault {
                class: class.to_vec(),
                trace: true,
                ..Fault::default()
            }),
            _ => Ok(result),
        };
        Ok(Some(Self { msgid, outcome }))
    }
}
