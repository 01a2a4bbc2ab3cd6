//! A member as it was read.

use super::header::Header;
use super::pax::Records;
use super::{TarError, kind, number};

/// When a member was modified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemberTime {
    /// Whole seconds since 1970.
    Seconds(i128),
    /// Seconds since 1970 of a pax record, as the double Python makes of it.
    Float(f64),
}

/// A member of a tarball. What follows of it in the stream is for the caller to read: see [`super::Found`].
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Path, without slashes at its end if it is a directory.
    pub name: Vec<u8>,
    /// One of [`kind`], or anything else.
    pub kind: u8,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Permission bits, in old archives with those of the type.
    pub mode: i128,
    /// Owner's number.
    pub uid: i128,
    /// Group's number.
    pub gid: i128,
    /// Owner's name or nothing.
    pub user: Vec<u8>,
    /// Group's name or nothing.
    pub group: Vec<u8>,
    /// When it was modified.
    pub mtime: MemberTime,
    /// Major number of a device.
    pub major: i128,
    /// Minor number of a device.
    pub minor: i128,
    /// Bytes of content once its holes are filled.
    pub size: u64,
    /// Bytes of content in the stream: no more than `stored_len`.
    pub data_len: u64,
    /// Bytes in the stream before the next header.
    pub stored_len: u64,
    /// Where in the content the stored bytes belong, in order; the rest are holes. `None`: it has none.
    pub sparse: Option<Vec<(u64, u64)>>,
    /// The records of its pax header, those for all members included.
    pub records: Records,
}

impl Member {
    /// A member with what its header says.
    pub(super) fn new(header: Header) -> Result<Self, TarError> {
        let size = length(header.size)?;
        Ok(Self {
            name: header.name,
            kind: header.kind,
            link: header.link,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            user: header.user,
            group: header.group,
            mtime: MemberTime::Seconds(header.mtime),
            major: header.major,
            minor: header.minor,
            size,
            data_len: 0,
            stored_len: 0,
            sparse: None,
            records: Records::default(),
        })
    }

    /// Whether it is a regular file of any sort.
    pub fn is_file(&self) -> bool {
        matches!(
            self.kind,
            kind::REGULAR | kind::REGULAR_OLD | kind::CONTIGUOUS | kind::GNU_SPARSE
        )
    }

    /// Whether content follows: of files, and of what nobody knows.
    pub(super) fn has_data(&self) -> bool {
        let without = [
            kind::HARD_LINK,
            kind::SYMLINK,
            kind::CHAR_DEVICE,
            kind::BLOCK_DEVICE,
            kind::DIRECTORY,
            kind::FIFO,
        ];
        !without.contains(&self.kind)
    }

    /// Says how many bytes are in the stream.
    pub(super) fn set_data_len(&mut self, len: u64) -> Result<(), TarError> {
        let len = if self.has_data() { len } else { 0 };
        self.data_len = len;
        self.stored_len = blocks(len)?;
        Ok(())
    }

    /// Replaces what records say otherwise, in their order.
    pub(super) fn apply(&mut self, records: &Records) -> Result<(), TarError> {
        for (keyword, value) in records.iter() {
            let whole = |what| {
                let number = number::integer(value, 10);
                number.ok_or(TarError::InvalidNumber { what })
            };
            // Nobody minds a number that is none.
            let lenient = || number::integer(value, 10).unwrap_or(0);
            match keyword {
                b"GNU.sparse.name" => self.name = value.to_vec(),
                b"GNU.sparse.size" => self.size = length(whole("GNU.sparse.size")?)?,
                b"GNU.sparse.realsize" => self.size = length(whole("GNU.sparse.realsize")?)?,
                b"path" => {
                    self.name = value.to_vec();
                    super::header::strip_slashes(&mut self.name);
                }
                b"linkpath" => self.link = value.to_vec(),
                b"uname" => self.user = value.to_vec(),
                b"gname" => self.group = value.to_vec(),
                b"uid" => self.uid = lenient(),
                b"gid" => self.gid = lenient(),
                b"size" => self.size = length(lenient())?,
                b"mtime" => self.mtime = MemberTime::Float(number::float(value).unwrap_or(0.0)),
                _ => {}
            }
        }
        self.records = records.clone();
        Ok(())
    }

    /// Takes a map of holes, if it is one.
    pub(super) fn set_sparse(&mut self, map: Vec<(u64, u64)>) -> Result<(), TarError> {
        let mut end = 0_u64;
        // Entries without content say where the file ends, or nothing.
        let map: Vec<(u64, u64)> = map.into_iter().filter(|(_, len)| *len > 0).collect();
        for (offset, len) in &map {
            if *offset < end {
                return Err(TarError::InvalidSparseMap);
            }
            end = offset.checked_add(*len).ok_or(TarError::InvalidSparseMap)?;
        }
        self.sparse = Some(map);
        Ok(())
    }
}

/// A length that was read; no tarball is larger than what 63 bits can say.
pub(super) fn length(number: i128) -> Result<u64, TarError> {
    let len = i64::try_from(number).ok().filter(|len| *len >= 0);
    let len = len.ok_or(TarError::InvalidHeader("invalid header"))?;
    Ok(len.unsigned_abs())
}

/// `len` rounded up to whole blocks.
pub(super) fn blocks(len: u64) -> Result<u64, TarError> {
    let padding = super::padding(len) as u64;
    let padded = len
        .checked_add(padding)
        .filter(|len| i64::try_from(*len).is_ok());
    padded.ok_or(TarError::InvalidHeader("invalid header"))
}
