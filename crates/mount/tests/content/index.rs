//! The path index of a large archive: what it costs in memory, and what it costs to ask.
//!
//! One test: the counters belong to the process.

use std::sync::Arc;

use ironborg_crypto::KeyMode;
use ironborg_mount::index::{PathIndex, Shape};
use ironborg_mount::node::NodeId;
use ironborg_testkit::CountingAllocator;

use crate::repository::Repository;
use crate::tree::{DIRECTORY_LEN, directory_path, file_name, file_path, tree};

/// Bytes that are in use at most whatever the archive's size: scratch bytes, blocks and items that are remembered,
/// chunks on their way.
const FIXED: u64 = 40 << 20;
/// Bytes that come for each file: numbers of directory and name, the table of names (which doubles at times).
const FOR_A_FILE: u64 = 40;

#[test]
fn an_index_of_many_files_is_built_and_asked_in_little_memory() {
    let files: u32 = match std::env::var_os("IRONBORG_INTEROP_FULL") {
        Some(_) => 1_000_000,
        None => 150_000,
    };
    let repository = Repository::new(KeyMode::RepokeyBlake2);
    let archive = repository.store_archive("many", tree(files));
    let follower = repository.follower(2);
    let before = CountingAllocator::start();
    let index = PathIndex::open_or_build(&follower, &archive, &Shape::whole()).unwrap();
    let peak = CountingAllocator::counted().peak;
    let limit = FIXED + FOR_A_FILE * u64::from(files);
    assert!(
        peak - before < limit,
        "{} bytes for building",
        peak - before
    );
    assert!(limit < 100 << 20, "the promise");
    let after = CountingAllocator::start();
    assert!(
        after - before < 8 << 20,
        "{} bytes are kept",
        after - before
    );
    check(&index, files);
    drop(index);

    // A new mount has nothing in memory; the repository is not asked.
    let index = PathIndex::open_or_build(&follower, &archive, &Shape::whole()).unwrap();
    let before = CountingAllocator::start();
    check(&index, files);
    let peak = CountingAllocator::counted().peak;
    assert!(
        peak - before < 20 << 20,
        "{} bytes for asking",
        peak - before
    );
    drop(Arc::clone(&follower));
}

fn check(index: &PathIndex, files: u32) {
    assert_eq!(index.owners().len(), 1);
    let mut seen = 0;
    let mut left = vec![NodeId::ROOT];
    while let Some(directory) = left.pop() {
        let children = index.children(directory, 0, usize::MAX).unwrap();
        for (child, _) in &children {
            let node = index.node(*child).unwrap();
            if node.mode & 0o170_000 == 0o040_000 {
                left.push(*child);
            } else {
                assert_eq!(node.parent, directory);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, files);
    for number in (0..files).step_by(4999) {
        let mut id = NodeId::ROOT;
        for name in directory_path(number).split('/') {
            id = index.find(id, name.as_bytes()).unwrap().unwrap();
        }
        let listed = index.children(id, number % DIRECTORY_LEN, 1).unwrap();
        let found = index
            .find(id, file_name(number).as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(listed, [(found, file_name(number).as_str().into())]);
        assert_eq!(&*index.path(found).unwrap(), file_path(number).as_bytes());
        let node = index.node(found).unwrap();
        assert_eq!(node.size, u64::from(number));
        let item = index.item(node.item.unwrap()).unwrap();
        assert_eq!(&*item.path, file_path(number).as_bytes());
        assert_eq!(item.mtime, Some(node.mtime));
    }
}
