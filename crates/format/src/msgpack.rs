//! MessagePack as Borg writes it: the old specification, in which text and bytes are both "raw".
//!
//! [`mod@write`] appends to a caller's buffer, [`Reader`] borrows from a caller's slice, [`Value`] is a tree
//! for the few places that must keep what they do not understand. What the values mean is left to the
//! modules of the documents. Layout: docs/format.md, "MessagePack conventions".

pub mod read;
pub mod sorted_map;
pub mod value;
pub mod write;

pub use read::{Head, Kind, Reader};
pub use sorted_map::SortedMap;
pub use value::Value;
pub use write::{
    push_array_len, push_bigint, push_bool, push_float64, push_int, push_map_len, push_nil,
    push_raw, push_raw_len, push_uint,
};

/// Deepest nesting of arrays and maps a [`Value`] may have; Borg's own documents need five.
pub const DEPTH_MAX: usize = 64;

/// Why bytes are not the MessagePack value that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MsgpackError {
    /// The value goes on behind the end of the bytes.
    #[error("the data end in the middle of a value")]
    Truncated,
    /// A value of another kind than the document has there.
    #[error("expected {expected}, found {found}")]
    WrongKind {
        /// What the document has there.
        expected: Kind,
        /// What was found.
        found: Kind,
    },
    /// An integer that does not fit where it belongs.
    #[error("an integer is out of range")]
    IntegerRange,
    /// The one byte (0xc1) that starts no value.
    #[error("0xc1 does not start a value")]
    ReservedMarker,
    /// More nested than [`DEPTH_MAX`].
    #[error("values are nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More bytes than the document may have.
    #[error("a value is larger than {limit} bytes")]
    TooLarge {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// Bytes follow the value where none may.
    #[error("unexpected bytes follow the value")]
    TrailingBytes,
}

#[cfg(test)]
mod tests;
