//! Nothing is wrong: every way of reading gives what was backed up.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use ironborg_testkit::{Mount, Program, Random, Tried, tally};

use super::sys::mapped_bytes;
use super::{Way, forget, is_full, open, part, read_at, seed};
use crate::scene::Scene;

/// What is in the tree; each is read in several ways.
const FILES: [&str; 4] = ["large", "holes", "text", "small"];

/// Bytes of the files, as they were backed up.
fn tree(top: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = Random::new(1);
    let mut large = random.bytes(11 << 20);
    large[2 << 20..4 << 20].fill(7);
    let mut holes = vec![0; 30 << 20];
    random.fill(&mut holes[3_000_000..3_100_000]);
    random.fill(&mut holes[25_000_000..25_000_001]);
    let text = ironborg_testkit::tree::text(&mut random, 600_000);
    let contents = [large, holes, text, b"small".to_vec()];
    fs::create_dir_all(top).expect("room on the disk");
    let files: Vec<_> = FILES.into_iter().zip(contents).collect();
    for (name, content) in &files {
        fs::write(top.join(name), content).expect("room on the disk");
    }
    fs::hard_link(top.join("large"), top.join("twin")).expect("a new link");
    fs::write(top.join("empty"), []).expect("room on the disk");
    files
}

/// Two archives of one tree: chunks of the usual size, and very small ones.
fn scene() -> (Scene, Vec<(&'static str, Vec<u8>)>) {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let files = tree(&scene.scratch.join("tree"));
    let fine = ["--chunker-params", "10,14,12,4095", "-C", "lz4"];
    scene.create(Program::Ours, "usual", &["-C", "zstd,1"], "tree");
    scene.create(Program::Ours, "fine", &fine, "tree");
    (scene, files)
}

fn paths(mount: &Mount, name: &str) -> [PathBuf; 2] {
    ["usual", "fine"].map(|archive| mount.path().join(archive).join("tree").join(name))
}

#[test]
fn every_way_of_reading_gives_what_was_backed_up() {
    let (scene, files) = scene();
    let mount = scene.mounted(scene.repo(), &[], "mnt");
    let reads: u64 = files
        .iter()
        .map(|(name, content)| {
            let found = paths(&mount, name);
            let reads = found.iter().map(|path| {
                front_to_back(path, content);
                mapped(path, content);
                here_and_there(path, content)
            });
            reads.sum::<u64>()
        })
        .sum();
    together(&mount, &files);
    links_are_one_file(&mount, &files[0].1);
    tally(Tried::Reads, reads);
    let (status, log) = mount.unmount();
    assert!(status.success(), "{status}\n{log}");
    assert_eq!(log, "");
}

/// As `dd` does, with blocks of several sizes.
fn front_to_back(path: &Path, content: &[u8]) {
    for (way, block) in [
        (Way::Cached, 4096),
        (Way::Cached, 1 << 20),
        (Way::Cached, 77_777),
        (Way::Direct, 64 << 10),
        (Way::Direct, 3 << 20),
    ] {
        let file = open(path, way);
        forget(&file);
        let mut read = Vec::with_capacity(content.len());
        loop {
            let bytes = read_at(&file, read.len() as u64, block).expect("nothing is damaged");
            let is_end = bytes.len() < block;
            read.extend(bytes);
            if is_end {
                break;
            }
        }
        assert!(
            read == content,
            "{}: {way:?}, blocks of {block}",
            path.display()
        );
    }
}

fn here_and_there(path: &Path, content: &[u8]) -> u64 {
    let reads: u64 = if is_full() { 1000 } else { 100 };
    let mut random = Random::new(seed());
    let files = [Way::Cached, Way::Direct].map(|way| (way, open(path, way)));
    for round in 0..reads {
        let (way, file) = &files[random.below(2)];
        if random.below(4) == 0 {
            forget(file);
        }
        let offset = random.below(content.len() + 10_000) as u64;
        let longest = 1 << random.below(20);
        let size = 1 + random.below(longest);
        let found = read_at(file, offset, size).expect("nothing is damaged");
        assert!(
            found == part(content, offset, size),
            "{}: seed {}, round {round}, {way:?}: {size} at {offset}",
            path.display(),
            seed()
        );
    }
    reads
}

fn mapped(path: &Path, content: &[u8]) {
    let file = open(path, Way::Cached);
    forget(&file);
    let mut random = Random::new(seed());
    let offsets: Vec<usize> = (0..200).map(|_| random.below(content.len())).collect();
    let expected: Vec<u8> = offsets.iter().map(|offset| content[*offset]).collect();
    assert_eq!(
        mapped_bytes(&file, &offsets),
        expected,
        "{}",
        path.display()
    );
}

/// Eight at once: several files, several places in one.
fn together(mount: &Mount, files: &[(&'static str, Vec<u8>)]) {
    let opened: Vec<_> = files
        .iter()
        .flat_map(|(name, content)| paths(mount, name).map(|path| (path, content)))
        .collect();
    for (path, _) in &opened {
        forget(&open(path, Way::Cached));
    }
    thread::scope(|scope| {
        for reader in 0..8 {
            let opened = &opened;
            scope.spawn(move || {
                for turn in 0..3 {
                    let (path, content) = &opened[(reader / 2 + turn * 3) % opened.len()];
                    let file = open(path, Way::Cached);
                    // The second of each pair begins in the middle.
                    let start = (reader % 2 * content.len() / 2) as u64;
                    let found = read_at(&file, start, 6 << 20).expect("nothing is damaged");
                    assert!(found == part(content, start, 6 << 20), "{}", path.display());
                }
            });
        }
    });
}

fn links_are_one_file(mount: &Mount, content: &[u8]) {
    for (one, other) in paths(mount, "large").iter().zip(paths(mount, "twin")) {
        let [one, twin] = [one, &other].map(|path| fs::metadata(path).expect("it is there"));
        assert_eq!((one.ino(), one.nlink()), (twin.ino(), twin.nlink()));
        assert_eq!(twin.nlink(), 2);
        assert!(fs::read(&other).expect("nothing is damaged") == content);
    }
    for path in paths(mount, "empty") {
        assert!(fs::read(path).expect("nothing is damaged").is_empty());
    }
}
