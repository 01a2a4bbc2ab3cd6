//! Random archives: the index shows what the dictionaries hold.

use std::collections::HashMap;
use std::sync::Arc;

use ironborg_archive::items::PartFiles;
use ironborg_format::item::Item;
use ironborg_source::PatternMatcher;
use ironborg_testkit::Random;
use ironborg_types::{ArchiveId, BytePath, ChunkId};

use super::dictionaries::{Dictionaries, Options, ShownItem};
use super::streams::{TestOrigin, directory, file, item, link};
use crate::index::builder::is_showable;
use crate::index::origin::Origin;
use crate::index::{PathIndex, Shape};
use crate::node::{Node, NodeId};

fn shape(options: &Options) -> Shape {
    let paths: Vec<BytePath> = options
        .only
        .iter()
        .map(|path| BytePath::new(path.clone()))
        .collect();
    let matcher = PatternMatcher::with_include_paths([], &paths).unwrap();
    Shape::new(matcher, options.strip, PartFiles::Skip)
}

fn random_path(random: &mut Random) -> String {
    let names = ["a", "b", "c", "f.txt", ".x", "f.00001.txt"];
    let odd = ["", "..", "nul\0nul"];
    let mut parts: Vec<String> = (0..=random.below(4))
        .map(|_| names[random.below(names.len())].to_owned())
        .collect();
    if random.below(25) == 0 {
        let at = random.below(parts.len());
        parts[at] = odd[random.below(odd.len())].to_owned();
    }
    if random.below(60) == 0 {
        parts.push("long".repeat(70));
    }
    parts.join("/")
}

fn random_items(random: &mut Random, serial: &mut i64) -> Vec<Item> {
    let mut paths: Vec<String> = Vec::new();
    let mut items = Vec::new();
    for _ in 0..random.below(60) {
        *serial += 1;
        let path = random_path(random);
        let source = match paths.len() {
            0 => "a".to_owned(),
            count if random.below(8) > 0 => paths[random.below(count)].clone(),
            _ => random_path(random),
        };
        let is_odd = source.split('/').any(|part| !is_showable(part.as_bytes()));
        let content = u8::try_from(random.below(6)).unwrap();
        let mut new = match random.below(12) {
            0..4 => file(&path, content, *serial),
            4..6 => directory(&path, *serial),
            6..9 if !is_odd => link(&path, &source, *serial),
            9 => item(&path, 0o010_644, *serial),
            10 => Item {
                source: Some(b"over there".to_vec()),
                ..item(&path, 0o120_777, *serial)
            },
            _ => Item {
                rdev: Some(0x0801),
                ..item(&path, 0o060_600, *serial)
            },
        };
        if random.below(20) == 0 {
            new.part = Some(1);
        }
        if new.chunks.is_some() && random.below(4) == 0 {
            new.hardlink_master = Some(false);
        }
        if random.below(10) == 0 {
            // Long ones go over several chunks.
            new.xattrs = Some(vec![(
                b"user.x".to_vec(),
                Some(vec![1; random.below(3000)]),
            )]);
        }
        paths.push(path);
        items.push(new);
    }
    items
}

/// Compares everything that can be asked.
fn check(index: &PathIndex, expected: &Dictionaries, context: &str) {
    let mut numbers: HashMap<u32, NodeId> = HashMap::new();
    let mut inodes: HashMap<NodeId, u32> = HashMap::new();
    for (path, inode) in expected.tree() {
        let names = path.split(|&b| b == b'/').skip(1);
        let mut id = NodeId::ROOT;
        let mut parent = id;
        for name in names {
            parent = id;
            let found = index.find(id, name).unwrap();
            id = found.unwrap_or_else(|| panic!("{context}: no {}", BytePath(path.clone())));
        }
        let shown = BytePath(path.clone());
        assert_eq!(
            *numbers.entry(inode).or_insert(id),
            id,
            "{context}: {shown}"
        );
        assert_eq!(
            *inodes.entry(id).or_insert(inode),
            inode,
            "{context}: {shown}"
        );
        let node = index.node(id).unwrap();
        let item = &expected.items[&inode];
        assert_eq!(node.item.is_some(), item.is_some(), "{context}: {shown}");
        if let Some(item) = item {
            check_item(index, &node, item, &format!("{context}: {shown}"));
        }
        if node.mode & 0o170_000 == 0o040_000 {
            assert_eq!(node.parent, parent, "{context}: {shown}");
            check_listing(
                index,
                id,
                &expected.listing(inode),
                &format!("{context}: {shown}"),
            );
            let own = index.path(id).unwrap();
            assert_eq!(*own, path[1.min(path.len())..], "{context}: {shown}");
        } else {
            assert!(
                index.children(id, 0, 9).unwrap().is_empty(),
                "{context}: {shown}"
            );
            assert_eq!(index.find(id, b"a").unwrap(), None, "{context}: {shown}");
        }
        for absent in [b"not there".as_slice(), b"", b"..", b"nul\0nul"] {
            assert_eq!(index.find(id, absent).unwrap(), None, "{context}: {shown}");
        }
    }
}

fn check_item(index: &PathIndex, node: &Node, shown_item: &ShownItem, context: &str) {
    let item = &shown_item.item;
    assert_eq!(node.mtime, item.mtime.unwrap(), "{context}");
    assert_eq!(node.mode, item.mode, "{context}");
    assert_eq!(node.nlink, shown_item.nlink, "{context}");
    let stored = index.item(node.item.unwrap()).unwrap();
    assert_eq!(stored.mtime, item.mtime, "{context}");
    assert_eq!(stored.path, item.path, "{context}");
    let content = index.item(node.content.or(node.item).unwrap()).unwrap();
    assert_eq!(content.chunks, item.chunks, "{context}");
    let size: u64 = match item.mode & 0o170_000 {
        0o120_000 => 10,
        _ => item
            .chunks
            .iter()
            .flatten()
            .map(|chunk| u64::from(chunk.size))
            .sum(),
    };
    assert_eq!(node.size, size, "{context}");
    assert_eq!(node.has_xattrs, item.xattrs.is_some(), "{context}");
    assert_eq!(node.rdev, item.rdev.unwrap_or(0), "{context}");
    let owner = &index.owners()[usize::try_from(node.owner.unwrap().0).unwrap()];
    assert_eq!((owner.uid, owner.gid), (item.uid, item.gid));
    assert_eq!(owner.user, item.user);
}

fn check_listing(index: &PathIndex, id: NodeId, expected: &[(Vec<u8>, u32)], context: &str) {
    let expected: Vec<&[u8]> = expected.iter().map(|(name, _)| name.as_slice()).collect();
    for room in [1, 3, 1000] {
        let mut listed: Vec<(NodeId, BytePath)> = Vec::new();
        loop {
            let from = u32::try_from(listed.len()).unwrap();
            let more = index.children(id, from, room).unwrap();
            let is_end = more.len() < room;
            listed.extend(more);
            if is_end {
                break;
            }
        }
        let names: Vec<&[u8]> = listed.iter().map(|(_, name)| &**name).collect();
        assert_eq!(names, expected, "{context}");
        for (child, name) in &listed {
            assert_eq!(index.find(id, name).unwrap(), Some(*child), "{context}");
        }
    }
}

fn rounds() -> (u64, u64) {
    let seed = std::env::var("IRONBORG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    match seed {
        Some(seed) => (seed, seed + 1),
        None if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() => (0, 3000),
        None => (0, 60),
    }
}

fn random_options(random: &mut Random, versions: bool) -> Options {
    Options {
        only: (random.below(3) == 0)
            .then(|| random_path(random).into_bytes())
            .filter(|path| ironborg_source::path::is_normal(path) && !path.contains(&0)),
        strip: if random.below(3) == 0 {
            1 + random.below(2)
        } else {
            0
        },
        versions,
    }
}

#[test]
fn archives_are_shown_as_stock_shows_them() {
    let (from, to) = rounds();
    for seed in from..to {
        let mut random = Random::new(seed);
        let origin = TestOrigin::new();
        let items = random_items(&mut random, &mut 0);
        let options = random_options(&mut random, false);
        let chunks = origin.store(&items, 1, &mut random);
        let mut expected = Dictionaries::new();
        expected.process_archive(&items, &options);
        let index = of_archive(&origin, &chunks, &shape(&options));
        check(&index, &expected, &format!("IRONBORG_SEED={seed}"));
        let warnings = origin.warnings().into_iter();
        let broken: Vec<_> = warnings
            .filter(|text| text.starts_with("Skipping"))
            .collect();
        assert_eq!(broken, expected.broken, "IRONBORG_SEED={seed}");
        // Once more from the file, if it is kept.
        let reads = *origin.reads.lock().unwrap();
        let again = of_archive(&origin, &chunks, &shape(&options));
        let is_kept = options.only.is_none() && options.strip == 0;
        assert_eq!(
            *origin.reads.lock().unwrap() == reads,
            is_kept || chunks.is_empty()
        );
        check(&again, &expected, &format!("IRONBORG_SEED={seed} again"));
    }
}

#[test]
fn versions_are_shown_as_stock_shows_them() {
    let (from, to) = rounds();
    for seed in from..to {
        let mut random = Random::new(seed);
        let origin = TestOrigin::new();
        let options = random_options(&mut random, true);
        let mut expected = Dictionaries::new();
        let mut serial = 0;
        let mut streams = Vec::new();
        let mut items: Vec<Item> = Vec::new();
        for archive in 0..=random.below(4) {
            // Some of what was there stays as it is.
            let mut next: Vec<Item> = items;
            next.retain(|_| random.below(4) > 0);
            next.extend(random_items(&mut random, &mut serial));
            items = next;
            expected.process_archive(&items, &options);
            streams.push(origin.store(&items, u8::try_from(archive).unwrap(), &mut random));
        }
        let name = BytePath::from("archive");
        let archives: Vec<(&BytePath, &[ChunkId])> = streams
            .iter()
            .map(|chunks| (&name, chunks.as_slice()))
            .collect();
        let shared = Arc::clone(&origin) as Arc<dyn Origin>;
        let index = PathIndex::of_versions(shared, &archives, &shape(&options)).unwrap();
        check(&index, &expected, &format!("IRONBORG_SEED={seed}"));
    }
}

pub(super) fn of_archive(origin: &Arc<TestOrigin>, chunks: &[ChunkId], shape: &Shape) -> PathIndex {
    let name = BytePath::from("archive");
    let origin = Arc::clone(origin) as Arc<dyn Origin>;
    PathIndex::of_archive(origin, &name, ArchiveId([1; 32]), chunks, shape).unwrap()
}
