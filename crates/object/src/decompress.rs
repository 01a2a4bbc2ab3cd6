//! Stored form to chunk. The stored form may come from anyone: modes that do not encrypt do not
//! authenticate it before it is decompressed.

use crate::codec;
use crate::compress::{OBFUSCATED_SIZE_LEN, marker};
use crate::error::{DecompressionFailure, ObjectError};
use flate2::Decompress;
use zstd_safe::DCtx;

/// Longest plaintext of any object: 128 MiB. Chunks have 20 MiB at most; the plaintext of a large
/// manifest or archive can be longer, as long as it compresses into one object. Stock Borg's LZ4
/// has about this limit.
pub const PLAINTEXT_LEN_MAX: usize = 128 << 20;

/// How often a form may be obfuscated. Specifications allow twice; more costs nothing.
const NESTING_MAX: usize = 8;

/// Decompresses stored forms, one after the other, keeping contexts. One for each worker.
pub struct Decompressor {
    limit: usize,
    zstd: Option<DCtx<'static>>,
    zlib: Option<Decompress>,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// Takes plaintexts up to [`PLAINTEXT_LEN_MAX`].
    pub fn new() -> Self {
        Self::with_limit(PLAINTEXT_LEN_MAX)
    }

    /// Takes plaintexts up to `limit`, at most [`PLAINTEXT_LEN_MAX`].
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit: limit.min(PLAINTEXT_LEN_MAX),
            zstd: None,
            zlib: None,
        }
    }

    /// Appends the plaintext of a stored form. Allocates no more than the limit and a little.
    ///
    /// # Errors
    /// [`ObjectError::Decompression`]; `out` is then as before.
    pub fn decompress(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Result<(), ObjectError> {
        self.decompress_within(stored, self.limit, out)
    }

    /// As [`Self::decompress`], with a limit for this one.
    ///
    /// # Errors
    /// As there.
    pub fn decompress_within(
        &mut self,
        stored: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        let start = out.len();
        let limit = limit.min(self.limit);
        let outcome = match self.append(stored, limit, out) {
            // The stream decoders get room for one byte more, by which this shows.
            Ok(()) if out.len() - start > limit => Err(DecompressionFailure::TooLong { limit }),
            other => other,
        };
        outcome.map_err(|failure| {
            out.truncate(start);
            ObjectError::Decompression(failure)
        })
    }

    fn append(
        &mut self,
        stored: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecompressionFailure> {
        let stored = unwrap_obfuscated(stored)?;
        let (marker, data) = stored
            .split_first_chunk::<{ marker::LEN }>()
            .ok_or(DecompressionFailure::TooShort)?;
        match *marker {
            marker::LZ4 => codec::lz4::decompress(data, limit, out),
            marker::ZSTD => {
                let context = self.zstd.get_or_insert_with(DCtx::create);
                codec::zstd::decompress(context, data, limit, out)
            }
            marker::NONE if data.len() > limit => Err(DecompressionFailure::TooLong { limit }),
            marker::NONE => {
                out.extend_from_slice(data);
                Ok(())
            }
            [a, b] if is_zlib([a, b]) => {
                let stream = self.zlib.get_or_insert_with(|| Decompress::new(true));
                codec::zlib::decompress(stream, stored, limit, out)
            }
            marker::LZMA => codec::lzma::decompress(data, limit, out),
            [a, b] => Err(DecompressionFailure::UnknownCompressor(a, b)),
        }
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// How an object's content is stored, as its first bytes tell; levels do not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredForm {
    /// As it is.
    None,
    /// By LZ4.
    Lz4,
    /// By LZMA.
    Lzma,
    /// By Zstandard.
    Zstd,
    /// By zlib.
    Zlib,
    /// Padded, whatever is inside.
    Obfuscated,
}

impl StoredForm {
    /// What `stored` begins with; `None` for nothing that is known.
    pub fn of(stored: &[u8]) -> Option<Self> {
        match *stored.first_chunk::<{ marker::LEN }>()? {
            marker::NONE => Some(Self::None),
            marker::LZ4 => Some(Self::Lz4),
            marker::LZMA => Some(Self::Lzma),
            marker::ZSTD => Some(Self::Zstd),
            marker::OBFUSCATED => Some(Self::Obfuscated),
            other => is_zlib(other).then_some(Self::Zlib),
        }
    }
}

/// Whether a zlib stream (RFC 1950) may begin like this.
fn is_zlib(header: [u8; 2]) -> bool {
    header[0] & 0x0f == 8 && u16::from_be_bytes(header).is_multiple_of(31)
}

/// Takes off padding and size, as often as they are there. A size beyond the end means the end, as
/// in Borg.
fn unwrap_obfuscated(mut stored: &[u8]) -> Result<&[u8], DecompressionFailure> {
    for _ in 0..NESTING_MAX {
        let Some(wrapped) = stored.strip_prefix(&marker::OBFUSCATED) else {
            return Ok(stored);
        };
        let (size, inner) = wrapped
            .split_first_chunk::<OBFUSCATED_SIZE_LEN>()
            .ok_or(DecompressionFailure::TooShort)?;
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
        stored = &inner[..size.min(inner.len())];
    }
    Err(DecompressionFailure::NestedTooDeep)
}

#[cfg(test)]
mod tests;
