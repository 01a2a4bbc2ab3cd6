//! Parts of archives: paths, patterns, stripped components, and what becomes of hard links whose first name is not shown.

use std::fs;
use std::path::Path;

use ironborg_testkit::{Program, View, generated};

use super::{Mounts, end};
use crate::scene::Scene;

/// An archive `a` of `tree` with hard links across its directories.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "none");
    let tree = scene.scratch.dir("tree");
    for dir in ["one/deep/deeper", "two", "three"] {
        fs::create_dir_all(tree.join(dir)).expect("room on the disk");
    }
    let write = |name: &str, label: &str| {
        fs::write(tree.join(name), generated(label, 5000)).expect("room on the disk");
    };
    write("one/first", "linked");
    write("one/other.txt", "other");
    write("one/deep/deeper/file.txt", "deep");
    write("two/plain", "plain");
    write("top", "top");
    for name in ["two/second", "two/third", "three/fourth", "one/deep/fifth"] {
        fs::hard_link(tree.join("one/first"), tree.join(name)).expect("a new hard link");
    }
    scene.create(Program::Ours, "a", &[], "tree");
    scene
}

/// Every file that is shown has the content it has in the tree.
#[track_caller]
fn assert_content(view: &View, mounted: &Path, tree: &Path, strip: usize) {
    let out_of = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        parts.get(strip..).unwrap_or_default().join("/")
    };
    let names = [
        "one/first",
        "one/other.txt",
        "one/deep/deeper/file.txt",
        "two/plain",
        "top",
        "two/second",
        "two/third",
        "three/fourth",
        "one/deep/fifth",
    ];
    let mut seen = 0;
    for name in names {
        let shown = out_of(&format!("tree/{name}"));
        if !shown.is_empty() && view.paths().contains(&shown) {
            let [found, wanted] = [mounted.join(&shown), tree.join(name)].map(fs::read);
            assert_eq!(
                found.expect("readable"),
                wanted.expect("readable"),
                "{name}"
            );
            seen += 1;
        }
    }
    assert!(seen > 0, "{:?}", view.paths());
}

#[test]
fn paths_patterns_and_stripped_components() {
    let scene = scene();
    let archive = scene.archive("a");
    let tree = scene.scratch.join("tree");
    let mounts = Mounts::of(&scene);
    let table: &[(&[&str], &[&str], usize)] = &[
        (&[], &["tree/two"], 0),
        (&[], &["tree/two", "tree/three/fourth"], 0),
        (&[], &["sh:**/*.txt"], 0),
        (&["--exclude", "tree/one"], &[], 0),
        (
            &[
                "--pattern=-sh:tree/t*/second",
                "--pattern=+tree/two",
                "--pattern=-*",
            ],
            &[],
            0,
        ),
        (&["--strip-components", "1"], &[], 1),
        (&["--strip-components", "2"], &[], 2),
        (&["--strip-components", "2"], &["tree/two", "tree/one"], 2),
        (&["--strip-components", "3"], &[], 3),
    ];
    for &(options, paths, strip) in table {
        let view = mounts.compare(options, &archive, paths);
        let ours = mounts.mount(Program::Ours, options, &archive, paths);
        assert_content(&view, ours.path(), &tree, strip);
        assert_eq!(end(ours), (Some(0), String::new()), "{options:?} {paths:?}");
    }
    // Nothing matches: an empty directory, not an error.
    let view = mounts.compare(&[], &archive, &["no/such/path"]);
    assert_eq!(view.paths(), [""]);
    // The hard links that are shown are links of each other.
    let view = mounts.compare(&[], &archive, &["tree/two", "tree/three"]);
    let first = view.entry("tree/three/fourth");
    for name in ["tree/two/second", "tree/two/third"] {
        assert_eq!(view.entry(name).same_as, first.same_as, "{name}");
    }
}

/// Directories come behind what is in them, and names come twice.
#[test]
fn items_in_an_odd_order() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let tree = scene.scratch.dir("tree");
    fs::create_dir_all(tree.join("b/c")).expect("room on the disk");
    fs::write(tree.join("b/c/file"), b"deep").expect("room on the disk");
    fs::write(tree.join("z"), b"last").expect("room on the disk");
    fs::write(tree.join("a"), b"first").expect("room on the disk");
    let archive = scene.archive("a");
    let args = [
        "create",
        &archive,
        "tree/z",
        "tree/b/c/file",
        "tree/b",
        "tree",
    ];
    scene.run(Program::Ours, &args).ok();
    let mounts = Mounts::of(&scene);
    let view = mounts.compare(&[], &archive, &[]);
    assert_eq!(
        view.paths(),
        [
            "",
            "tree",
            "tree/z",
            "tree/b",
            "tree/b/c",
            "tree/b/c/file",
            "tree/a"
        ]
    );
    mounts.compare(&["--strip-components", "1"], &archive, &["tree/b/c"]);
}

/// Stock Borg's mount fails on such an archive: it looks for content where there is none.
#[test]
fn hard_links_of_what_has_no_content() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let tree = scene.scratch.dir("tree");
    for dir in ["one", "two"] {
        fs::create_dir(tree.join(dir)).expect("room on the disk");
    }
    let fifo = tree.join("one/fifo");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o640.into(), 0).expect("a new fifo");
    for name in ["two/second", "two/third"] {
        fs::hard_link(&fifo, tree.join(name)).expect("a new hard link");
    }
    fs::write(tree.join("two/file"), b"beside it").expect("room on the disk");
    scene.create(Program::Ours, "a", &[], "tree");
    let mounts = Mounts::of(&scene);
    let whole = mounts.compare(&[], &scene.archive("a"), &[]);
    assert_eq!(whole.entry("tree/two/third").nlink, 3);
    let ours = mounts.mount(Program::Ours, &[], &scene.archive("a"), &["tree/two"]);
    let view = mounts.view(&ours);
    for name in ["tree/two/second", "tree/two/third"] {
        assert_eq!(view.entry(name).mode, 0o010_640, "{name}");
    }
    assert_eq!(view.entry("tree/two/file").size, 9);
    assert_eq!(end(ours), (Some(0), String::new()));
}
