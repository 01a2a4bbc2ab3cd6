//! Tarballs: members to headers and back.
//!
//! What is written is byte for byte what Python's `tarfile` writes ([`encode_gnu`]), or POSIX pax with
//! everything an item has ([`encode_pax`]). What is read is what `tarfile` reads, with its answers to damage:
//! see [`Decoder`]. Source: Python 3.11, `tarfile.py`; POSIX.1-2008, pax.

mod decode;
mod encode;
mod header;
mod member;
mod number;
mod pax;
mod sparse;

pub use decode::{Decoder, EXTENSION_LEN_MAX, Found};
pub use encode::{MemberHeader, encode_gnu, encode_pax, padding};
pub use member::{Member, MemberTime};
pub use pax::Records;

/// A tarball consists of blocks of this many bytes.
pub const BLOCK_LEN: usize = 512;
/// A tarball's length is a multiple of this.
pub const RECORD_LEN: usize = 20 * BLOCK_LEN;

/// What a member is: the `typeflag` of its header.
pub mod kind {
    /// Regular file.
    pub const REGULAR: u8 = b'0';
    /// Regular file in archives older than the standard.
    pub const REGULAR_OLD: u8 = 0;
    /// Another name of a member that came before.
    pub const HARD_LINK: u8 = b'1';
    /// Symbolic link.
    pub const SYMLINK: u8 = b'2';
    /// Character device.
    pub const CHAR_DEVICE: u8 = b'3';
    /// Block device.
    pub const BLOCK_DEVICE: u8 = b'4';
    /// Directory.
    pub const DIRECTORY: u8 = b'5';
    /// Named pipe.
    pub const FIFO: u8 = b'6';
    /// Contiguous file: a regular one.
    pub const CONTIGUOUS: u8 = b'7';
    /// GNU: the next member's name.
    pub(super) const GNU_LONG_NAME: u8 = b'L';
    /// GNU: the next member's link target.
    pub(super) const GNU_LONG_LINK: u8 = b'K';
    /// GNU: a file with holes.
    pub const GNU_SPARSE: u8 = b'S';
    /// pax: records about the next member.
    pub(super) const PAX: u8 = b'x';
    /// pax: records about all that follow.
    pub(super) const PAX_GLOBAL: u8 = b'g';
    /// pax records as Solaris marks them.
    pub(super) const PAX_SOLARIS: u8 = b'X';
}

/// Why a tarball cannot be written or read. The texts are those of Python's `tarfile` where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    /// A number does not fit into its field.
    #[error("overflow in number field")]
    NumberOverflow,
    /// There is nothing at all.
    #[error("empty file")]
    Empty,
    /// The first header is cut off.
    #[error("truncated header")]
    TruncatedHeader,
    /// The first header is none, or what extends a header is damaged.
    #[error("{0}")]
    InvalidHeader(&'static str),
    /// What a header announces is not there.
    #[error("unexpected end of data")]
    UnexpectedEnd,
    /// A header announces more than anybody writes.
    #[error("{what} of {len} bytes")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Announced length.
        len: u64,
    },
    /// A number in a record or sparse map is none.
    #[error("invalid number in {what}")]
    InvalidNumber {
        /// Which record.
        what: &'static str,
    },
    /// The map of a file's holes contradicts itself.
    #[error("invalid sparse map")]
    InvalidSparseMap,
}

#[cfg(test)]
mod tests;
