//! A repository: archives as directories, which come and go.

use std::time::{Duration, Instant};

use ironborg_archive::rename::rename;
use ironborg_mount::MountError;
use ironborg_mount::tree::attributes::{Attributes, Lasts};
use ironborg_mount::tree::inode::Inode;
use ironborg_mount::tree::{Root, Tree};

use crate::stage::{
    add_archive, follower, list, list_open, machine, names, read, tree, view, walk,
};

fn root_names(tree: &Tree) -> Vec<String> {
    let listed = list(tree, Inode::ROOT, 3).expect("the root is listed");
    names(&listed).into_iter().map(str::to_owned).collect()
}

/// Looks until the archives are these; it is looked for commits once a second.
fn await_names(tree: &Tree, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(20);
    let mut found = root_names(tree);
    while found != expected {
        assert!(Instant::now() < end, "{found:?} instead of {expected:?}");
        std::thread::sleep(Duration::from_millis(50));
        found = root_names(tree);
    }
}

#[test]
fn an_archive_is_a_directory_with_its_time() {
    let machine = machine();
    let tree = tree(
        &machine,
        Root::Repository(follower(&machine)),
        &view("umask=027"),
    );
    assert!(!tree.is_fixed());
    let found = root_names(&tree);
    assert_eq!(found, ["kinds", "rich", "small"]);
    let kinds = walk(&tree, "kinds").unwrap();
    assert_eq!((kinds.mode, kinds.uid, kinds.gid), (0o040_750, 70, 80));
    assert_eq!(kinds.mtime, 1_600_000_000_000_000_000);
    assert_eq!(kinds.lasts, Lasts::Briefly);
    assert_eq!(tree.attributes(kinds.inode).unwrap(), kinds);
    let listed = list(&tree, kinds.inode, 10).unwrap();
    assert_eq!(names(&listed), ["top", "many", "strange"]);
    assert_eq!((listed[0].1, listed[1].1.inode), (kinds, Inode::ROOT));
    let file = walk(&tree, "kinds/top/file").unwrap();
    assert_eq!(read(&tree, file.inode).unwrap(), b"first second");
    assert_eq!(tree.path(file.inode), "kinds/top/file");
    let other = walk(&tree, "small").unwrap();
    assert_ne!(other.inode, kinds.inode);
    assert!(matches!(walk(&tree, "none"), Err(MountError::NoEntry)));
    assert!(matches!(
        read(&tree, Inode::ROOT),
        Err(MountError::WrongKind)
    ));
    assert!(tree.attribute_names(kinds.inode).unwrap().is_empty());
}

#[test]
fn archives_come_and_go_and_keep_their_numbers() {
    let machine = machine();
    let tree = tree(&machine, Root::Repository(follower(&machine)), &view(""));
    let kinds = walk(&tree, "kinds").unwrap();
    let file = walk(&tree, "kinds/top/file").unwrap();
    let handle = tree.open_directory(Inode::ROOT).unwrap();
    let before = list_open(&tree, Inode::ROOT, handle, 1).unwrap();
    add_archive(&machine, "another");
    await_names(&tree, &["another", "kinds", "rich", "small"]);
    assert_eq!(walk(&tree, "kinds").unwrap(), kinds);
    let another = walk(&tree, "another/one").unwrap();
    assert_eq!(read(&tree, another.inode).unwrap(), b"another");
    // What was open goes on from its middle as it was.
    let mut rest: Vec<Attributes> = Vec::new();
    tree.list(Inode::ROOT, handle, 3, 100, &mut |entry| {
        rest.push(entry.attributes);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let expected: Vec<Attributes> = before[3..]
        .iter()
        .map(|(_, attributes)| *attributes)
        .collect();
    assert_eq!(rest, expected);
    let anew = list_open(&tree, Inode::ROOT, handle, 1).unwrap();
    assert_eq!(
        anew.len(),
        before.len() + 1,
        "from its beginning it is as now"
    );
    tree.close_directory(handle);

    let mut session = machine.exclusive();
    rename(&mut session, b"kinds", b"renamed").unwrap();
    drop(session);
    await_names(&tree, &["another", "renamed", "rich", "small"]);
    for result in [tree.attributes(kinds.inode), tree.attributes(file.inode)] {
        assert!(matches!(result, Err(MountError::Stale)), "{result:?}");
    }
    let renamed = walk(&tree, "renamed").unwrap();
    assert_ne!(renamed.inode, kinds.inode, "numbers are not used again");
    let file = walk(&tree, "renamed/top/file").unwrap();
    assert_eq!(read(&tree, file.inode).unwrap(), b"first second");
}
