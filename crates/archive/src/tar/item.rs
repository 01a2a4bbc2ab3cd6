//! Members of a tarball to items.

use ironborg_format::Item;
use ironborg_format::tar::{Member, MemberTime, TarError, kind};
use ironborg_source::path::{make_path_safe, normpath};
use ironborg_types::BytePath;
use ironborg_types::limits::TIMESTAMP_NS_MAX;

use super::records;

/// Nanoseconds of a second.
const SECOND_NS: i128 = 1_000_000_000;

/// What a member becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ItemKind {
    /// Type bits of its mode.
    type_bits: u32,
    /// Letter in the list.
    pub(super) status: char,
}

impl ItemKind {
    /// `None`: nothing; Borg has no such thing.
    pub(super) fn of(member: &Member) -> Option<Self> {
        let (type_bits, status) = match member.kind {
            _ if member.is_file() => (0o100_000, 'A'),
            kind::DIRECTORY => (0o040_000, 'd'),
            kind::SYMLINK => (0o120_000, 's'),
            kind::HARD_LINK => (0o100_000, 'h'),
            kind::BLOCK_DEVICE => (0o060_000, 'b'),
            kind::CHAR_DEVICE => (0o020_000, 'c'),
            kind::FIFO => (0o010_000, 'f'),
            _ => return None,
        };
        Some(Self { type_bits, status })
    }
}

/// The item of a member, without chunks.
///
/// # Errors
/// A number no item can hold.
pub(super) fn of_member(member: &Member, kind: ItemKind) -> Result<Item, TarError> {
    let mode: u32 = fit(member.mode, "mode")?;
    let owner = |name: &Vec<u8>| Some(name.clone()).filter(|name| !name.is_empty());
    let mut item = Item {
        path: BytePath::new(make_path_safe(&normpath(&member.name))),
        mode: mode | kind.type_bits,
        uid: Some(fit(member.uid, "uid")?),
        gid: Some(fit(member.gid, "gid")?),
        user: owner(&member.user).into(),
        group: owner(&member.group).into(),
        mtime: Some(time_ns(member.mtime)?),
        ..Item::default()
    };
    match kind.status {
        's' | 'h' => item.source = Some(member.link.clone()),
        'b' | 'c' => {
            let major = fit(member.major, "devmajor")?;
            item.rdev = Some(device(major, fit(member.minor, "devminor")?));
        }
        _ => {}
    }
    records::restore(&member.records, &mut item);
    Ok(item)
}

fn fit<T: TryFrom<i128>>(number: i128, what: &'static str) -> Result<T, TarError> {
    T::try_from(number).map_err(|_| TarError::InvalidNumber { what })
}

/// Stock Borg multiplies doubles; what is out of range becomes the nearest time that is not.
fn time_ns(time: MemberTime) -> Result<i64, TarError> {
    let ns = match time {
        MemberTime::Seconds(seconds) => seconds.saturating_mul(SECOND_NS),
        #[allow(clippy::cast_possible_truncation)] // Towards zero, as Python's `int`; no overflow.
        MemberTime::Float(seconds) if seconds.is_finite() => (seconds * 1e9) as i128,
        MemberTime::Float(_) => return Err(TarError::InvalidNumber { what: "mtime" }),
    };
    let ns = ns.clamp(0, TIMESTAMP_NS_MAX.into());
    Ok(i64::try_from(ns).expect("clamped"))
}

/// A device number as Linux packs it.
fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    ((major & 0xffff_f000) << 32)
        | ((major & 0xfff) << 8)
        | ((minor & 0xffff_ff00) << 12)
        | (minor & 0xff)
}
