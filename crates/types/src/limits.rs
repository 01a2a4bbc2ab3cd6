//! Limits of the repository format that more than one crate must respect.

/// Largest entry in a segment, header included: 20 MiB.
pub const ENTRY_SIZE_MAX: usize = 20 * 1024 * 1024;
/// Header of a PUT entry: crc (4), size (4), tag (1), id (32).
pub const PUT_HEADER_SIZE: usize = 41;
/// Largest object (envelope included) that fits into one entry.
pub const OBJECT_SIZE_MAX: usize = ENTRY_SIZE_MAX - PUT_HEADER_SIZE;
/// Largest chunk any chunker may produce: a fixed-size block can fill a whole object.
pub const CHUNK_LEN_MAX: usize = OBJECT_SIZE_MAX;
/// Most archives a manifest may list.
pub const ARCHIVE_COUNT_MAX: usize = 400_000;
/// Longest archive name, in characters.
pub const ARCHIVE_NAME_LEN_MAX: usize = 255;
/// Largest timestamp Borg stores, in nanoseconds: 2^31 - 1 s less 48 hours.
pub const TIMESTAMP_NS_MAX: i64 = ((1 << 31) - 1 - 48 * 3600) * 1_000_000_000;
