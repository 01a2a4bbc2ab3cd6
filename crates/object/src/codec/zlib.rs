//! zlib streams, whose own header tells them from the others.

use super::grow;
use crate::error::DecompressionFailure;
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

/// Appends the compressed data, whatever its length.
pub(crate) fn compress(stream: &mut Compress, data: &[u8], out: &mut Vec<u8>) {
    stream.reset();
    // More than any level of any implementation expands by.
    out.reserve(data.len() + data.len() / 8 + 64);
    let mut rest = data;
    loop {
        let before = stream.total_in();
        let status = stream
            .compress_vec(rest, out, FlushCompress::Finish)
            .expect("the stream was reset and is finished in one go");
        if status == Status::StreamEnd {
            return;
        }
        rest = &rest[consumed(before, stream.total_in())..];
        out.reserve(data.len() / 8 + 64);
    }
}

/// Appends the plaintext. What follows the stream is ignored, as stock Borg does.
pub(crate) fn decompress(
    stream: &mut Decompress,
    data: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressionFailure> {
    stream.reset(true);
    let start = out.len();
    let mut rest = data;
    loop {
        grow(out, start, data.len(), limit)?;
        let before = (stream.total_in(), stream.total_out());
        let status = stream
            .decompress_vec(rest, out, FlushDecompress::Finish)
            .map_err(|error| DecompressionFailure::Zlib(error.to_string()))?;
        rest = &rest[consumed(before.0, stream.total_in())..];
        let stuck = before == (stream.total_in(), stream.total_out());
        match status {
            Status::StreamEnd => return Ok(()),
            Status::Ok | Status::BufError
                if stuck || rest.is_empty() && out.len() < out.capacity() =>
            {
                return Err(DecompressionFailure::ZlibTruncated);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

fn consumed(before: u64, after: u64) -> usize {
    usize::try_from(after - before).expect("no more is consumed than there is")
}
