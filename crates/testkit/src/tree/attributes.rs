//! Extended attributes, ACLs, capabilities and flags of the rich tree.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{IFlags, XattrFlags, ioctl_getflags, ioctl_setflags, lsetxattr};

use super::{LeftOut, make_dir, write};

/// Tags of entries in the kernel's binary form of a POSIX ACL.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The id of entries that name nobody.
const NOBODY_NAMED: u32 = u32::MAX;

/// `user::rw-, user:1:r--, user:54321:-wx, group::r--, group:2:rwx, mask::rwx, other::---`
const ACCESS: &[(u16, u16, u32)] = &[
    (USER_OBJ, 6, NOBODY_NAMED),
    (USER, 4, 1),
    (USER, 3, 54_321),
    (GROUP_OBJ, 4, NOBODY_NAMED),
    (GROUP, 7, 2),
    (MASK, 7, NOBODY_NAMED),
    (OTHER, 0, NOBODY_NAMED),
];

const DEFAULT: &[(u16, u16, u32)] = &[
    (USER_OBJ, 7, NOBODY_NAMED),
    (USER, 5, 1),
    (GROUP_OBJ, 5, NOBODY_NAMED),
    (MASK, 5, NOBODY_NAMED),
    (OTHER, 1, NOBODY_NAMED),
];

pub(super) fn add(top: &Path, left_out: &mut LeftOut) {
    xattrs(top, left_out);
    acls(top, left_out);
    flags(top, left_out);
}

fn xattrs(top: &Path, left_out: &mut LeftOut) {
    let dir = top.join("xattrs");
    make_dir(&dir);
    write(&dir.join("file"), b"with attributes");
    make_dir(&dir.join("directory"));
    let mut set = |path: &str, name: &[u8], value: &[u8]| {
        if let Err(error) = lsetxattr(dir.join(path), name, value, XattrFlags::empty()) {
            left_out.push(format!("xattrs/{path} {}: {error}", name.escape_ascii()));
        }
    };
    set("file", b"user.text", b"a value");
    set("file", b"user.empty", b"");
    set("file", b"user.binary", b"\x00\xff\x80\n");
    set("file", b"user.n\xe4me", b"a name in Latin-1");
    set("file", b"user.long", &[b'v'; 1500]);
    set("directory", b"user.on.directory", b"yes");
    write(&dir.join("trusted"), b"t");
    set("trusted", b"trusted.attribute", b"root only");
    write(&dir.join("capability"), b"c");
    // Version 2, effective, cap_net_bind_service permitted.
    let mut capability = vec![0x01, 0x00, 0x00, 0x02, 0x00, 0x04];
    capability.resize(20, 0);
    set("capability", b"security.capability", &capability);
    std::os::unix::fs::symlink("nowhere", dir.join("link")).expect("a new symlink");
    set("link", b"trusted.on.link", b"itself");
}

fn acls(top: &Path, left_out: &mut LeftOut) {
    let dir = top.join("acls");
    make_dir(&dir);
    make_dir(&dir.join("default"));
    make_dir(&dir.join("both"));
    write(&dir.join("access"), b"a");
    write(&dir.join("other owner"), b"a");
    // Changing the owner after the ACL was set is what an ordinary chown does; the ACL stays.
    let mut set = |path: &str, kind: &[u8], entries: &[(u16, u16, u32)]| {
        let value = acl_xattr(entries);
        if let Err(error) = lsetxattr(dir.join(path), kind, &value, XattrFlags::empty()) {
            left_out.push(format!("acls/{path}: {error}"));
        }
    };
    set("access", b"system.posix_acl_access", ACCESS);
    set("other owner", b"system.posix_acl_access", ACCESS);
    set("default", b"system.posix_acl_default", DEFAULT);
    set("both", b"system.posix_acl_access", ACCESS);
    set("both", b"system.posix_acl_default", DEFAULT);
    if std::os::unix::fs::chown(dir.join("other owner"), Some(1), Some(2)).is_err() {
        left_out.push("acls/other owner".to_owned());
    }
}

/// The value of `system.posix_acl_*`: version 2, then tag, permissions and id of each entry.
fn acl_xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

fn flags(top: &Path, left_out: &mut LeftOut) {
    let dir = top.join("flags");
    make_dir(&dir);
    make_dir(&dir.join("nodump directory"));
    for name in ["nodump", "append", "immutable"] {
        write(&dir.join(name), b"f");
    }
    for name in ["nodump", "nodump directory"] {
        add_flag(&dir.join(name), IFlags::NODUMP, left_out);
    }
    // The flags that forbid changes come last of all, in `forbid`; see here whether they can be had.
    for (name, flag) in FORBIDDING {
        let path = dir.join(name);
        let before = left_out.len();
        add_flag(&path, *flag, left_out);
        if left_out.len() == before {
            remove_flag(&path, *flag);
        } else {
            fs::remove_file(&path).expect("our own file");
        }
    }
}

const FORBIDDING: &[(&str, IFlags)] =
    &[("append", IFlags::APPEND), ("immutable", IFlags::IMMUTABLE)];

/// Sets the flags that forbid any further change.
pub(super) fn forbid(top: &Path) {
    for (name, flag) in FORBIDDING {
        let path = top.join("flags").join(name);
        if path.exists() {
            let mut refused = LeftOut::new();
            add_flag(&path, *flag, &mut refused);
            assert!(refused.is_empty(), "worked a moment ago: {refused:?}");
        }
    }
}

fn add_flag(path: &Path, flag: IFlags, left_out: &mut LeftOut) {
    let handle = File::open(path).expect("our own file");
    let result = ioctl_getflags(&handle).and_then(|flags| ioctl_setflags(&handle, flags | flag));
    if let Err(error) = result {
        left_out.push(format!("flag {flag:?} of {}: {error}", path.display()));
    }
}

fn remove_flag(path: &Path, flag: IFlags) {
    let handle = File::open(path).expect("our own file");
    let result = ioctl_getflags(&handle).and_then(|flags| ioctl_setflags(&handle, flags - flag));
    result.expect("a flag that could be set can be removed");
}
