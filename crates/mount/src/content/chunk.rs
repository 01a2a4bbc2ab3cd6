//! The plaintext of one chunk in memory.

use std::sync::Arc;

use ironborg_chunker::is_zero;

/// A verified plaintext. Zeros, as holes are made of, take no memory.
#[derive(Debug)]
pub(super) enum Chunk {
    Bytes(Vec<u8>),
    Zeros(usize),
}

impl Chunk {
    /// Takes a plaintext.
    pub(super) fn new(mut plaintext: Vec<u8>) -> Self {
        if is_zero(&plaintext) {
            return Self::Zeros(plaintext.len());
        }
        // It may have been made for a longer one, and is counted with all it has.
        if plaintext.capacity() / 2 > plaintext.len() {
            plaintext.shrink_to_fit();
        }
        Self::Bytes(plaintext)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Zeros(len) => *len,
        }
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.capacity() as u64,
            Self::Zeros(_) => 0,
        }
    }

    /// The buffer, if nobody else has the chunk.
    pub(super) fn into_buffer(chunk: Arc<Self>) -> Option<Vec<u8>> {
        match Arc::into_inner(chunk)? {
            Self::Bytes(bytes) => Some(bytes),
            Self::Zeros(_) => None,
        }
    }
}
