//! LZ4 blocks without a size: the C library, which is the faster one and writes stock Borg's bytes.

use super::sys;
use crate::error::DecompressionFailure;

/// First guess at a block's plaintext when the buffer is still small: a chunk of the usual size.
const GUESS_MIN: usize = 4 << 20;
/// But small blocks get less: few expand more than so many times,
const GUESS_EXPANSION: usize = 16;
/// and the smallest get a little more.
const GUESS_EXTRA: usize = 64 << 10;
/// A byte of a block makes at most 255 bytes of plaintext.
const EXPANSION_MAX: usize = 255;

/// Appends the compressed data if it is shorter than the data; else leaves `out` alone and says
/// `false`.
pub(crate) fn compress(data: &[u8], out: &mut Vec<u8>) -> bool {
    // A smaller room makes LZ4 give up as soon as it can tell.
    !data.is_empty() && sys::lz4_compress(data, data.len() - 1, out)
}

/// Appends the plaintext.
///
/// The block does not say how long that is, so it is tried with what `out` has room for, then with
/// more.
pub(crate) fn decompress(
    block: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressionFailure> {
    let len_max = limit.min(block.len().saturating_mul(EXPANSION_MAX));
    let guess = block.len().saturating_mul(GUESS_EXPANSION);
    let guess = guess.saturating_add(GUESS_EXTRA).min(GUESS_MIN);
    let mut room = (out.capacity() - out.len()).max(guess).min(len_max);
    loop {
        if sys::lz4_decompress(block, room, out) {
            return Ok(());
        }
        if room == len_max {
            return Err(DecompressionFailure::Lz4);
        }
        room = room.saturating_mul(2).min(len_max);
    }
}
