//! Files whose content is nobody's business: a stream of bytes in blocks that are encrypted and authenticated one by
//! one, and read anywhere.
//!
//! [`SealedWriter`] writes such a file once, from beginning to end; [`SealedFile`] reads it. [`ScratchBytes`] are bytes
//! that are still being worked on: more of them than should be in memory. What the bytes mean is left to others.
//! Layout: docs/format.md, "Path index".

mod file;
mod scratch;
mod writer;

pub use file::{SealedFile, SealedKind, TRAILER_LEN};
pub use scratch::ScratchBytes;
pub use writer::{SealedTarget, SealedWriter};

use ironborg_crypto::BLOCK_TAG_LEN;

/// Bytes of the stream in one block; the last one may have fewer.
pub const SEALED_BLOCK_LEN: usize = 32 * 1024;
/// The same with what authenticates it.
const STORED_LEN: usize = SEALED_BLOCK_LEN + BLOCK_TAG_LEN;
/// The trailer's address, so that no other block can be taken for it, nor it for another.
const TRAILER_NUMBER: u64 = 1 << 63;

#[cfg(test)]
mod tests;
