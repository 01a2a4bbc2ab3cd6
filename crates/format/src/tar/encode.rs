//! Members to headers.

use super::header::{self, Magic};
use super::pax::Records;
use super::{BLOCK_LEN, TarError, kind};

/// Bytes of names and link targets that fit into a header.
const NAME_LEN: usize = 100;
/// Bytes of user and group names that fit.
const OWNER_LEN: usize = 32;
/// Where extensions say they are.
const GNU_LONG_LINK_NAME: &[u8] = b"././@LongLink";
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// What a header says of a member.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberHeader<'a> {
    /// Path; directories get a slash at the end.
    pub name: &'a [u8],
    /// One of [`kind`].
    pub kind: u8,
    /// Target of a link; empty for others.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Owner's number.
    pub uid: i64,
    /// Group's number.
    pub gid: i64,
    /// Owner's name or nothing.
    pub user: &'a [u8],
    /// Group's name or nothing.
    pub group: &'a [u8],
    /// Bytes of content that follow.
    pub size: u64,
    /// Whole seconds since 1970.
    pub mtime: i64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl MemberHeader<'_> {
    fn full_name(&self) -> Vec<u8> {
        let mut name = self.name.to_vec();
        if self.kind == kind::DIRECTORY && !name.ends_with(b"/") {
            name.push(b'/');
        }
        name
    }
}

/// Appends the header of a member in the GNU format.
///
/// # Errors
/// A number beyond 56 bits (owner) or 88 bits (size, time).
pub fn encode_gnu(member: &MemberHeader<'_>, out: &mut Vec<u8>) -> Result<(), TarError> {
    let name = member.full_name();
    if member.link.len() > NAME_LEN {
        long_name(kind::GNU_LONG_LINK, member.link, out);
    }
    if name.len() > NAME_LEN {
        long_name(kind::GNU_LONG_NAME, &name, out);
    }
    let member = MemberHeader {
        name: &name,
        ..*member
    };
    out.extend_from_slice(&header::encode(&member, Magic::Gnu)?);
    Ok(())
}

fn long_name(kind: u8, name: &[u8], out: &mut Vec<u8>) {
    let payload = [name, b"\0"].concat();
    extension(GNU_LONG_LINK_NAME, kind, Magic::Gnu, &payload, out);
}

/// Appends the header of a member in the pax format: `records` say what the old header has no room for, and
/// those that its own fields need are added.
///
/// # Errors
/// A size beyond 88 bits.
pub fn encode_pax(
    member: &MemberHeader<'_>,
    mut records: Records,
    out: &mut Vec<u8>,
) -> Result<(), TarError> {
    const OCTAL_7: i64 = 0o7_777_777;
    const OCTAL_11: i64 = 0o77_777_777_777;
    let name = member.full_name();
    let mut plain = MemberHeader {
        name: &name,
        ..*member
    };
    let texts = [
        ("path", name.as_slice(), NAME_LEN),
        ("linkpath", member.link, NAME_LEN),
        ("uname", member.user, OWNER_LEN),
        ("gname", member.group, OWNER_LEN),
    ];
    for (keyword, text, room) in texts {
        let readable = text.is_ascii() || std::str::from_utf8(text).is_err();
        if text.len() > room || !readable {
            records.add(keyword, text);
        }
    }
    let overflows = |number: i64, max| !(0..=max).contains(&number);
    if overflows(member.uid, OCTAL_7) {
        records.add("uid", member.uid.to_string().as_bytes());
        plain.uid = 0;
    }
    if overflows(member.gid, OCTAL_7) {
        records.add("gid", member.gid.to_string().as_bytes());
        plain.gid = 0;
    }
    if member.size > OCTAL_11.unsigned_abs() {
        records.add("size", member.size.to_string().as_bytes());
        plain.size = 0;
    }
    plain.mtime = member.mtime.clamp(0, OCTAL_11);
    if !records.is_empty() {
        let payload = records.encode();
        extension(PAX_NAME, kind::PAX, Magic::Posix, &payload, out);
    }
    out.extend_from_slice(&header::encode(&plain, Magic::Posix)?);
    Ok(())
}

/// A header that only brings more about the next one.
fn extension(name: &[u8], kind: u8, magic: Magic, payload: &[u8], out: &mut Vec<u8>) {
    let member = MemberHeader {
        name,
        kind,
        size: payload.len() as u64,
        ..MemberHeader::default()
    };
    let block = header::encode(&member, magic).expect("a length in memory fits");
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.resize(out.len() + padding(payload.len() as u64), 0);
}

/// How many bytes are missing behind `len` bytes to the end of their block.
pub fn padding(len: u64) -> usize {
    let over = usize::try_from(len % BLOCK_LEN as u64).expect("less than a block");
    (BLOCK_LEN - over) % BLOCK_LEN
}
