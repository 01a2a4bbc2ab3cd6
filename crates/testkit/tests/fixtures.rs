//! The fixtures themselves: a tree that is not what it says, or a comparison that sees nothing, would make every test
//! built on it pass for nothing.

use std::fs;
use std::process::Command;

use ironborg_testkit::{
    Compare, NodeKind, Scratch, Snapshot, assert_same_tree, sample, sample_names, tree,
};

#[test]
fn a_rich_tree_holds_every_kind() {
    let scratch = Scratch::new();
    let top = scratch.join("rich");
    let left_out = tree::rich(&top);
    let snapshot = Snapshot::of(&top);
    assert!(snapshot.nodes.len() > 110, "{} names", snapshot.nodes.len());
    assert!(
        snapshot
            .nodes
            .values()
            .any(|node| matches!(node.kind, NodeKind::Symlink(_)))
    );
    assert!(
        snapshot
            .nodes
            .values()
            .any(|node| node.kind == NodeKind::Fifo)
    );
    assert!(snapshot.nodes.values().any(|node| node.link_of.is_some()));
    assert!(snapshot.nodes.values().any(|node| node.mtime_ns < 0));
    assert!(
        snapshot
            .nodes
            .keys()
            .any(|path| std::str::from_utf8(path).is_err())
    );
    if left_out.is_empty() {
        assert!(snapshot.nodes.values().any(|node| node.flags != 0));
        let acl = b"system.posix_acl_access".as_slice();
        assert!(
            snapshot
                .nodes
                .values()
                .any(|node| node.xattrs.contains_key(acl))
        );
    }
}

#[test]
fn a_copy_is_the_same_and_a_changed_copy_is_not() {
    let scratch = Scratch::new();
    let (top, copy) = (scratch.join("rich"), scratch.join("copy"));
    tree::rich(&top);
    let status = Command::new("cp")
        .arg("-a")
        .arg(&top)
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    // cp knows no file flags, and a symlink's own attributes only as far as it can.
    let plain = |path: &std::path::Path| {
        let mut snapshot = Snapshot::of(path).without(|path, _| path.starts_with(b"flags"));
        snapshot.nodes.values_mut().for_each(|node| node.flags = 0);
        snapshot
    };
    let want = plain(&top);
    assert_eq!(
        want.differences(&plain(&copy), Compare::Everything),
        Vec::<String>::new()
    );
    fs::write(copy.join("text"), b"another line\na line\n").unwrap();
    tree::set_mtime(&copy.join("words"), 5, 5);
    fs::remove_file(copy.join("links/z third")).unwrap();
    let found = want
        .differences(&plain(&copy), Compare::Everything)
        .join("\n");
    for part in ["text: content", "words: mtime", "links/z third: missing"] {
        assert!(found.contains(part), "{part} in\n{found}");
    }
}

#[test]
fn the_same_call_makes_the_same_tree() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.join("one"), scratch.join("two"));
    tree::many_small(&one, 150);
    tree::many_small(&two, 150);
    assert_same_tree(&one, &two, Compare::Content);
    assert_eq!(Snapshot::of(&one).nodes.len(), 150 + 2 + 1);
}

#[test]
fn every_sample_unpacks_to_the_files_it_was_made_of() {
    let scratch = Scratch::new();
    let home = ironborg_testkit::Home::new(&scratch, "home");
    for name in sample_names() {
        let sample = sample(name);
        let unpacked = sample.unpack(&scratch, &home);
        let snapshot = Snapshot::of(&unpacked.dir);
        for (path, sha256) in sample.row["contents_sha256"].as_object().unwrap() {
            let inside = format!("{name}/{path}");
            let node = snapshot.nodes.get(inside.as_bytes());
            let node = node.or_else(|| snapshot.nodes.get(path.as_bytes()));
            let node = node.unwrap_or_else(|| panic!("{name}: {path} is missing"));
            let NodeKind::File { sha256: found, .. } = &node.kind else {
                panic!("{path}: no file")
            };
            assert_eq!(found, sha256.as_str().unwrap(), "{name}: {path}");
        }
    }
}
