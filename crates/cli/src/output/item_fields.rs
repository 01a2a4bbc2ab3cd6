//! The fields of an item as lists show them.
//!
//! Source: Borg 1.4, `ItemFormatter.get_item_data`.

use std::borrow::Cow;

use ironborg_format::item::{ChunkEntry, ItemView};
use ironborg_types::text;

use super::strftime::CivilTime;
use super::time;

/// What a format string may ask of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKey {
    Type,
    Mode,
    Uid,
    Gid,
    User,
    Group,
    Path,
    Bpath,
    Source,
    Flags,
    Size,
    Csize,
    Dsize,
    Dcsize,
    NumChunks,
    UniqueChunks,
    Mtime,
    Ctime,
    Atime,
    IsoMtime,
    IsoCtime,
    IsoAtime,
    /// Index into [`HASH_NAMES`].
    Hash(usize),
    ArchiveId,
    ArchiveName,
    Extra,
    Health,
    /// One of the keys that stand for a fixed text.
    Fixed(&'static str),
}

/// Names of the content hashes.
pub(crate) const HASH_NAMES: [&str; 13] = [
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384",
    "sha3_512", "blake2b", "blake2s", "xxh64",
];

/// The text a key stands for in every format string.
pub(crate) fn fixed_key(name: &str) -> Option<&'static str> {
    Some(match name {
        "NEWLINE" | "NL" | "LF" => "\n",
        "SPACE" => " ",
        "TAB" => "\t",
        "CR" => "\r",
        "NUL" => "\0",
        _ => return None,
    })
}

impl ItemKey {
    /// The key of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "mode" => Self::Mode,
            "uid" => Self::Uid,
            "gid" => Self::Gid,
            "user" => Self::User,
            "group" => Self::Group,
            "path" => Self::Path,
            "bpath" => Self::Bpath,
            "source" | "linktarget" => Self::Source,
            "flags" => Self::Flags,
            "size" => Self::Size,
            "csize" => Self::Csize,
            "dsize" => Self::Dsize,
            "dcsize" => Self::Dcsize,
            "num_chunks" => Self::NumChunks,
            "unique_chunks" => Self::UniqueChunks,
            "mtime" => Self::Mtime,
            "ctime" => Self::Ctime,
            "atime" => Self::Atime,
            "isomtime" => Self::IsoMtime,
            "isoctime" => Self::IsoCtime,
            "isoatime" => Self::IsoAtime,
            "archiveid" => Self::ArchiveId,
            "archivename" => Self::ArchiveName,
            "extra" => Self::Extra,
            "health" => Self::Health,
            _ => {
                let hash = HASH_NAMES
                    .iter()
                    .position(|known| *known == name)
                    .map(Self::Hash);
                return hash.or_else(|| fixed_key(name).map(Self::Fixed));
            }
        })
    }

    /// Whether it needs the reference counts of all chunks.
    pub(crate) fn needs_references(self) -> bool {
        matches!(self, Self::Dsize | Self::Dcsize | Self::UniqueChunks)
    }
}

/// An owner: the name, or the number where none is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// The name, undecodable bytes shown as `?`.
    Name(Cow<'a, str>),
    /// The number.
    Number(i64),
}

impl<'a> Owner<'a> {
    fn new(name: Option<&'a [u8]>, number: Option<i64>) -> Self {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Self::Name(text::display(name)),
            None => Self::Number(number.unwrap_or(0)),
        }
    }

    /// Of the item's user.
    pub(crate) fn user(item: &ItemView<'a>) -> Self {
        Self::new(item.user.name(), item.uid)
    }

    /// Of the item's group.
    pub(crate) fn group(item: &ItemView<'a>) -> Self {
        Self::new(item.group.name(), item.gid)
    }
}

const TYPE_MASK: u32 = 0o170_000;

/// The first letter of a mode as `ls` shows it.
pub(crate) fn type_letter(mode: u32) -> u8 {
    match mode & TYPE_MASK {
        0o100_000 => b'-',
        0o040_000 => b'd',
        0o120_000 => b'l',
        0o060_000 => b'b',
        0o020_000 => b'c',
        0o010_000 => b'p',
        0o140_000 => b's',
        _ => b'?',
    }
}

/// The mode of an item as `ls` shows it; a later hard link has `h` in front.
pub(crate) fn mode_letters(item: &ItemView<'_>) -> [u8; 10] {
    let mut letters = letters_of(item.mode);
    let is_link = item.source.is_some_and(|source| !source.is_empty());
    if is_link && letters[0] != b'l' {
        letters[0] = b'h';
    }
    letters
}

/// A mode as `ls` shows it.
pub(crate) fn letters_of(mode: u32) -> [u8; 10] {
    let mut letters = *b"----------";
    letters[0] = type_letter(mode);
    for (index, letter) in b"rwxrwxrwx".iter().enumerate() {
        if mode & (0o400 >> index) != 0 {
            letters[index + 1] = *letter;
        }
    }
    for (bit, at, set, unset) in [
        (0o4000, 3, b's', b'S'),
        (0o2000, 6, b's', b'S'),
        (0o1000, 9, b't', b'T'),
    ] {
        if mode & bit != 0 {
            letters[at] = if letters[at] == b'x' { set } else { unset };
        }
    }
    letters
}

/// The target of a link; empty if there is none.
pub(crate) fn source<'a>(item: &ItemView<'a>) -> Cow<'a, str> {
    item.source.map_or(Cow::Borrowed(""), text::display)
}

/// What follows the path of a link in a listing.
pub(crate) fn push_extra(item: &ItemView<'_>, out: &mut String) {
    let target = source(item);
    if !target.is_empty() {
        out.push_str(if type_letter(item.mode) == b'l' {
            " -> "
        } else {
            " link to "
        });
        out.push_str(&target);
    }
}

/// Stored size; of a symlink the characters of its target.
pub(crate) fn csize(item: &ItemView<'_>) -> u64 {
    if type_letter(item.mode) == b'l' {
        return source(item).chars().count() as u64;
    }
    chunks(item).map(|chunk| u64::from(chunk.csize)).sum()
}

/// The item's chunks; none for items without content.
pub(crate) fn chunks<'a>(item: &ItemView<'a>) -> impl Iterator<Item = ChunkEntry> + use<'a> {
    item.chunks.into_iter().flat_map(|list| list.iter())
}

/// How many chunks the item has.
pub(crate) fn num_chunks(item: &ItemView<'_>) -> u64 {
    item.chunks.map_or(0, |list| list.len() as u64)
}

/// A time of the item; a missing (or zero) one is the modification time.
pub(crate) fn item_time(item: &ItemView<'_>, of: Option<i64>) -> CivilTime {
    time::item_time(of.filter(|&value| value != 0).or(item.mtime).unwrap_or(0))
}
