//! What can go wrong between a chunk and its object.

use ironborg_crypto::CryptoError;
use ironborg_types::ErrorKind;

/// An error of this crate. `Display` is Borg's message where Borg has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The envelope, the id, the key or its counters.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// What is in the envelope is not what a compressor made.
    #[error("Decompression error: {0}")]
    Decompression(DecompressionFailure),
    /// The chunk to store is longer than any chunk may be.
    #[error("Error: a chunk of {len} bytes is too long to be stored")]
    PlaintextTooLong {
        /// Its length.
        len: usize,
    },
}

impl ObjectError {
    /// The row of Borg's error table this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Crypto(error) => error.kind(),
            Self::Decompression(_) => ErrorKind::DecompressionError,
            Self::PlaintextTooLong { .. } => ErrorKind::Error,
        }
    }
}

/// Why stored data could not be decompressed, in the words of the libraries Borg uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressionFailure {
    /// Too short to say how it is compressed.
    #[error("data is too short")]
    TooShort,
    /// No compressor writes these first two bytes.
    #[error("No decompressor for this data found: {0:02x}{1:02x}")]
    UnknownCompressor(u8, u8),
    /// Obfuscation inside of obfuscation inside of...
    #[error("obfuscated too many times")]
    NestedTooDeep,
    /// LZ4 does not say more.
    #[error("lz4 decompress failed")]
    Lz4,
    /// Not a zstd frame.
    #[error("zstd get size failed: data was not compressed by zstd")]
    ZstdNotAFrame,
    /// A zstd frame made by streaming, which Borg never does.
    #[error("zstd get size failed: original size unknown")]
    ZstdSizeUnknown,
    /// The zstd library's own words.
    #[error("zstd decompress failed: {0}")]
    Zstd(&'static str),
    /// The stream does not end.
    #[error("Error -5 while decompressing data: incomplete or truncated stream")]
    ZlibTruncated,
    /// The zlib library's own words.
    #[error("Error -3 while decompressing data: {0}")]
    Zlib(String),
    /// The stream does not end.
    #[error("Compressed data ended before the end-of-stream marker was reached")]
    LzmaTruncated,
    /// Not a container of a known kind.
    #[error("Input format not supported by decoder")]
    LzmaFormat,
    /// A filter or option this library does not have.
    #[error("Invalid or unsupported options")]
    LzmaOptions,
    /// Would need more memory than any of Borg's levels.
    #[error("Memory usage limit exceeded")]
    LzmaMemory,
    /// Damaged.
    #[error("Corrupt input data")]
    LzmaCorrupt,
    /// Decompresses to more than any chunk may be long.
    #[error("data would decompress to more than {limit} bytes")]
    TooLong {
        /// The limit that was exceeded.
        limit: usize,
    },
}
