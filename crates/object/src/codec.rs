//! The compressors behind one shape: append the compressed form, append the plaintext.
//!
//! What stands before the compressed form (the two bytes that say which compressor made it) is left
//! to `compress` and `decompress`.

pub(crate) mod lz4;
pub(crate) mod lzma;
pub(crate) mod zlib;
pub(crate) mod zstd;

mod sys;

use crate::error::DecompressionFailure;

/// Gives `out` room for more plaintext, of which `out.len() - start` bytes are there already.
///
/// Room doubles, starting from a guess of four times the compressed length, and never exceeds
/// `limit` by more than the one byte by which exceeding it shows.
fn grow(
    out: &mut Vec<u8>,
    start: usize,
    compressed_len: usize,
    limit: usize,
) -> Result<(), DecompressionFailure> {
    let len = out.len() - start;
    if len > limit {
        return Err(DecompressionFailure::TooLong { limit });
    }
    if out.len() == out.capacity() {
        let more = len.max(compressed_len.saturating_mul(4)).max(4096);
        out.reserve_exact(more.min(limit - len + 1));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
