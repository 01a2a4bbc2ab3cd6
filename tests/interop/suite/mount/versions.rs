//! The `versions` view: all archives in one tree, a directory in the place of each file.

use std::fs;
use std::os::unix::fs::symlink;

use ironborg_testkit::{Program, generated};

use super::{Mounts, end};
use crate::scene::{Scene, text};

/// Three archives of a tree that changes, all of which the comment beside each line tells.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let tree = scene.scratch.dir("tree");
    let write = |name: &str, label: &str| {
        fs::write(tree.join(name), generated(label, 4000)).expect("room on the disk");
    };
    let link = |from: &str, to: &str| {
        fs::hard_link(tree.join(from), tree.join(to)).expect("a new hard link");
    };
    let remove = |name: &str| fs::remove_file(tree.join(name)).expect("our own file");
    fs::create_dir(tree.join("dir.with.dots")).expect("room on the disk");
    for name in [
        "steady.txt",
        "changed.txt",
        "back.and.forth.tar.gz",
        ".hidden",
        ".hidden.conf",
        "no extension",
        "ends with.",
        "two..dots",
        "renamed.old",
        "gone.txt",
        "dir.with.dots/inner",
        "becomes a directory",
        "linked.one",
    ] {
        write(name, name);
    }
    fs::write(tree.join("empty"), b"").expect("room on the disk");
    symlink("steady.txt", tree.join("symlink")).expect("a new symlink");
    link("linked.one", "linked.two");
    link("linked.one", "dir.with.dots/linked");
    link("empty", "also empty");
    scene.create(Program::Ours, "first", &[], "tree");

    write("changed.txt", "changed");
    write("back.and.forth.tar.gz", "forth");
    fs::rename(tree.join("renamed.old"), tree.join("renamed.new")).expect("our own file");
    remove("gone.txt");
    write(".hidden", "hidden, changed");
    remove("becomes a directory");
    fs::create_dir(tree.join("becomes a directory")).expect("room on the disk");
    write("becomes a directory/inner", "inner");
    // One of three names gets content of its own.
    remove("linked.two");
    write("linked.two", "not linked any more");
    write("empty", "not empty any more");
    scene.create(Program::Ours, "second", &[], "tree");

    write("back.and.forth.tar.gz", "back.and.forth.tar.gz");
    write("gone.txt", "gone.txt");
    write("changed.txt", "changed again");
    remove("symlink");
    write("symlink", "a file now");
    fs::remove_dir_all(tree.join("becomes a directory")).expect("our own directory");
    write("becomes a directory", "a file again");
    scene.create(Program::Ours, "third", &[], "tree");
    scene
}

#[test]
fn every_version_of_every_file() {
    let scene = scene();
    let mounts = Mounts::of(&scene);
    let versions = ["-o", "versions"];
    let view = mounts.compare(&versions, scene.repo(), &[]);
    let names = |dir: &str| -> Vec<String> {
        let prefix = format!("{dir}/");
        let paths = view.paths();
        let inside = paths.iter().filter_map(|path| path.strip_prefix(&prefix));
        inside.map(str::to_owned).collect()
    };
    assert_eq!(names("tree/steady.txt"), ["steady.00001.txt"]);
    assert_eq!(
        names("tree/changed.txt"),
        [
            "changed.00001.txt",
            "changed.00002.txt",
            "changed.00003.txt"
        ]
    );
    assert_eq!(
        names("tree/back.and.forth.tar.gz"),
        [
            "back.and.forth.tar.00001.gz",
            "back.and.forth.tar.00002.gz",
            "back.and.forth.tar.00003.gz"
        ]
    );
    assert_eq!(names("tree/.hidden"), [".hidden.00001", ".hidden.00002"]);

    let ours = mounts.mount(Program::Ours, &versions, scene.repo(), &[]);
    let read = |path: &str| fs::read(ours.path().join(path)).expect("readable");
    for (path, label) in [
        ("tree/changed.txt/changed.00001.txt", "changed.txt"),
        ("tree/changed.txt/changed.00002.txt", "changed"),
        ("tree/changed.txt/changed.00003.txt", "changed again"),
        ("tree/gone.txt/gone.00001.txt", "gone.txt"),
        ("tree/linked.two/linked.00001.two", "linked.one"),
    ] {
        assert!(read(path) == generated(label, 4000), "{path}");
    }
    assert_eq!(end(ours), (Some(0), String::new()));

    // Filters count for each archive, and which archives there are decides on the numbers.
    mounts.compare(&["-o", "versions", "--last", "2"], scene.repo(), &[]);
    let options = [
        "-o",
        "versions",
        "--strip-components",
        "1",
        "-e",
        "tree/linked.one",
    ];
    mounts.compare(&options, scene.repo(), &[]);
    mounts.compare(
        &versions,
        scene.repo(),
        &["tree/dir.with.dots", "tree/linked.two"],
    );
    // The view is one of several archives.
    let place = scene.empty_dir("mnt-none");
    let archive = scene.archive("first");
    scene.assert_same_output(&["mount", "-f", "-o", "versions", &archive, text(&place)]);
}
