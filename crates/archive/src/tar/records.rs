//! What a pax header says of an item that the old one has no room for.

use ironborg_format::item::{Item, ItemView, Xattr, XattrList};
use ironborg_format::tar::Records;
use ironborg_source::attributes::{UF_APPEND, UF_IMMUTABLE, UF_NODUMP};
use ironborg_source::walk::FileKind;

/// The comment that marks members made here: what it says is taken back when they are read.
pub(super) const MARK: &[u8] = b"IronBorg";
/// Words behind the mark: how the item's name relates to other names of the inode.
pub(super) const FIRST_LINK: &[u8] = b"first";
pub(super) const ONLY_LINK: &[u8] = b"only";
/// Prefix of the keywords of extended attributes, as star, GNU tar and bsdtar have it.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
pub(super) const ACL_ACCESS: &str = "SCHILY.acl.access";
pub(super) const ACL_DEFAULT: &str = "SCHILY.acl.default";
pub(super) const ACL_NFS4: &str = "SCHILY.acl.ace";
pub(super) const FLAGS: &str = "SCHILY.fflags";
pub(super) const BIRTHTIME: &str = "LIBARCHIVE.creationtime";

/// The flags that have a name. Items have the values of BSD, whatever system they come from.
pub(super) const FLAG_NAMES: [(u32, &str); 10] = [
    (UF_NODUMP, "nodump"),
    (UF_IMMUTABLE, "uchg"),
    (UF_APPEND, "uappnd"),
    (0x0000_0008, "opaque"),
    (0x0000_0010, "uunlnk"),
    (0x0000_8000, "hidden"),
    (0x0001_0000, "arch"),
    (0x0002_0000, "schg"),
    (0x0004_0000, "sappnd"),
    (0x0010_0000, "sunlnk"),
];

/// The records of an item.
pub(super) fn of_item(item: &ItemView<'_>) -> Records {
    let mut records = Records::default();
    let mark = match item.hardlink_master {
        Some(true) => [MARK, b" ", FIRST_LINK].concat(),
        Some(false) => [MARK, b" ", ONLY_LINK].concat(),
        None => MARK.to_vec(),
    };
    records.add("comment", &mark);
    let times = [
        ("mtime", item.mtime),
        ("atime", item.atime),
        ("ctime", item.ctime),
        (BIRTHTIME, item.birthtime),
    ];
    for (keyword, time) in times {
        if let Some(time) = time {
            records.add(keyword, time_text(time).as_bytes());
        }
    }
    let special = FileKind::of_mode(item.mode).is_special();
    if special && let Some(source) = item.source {
        // Nobody follows a link of what is none, so it does no harm to those who do not know.
        records.add("linkpath", source);
    }
    if let Some(flags) = item.bsdflags {
        let text = flags_text(flags);
        if !text.is_empty() {
            records.add(FLAGS, text.as_bytes());
        }
    }
    for (keyword, acl) in [
        (ACL_ACCESS, item.acl_access),
        (ACL_DEFAULT, item.acl_default),
        (ACL_NFS4, item.acl_nfs4),
    ] {
        if let Some(acl) = acl {
            records.add(keyword, &acl_to_tar(acl));
        }
    }
    for (name, value) in item.xattrs.iter().flat_map(XattrList::iter) {
        records.set(&xattr_keyword(name), value.unwrap_or_default());
    }
    records
}

/// Seconds with as many digits behind the point as it takes.
fn time_text(time_ns: i64) -> String {
    let sign = if time_ns < 0 { "-" } else { "" };
    let (seconds, fraction) = (
        time_ns.unsigned_abs() / 1_000_000_000,
        time_ns.unsigned_abs() % 1_000_000_000,
    );
    if fraction == 0 {
        return format!("{sign}{seconds}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{seconds}.{}", digits.trim_end_matches('0'))
}

fn flags_text(flags: u64) -> String {
    let set = FLAG_NAMES
        .iter()
        .filter(|(bit, _)| flags & u64::from(*bit) != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

/// Entries of an item's ACL stand in lines, those of a tarball's between commas.
fn acl_to_tar(acl: &[u8]) -> Vec<u8> {
    let lines = acl.split(|byte| *byte == b'\n');
    let entries: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    entries.join(&b',')
}

/// The keyword of an extended attribute; what would end a keyword is written as GNU tar does.
fn xattr_keyword(name: &[u8]) -> Vec<u8> {
    let mut keyword = XATTR.to_vec();
    for byte in name {
        match byte {
            b'=' => keyword.extend_from_slice(b"%3D"),
            b'%' => keyword.extend_from_slice(b"%25"),
            _ => keyword.push(*byte),
        }
    }
    keyword
}

/// Takes from a member's records what [`of_item`] put there. Nothing happens to members made elsewhere: stock
/// Borg takes no more of those than what the item has already.
pub(super) fn restore(records: &Records, item: &mut Item) {
    let Some(comment) = records.get(b"comment") else {
        return;
    };
    let mut words = comment.split(|byte| *byte == b' ');
    if words.next() != Some(MARK) {
        return;
    }
    for word in words {
        match word {
            FIRST_LINK => item.hardlink_master = Some(true),
            ONLY_LINK => item.hardlink_master = Some(false),
            _ => {}
        }
    }
    if let Some(target) = records.get(b"linkpath")
        && FileKind::of_mode(item.mode).is_special()
    {
        item.source = Some(target.to_vec());
    }
    let time = |keyword: &str| records.get(keyword.as_bytes()).and_then(time_of);
    item.mtime = time("mtime").or(item.mtime);
    item.atime = time("atime");
    item.ctime = time("ctime");
    item.birthtime = time(BIRTHTIME);
    item.bsdflags = records.get(FLAGS.as_bytes()).map(flags_of);
    let acl = |keyword: &str| records.get(keyword.as_bytes()).map(acl_of_tar);
    item.acl_access = acl(ACL_ACCESS);
    item.acl_default = acl(ACL_DEFAULT);
    item.acl_nfs4 = acl(ACL_NFS4);
    let mut xattrs: Vec<Xattr> = Vec::new();
    for (keyword, value) in records.iter() {
        if let Some(name) = keyword.strip_prefix(XATTR) {
            let value = Some(value.to_vec()).filter(|value| !value.is_empty());
            xattrs.push((xattr_name(name), value));
        }
    }
    item.xattrs = Some(xattrs).filter(|xattrs| !xattrs.is_empty());
}

/// Nanoseconds of [`time_text`], exactly.
fn time_of(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = seconds.parse::<i128>().ok()?.checked_mul(1_000_000_000)?;
    let time = whole + format!("{fraction:0<9}").parse::<i128>().ok()?;
    i64::try_from(if negative { -time } else { time }).ok()
}

fn flags_of(text: &[u8]) -> u64 {
    let known = |name: &[u8]| {
        let found = FLAG_NAMES
            .iter()
            .find(|(_, known)| known.as_bytes() == name);
        found.map_or(0, |(bit, _)| u64::from(*bit))
    };
    text.split(|byte| *byte == b',')
        .map(known)
        .fold(0, |set, bit| set | bit)
}

fn acl_of_tar(acl: &[u8]) -> Vec<u8> {
    let line_feed = |byte: &u8| if *byte == b',' { b'\n' } else { *byte };
    acl.iter().map(line_feed).collect()
}

/// The name in a keyword made by [`xattr_keyword`].
fn xattr_name(keyword: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(keyword.len());
    let mut rest = keyword;
    loop {
        let (byte, after) = match rest {
            [] => return name,
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            [byte, after @ ..] => (*byte, after),
        };
        name.push(byte);
        rest = after;
    }
}
