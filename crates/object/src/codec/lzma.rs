//! .xz containers without a checksum of their own.

use super::grow;
use crate::error::DecompressionFailure;
use liblzma::stream::{Action, Check, Error, Status, Stream};

/// Most memory a container may ask for. Level 9 needs 65 MiB.
const MEMORY_MAX: u64 = 256 << 20;

/// Appends the compressed data if it is shorter than the data; else leaves `out` alone and says
/// `false`.
///
/// The library's encoder is made anew for each chunk, as it cannot be rewound; compared with what
/// it then does, that is cheap.
pub(crate) fn compress(level: u8, data: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    // With less room than data the encoder never gets to the end, and the data is stored as it is.
    out.reserve_exact(data.len());
    let mut stream = Stream::new_easy_encoder(u32::from(level), Check::None)
        .expect("the levels are the library's own, and memory is not our errand");
    let mut rest = data;
    loop {
        let before = stream.total_in();
        let status = stream
            .process_vec(rest, out, Action::Finish)
            .expect("encoding only fails for lack of memory");
        let len = out.len() - start;
        if len >= data.len() {
            out.truncate(start);
            return false;
        }
        if status == Status::StreamEnd {
            return true;
        }
        rest = &rest[consumed(before, stream.total_in())..];
    }
}

/// Appends the plaintext: of all containers in `data` one after the other, what follows them being
/// ignored, as stock Borg does.
pub(crate) fn decompress(
    data: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressionFailure> {
    let start = out.len();
    let mut rest = data;
    loop {
        let (done, first) = (out.len(), rest.len() == data.len());
        match decompress_one(rest, start, limit, out) {
            Ok(consumed) => rest = &rest[consumed..],
            Err(DecompressionFailure::LzmaTruncated) => {
                return Err(DecompressionFailure::LzmaTruncated);
            }
            Err(error) if first => return Err(error),
            Err(_) => {
                out.truncate(done);
                return Ok(());
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// Appends the plaintext of the first container; returns its length.
fn decompress_one(
    data: &[u8],
    start: usize,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<usize, DecompressionFailure> {
    let mut stream = Stream::new_auto_decoder(MEMORY_MAX, 0).map_err(failure)?;
    let mut at = 0;
    loop {
        grow(out, start, data.len(), limit)?;
        let before = (stream.total_in(), stream.total_out());
        let status = stream
            .process_vec(&data[at..], out, Action::Run)
            .map_err(failure)?;
        at += consumed(before.0, stream.total_in());
        let stuck = before == (stream.total_in(), stream.total_out());
        match status {
            Status::StreamEnd => return Ok(at),
            _ if stuck || at == data.len() && out.len() < out.capacity() => {
                return Err(DecompressionFailure::LzmaTruncated);
            }
            _ => {}
        }
    }
}

fn consumed(before: u64, after: u64) -> usize {
    usize::try_from(after - before).expect("no more is consumed than there is")
}

fn failure(error: Error) -> DecompressionFailure {
    match error {
        Error::Format => DecompressionFailure::LzmaFormat,
        Error::Options | Error::Program | Error::NoCheck | Error::UnsupportedCheck => {
            DecompressionFailure::LzmaOptions
        }
        Error::MemLimit | Error::Mem => DecompressionFailure::LzmaMemory,
        Error::Data => DecompressionFailure::LzmaCorrupt,
    }
}
