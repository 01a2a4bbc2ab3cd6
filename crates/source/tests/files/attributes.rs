//! Flags, extended attributes and ACLs, read in every way there is.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use ironborg_source::attributes::{AttributeSource, UF_NODUMP};
use ironborg_source::walk::OpenMode;
use ironborg_source::{AttributeOptions, AttributeReader, ExtendedAttributes, Names, Place};
use rustix::fs::{CWD, IFlags, XattrFlags};

use crate::{Messages, bytes, is_root, open_dir, temporary};

const ALL: AttributeOptions = AttributeOptions {
    flags: true,
    xattrs: true,
    acls: true,
    numeric_ids: false,
};

fn reader(options: AttributeOptions) -> AttributeReader {
    AttributeReader::new(options, Arc::new(Names::new()))
}

/// Reads by path, as an entry of its directory, and (files and directories only) through a descriptor;
/// all must agree.
fn read(path: &Path, options: AttributeOptions) -> ExtendedAttributes {
    let messages = Messages::default();
    let mut reader = reader(options);
    let stat = Place::path(bytes(path)).stat().expect("there");
    let parent = open_dir(path.parent().expect("not the root"));
    let name = bytes(Path::new(path.file_name().expect("a name")));
    let mut results = Vec::new();
    for _ in 0..2 {
        for place in [
            Place::path(bytes(path)),
            Place::entry(&parent, name, b"shown"),
        ] {
            let source = AttributeSource::Place(place);
            results.push(reader.read(source, &stat, &messages).expect("readable"));
        }
        if path.is_file() || path.is_dir() {
            let file = Place::path(bytes(path)).open_file(OpenMode::Normal);
            if let Ok(file) = file {
                let source = AttributeSource::Open(file.as_fd(), bytes(path));
                results.push(reader.read(source, &stat, &messages).expect("readable"));
            }
        }
    }
    assert_eq!(messages.take(), [""; 0]);
    // Whether the file system's word is good is known once one of its files was open.
    let is_bare = results.last().is_some_and(|last| last.is_bare);
    for result in &mut results {
        result.is_bare = is_bare;
    }
    let first = results.remove(0);
    assert!(
        results.iter().all(|other| *other == first),
        "{first:?} {results:?}"
    );
    first
}

fn set(path: &Path, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(bytes(path), name, value, XattrFlags::empty())
}

#[test]
fn a_plain_file_has_nothing() {
    let temp = temporary();
    fs::write(temp.path().join("f"), b"").expect("written");
    for path in [&temp.path().join("f"), temp.path()] {
        let found = read(path, ALL);
        let nothing = ExtendedAttributes {
            is_bare: found.is_bare,
            ..ExtendedAttributes::default()
        };
        assert_eq!(found, nothing);
    }
}

#[test]
fn bare_is_what_has_no_attribute_of_any_kind_and_was_asked_for_all_of_them() {
    let temp = temporary();
    let path = temp.path().join("f");
    fs::write(&path, b"").expect("written");
    if !read(&path, ALL).is_bare {
        eprintln!(
            "skipped: the ctime may not tell of attributes in {}",
            temp.path().display()
        );
        return;
    }
    for without in [
        AttributeOptions {
            xattrs: false,
            ..ALL
        },
        AttributeOptions { acls: false, ..ALL },
    ] {
        assert!(!read(&path, without).is_bare, "{without:?}");
    }
    let ctime = |path: &Path| rustix::fs::lstat(path).expect("there").st_ctime_nsec;
    let acl = |mode: u16| -> Vec<u8> {
        // Owner, a named user, group, mask, others: what no mode can say.
        let entry = |tag: u16, who: u32| {
            let mut entry = tag.to_le_bytes().to_vec();
            entry.extend(mode.to_le_bytes());
            entry.extend(who.to_le_bytes());
            entry
        };
        let none = u32::MAX;
        let entries = [(1, none), (2, 1234), (4, none), (16, none), (32, none)];
        let mut list = 2_u32.to_le_bytes().to_vec();
        list.extend(entries.into_iter().flat_map(|(tag, who)| entry(tag, who)));
        list
    };
    for (name, value) in [
        ("user.a", b"x".to_vec()),
        ("system.posix_acl_access", acl(4)),
    ] {
        fs::remove_file(&path).expect("removed");
        fs::write(&path, b"").expect("written");
        // Longer than a tick of the clock that ctimes are taken from.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let before = ctime(&path);
        set(&path, name, &value).expect("set");
        assert!(!read(&path, ALL).is_bare, "{name}");
        assert_ne!(ctime(&path), before, "{name}");
    }
}

#[test]
fn extended_attributes_come_sorted_with_empty_values_as_none() {
    let temp = temporary();
    let path = temp.path().join("f");
    fs::write(&path, b"").expect("written");
    let long = vec![b'x'; 3000];
    if set(&path, "user.b", b"\0\xff").is_err() {
        eprintln!(
            "skipped: no extended attributes in {}",
            temp.path().display()
        );
        return;
    }
    set(&path, "user.a", b"").expect("set");
    set(&path, "user.c", &long).expect("set");
    let expected = vec![
        (b"user.a".to_vec(), None),
        (b"user.b".to_vec(), Some(b"\0\xff".to_vec())),
        (b"user.c".to_vec(), Some(long)),
    ];
    assert_eq!(read(&path, ALL).xattrs, expected);
    let without = AttributeOptions {
        xattrs: false,
        ..ALL
    };
    assert_eq!(read(&path, without), ExtendedAttributes::default());

    if is_root() {
        let link = temp.path().join("link");
        symlink("f", &link).expect("linked");
        set(&link, "trusted.link", b"of the link").expect("set");
        let expected = vec![(b"trusted.link".to_vec(), Some(b"of the link".to_vec()))];
        assert_eq!(read(&link, ALL).xattrs, expected);
    }
}

#[test]
fn access_lists_are_recorded_where_they_say_more_than_the_mode() {
    let temp = temporary();
    let (file, dir) = (temp.path().join("f"), temp.path().join("d"));
    fs::write(&file, b"").expect("written");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o750)).expect("set");
    // user::rwx, user:9999:r--, group::r-x, mask::r-x, other::---
    let list = b"\x02\0\0\0\
        \x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x0f\x27\0\0\x04\0\x05\0\xff\xff\xff\xff\
        \x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    if set(&file, "system.posix_acl_access", list).is_err() {
        eprintln!("skipped: no ACLs in {}", temp.path().display());
        return;
    }
    set(&dir, "system.posix_acl_default", list).expect("set");
    let text = b"user::rwx\nuser:9999:r--:9999\ngroup::r-x\nmask::r-x\nother::---".to_vec();
    let of_file = read(&file, ALL);
    assert_eq!(of_file.acl_access, Some(text.clone()));
    assert_eq!(of_file.acl_default, None);
    assert_eq!(of_file.xattrs, [], "ACLs are not among the attributes");
    let of_dir = read(&dir, ALL);
    assert_eq!(
        of_dir.acl_access.as_deref(),
        Some(&b"user::rwx\ngroup::r-x\nother::---"[..])
    );
    assert_eq!(of_dir.acl_default, Some(text));

    set(&dir, "system.posix_acl_access", list).expect("set");
    rustix::fs::removexattr(bytes(&dir), "system.posix_acl_default").expect("removed");
    assert_eq!(read(&dir, ALL).acl_default, Some(Vec::new()));
    for xattrs in [true, false] {
        let only_acls = AttributeOptions {
            xattrs,
            flags: false,
            ..ALL
        };
        assert!(read(&dir, only_acls).acl_access.is_some());
    }
    let without = AttributeOptions { acls: false, ..ALL };
    assert_eq!(read(&dir, without), ExtendedAttributes::default());
}

#[test]
fn flags_are_those_the_system_call_tells() {
    let temp = temporary();
    for name in ["f", "d"] {
        let path = temp.path().join(name);
        match name {
            "f" => fs::write(&path, b"").expect("written"),
            _ => fs::create_dir(&path).expect("made"),
        }
        assert_eq!(read(&path, ALL).flags, 0);
        let handle = fs::File::open(&path).expect("opened");
        let set = rustix::fs::ioctl_getflags(&handle)
            .and_then(|flags| rustix::fs::ioctl_setflags(&handle, flags | IFlags::NODUMP));
        if set.is_err() {
            eprintln!("skipped: no flags in {}", temp.path().display());
            return;
        }
        assert_eq!(read(&path, ALL).flags, UF_NODUMP);
        assert_eq!(
            read(
                &path,
                AttributeOptions {
                    flags: false,
                    ..ALL
                }
            )
            .flags,
            0
        );
    }
    // What inherits the flag but cannot be asked for it has none, as stock Borg sees it.
    let fifo = temp.path().join("d/fifo");
    rustix::fs::mknodat(
        CWD,
        bytes(&fifo),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a fifo");
    symlink("x", temp.path().join("d/link")).expect("linked");
    assert_eq!(read(&fifo, ALL).flags, 0);
    assert_eq!(read(&temp.path().join("d/link"), ALL).flags, 0);
}

#[test]
fn files_of_the_kernel_make_no_trouble() {
    for path in ["/proc/meminfo", "/dev/null", "/sys/kernel", "/proc/mounts"] {
        let path = Path::new(path);
        if fs::symlink_metadata(path).is_ok() {
            let attributes = read(path, ALL);
            assert_eq!(attributes.flags, 0, "{}", path.display());
            assert_eq!(attributes.acl_access, None, "{}", path.display());
        }
    }
}
