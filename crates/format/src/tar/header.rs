//! One header block.

use super::encode::MemberHeader;
use super::{BLOCK_LEN, TarError, kind, number};

/// Where the fields are.
const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MTIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
const USER: std::ops::Range<usize> = 265..297;
const GROUP: std::ops::Range<usize> = 297..329;
const MAJOR: std::ops::Range<usize> = 329..337;
const MINOR: std::ops::Range<usize> = 337..345;
const PREFIX: std::ops::Range<usize> = 345..500;

/// Which format a header claims to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Magic {
    Gnu,
    Posix,
}

/// Makes a header block. Texts too long for their field are cut off: an extension has the whole.
pub(super) fn encode(member: &MemberHeader<'_>, magic: Magic) -> Result<[u8; BLOCK_LEN], TarError> {
    let mut block = [0_u8; BLOCK_LEN];
    let numbers = [
        (MODE, i128::from(member.mode & 0o7777)),
        (UID, member.uid.into()),
        (GID, member.gid.into()),
        (SIZE, member.size.into()),
        (MTIME, member.mtime.into()),
    ];
    for (field, value) in numbers {
        number::write_gnu(&mut block[field], value)?;
    }
    if matches!(member.kind, kind::CHAR_DEVICE | kind::BLOCK_DEVICE) {
        number::write_gnu(&mut block[MAJOR], member.device.0.into())?;
        number::write_gnu(&mut block[MINOR], member.device.1.into())?;
    }
    let texts = [
        (NAME, member.name),
        (LINK, member.link),
        (USER, member.user),
        (GROUP, member.group),
    ];
    for (field, text) in texts {
        let field = &mut block[field];
        let len = text.len().min(field.len());
        field[..len].copy_from_slice(&text[..len]);
    }
    block[KIND] = member.kind;
    block[MAGIC].copy_from_slice(match magic {
        Magic::Gnu => b"ustar  \0",
        Magic::Posix => b"ustar\x0000",
    });
    // Six digits and a NUL; the space behind them stays.
    block[CHECKSUM].fill(b' ');
    let sum = unsigned_sum(&block);
    number::write_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum)
        .expect("the sum of 512 bytes has six digits");
    Ok(block)
}

fn unsigned_sum(block: &[u8; BLOCK_LEN]) -> i128 {
    block.iter().map(|byte| i128::from(*byte)).sum()
}

/// The fields of a header block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) mode: i128,
    pub(super) uid: i128,
    pub(super) gid: i128,
    pub(super) size: i128,
    pub(super) mtime: i128,
    pub(super) kind: u8,
    pub(super) link: Vec<u8>,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) major: i128,
    pub(super) minor: i128,
}

/// Reads a header block as Python's `TarInfo.frombuf` does; the error says what `tarfile` says.
pub(super) fn decode(block: &[u8; BLOCK_LEN]) -> Result<Header, &'static str> {
    let read = |field: std::ops::Range<usize>| number::read(&block[field]).ok_or("invalid header");
    let text = |field: std::ops::Range<usize>| number::until_nul(&block[field]).to_vec();
    if !checksum_fits(block, read(CHECKSUM)?) {
        return Err("bad checksum");
    }
    let mut header = Header {
        name: text(NAME),
        mode: read(MODE)?,
        uid: read(UID)?,
        gid: read(GID)?,
        size: read(SIZE)?,
        mtime: read(MTIME)?,
        kind: block[KIND],
        link: text(LINK),
        user: text(USER),
        group: text(GROUP),
        major: read(MAJOR)?,
        minor: read(MINOR)?,
    };
    // Before the standard a directory was a file whose name ends with a slash.
    if header.kind == kind::REGULAR_OLD && header.name.ends_with(b"/") {
        header.kind = kind::DIRECTORY;
    }
    if header.kind == kind::DIRECTORY {
        strip_slashes(&mut header.name);
    }
    let prefix = text(PREFIX);
    let is_gnu = matches!(
        header.kind,
        kind::GNU_LONG_NAME | kind::GNU_LONG_LINK | kind::GNU_SPARSE
    );
    if !prefix.is_empty() && !is_gnu {
        header.name = [&prefix[..], b"/", &header.name].concat();
    }
    Ok(header)
}

/// Some old programs added the bytes up as signed ones.
fn checksum_fits(block: &[u8; BLOCK_LEN], sum: i128) -> bool {
    let mut blank = *block;
    blank[CHECKSUM].fill(b' ');
    let signed = || -> i128 { blank.iter().map(|byte| i128::from(*byte as i8)).sum() };
    unsigned_sum(&blank) == sum || signed() == sum
}

/// Removes all slashes at the end.
pub(super) fn strip_slashes(name: &mut Vec<u8>) {
    while name.last() == Some(&b'/') {
        name.pop();
    }
}
