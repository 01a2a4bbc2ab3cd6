//! Reads MessagePack values from a slice, without copying and without trusting any length.

use super::MsgpackError;
use super::value::Value;

/// What kind of value bytes start with. Raw covers str and bin of the newer specification too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing.
    Nil,
    /// True or false.
    Bool,
    /// An integer of any width.
    Int,
    /// A float of 32 or 64 bits.
    Float,
    /// Text or bytes.
    Raw,
    /// A list of values.
    Array,
    /// Keys and values.
    Map,
    /// An extension type; Borg writes none.
    Ext,
    /// 0xc1, which starts no value.
    Reserved,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nil => "nil",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Float => "a float",
            Self::Raw => "a raw",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Ext => "an extension",
            Self::Reserved => "a reserved marker",
        })
    }
}

impl Kind {
    /// The kind of value that begins with `marker`.
    #[inline]
    pub const fn of_marker(marker: u8) -> Self {
        match marker {
            0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff => Self::Int,
            0x80..=0x8f | 0xde | 0xdf => Self::Map,
            0x90..=0x9f | 0xdc | 0xdd => Self::Array,
            0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb => Self::Raw,
            0xc0 => Self::Nil,
            0xc1 => Self::Reserved,
            0xc2 | 0xc3 => Self::Bool,
            0xc7..=0xc9 | 0xd4..=0xd8 => Self::Ext,
            0xca | 0xcb => Self::Float,
        }
    }
}

/// A position in a slice of MessagePack values. After an error the position is unspecified.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not read yet.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are not read yet.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The kind of the next value.
    #[inline]
    pub fn peek(&self) -> Result<Kind, MsgpackError> {
        self.rest
            .first()
            .map(|&marker| Kind::of_marker(marker))
            .ok_or(MsgpackError::Truncated)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], MsgpackError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], MsgpackError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn take_marker(&mut self) -> Result<u8, MsgpackError> {
        let (&marker, rest) = self.rest.split_first().ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(marker)
    }

    #[inline]
    fn take_u8(&mut self) -> Result<usize, MsgpackError> {
        Ok(usize::from(u8::from_be_bytes(self.take_array()?)))
    }

    #[inline]
    fn take_u16(&mut self) -> Result<usize, MsgpackError> {
        Ok(usize::from(u16::from_be_bytes(self.take_array()?)))
    }

    #[inline]
    fn take_u32(&mut self) -> Result<usize, MsgpackError> {
        usize::try_from(u32::from_be_bytes(self.take_array()?))
            .map_err(|_| MsgpackError::IntegerRange)
    }

    /// Reads nil.
    #[inline]
    pub fn read_nil(&mut self) -> Result<(), MsgpackError> {
        match self.take_marker()? {
            0xc0 => Ok(()),
            other => Err(wrong_kind(Kind::Nil, other)),
        }
    }

    /// Reads nil if it comes next; says whether it did.
    #[inline]
    pub fn read_nil_if_next(&mut self) -> bool {
        if let Some((0xc0, rest)) = self.rest.split_first() {
            self.rest = rest;
            true
        } else {
            false
        }
    }

    /// Reads a boolean.
    #[inline]
    pub fn read_bool(&mut self) -> Result<bool, MsgpackError> {
        match self.take_marker()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            other => Err(wrong_kind(Kind::Bool, other)),
        }
    }

    /// Reads an integer of either sign.
    #[inline]
    fn read_integer(&mut self) -> Result<i128, MsgpackError> {
        let marker = self.take_marker()?;
        Ok(match marker {
            0x00..=0x7f => i128::from(marker),
            0xe0..=0xff => i128::from(i8::from_be_bytes([marker])),
            0xcc => i128::from(u8::from_be_bytes(self.take_array()?)),
            0xcd => i128::from(u16::from_be_bytes(self.take_array()?)),
            0xce => i128::from(u32::from_be_bytes(self.take_array()?)),
            0xcf => i128::from(u64::from_be_bytes(self.take_array()?)),
            0xd0 => i128::from(i8::from_be_bytes(self.take_array()?)),
            0xd1 => i128::from(i16::from_be_bytes(self.take_array()?)),
            0xd2 => i128::from(i32::from_be_bytes(self.take_array()?)),
            0xd3 => i128::from(i64::from_be_bytes(self.take_array()?)),
            other => return Err(wrong_kind(Kind::Int, other)),
        })
    }

    /// Reads an integer that fits into 64 bits with a sign.
    #[inline]
    pub fn read_i64(&mut self) -> Result<i64, MsgpackError> {
        i64::try_from(self.read_integer()?).map_err(|_| MsgpackError::IntegerRange)
    }

    /// Reads an integer from 0 to 2^64 - 1.
    #[inline]
    pub fn read_u64(&mut self) -> Result<u64, MsgpackError> {
        u64::try_from(self.read_integer()?).map_err(|_| MsgpackError::IntegerRange)
    }

    /// Reads an integer from 0 to 2^32 - 1.
    #[inline]
    pub fn read_u32(&mut self) -> Result<u32, MsgpackError> {
        if let Some((&marker, rest)) = self.rest.split_first()
            && marker < 0x80
        {
            self.rest = rest;
            return Ok(u32::from(marker));
        }
        u32::try_from(self.read_integer()?).map_err(|_| MsgpackError::IntegerRange)
    }

    /// Reads a timestamp or other wide integer: an integer, or a raw of little-endian two's complement.
    ///
    /// # Errors
    /// [`MsgpackError::IntegerRange`] for more than 128 bits. Source: Borg 1.4, `bigint_to_int`.
    pub fn read_bigint(&mut self) -> Result<i128, MsgpackError> {
        if self.peek()? == Kind::Raw {
            bigint_from_raw(self.read_raw()?).ok_or(MsgpackError::IntegerRange)
        } else {
            self.read_integer()
        }
    }

    /// Reads a float of either width.
    pub fn read_float(&mut self) -> Result<f64, MsgpackError> {
        match self.take_marker()? {
            0xca => Ok(f64::from(f32::from_be_bytes(self.take_array()?))),
            0xcb => Ok(f64::from_be_bytes(self.take_array()?)),
            other => Err(wrong_kind(Kind::Float, other)),
        }
    }

    /// Reads text or bytes, in the old encodings and in the newer str and bin.
    #[inline]
    pub fn read_raw(&mut self) -> Result<&'a [u8], MsgpackError> {
        let marker = self.take_marker()?;
        let len = self.raw_len(marker)?;
        self.take(len)
    }

    #[inline]
    fn raw_len(&mut self, marker: u8) -> Result<usize, MsgpackError> {
        match marker {
            0xa0..=0xbf => Ok(usize::from(marker & 0x1f)),
            0xc4 | 0xd9 => self.take_u8(),
            0xc5 | 0xda => self.take_u16(),
            0xc6 | 0xdb => self.take_u32(),
            other => Err(wrong_kind(Kind::Raw, other)),
        }
    }

    /// Reads a raw of exactly `N` bytes; any other length is [`MsgpackError::IntegerRange`].
    #[inline]
    pub fn read_raw_array<const N: usize>(&mut self) -> Result<&'a [u8; N], MsgpackError> {
        self.read_raw()?
            .try_into()
            .map_err(|_| MsgpackError::IntegerRange)
    }

    /// Reads the header of an array. The result never exceeds the number of bytes left.
    #[inline]
    pub fn read_array_len(&mut self) -> Result<usize, MsgpackError> {
        let marker = self.take_marker()?;
        let len = match marker {
            0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.take_u16()?,
            0xdd => self.take_u32()?,
            other => return Err(wrong_kind(Kind::Array, other)),
        };
        self.bound(len, 1)
    }

    /// Reads the header of a map. Twice the result never exceeds the number of bytes left.
    #[inline]
    pub fn read_map_len(&mut self) -> Result<usize, MsgpackError> {
        let marker = self.take_marker()?;
        let len = match marker {
            0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => self.take_u16()?,
            0xdf => self.take_u32()?,
            other => return Err(wrong_kind(Kind::Map, other)),
        };
        self.bound(len, 2)
    }

    /// A collection needs at least `byte_count` bytes for each of its elements.
    #[inline]
    fn bound(&self, len: usize, byte_count: usize) -> Result<usize, MsgpackError> {
        if len <= self.rest.len() / byte_count {
            Ok(len)
        } else {
            Err(MsgpackError::Truncated)
        }
    }

    /// Steps over one value of any kind, however deep, and returns its bytes.
    pub fn skip_value(&mut self) -> Result<&'a [u8], MsgpackError> {
        let start = self.rest;
        let mut pending: usize = 1;
        while pending > 0 {
            if pending > self.rest.len() {
                return Err(MsgpackError::Truncated);
            }
            // Both terms are bounded by the length of the input, so this cannot overflow.
            pending = pending - 1 + self.skip_head()?;
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Steps over one scalar, or over the header of one collection; returns how many values that holds.
    #[inline]
    fn skip_head(&mut self) -> Result<usize, MsgpackError> {
        let marker = *self.rest.first().ok_or(MsgpackError::Truncated)?;
        match Kind::of_marker(marker) {
            Kind::Raw => {
                self.read_raw()?;
            }
            Kind::Array => return self.read_array_len(),
            Kind::Map => return Ok(self.read_map_len()? * 2),
            Kind::Ext => {
                self.read_ext()?;
            }
            Kind::Reserved => return Err(MsgpackError::ReservedMarker),
            Kind::Nil | Kind::Bool => {
                self.take(1)?;
            }
            Kind::Int | Kind::Float => {
                self.take(1 + scalar_len(marker))?;
            }
        }
        Ok(0)
    }

    /// Reads an extension value: its type and its bytes.
    pub fn read_ext(&mut self) -> Result<(i8, &'a [u8]), MsgpackError> {
        let marker = self.take_marker()?;
        let len = match marker {
            0xc7 => self.take_u8()?,
            0xc8 => self.take_u16()?,
            0xc9 => self.take_u32()?,
            0xd4..=0xd8 => 1 << (marker - 0xd4),
            other => return Err(wrong_kind(Kind::Ext, other)),
        };
        let ext_type = i8::from_be_bytes(self.take_array()?);
        Ok((ext_type, self.take(len)?))
    }

    /// Reads one value of any kind as a tree that borrows from the input.
    pub fn read_value(&mut self) -> Result<Value<'a>, MsgpackError> {
        Value::read(self, super::DEPTH_MAX)
    }

    /// Makes sure that nothing is left.
    pub fn finish(self) -> Result<(), MsgpackError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(MsgpackError::TrailingBytes)
        }
    }
}

/// The value of a raw that holds an integer; `None` for more than 128 bits.
pub(crate) fn bigint_from_raw(raw: &[u8]) -> Option<i128> {
    let sign = raw
        .last()
        .map_or(0, |&top| if top >= 0x80 { 0xff } else { 0 });
    let mut bytes = [sign; 16];
    let (low, high) = raw.split_at(raw.len().min(16));
    bytes[..low.len()].copy_from_slice(low);
    let value = i128::from_le_bytes(bytes);
    // Bytes beyond the sixteenth may only repeat the sign.
    let sign_agrees = (value < 0) == (sign == 0xff);
    (high.iter().all(|&byte| byte == sign) && sign_agrees).then_some(value)
}

/// How many bytes follow the marker of an integer or float.
const fn scalar_len(marker: u8) -> usize {
    match marker {
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xce | 0xd2 | 0xca => 4,
        0xcf | 0xd3 | 0xcb => 8,
        _ => 0,
    }
}

/// The head of the value at the start of `bytes`, for scanners that see a value only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the marker and its length field.
    pub len: usize,
    /// Bytes of a scalar's payload that follow the head.
    pub payload_len: u64,
    /// Values that follow the head of a collection.
    pub child_count: u64,
}

impl Head {
    /// Reads a head; [`MsgpackError::Truncated`] if it is not complete.
    pub fn read(bytes: &[u8]) -> Result<Self, MsgpackError> {
        let marker = *bytes.first().ok_or(MsgpackError::Truncated)?;
        let (field_len, fixed) = match marker {
            0x80..=0x9f => (0, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (0, u64::from(marker & 0x1f)),
            0xc4 | 0xc7 | 0xd9 => (1, 0),
            0xc5 | 0xc8 | 0xda | 0xdc | 0xde => (2, 0),
            0xc6 | 0xc9 | 0xdb | 0xdd | 0xdf => (4, 0),
            0xd4..=0xd8 => (0, 1 << (marker - 0xd4)),
            _ => (0, scalar_len(marker) as u64),
        };
        let field = bytes
            .get(1..=field_len)
            .ok_or(MsgpackError::Truncated)?
            .iter()
            .fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        let len = field + fixed;
        let (payload_len, child_count) = match Kind::of_marker(marker) {
            Kind::Array => (0, len),
            Kind::Map => (0, len * 2),
            Kind::Ext => (len + 1, 0),
            Kind::Reserved => return Err(MsgpackError::ReservedMarker),
            _ => (len, 0),
        };
        Ok(Self {
            len: 1 + field_len,
            payload_len,
            child_count,
        })
    }
}

#[cold]
fn wrong_kind(expected: Kind, found: u8) -> MsgpackError {
    MsgpackError::WrongKind {
        expected,
        found: Kind::of_marker(found),
    }
}
