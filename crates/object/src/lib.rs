//! Chunk to stored object and back: compress, encrypt, identify.
//!
//! [`Sealer`] makes an object of a chunk, [`Opener`] the chunk of an object; a worker thread keeps
//! one of each and with it the compressors' contexts and buffers. Where objects are kept is left to
//! `repository`, what the chunks mean to `archive`. Sans-I/O. See `docs/format.md`, "Compression",
//! and `docs/security.md`.

pub mod compression;
pub mod error;
pub mod opener;
pub mod sealer;

mod codec;
mod compress;
mod decompress;
mod obfuscation;

pub use compress::Compressor;
pub use compression::{Compression, InvalidCompression};
pub use decompress::{Decompressor, PLAINTEXT_LEN_MAX, StoredForm};
pub use error::{DecompressionFailure, ObjectError};
pub use obfuscation::Obfuscation;
pub use opener::Opener;
pub use sealer::Sealer;
