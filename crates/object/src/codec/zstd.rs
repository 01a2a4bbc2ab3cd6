//! zstd frames with the content size in their header. Contexts are kept: making one costs more than
//! compressing a small chunk.

use super::sys::Tail;
use crate::error::DecompressionFailure;
use zstd_safe::{CCtx, DCtx, compress_bound, get_error_name, get_frame_content_size};

/// Appends the compressed data if it is shorter than the data; else leaves `out` alone and says
/// `false`.
pub(crate) fn compress(
    context: &mut CCtx<'static>,
    level: u8,
    data: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let room = compress_bound(data.len());
    context
        .compress(&mut Tail::new(out, room), data, i32::from(level))
        .expect("the bound is room enough");
    let shorter = out.len() - start < data.len();
    if !shorter {
        out.truncate(start);
    }
    shorter
}

/// Appends the plaintext of a frame.
pub(crate) fn decompress(
    context: &mut DCtx<'static>,
    frame: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressionFailure> {
    let size = get_frame_content_size(frame)
        .map_err(|_| DecompressionFailure::ZstdNotAFrame)?
        .ok_or(DecompressionFailure::ZstdSizeUnknown)?;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= limit)
        .ok_or(DecompressionFailure::TooLong { limit })?;
    let written = context
        .decompress(&mut Tail::new(out, size), frame)
        .map_err(|code| DecompressionFailure::Zstd(get_error_name(code)))?;
    if written != size {
        return Err(DecompressionFailure::Zstd("size mismatch"));
    }
    Ok(())
}
