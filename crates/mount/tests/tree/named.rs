//! Several repositories by name, opened when they are entered and closed when nobody is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ironborg_mount::MountError;
use ironborg_mount::tree::inode::Inode;
use ironborg_mount::tree::{NamedRepository, Root, Tree};
use ironborg_types::BytePath;

use crate::machine::Machine;
use crate::stage::{follower, list, machine, names, read, tree, view, walk};

/// A tree of a repository that opens, and one that does not; how often each was tried.
fn two(machine: &Arc<Machine>) -> (Arc<Tree>, Arc<[AtomicUsize; 2]>) {
    let tried: Arc<[AtomicUsize; 2]> = Arc::default();
    let (good, count) = (Arc::clone(machine), Arc::clone(&tried));
    let opens = NamedRepository {
        name: BytePath::from("good"),
        view: view(""),
        open: Box::new(move || {
            count[0].fetch_add(1, Ordering::Relaxed);
            Ok(follower(&good))
        }),
    };
    let count = Arc::clone(&tried);
    let fails = NamedRepository {
        name: BytePath::from("bad"),
        view: view(""),
        open: Box::new(move || {
            count[1].fetch_add(1, Ordering::Relaxed);
            Err(MountError::Refused {
                message: "passphrase supplied is incorrect".to_owned(),
            })
        }),
    };
    let root = Root::Repositories(vec![opens, fails]);
    (Arc::new(tree(machine, root, &view(""))), tried)
}

fn count(tried: &AtomicUsize) -> usize {
    tried.load(Ordering::Relaxed)
}

#[test]
fn a_repository_is_opened_when_it_is_entered() {
    let machine = machine();
    let (tree, tried) = two(&machine);
    let root = list(&tree, Inode::ROOT, 10).unwrap();
    assert_eq!(names(&root), ["good", "bad"]);
    let good = walk(&tree, "good").unwrap();
    assert_eq!(root[2].1, good);
    assert_eq!(
        (count(&tried[0]), count(&tried[1])),
        (0, 0),
        "looking at names is not entering"
    );
    let listed = list(&tree, good.inode, 10).unwrap();
    assert_eq!(names(&listed), ["kinds", "rich", "small"]);
    assert_eq!((listed[0].1, listed[1].1.inode), (good, Inode::ROOT));
    let file = walk(&tree, "good/kinds/top/file").unwrap();
    assert_eq!(read(&tree, file.inode).unwrap(), b"first second");
    assert_eq!(tree.path(file.inode), "good/kinds/top/file");
    let kinds = walk(&tree, "good/kinds").unwrap();
    assert_eq!(tree.lookup(kinds.inode, b"..").unwrap(), good);
    assert_eq!(count(&tried[0]), 1);
}

#[test]
fn what_does_not_open_is_not_tried_all_the_time() {
    let machine = machine();
    let (tree, tried) = two(&machine);
    let bad = walk(&tree, "bad").unwrap();
    for _ in 0..3 {
        let error = tree.open_directory(bad.inode).unwrap_err();
        assert!(matches!(error, MountError::Refused { .. }), "{error:?}");
        assert_eq!(error.to_string(), "passphrase supplied is incorrect");
    }
    assert_eq!(count(&tried[1]), 1);
    assert_eq!(
        names(&list(&tree, Inode::ROOT, 10).unwrap()),
        ["good", "bad"]
    );
}

#[test]
fn a_repository_nobody_uses_is_closed_and_opened_again() {
    let machine = machine();
    let (tree, tried) = two(&machine);
    let file = walk(&tree, "good/kinds/top/file").unwrap();
    tree.rest_when_idle(Duration::from_millis(40));
    let end = Instant::now() + Duration::from_secs(20);
    while tree.is_in_use() {
        assert!(Instant::now() < end, "it stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(read(&tree, file.inode).unwrap(), b"first second");
    assert_eq!(walk(&tree, "good/kinds/top/file").unwrap(), file);
    assert!(count(&tried[0]) >= 2);
}
