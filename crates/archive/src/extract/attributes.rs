//! The attributes of an item, as the file system side takes them.

use ironborg_format::item::Item;
use ironborg_source::AttributeValues;

/// What is to be set on the restored file. (Every item Borg makes has owner and mtime.)
pub(super) fn values(item: &Item) -> AttributeValues<'_> {
    AttributeValues {
        mode: item.mode,
        uid: item.uid.unwrap_or_default(),
        gid: item.gid.unwrap_or_default(),
        user: item.user.as_bytes(),
        group: item.group.as_bytes(),
        mtime_ns: item.mtime.unwrap_or_default(),
        atime_ns: item.atime,
        flags: item.bsdflags,
        xattrs: item.xattrs.as_deref().unwrap_or_default(),
        acl_access: item.acl_access.as_deref(),
        acl_default: item.acl_default.as_deref(),
    }
}
