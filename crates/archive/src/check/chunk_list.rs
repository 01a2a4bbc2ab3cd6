//! Lists of chunks as items have them: read without believing them, and made anew.

use ironborg_format::msgpack::{Kind, Reader, push_array_len, push_raw, push_uint};
use ironborg_types::ChunkId;

/// One chunk of a list, as stored. Sizes may be any integer: stock Borg only adds them up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk<'i> {
    pub(super) id: ChunkId,
    pub(super) size: i128,
    pub(super) encoded: &'i [u8],
}

/// A list of chunks that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odd;

/// The chunks of an encoded list.
pub(super) struct Chunks<'i> {
    pub(super) reader: Reader<'i>,
    pub(super) left: usize,
}

impl<'i> Chunks<'i> {
    pub(super) fn read(encoded: &'i [u8]) -> Result<Self, Odd> {
        let mut reader = Reader::new(encoded);
        let left = reader.read_array_len().map_err(|_| Odd)?;
        Ok(Self { reader, left })
    }

    #[inline]
    fn read_chunk(&mut self) -> Result<Chunk<'i>, Odd> {
        let start = self.reader.rest();
        if let Some((id, size, rest)) = plain(start) {
            self.reader = Reader::new(rest);
            return Ok(Chunk {
                id: ChunkId(*id),
                size: size.into(),
                encoded: &start[..start.len() - rest.len()],
            });
        }
        let reader = &mut self.reader;
        if reader.read_array_len().map_err(|_| Odd)? != 3 {
            return Err(Odd);
        }
        let id = ChunkId(*reader.read_raw_array().map_err(|_| Odd)?);
        if reader.peek() != Ok(Kind::Int) {
            return Err(Odd);
        }
        let size = reader.read_bigint().map_err(|_| Odd)?;
        reader.skip_value().map_err(|_| Odd)?;
        Ok(Chunk {
            id,
            size,
            encoded: &start[..start.len() - reader.remaining()],
        })
    }
}

/// Id and size of a chunk that is encoded as nearly all are, and what follows it.
#[inline]
fn plain(bytes: &[u8]) -> Option<(&[u8; 32], u32, &[u8])> {
    let rest = bytes.strip_prefix(&[0x93, 0xda, 0, 32])?;
    let (id, rest) = rest.split_first_chunk()?;
    let (size, rest) = plain_number(rest)?;
    let (_, rest) = plain_number(rest)?;
    Some((id, size, rest))
}

#[inline]
fn plain_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (marker, rest) = bytes.split_first()?;
    let len = match marker {
        0..=0x7f => return Some((u32::from(*marker), rest)),
        0xcc => 1,
        0xcd => 2,
        0xce => 4,
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(len)?;
    let number = digits
        .iter()
        .fold(0, |number, digit| number << 8 | u32::from(*digit));
    Some((number, rest))
}

impl<'i> Iterator for Chunks<'i> {
    type Item = Result<Chunk<'i>, Odd>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.read_chunk())
    }
}

/// The list of chunks a file is to have.
#[derive(Default)]
pub(super) struct NewList {
    pub(super) encoded: Vec<u8>,
    pub(super) len: usize,
    pub(super) size: i128,
    /// Whether something new was put into it.
    pub(super) replaced: bool,
}

impl NewList {
    /// Adds a chunk that is put in the place of another one.
    pub(super) fn replace(&mut self, id: &ChunkId, size: u32, csize: usize) {
        let encoded = &mut self.encoded;
        push_array_len(encoded, 3);
        push_raw(encoded, id.as_bytes());
        push_uint(encoded, u64::from(size));
        push_uint(encoded, csize as u64);
        self.len += 1;
        self.size += i128::from(size);
        self.replaced = true;
    }

    pub(super) fn push(&mut self, encoded: &[u8], size: i128) {
        self.encoded.extend_from_slice(encoded);
        self.len += 1;
        self.size += size;
    }

    pub(super) fn to_value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.encoded.len() + 5);
        push_array_len(&mut value, self.len);
        value.extend_from_slice(&self.encoded);
        value
    }
}

/// How messages name a chunk of a file.
pub(super) fn shown(offset: i128, chunk: &Chunk<'_>) -> String {
    let end = offset.saturating_add(chunk.size);
    format!("(Byte {offset}-{end}, Chunk {})", chunk.id)
}
