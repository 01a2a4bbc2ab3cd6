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

    fn user(&mut self, uid: u32) -> &OwnerName {
        last_or(&mut self.user, uid, |uid| self.names.user_name(uid))
    }

    fn group(&mut self, gid: u32) -> &OwnerName {
        last_or(&mut self.group, gid, |gid| self.names.group_name(gid))
    }
}

/// The name that was asked for last, if it is that of `id`.
fn last_or(
    last: &mut Option<(u32, OwnerName)>,
    id: u32,
    look_up: impl FnOnce(u32) -> Option<Arc<[u8]>>,
) -> &OwnerName {
    if last.as_ref().is_none_or(|(known, _)| *known != id) {
        *last = None;
    }
    let (_, name) = last.get_or_insert_with(|| {
        let name = look_up(id).map(|name| name.to_vec());
        (id, OwnerName::from(name))
    });
    name
}

/// A new item, archived as `path`, of what `stat` says.
pub(super) fn item_of_stat(
    path: BytePath,
    stat: &FileStat,
    options: Metadata,
    owners: &mut Owners<'_>,
) -> Item {
    let mut item = Item {
        path,
        ..Item::default()
    };
    describe(&mut item, stat, options, owners);
    item
}

/// Sets all that `stat` says of a file. Names that are there already are left.
pub(super) fn describe(
    item: &mut Item,
    stat: &FileStat,
    options: Metadata,
    owners: &mut Owners<'_>,
) {
    item.mode = stat.mode;
    item.uid = Some(i64::from(stat.uid));
    item.gid = Some(i64::from(stat.gid));
    let nil = &OwnerName::Nil;
    set_name(
        &mut item.user,
        if options.numeric_ids {
            nil
        } else {
            owners.user(stat.uid)
        },
    );
    set_name(
        &mut item.group,
        if options.numeric_ids {
            nil
        } else {
            owners.group(stat.gid)
        },
    );
    item.mtime = Some(clamp(stat.mtime_ns));
    item.atime = options.atime.then(|| clamp(stat.atime_ns));
    item.ctime = (!options.noctime).then(|| clamp(stat.ctime_ns));
    let birthtime = stat.birthtime_ns.filter(|_| !options.nobirthtime);
    item.birthtime = birthtime.map(clamp);
}

fn set_name(name: &mut OwnerName, to: &OwnerName) {
    if name != to {
        name.clone_from(to);
    }
}

/// Makes the item one of a regular file, whatever it was read from.
pub(super) fn as_regular_file(item: &mut Item) {
    item.mode = S_IFREG | (item.mode & PERMISSION_BITS);
}

/// Adds flags, all that `stat` does not say of a bare file.
pub(super) fn add_flags(item: &mut Item, flags: u32) {
    item.bsdflags = (flags != 0).then_some(u64::from(flags));
}

/// Adds what `stat` does not say.
pub(super) fn add_attributes(item: &mut Item, attributes: ExtendedAttributes) {
    add_flags(item, attributes.flags);
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
