//! Entries of segment files: encoding, decoding and checking. Layout: docs/format.md, "Segment files".
//!
//! Leaves reading files, and what the entries mean for the index, to `repository`.

use ironborg_types::ChunkId;
use ironborg_types::limits::{ENTRY_SIZE_MAX, PUT_HEADER_SIZE};

/// First bytes of every segment file.
pub const MAGIC: [u8; 8] = *b"BORG_SEG";
/// First bytes of the segments of Attic, Borg's predecessor.
pub const ATTIC_MAGIC: [u8; 8] = *b"ATTICSEG";
/// Length of the magic, and so the offset of the first entry.
pub const MAGIC_LEN: usize = 8;
/// Header of every entry: crc (4), size (4), tag (1).
pub const HEADER_LEN: usize = 9;
/// Header of an entry with an id; the size of every DELETE.
pub const KEYED_HEADER_LEN: usize = HEADER_LEN + ChunkId::LEN;
/// The one possible COMMIT entry.
pub const COMMIT: [u8; HEADER_LEN] = [0x40, 0xf4, 0x3c, 0x25, 9, 0, 0, 0, TAG_COMMIT];
/// Size of a segment that holds only a COMMIT.
pub const COMMIT_SEGMENT_SIZE: u64 = (MAGIC_LEN + HEADER_LEN) as u64;
/// Tags above are taken for damage when a segment is being recovered.
pub const TAG_MAX: u8 = 15;

const TAG_PUT: u8 = 0;
const TAG_DELETE: u8 = 1;
const TAG_COMMIT: u8 = 2;

const _: () = assert!(KEYED_HEADER_LEN == PUT_HEADER_SIZE);

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Stores an object.
    Put,
    /// Removes an object.
    Delete,
    /// Ends a transaction.
    Commit,
}

impl Tag {
    /// The tag as written.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Put => TAG_PUT,
            Self::Delete => TAG_DELETE,
            Self::Commit => TAG_COMMIT,
        }
    }

    /// Reads a tag; `None` for those nobody uses.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            TAG_PUT => Some(Self::Put),
            TAG_DELETE => Some(Self::Delete),
            TAG_COMMIT => Some(Self::Commit),
            _ => None,
        }
    }

    /// Length of the header, id included.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Put | Self::Delete => KEYED_HEADER_LEN,
            Self::Commit => HEADER_LEN,
        }
    }
}

/// Why bytes are not an entry; the texts are Borg's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Fewer bytes than a header has.
    #[error("Invalid segment entry header")]
    TruncatedHeader {
        /// Bytes a header has.
        expected: usize,
    },
    /// The size field exceeds what any entry may have.
    #[error("Invalid segment entry size {0} - too big")]
    TooBig(u32),
    /// The size field is smaller than the header.
    #[error("Invalid segment entry size {0} - too small")]
    TooSmall(u32),
    /// The segment ends within the entry.
    #[error("Segment entry data short read")]
    TruncatedData {
        /// Bytes that should follow the header.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The checksum is of other bytes.
    #[error("Segment entry checksum mismatch")]
    Checksum,
    /// A tag nobody uses, or one that does not belong here.
    #[error("Invalid segment entry header, did not get acceptable tag")]
    UnacceptableTag(u8),
    /// The entry is about another id.
    #[error("Invalid segment entry header, is not for wanted id")]
    WrongId,
}

impl EntryError {
    /// What Borg says after the place of the error; often nothing.
    pub fn detail(&self) -> String {
        match self {
            Self::TruncatedHeader { expected } => {
                format!(": unpack requires a buffer of {expected} bytes")
            }
            Self::TruncatedData { expected, found } => {
                format!(": expected {expected}, got {found} bytes")
            }
            _ => String::new(),
        }
    }
}

/// The fixed part of an entry, checked for what can be checked without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// CRC-32 of everything behind it.
    pub crc: u32,
    /// Size of the whole entry, header included: at most 20 MiB.
    pub size: u32,
    /// The tag byte, whatever it is.
    pub tag: u8,
}

impl Header {
    /// Decodes the header at the start of `bytes`; `header_len` is 9, or 41 where an id must follow.
    pub fn decode(bytes: &[u8], header_len: usize) -> Result<Self, EntryError> {
        let truncated = EntryError::TruncatedHeader {
            expected: header_len,
        };
        if bytes.len() < header_len {
            return Err(truncated);
        }
        let (header, _) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(truncated)?;
        let [c0, c1, c2, c3, s0, s1, s2, s3, tag] = *header;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        if size as usize > ENTRY_SIZE_MAX {
            return Err(EntryError::TooBig(size));
        }
        if (size as usize) < header_len {
            return Err(EntryError::TooSmall(size));
        }
        Ok(Self {
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            size,
            tag,
        })
    }
}

/// One decoded entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Stores `object` under `id`.
    Put {
        /// Which object.
        id: ChunkId,
        /// Its envelope.
        object: &'a [u8],
    },
    /// Removes the object.
    Delete {
        /// Which object.
        id: ChunkId,
    },
    /// Ends a transaction.
    Commit,
}

/// Decodes the entry at the start of `bytes`; also returns its size, header included.
///
/// Layout: docs/format.md, "Segment files"; little-endian. Source: Borg 1.4, `LoggedIO._read`.
///
/// # Errors
/// [`EntryError`] for anything but one whole, checksummed entry. No input makes it panic.
pub fn decode_entry(bytes: &[u8]) -> Result<(Entry<'_>, usize), EntryError> {
    let header = Header::decode(bytes, HEADER_LEN)?;
    let size = header.size as usize;
    let entry = bytes.get(..size).ok_or(EntryError::TruncatedData {
        expected: size - HEADER_LEN,
        found: bytes.len() - HEADER_LEN,
    })?;
    if crc32fast::hash(&entry[4..]) != header.crc {
        return Err(EntryError::Checksum);
    }
    let tag = Tag::from_byte(header.tag).ok_or(EntryError::UnacceptableTag(header.tag))?;
    let body = &entry[HEADER_LEN..];
    let entry = match tag {
        Tag::Commit => Entry::Commit,
        Tag::Put | Tag::Delete => {
            let (id, object) = body
                .split_first_chunk::<{ ChunkId::LEN }>()
                .ok_or(EntryError::TooSmall(header.size))?;
            match tag {
                Tag::Put => Entry::Put {
                    id: ChunkId(*id),
                    object,
                },
                _ => Entry::Delete { id: ChunkId(*id) },
            }
        }
    };
    Ok((entry, size))
}

/// The size of the entry that may begin at the start of `bytes`, as far as its header tells: what may be
/// saved from a damaged segment, tags of the future included.
///
/// Source: Borg 1.4, `LoggedIO.recover_segment`.
pub fn salvageable_entry_size(bytes: &[u8]) -> Option<usize> {
    let header = Header::decode(bytes, HEADER_LEN).ok()?;
    (header.tag <= TAG_MAX).then_some(header.size as usize)
}

/// Whether bytes, as many as [`salvageable_entry_size`] said, have the checksum they begin with.
pub fn is_whole_entry(bytes: &[u8]) -> bool {
    let Some((crc, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    crc32fast::hash(rest) == u32::from_le_bytes(*crc)
}

/// Checks an object read as header and data apart against the checksum in its PUT header.
///
/// `header` is the 41-byte header, `object` the bytes behind it.
pub fn check_put(
    header: &[u8; KEYED_HEADER_LEN],
    object: &[u8],
    id: &ChunkId,
) -> Result<(), EntryError> {
    let fields = Header::decode(header, KEYED_HEADER_LEN)?;
    let expected = fields.size as usize - KEYED_HEADER_LEN;
    if object.len() != expected {
        return Err(EntryError::TruncatedData {
            expected,
            found: object.len(),
        });
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[4..]);
    crc.update(object);
    if crc.finalize() != fields.crc {
        return Err(EntryError::Checksum);
    }
    check_put_header(header, id).map(drop)
}

/// Checks that a header is one of a PUT of this id; returns the length of the object behind it.
pub fn check_put_header(
    header: &[u8; KEYED_HEADER_LEN],
    id: &ChunkId,
) -> Result<usize, EntryError> {
    let fields = Header::decode(header, KEYED_HEADER_LEN)?;
    if fields.tag != TAG_PUT {
        return Err(EntryError::UnacceptableTag(fields.tag));
    }
    if header[HEADER_LEN..] != id.0 {
        return Err(EntryError::WrongId);
    }
    Ok(fields.size as usize - KEYED_HEADER_LEN)
}

/// The 41 bytes before an object's envelope.
///
/// # Panics
/// If the object is longer than [`ironborg_types::limits::OBJECT_SIZE_MAX`]: callers check that first.
pub fn put_header(id: &ChunkId, object: &[u8]) -> [u8; KEYED_HEADER_LEN] {
    let size = KEYED_HEADER_LEN + object.len();
    assert!(size <= ENTRY_SIZE_MAX, "an entry of {size} bytes");
    keyed_header(Tag::Put, size, id, object)
}

/// A DELETE entry.
pub fn delete_entry(id: &ChunkId) -> [u8; KEYED_HEADER_LEN] {
    keyed_header(Tag::Delete, KEYED_HEADER_LEN, id, &[])
}

fn keyed_header(tag: Tag, size: usize, id: &ChunkId, object: &[u8]) -> [u8; KEYED_HEADER_LEN] {
    let size = u32::try_from(size).expect("bounded by the callers");
    let mut header = [0_u8; KEYED_HEADER_LEN];
    header[4..8].copy_from_slice(&size.to_le_bytes());
    header[8] = tag.byte();
    header[HEADER_LEN..].copy_from_slice(&id.0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[4..]);
    crc.update(object);
    header[..4].copy_from_slice(&crc.finalize().to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn entries_are_the_ones_stock_borg_writes() {
        let text = include_str!("../../../testdata/vectors/segment_entries.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let mut count = 0;
        for vector in vectors["entries"].as_array().unwrap() {
            let bytes = hex(vector["entry"].as_str().unwrap());
            let (entry, size) = decode_entry(&bytes).unwrap();
            assert_eq!(size, bytes.len());
            let id = vector["key"].as_str().map(|key| key.parse().unwrap());
            let object = vector["data"].as_str().map(hex).unwrap_or_default();
            let encoded = match (vector["tag"].as_u64().unwrap(), id) {
                (0, Some(id)) => {
                    assert_eq!(
                        entry,
                        Entry::Put {
                            id,
                            object: &object
                        }
                    );
                    [&put_header(&id, &object), object.as_slice()].concat()
                }
                (1, Some(id)) => {
                    assert_eq!(entry, Entry::Delete { id });
                    delete_entry(&id).to_vec()
                }
                (2, None) => {
                    assert_eq!(entry, Entry::Commit);
                    COMMIT.to_vec()
                }
                other => panic!("unexpected vector {other:?}"),
            };
            assert_eq!(encoded, bytes);
            count += 1;
        }
        assert_eq!(count, 5);
    }

    #[track_caller]
    fn check_error(bytes: &[u8], expected: EntryError) {
        assert_eq!(decode_entry(bytes), Err(expected));
    }

    #[test]
    fn damaged_entries_are_told_apart() {
        check_error(&[], EntryError::TruncatedHeader { expected: 9 });
        check_error(&COMMIT[..8], EntryError::TruncatedHeader { expected: 9 });
        check_error(&[0, 0, 0, 0, 8, 0, 0, 0, 2], EntryError::TooSmall(8));
        let too_big = 20 * 1024 * 1024 + 1_u32;
        let [a, b, c, d] = too_big.to_le_bytes();
        check_error(&[0, 0, 0, 0, a, b, c, d, 0], EntryError::TooBig(too_big));
        let mut delete = delete_entry(&ChunkId([7; 32]));
        check_error(
            &delete[..40],
            EntryError::TruncatedData {
                expected: 32,
                found: 31,
            },
        );
        delete[20] ^= 1;
        check_error(&delete, EntryError::Checksum);
        let mut odd = [0, 0, 0, 0, 9, 0, 0, 0, 3];
        let crc = crc32fast::hash(&odd[4..]).to_le_bytes();
        odd[..4].copy_from_slice(&crc);
        check_error(&odd, EntryError::UnacceptableTag(3));
        let mut short_put = [0, 0, 0, 0, 9, 0, 0, 0, 0];
        let crc = crc32fast::hash(&short_put[4..]).to_le_bytes();
        short_put[..4].copy_from_slice(&crc);
        check_error(&short_put, EntryError::TooSmall(9));
    }

    #[test]
    fn a_put_is_only_accepted_for_its_id() {
        let (id, object) = (ChunkId([1; 32]), b"object");
        let header = put_header(&id, object);
        assert_eq!(check_put(&header, object, &id), Ok(()));
        assert_eq!(
            check_put(&header, object, &ChunkId([2; 32])),
            Err(EntryError::WrongId)
        );
        assert_eq!(
            check_put(&header, b"objecT", &id),
            Err(EntryError::Checksum)
        );
        assert_eq!(
            check_put_header(&delete_entry(&id), &id),
            Err(EntryError::UnacceptableTag(1))
        );
        assert_eq!(check_put_header(&header, &id), Ok(6));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(
            id: [u8; 32],
            object in proptest::collection::vec(any::<u8>(), 0..100),
            bit in 0_usize..8 * 41,
        ) {
            let id = ChunkId(id);
            let mut bytes = [&put_header(&id, &object), object.as_slice()].concat();
            prop_assert_eq!(
                decode_entry(&bytes),
                Ok((Entry::Put { id, object: &object }, 41 + object.len()))
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_entry(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_entry(&bytes);
        }
    }
}
