//! Bytes to cut points: buzhash and fixed-size chunkers with the cut points of Borg 1.4.
//!
//! No I/O and no threads: callers hand in bytes from a chunk's start and get the chunk's length back.
//! What a chunk's content means (identity, compression) is left to `object`.

mod chunker;
mod params;

mod buzhash;
mod fixed;
mod simd;
mod zero;

pub use buzhash::{Buzhash, buzhash};
pub use chunker::{Chunker, ChunkerError};
pub use fixed::{Block, Extent, fixed_blocks};
pub use params::{ChunkerParams, InvalidChunkerParams};
pub use zero::is_zero;
