//! From what the system says about a file to an item.
//!
//! Source: Borg 1.4, `MetadataCollector`.

use std::sync::Arc;

use ironborg_format::{ChunkEntry, Item, OwnerName};
use ironborg_source::{ExtendedAttributes, FileStat, Names};
use ironborg_types::BytePath;
use ironborg_types::limits::TIMESTAMP_NS_MAX;

use super::options::Metadata;

/// Type bits of a regular file's mode.
const S_IFREG: u32 = 0o100_000;
/// The bits of a mode that are not its type.
const PERMISSION_BITS: u32 = 0o7777;

/// Names of owners, for one thread: files that follow each other mostly have the same, and what all threads share is
/// taken from one cache line by each of them.
pub(super) struct Owners<'a> {
    names: &'a Names,
    user: Option<(u32, OwnerName)>,
    group: Option<(u32, OwnerName)>,
}

impl<'a> Owners<'a> {
    /// None is known yet.
    pub(super) fn new(names: &'a Names) -> Self {
        Self {
            names,
            user: None,
            group: None,
        }
    }

    fn user(&mut self, uid: u32) -> OwnerName {
        last_or(&mut self.user, uid, |uid| self.names.user_name(uid))
    }

    fn group(&mut self, gid: u32) -> OwnerName {
        last_or(&mut self.group, gid, |gid| self.names.group_name(gid))
    }
}

/// The name that was asked for last, if it is that of `id`.
fn last_or(
    last: &mut Option<(u32, OwnerName)>,
    id: u32,
    look_up: impl FnOnce(u32) -> Option<Arc<[u8]>>,
) -> OwnerName {
    match last {
        Some((known, name)) if *known == id => name.clone(),
        last => {
            let name = OwnerName::from(look_up(id).map(|name| name.to_vec()));
            last.insert((id, name)).1.clone()
        }
    }
}

/// A new item, archived as `path`, of what `stat` says.
pub(super) fn item_of_stat(
    path: BytePath,
    stat: &FileStat,
    options: Metadata,
    owners: &mut Owners<'_>,
) -> Item {
    let (user, group) = if options.numeric_ids {
        (OwnerName::from(None), OwnerName::from(None))
    } else {
        (owners.user(stat.uid), owners.group(stat.gid))
    };
    Item {
        path,
        mode: stat.mode,
        uid: Some(i64::from(stat.uid)),
        gid: Some(i64::from(stat.gid)),
        user,
        group,
        mtime: Some(clamp(stat.mtime_ns)),
        atime: options.atime.then(|| clamp(stat.atime_ns)),
        ctime: (!options.noctime).then(|| clamp(stat.ctime_ns)),
        birthtime: stat
            .birthtime_ns
            .filter(|_| !options.nobirthtime)
            .map(clamp),
        ..Item::default()
    }
}

/// Makes the item one of a regular file, whatever it was read from.
pub(super) fn as_regular_file(item: &mut Item) {
    item.mode = S_IFREG | (item.mode & PERMISSION_BITS);
}

/// Adds what `stat` does not say.
pub(super) fn add_attributes(item: &mut Item, attributes: ExtendedAttributes) {
    item.bsdflags = (attributes.flags != 0).then_some(u64::from(attributes.flags));
    item.xattrs = (!attributes.xattrs.is_empty()).then_some(attributes.xattrs);
    item.acl_access = attributes.acl_access;
    item.acl_default = attributes.acl_default;
}

/// Sets the size that goes with the item's chunks.
pub(super) fn set_size(item: &mut Item) {
    item.size = item
        .chunks
        .as_ref()
        .map(|chunks| chunks.iter().map(|chunk| u64::from(chunk.size)).sum());
}

/// A part of a file that is not archived as a whole yet: the chunks since the part before.
pub(crate) fn part_of(item: &Item, number: u64, chunks: Vec<ChunkEntry>) -> Item {
    let mut part = item.clone();
    part.path
        .0
        .extend_from_slice(format!(".borg_part_{number}").as_bytes());
    part.part = Some(number);
    part.chunks = Some(chunks);
    set_size(&mut part);
    part
}

/// Borg stores no time before 1970 or after what its readers can show.
pub(crate) fn clamp(time_ns: i64) -> i64 {
    time_ns.clamp(0, TIMESTAMP_NS_MAX)
}
