//! Archives that somebody has made with care: nothing that is good may suffer.

use std::sync::Arc;

use ironborg_archive::items::PartFiles;
use ironborg_format::item::{ChunkEntry, Item};
use ironborg_source::PatternMatcher;
use ironborg_testkit::Random;
use ironborg_types::{BytePath, ChunkId};

use super::properties::of_archive;
use super::streams::{TestOrigin, directory, file, item, link};
use crate::index::{PathIndex, Shape};
use crate::node::NodeId;

fn index_of(items: &[Item]) -> (Arc<TestOrigin>, PathIndex) {
    let origin = TestOrigin::new();
    let chunks = origin.store(items, 1, &mut Random::new(3));
    let index = of_archive(&origin, &chunks, &Shape::whole());
    (origin, index)
}

fn names(index: &PathIndex, id: NodeId) -> Vec<String> {
    let children = index.children(id, 0, 1000).unwrap();
    children.iter().map(|(_, name)| name.to_string()).collect()
}

#[test]
fn names_the_kernel_refuses_are_left_out_and_told() {
    let long = "x".repeat(1025);
    let (origin, index) = index_of(&[
        file("good", 1, 1),
        file("", 1, 2),
        file("a//b", 1, 3),
        file("../up", 1, 4),
        file("/rooted", 1, 5),
        file("nul\0", 1, 6),
        file(&long, 1, 7),
        file("tail/", 1, 8),
        file("a/../c", 1, 9),
        file(&long[..1024], 1, 10),
    ]);
    // Directories on the way are there, as stock Borg makes them.
    assert_eq!(
        names(&index, NodeId::ROOT),
        ["good", "a", "tail", &long[..1024]]
    );
    let warnings = origin.warnings();
    assert_eq!(warnings.len(), 8, "{warnings:?}");
    assert_eq!(
        warnings[1],
        "Archive archive: a file with this path cannot be shown: a//b"
    );
}

#[test]
fn a_flood_of_bad_names_is_told_in_few_words() {
    let items: Vec<Item> = (0..500).map(|number| file("..", 1, number)).collect();
    let (origin, index) = index_of(&items);
    assert!(names(&index, NodeId::ROOT).is_empty());
    let warnings = origin.warnings();
    assert_eq!(warnings.len(), 11);
    assert_eq!(
        warnings[10],
        "Archive archive: 490 more paths cannot be shown"
    );
}

/// As `tar -c .` names them; stock Borg's mount shows none of them.
#[test]
fn a_dot_is_the_directory_it_is_in() {
    let (origin, index) = index_of(&[
        directory(".", 1),
        file("./a", 1, 2),
        directory("./d", 3),
        directory("./d/.", 4),
        file("./d/./b", 1, 5),
        link("./c", "./a", 6),
    ]);
    assert_eq!(names(&index, NodeId::ROOT), ["a", "d", "c"]);
    let root = index.node(NodeId::ROOT).unwrap();
    assert_eq!(root.item, None, "the root belongs to the mount");
    let d = index.find(NodeId::ROOT, b"d").unwrap().unwrap();
    assert_eq!(index.node(d).unwrap().mtime, 4);
    assert_eq!(names(&index, d), ["b"]);
    let a = index.find(NodeId::ROOT, b"a").unwrap().unwrap();
    assert_eq!(index.find(NodeId::ROOT, b"c").unwrap(), Some(a));
    assert_eq!(index.node(a).unwrap().nlink, 2);
    assert!(origin.warnings().is_empty());
}

#[test]
fn links_that_lead_nowhere_or_to_directories_are_skipped() {
    let (origin, index) = index_of(&[
        directory("d", 1),
        file("d/f", 1, 2),
        link("l1", "d", 3),
        link("l2", "gone", 4),
        link("l3", "", 5),
        link("l4", "l4", 6),
        link("l5", ".", 7),
        link("d/f", "d/f", 8),
    ]);
    assert_eq!(names(&index, NodeId::ROOT), ["d"]);
    let warnings = origin.warnings();
    assert_eq!(warnings[0], "Skipping broken hard link: l1 -> d");
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    let d = index.find(NodeId::ROOT, b"d").unwrap().unwrap();
    let f = index.find(d, b"f").unwrap().unwrap();
    assert_eq!(index.node(f).unwrap().nlink, 2, "as stock counts");
}

#[test]
fn a_torn_or_damaged_stream_is_told() {
    let origin = TestOrigin::new();
    let mut stream = Vec::new();
    for number in 0..20 {
        file(&format!("f{number}"), 1, number).encode(&mut stream);
    }
    let cut = &stream[..stream.len() - 3];
    let chunks = origin.store_stream(cut, 1, &mut Random::new(4));
    let index = of_archive(&origin, &chunks, &Shape::whole());
    assert_eq!(names(&index, NodeId::ROOT).len(), 19);
    assert_eq!(origin.warnings().len(), 1);
    let chunks = origin.store_stream(b"\xc1 no item", 1, &mut Random::new(4));
    let shared = Arc::clone(&origin) as Arc<dyn crate::index::origin::Origin>;
    let id = ironborg_types::ArchiveId([5; 32]);
    let failed = PathIndex::of_archive(shared, &"bad".into(), id, &chunks, &Shape::whole());
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("bad"), "{error}");
}

/// The first link is not shown; what stock Borg does then depends on whether it has content.
#[test]
fn links_to_what_is_not_shown_take_its_content() {
    let chunk = ChunkEntry {
        id: ChunkId([9; 32]),
        size: 77,
        csize: 1,
    };
    let master = Item {
        chunks: Some(vec![chunk; 3]),
        size: Some(5),
        ..file("hidden/m", 1, 1)
    };
    let fifo = item("hidden/p", 0o010_600, 2);
    let items = [
        master,
        fifo.clone(),
        link("shown/a", "hidden/m", 3),
        link("shown/b", "hidden/m", 4),
        Item {
            path: BytePath::from("shown/p"),
            source: Some(b"hidden/p".to_vec()),
            ..fifo
        },
    ];
    let origin = TestOrigin::new();
    let chunks = origin.store(&items, 1, &mut Random::new(5));
    let paths = [BytePath::from("shown")];
    let matcher = PatternMatcher::with_include_paths([], &paths).unwrap();
    let index = of_archive(&origin, &chunks, &Shape::new(matcher, 1, PartFiles::Skip));
    assert_eq!(names(&index, NodeId::ROOT), ["a", "b", "p"]);
    let a = index.find(NodeId::ROOT, b"a").unwrap().unwrap();
    assert_eq!(index.find(NodeId::ROOT, b"b").unwrap(), Some(a));
    let node = index.node(a).unwrap();
    assert_eq!((node.size, node.nlink, node.mtime), (3 * 77, 2, 3));
    let content = index.item(node.content.unwrap()).unwrap();
    assert_eq!(&*content.path, b"hidden/m");
    assert_eq!(content.chunks, Some(vec![chunk; 3]));
    assert!(origin.warnings().is_empty());
}

#[test]
fn part_files_are_shown_if_asked_for() {
    let origin = TestOrigin::new();
    let part = Item {
        part: Some(1),
        ..file("f.borg_part_1", 1, 1)
    };
    let chunks = origin.store(&[part, file("f", 1, 2)], 1, &mut Random::new(6));
    let everything = || PatternMatcher::new([], true);
    let index = of_archive(
        &origin,
        &chunks,
        &Shape::new(everything(), 0, PartFiles::Skip),
    );
    assert_eq!(names(&index, NodeId::ROOT), ["f"]);
    let index = of_archive(
        &origin,
        &chunks,
        &Shape::new(everything(), 0, PartFiles::Consider),
    );
    assert_eq!(names(&index, NodeId::ROOT), ["f.borg_part_1", "f"]);
}

#[test]
fn an_empty_archive_has_a_root() {
    let (_, index) = index_of(&[]);
    assert!(names(&index, NodeId::ROOT).is_empty());
    assert_eq!(index.nodes(), 1);
    assert_eq!(&*index.path(NodeId::ROOT).unwrap(), b"");
    for beyond in [1, 2, u32::MAX] {
        assert!(index.node(NodeId(beyond)).is_err());
        assert!(index.path(NodeId(beyond)).is_err());
    }
}
