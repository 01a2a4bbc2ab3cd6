//! A MessagePack value as a tree: for what must be kept or shown without being understood.

use std::borrow::Cow;

use super::read::{Kind, Reader};
use super::{MsgpackError, write};

/// One value. Text and bytes are both [`Value::Raw`]; integers are [`Value::Uint`] only above `i64::MAX`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer that fits into `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A float; always written with 64 bits.
    Float(f64),
    /// Text or bytes.
    Raw(Cow<'a, [u8]>),
    /// A list.
    Array(Vec<Self>),
    /// Keys and values, in the order they were stored in.
    Map(Vec<(Self, Self)>),
    /// An extension: type and bytes.
    Ext(i8, Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// Decodes exactly one value.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MsgpackError> {
        let mut reader = Reader::new(bytes);
        let value = reader.read_value()?;
        reader.finish()?;
        Ok(value)
    }

    pub(super) fn read(reader: &mut Reader<'a>, depth_left: usize) -> Result<Self, MsgpackError> {
        Ok(match reader.peek()? {
            Kind::Nil => {
                reader.read_nil()?;
                Self::Nil
            }
            Kind::Bool => Self::Bool(reader.read_bool()?),
            Kind::Int => {
                let mut signed = *reader;
                if let Ok(value) = signed.read_i64() {
                    *reader = signed;
                    Self::Int(value)
                } else {
                    Self::Uint(reader.read_u64()?)
                }
            }
            Kind::Float => Self::Float(reader.read_float()?),
            Kind::Raw => Self::Raw(Cow::Borrowed(reader.read_raw()?)),
            Kind::Ext => {
                let (ext_type, bytes) = reader.read_ext()?;
                Self::Ext(ext_type, Cow::Borrowed(bytes))
            }
            Kind::Array => {
                let depth_left = depth_left.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                let len = reader.read_array_len()?;
                // Elements are many times larger in memory than on disk, so nothing is reserved.
                let mut elements = Vec::new();
                for _ in 0..len {
                    elements.push(Self::read(reader, depth_left)?);
                }
                Self::Array(elements)
            }
            Kind::Map => {
                let depth_left = depth_left.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                let len = reader.read_map_len()?;
                let mut pairs = Vec::new();
                for _ in 0..len {
                    let key = Self::read(reader, depth_left)?;
                    pairs.push((key, Self::read(reader, depth_left)?));
                }
                Self::Map(pairs)
            }
            Kind::Reserved => return Err(MsgpackError::ReservedMarker),
        })
    }

    /// Appends the value in Borg's encodings; maps keep their order.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => write::push_nil(out),
            Self::Bool(value) => write::push_bool(out, *value),
            Self::Int(value) => write::push_int(out, *value),
            Self::Uint(value) => write::push_uint(out, *value),
            Self::Float(value) => write::push_float64(out, *value),
            Self::Raw(bytes) => write::push_raw(out, bytes),
            Self::Ext(ext_type, bytes) => push_ext(out, *ext_type, bytes),
            Self::Array(elements) => {
                write::push_array_len(out, elements.len());
                for element in elements {
                    element.encode(out);
                }
            }
            Self::Map(pairs) => {
                write::push_map_len(out, pairs.len());
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
        }
    }

    /// The encoded value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Float(value) => Value::Float(value),
            Self::Raw(bytes) => Value::Raw(Cow::Owned(bytes.into_owned())),
            Self::Ext(ext_type, bytes) => Value::Ext(ext_type, Cow::Owned(bytes.into_owned())),
            Self::Array(elements) => {
                Value::Array(elements.into_iter().map(Value::into_owned).collect())
            }
            Self::Map(pairs) => Value::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.into_owned(), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// A raw that owns its bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Value<'static> {
        Value::Raw(Cow::Owned(bytes.into()))
    }

    /// The kind of the value.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Nil,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::Uint(_) => Kind::Int,
            Self::Float(_) => Kind::Float,
            Self::Raw(_) => Kind::Raw,
            Self::Array(_) => Kind::Array,
            Self::Map(_) => Kind::Map,
            Self::Ext(..) => Kind::Ext,
        }
    }

    /// The bytes of a raw.
    pub fn as_raw(&self) -> Option<&[u8]> {
        match self {
            Self::Raw(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An integer from 0 to 2^64 - 1.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::Uint(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The keys and values of a map.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value of a raw key in a map; of several equal keys the last one counts, as in Python.
    pub fn get(&self, key: &[u8]) -> Option<&Self> {
        self.as_map()?
            .iter()
            .rev()
            .find(|(k, _)| k.as_raw() == Some(key))
            .map(|(_, value)| value)
    }

    /// Whether Python would take the value for true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Raw(bytes) => !bytes.is_empty(),
            Self::Array(elements) => !elements.is_empty(),
            Self::Map(pairs) => !pairs.is_empty(),
            Self::Uint(_) | Self::Ext(..) => true,
        }
    }

    /// Sorts the keys of all maps in the tree, and of several equal keys keeps the last: what Borg does
    /// to a document it has read and writes again.
    pub fn sort_maps(&mut self) {
        match self {
            Self::Array(elements) => elements.iter_mut().for_each(Self::sort_maps),
            Self::Map(pairs) => {
                for (_, value) in pairs.iter_mut() {
                    value.sort_maps();
                }
                pairs.reverse();
                pairs.sort_by(|(a, _), (b, _)| a.sort_key().cmp(&b.sort_key()));
                pairs.dedup_by(|(later, _), (first, _)| later == first);
            }
            _ => {}
        }
    }

    /// Raws by their bytes, as Borg sorts them; keys of other kinds (which Borg never writes) behind them.
    fn sort_key(&self) -> (bool, Cow<'_, [u8]>) {
        match self {
            Self::Raw(bytes) => (false, Cow::Borrowed(bytes)),
            other => (true, Cow::Owned(other.to_bytes())),
        }
    }
}

/// Appends an extension in its smallest encoding.
fn push_ext(out: &mut Vec<u8>, ext_type: i8, bytes: &[u8]) {
    match bytes.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        len => {
            if let Ok(len) = u8::try_from(len) {
                out.extend_from_slice(&[0xc7, len]);
            } else if let Ok(len) = u16::try_from(len) {
                out.push(0xc8);
                out.extend_from_slice(&len.to_be_bytes());
            } else {
                let len = u32::try_from(len).expect("read from fewer than 4 GiB");
                out.push(0xc9);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
    }
    out.extend_from_slice(&ext_type.to_be_bytes());
    out.extend_from_slice(bytes);
}
