//! Identifiers: of objects, archives, repositories and segments.

use std::fmt;
use std::str::FromStr;

/// A text that is not exactly 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is written as 64 hexadecimal digits")
    }
}

impl std::error::Error for InvalidId {}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Length of an id in bytes.
            pub const LEN: usize = 32;

            /// Takes an id from a slice of exactly 32 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        /// 64 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0_u8; 64];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = DIGITS[usize::from(byte >> 4)];
                    pair[1] = DIGITS[usize::from(byte & 15)];
                }
                f.pad(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id_type! {
    /// Identifies one object by the id hash of its plaintext; all zero for the manifest only.
    ChunkId
}
id_type! {
    /// Identifies one archive: the id hash of its metadata object.
    ArchiveId
}
id_type! {
    /// Identifies a repository: 32 random bytes chosen when it was created.
    RepositoryId
}

impl ChunkId {
    /// The id of the manifest.
    pub const MANIFEST: Self = Self([0; 32]);
}

impl From<ArchiveId> for ChunkId {
    fn from(id: ArchiveId) -> Self {
        Self(id.0)
    }
}

impl From<ChunkId> for ArchiveId {
    fn from(id: ChunkId) -> Self {
        Self(id.0)
    }
}

/// The number of a segment file; only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], InvalidId> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(InvalidId);
    }
    let mut id = [0_u8; 32];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0]).ok_or(InvalidId)? << 4 | nibble(pair[1]).ok_or(InvalidId)?;
    }
    Ok(id)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printed_and_read_as_hex() {
        let id = ChunkId(std::array::from_fn(|i| u8::try_from(i * 8 + 1).unwrap()));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(ChunkId::MANIFEST.to_string(), "0".repeat(64));
    }

    #[test]
    fn anything_but_64_hex_digits_is_refused() {
        for text in ["", "00", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
            assert_eq!(text.parse::<ChunkId>(), Err(InvalidId));
        }
    }
}
