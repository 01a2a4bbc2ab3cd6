//! One archive: kinds of files, attributes, extended attributes, content.

use ironborg_mount::MountError;
use ironborg_mount::tree::attributes::Lasts;
use ironborg_mount::tree::inode::Inode;

use crate::archive_writer::MTIME;
use crate::stage::{archive_tree, list, machine, names, read, view, walk};

#[test]
fn attributes_are_those_of_the_items() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view("umask=022"));
    assert!(tree.is_fixed());
    let root = tree.attributes(Inode::ROOT).unwrap();
    assert_eq!((root.mode, root.uid, root.gid), (0o040_755, 70, 80));
    let top = walk(&tree, "top").unwrap();
    assert_eq!((top.mode, top.nlink, top.mtime), (0o040_755, 1, MTIME));
    let file = walk(&tree, "top/file").unwrap();
    assert_eq!((file.mode, file.nlink, file.size), (0o100_644, 2, 12));
    assert_eq!(
        (file.uid, file.gid),
        (7, 80),
        "a number below 0 is the mounting user's"
    );
    assert_eq!((file.atime, file.ctime), (5, -3_000_000_001));
    assert_eq!(
        (top.atime, top.ctime),
        (MTIME, MTIME),
        "what is missing is as the mtime"
    );
    assert_eq!(walk(&tree, "top/again").unwrap(), file);
    let device = walk(&tree, "top/device").unwrap();
    assert_eq!(
        (device.mode, device.rdev, device.size),
        (0o060_640, 0x0812, 0)
    );
    let link = walk(&tree, "top/link").unwrap();
    assert_eq!((link.mode, link.size), (0o120_755, 4));
    assert_eq!(tree.target_of_link(link.inode).unwrap(), b"file");
    assert_eq!(file.lasts, Lasts::Forever);
    for (path, error) in [
        ("nothing", MountError::NoEntry),
        ("top/nothing", MountError::NoEntry),
        ("top/file/x", MountError::NoEntry),
    ] {
        let found = walk(&tree, path).unwrap_err();
        assert_eq!(found.to_string(), error.to_string(), "{path}");
    }
    for number in [
        0,
        2,
        file.inode.0 + 10_000,
        file.inode.0 + (1 << 32),
        1 << 60,
    ] {
        let found = tree.attributes(Inode(number));
        assert!(
            matches!(found, Err(MountError::Stale)),
            "{number:#x}: {found:?}"
        );
    }
}

#[test]
fn owners_can_be_forced() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view("uid=1,gid=2,umask=077"));
    for path in ["", "top", "top/file", "many"] {
        let found = walk(&tree, path).unwrap();
        assert_eq!((found.uid, found.gid), (1, 2), "{path}");
        assert_eq!(found.mode & 0o077, 0, "{path}");
    }
}

#[test]
fn directories_are_listed_in_answers_of_any_size() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view(""));
    let root = list(&tree, Inode::ROOT, 100).unwrap();
    assert_eq!(names(&root), ["top", "many", "strange"]);
    let top = walk(&tree, "top").unwrap();
    let expected = ["file", "again", "link", "device", "damaged"];
    for room in [1, 2, 3, 100] {
        let listed = list(&tree, top.inode, room).unwrap();
        assert_eq!(names(&listed), expected, "{room}");
        assert_eq!(
            (listed[0].1.inode, listed[1].1.inode),
            (top.inode, Inode::ROOT)
        );
        for (name, attributes) in &listed[2..] {
            let found = tree.lookup(top.inode, name.as_bytes()).unwrap();
            assert_eq!(&found, attributes, "{name}");
            assert_eq!(&tree.attributes(found.inode).unwrap(), attributes, "{name}");
        }
    }
    let many = walk(&tree, "many").unwrap();
    let expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(names(&list(&tree, many.inode, 7).unwrap()), expected);
    assert_eq!(tree.lookup(many.inode, b"..").unwrap().inode, Inode::ROOT);
    assert_eq!(tree.lookup(many.inode, b".").unwrap(), many);
}

#[test]
fn extended_attributes_and_access_lists() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view(""));
    let names_of = |path: &str| {
        let names = tree
            .attribute_names(walk(&tree, path).unwrap().inode)
            .unwrap();
        let text = names
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap());
        text.collect::<Vec<String>>()
    };
    assert_eq!(names_of("top/file"), ["user.color", "user.empty"]);
    let acls = ["system.posix_acl_access", "system.posix_acl_default"];
    assert_eq!(names_of("top"), acls);
    assert!(names_of("top/link").is_empty() && names_of("").is_empty());
    let file = walk(&tree, "top/file").unwrap().inode;
    assert_eq!(tree.attribute(file, b"user.color").unwrap(), b"blue");
    assert_eq!(tree.attribute(file, b"user.empty").unwrap(), b"");
    for (inode, name) in [
        (file, &b"user.other"[..]),
        (file, b"system.posix_acl_access"),
        (walk(&tree, "top/link").unwrap().inode, b"user.color"),
        (Inode::ROOT, b"user.color"),
    ] {
        let found = tree.attribute(inode, name);
        assert!(matches!(found, Err(MountError::NoAttribute)), "{found:?}");
    }
    let top = walk(&tree, "top").unwrap().inode;
    assert_eq!(
        tree.attribute(top, acls[0].as_bytes()).unwrap().len(),
        4 + 5 * 8
    );
    assert_eq!(
        tree.attribute(top, acls[1].as_bytes()).unwrap().len(),
        4 + 3 * 8
    );
}

#[test]
fn content_is_read_of_files_only() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view(""));
    let file = walk(&tree, "top/file").unwrap().inode;
    assert_eq!(read(&tree, file).unwrap(), b"first second");
    let mut part = Vec::new();
    tree.read(file, 4, 5).unwrap().copy_to(&mut part);
    assert_eq!(part, b"t sec");
    assert!(tree.read(file, 12, 5).unwrap().is_empty());
    assert!(tree.read(file, u64::MAX, 5).unwrap().is_empty());
    for n in 0..200 {
        let inode = walk(&tree, &format!("many/{n}")).unwrap().inode;
        assert_eq!(
            read(&tree, inode).unwrap(),
            format!("content {n}").as_bytes()
        );
    }
    for path in ["", "top", "top/link", "top/device", "strange"] {
        let found = read(&tree, walk(&tree, path).unwrap().inode);
        assert!(
            matches!(found, Err(MountError::WrongKind)),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn a_damaged_file_is_opened_only_if_that_is_wanted() {
    let machine = machine();
    let tree = archive_tree(&machine, "kinds", &view(""));
    let damaged = walk(&tree, "top/damaged").unwrap().inode;
    let error = tree.may_open(damaged).unwrap_err();
    assert!(matches!(error, MountError::DamagedFile { .. }), "{error}");
    tree.tell(damaged, &error);
    tree.tell(damaged, &error);
    let log = machine.log();
    let lines = log.iter().filter(|line| line.contains("kinds/top/damaged"));
    assert_eq!(lines.count(), 1, "the same is not told again and again");
    let stocks = "File has damaged (all-zero) chunks. Try running borg check --repair. \
                  Mount with allow_damaged_files to read damaged files.";
    assert!(log.iter().any(|line| line == stocks), "{log:?}");
    assert!(
        log.iter().any(|line| line.contains("kinds/top/damaged")),
        "{log:?}"
    );
    tree.may_open(walk(&tree, "top/file").unwrap().inode)
        .unwrap();
    let tree = archive_tree(&machine, "kinds", &view("allow_damaged_files"));
    tree.may_open(damaged).unwrap();
    assert!(tree.may_open_all());
    let whole = archive_tree(&machine, "small", &view(""));
    assert!(whole.may_open_all(), "nothing in it is damaged");
    assert_eq!(read(&tree, damaged).unwrap(), b"first ");
}

#[test]
fn versions_are_one_tree() {
    let machine = machine();
    let follower = crate::stage::follower(&machine);
    let root = ironborg_mount::tree::Root::Versions(follower);
    let tree = crate::stage::tree(&machine, root, &view("versions"));
    assert!(tree.is_fixed());
    let file = walk(&tree, "top/file").unwrap();
    assert!(file.is_directory());
    let listed = list(&tree, file.inode, 10).unwrap();
    assert_eq!(names(&listed), ["file.00001"]);
    assert_eq!(listed[1].1.inode, walk(&tree, "top").unwrap().inode);
    let version = walk(&tree, "top/file/file.00001").unwrap();
    assert_eq!(read(&tree, version.inode).unwrap(), b"first second");
}
