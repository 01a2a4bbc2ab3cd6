//! What a request for bytes is answered with.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::Chunk;

/// As many zeros as requests of the kernel ask for; takes no memory until it is read.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Bytes of a file as pieces of chunks: nothing has been copied.
#[derive(Debug, Default)]
pub struct Slices {
    // A request that lies within one chunk, as most do, allocates nothing.
    first: Option<Slice>,
    rest: Vec<Slice>,
    len: usize,
}

#[derive(Debug)]
struct Slice {
    chunk: Arc<Chunk>,
    range: Range<usize>,
}

impl Slices {
    /// Adds a part of a chunk, which must lie within it.
    pub(super) fn push(&mut self, chunk: Arc<Chunk>, range: Range<usize>) {
        assert!(range.end <= chunk.len(), "a part lies within its chunk");
        self.len += range.len();
        let slice = Slice { chunk, range };
        match self.first {
            None => self.first = Some(slice),
            Some(_) => self.rest.push(slice),
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none: the request began behind the end.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes, if they are in one place.
    pub fn as_one(&self) -> Option<&[u8]> {
        match &self.first {
            None => Some(&[]),
            Some(slice) if self.rest.is_empty() => slice.bytes(),
            Some(_) => None,
        }
    }

    /// Appends all bytes.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.reserve_exact(self.len);
        for slice in self.first.iter().chain(&self.rest) {
            match slice.bytes() {
                Some(bytes) => out.extend_from_slice(bytes),
                None => out.resize(out.len() + slice.range.len(), 0),
            }
        }
    }
}

impl Slice {
    /// `None`: more zeros than are kept.
    fn bytes(&self) -> Option<&[u8]> {
        match &*self.chunk {
            Chunk::Bytes(bytes) => Some(&bytes[self.range.clone()]),
            Chunk::Zeros(_) => ZEROS.get(..self.range.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_chunks_make_the_answer() {
        let bytes = Arc::new(Chunk::new(b"abcdef".to_vec()));
        let zeros = Arc::new(Chunk::new(vec![0; 3 << 20]));
        let mut slices = Slices::default();
        assert_eq!(slices.as_one(), Some(&b""[..]));
        slices.push(Arc::clone(&bytes), 1..4);
        assert_eq!(slices.as_one(), Some(&b"bcd"[..]));
        slices.push(zeros, 5..(2 << 20) + 5);
        slices.push(bytes, 0..1);
        let mut out = Vec::new();
        slices.copy_to(&mut out);
        assert_eq!((slices.as_one(), slices.len()), (None, out.len()));
        assert_eq!(out.len(), 4 + (2 << 20));
        assert!(out.starts_with(b"bcd\0") && out.ends_with(b"\0a"));
    }

    #[test]
    fn zeros_are_a_slice_too() {
        let mut slices = Slices::default();
        slices.push(Arc::new(Chunk::new(vec![0; 4096])), 96..4096);
        assert_eq!(slices.as_one(), Some(&[0; 4000][..]));
    }
}
