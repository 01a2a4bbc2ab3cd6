//! A mirror on an object store: what stock Borg has made is there, is whole for stock Borg, and follows.

use std::fs;
use std::path::Path;

use ironborg_testkit::{ObjectServer, Program, Run};

use crate::scene::{Scene, text};

#[test]
fn a_mirror_of_a_stock_repository_is_read_checked_and_followed() {
    let scene = Scene::new();
    let server = ObjectServer::start(&scene.scratch);
    let ours = server.known_to(&scene.home);
    let ours = ours.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let stock = scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let our = |args: &[&str]| ours.invocation(Program::Ours, args).run();
    let of_stock = |args: &[&str]| stock.invocation(Program::Stock, args).run().ok();
    let tree = scene.scratch.dir("tree");
    for number in 0..30 {
        fs::write(tree.join(format!("{number}")), vec![b'0' + number; 20_000]).expect("room");
    }
    let origin = scene.scratch.join("origin");
    let origin_text = text(&origin);
    let (there, second) = (server.location("mirror"), server.location("second"));
    let archive = |name: &str| format!("{origin_text}::{name}");
    of_stock(&["init", "--encryption", "repokey", origin_text]);
    of_stock(&["config", origin_text, "max_segment_size", "100000"]);
    of_stock(&["create", "-C", "none", &archive("one"), text(&tree)]);

    let made = our(&["mirror", "--stats", origin_text, &there]).ok();
    assert!(made.err().contains("Object store:"), "{}", made.err());
    is_mirror(&scene, &server, &origin, "mirror");
    assert_eq!(
        sent(&our(&["mirror", "--stats", origin_text, &there]).ok()),
        0
    );

    // Intermediate commits, segments that go, another key.
    fs::write(tree.join("3"), vec![b'x'; 70_000]).expect("room");
    of_stock(&["create", "-C", "none", &archive("two"), text(&tree)]);
    of_stock(&["delete", &archive("one")]);
    of_stock(&["compact", "--threshold", "1", origin_text]);
    let dry = our(&["mirror", "--dry-run", "-v", "--stats", origin_text, &there]).ok();
    assert!(dry.err().contains("would remove data/0/"), "{}", dry.err());
    let made = our(&["mirror", "--stats", origin_text, &there]).ok();
    assert!(sent(&made) > 0);
    is_mirror(&scene, &server, &origin, "mirror");
    let listed = our(&["list", "--short", &there]).ok();
    assert_eq!(listed.out(), "two\n");
    our(&["check", "--verify-data", &there]).ok();
    let back = scene.scratch.dir("back");
    let extracted = ours
        .invocation(
            Program::Ours,
            ["extract".to_owned(), format!("{there}::two")],
        )
        .dir(&back)
        .run();
    extracted.ok();
    let changed = back
        .join(tree.strip_prefix("/").expect("absolute"))
        .join("3");
    assert_eq!(fs::read(changed).expect("extracted"), vec![b'x'; 70_000]);
    let copy = scene.scratch.join("copy");
    server.download("mirror", &copy);
    of_stock(&["check", "--verify-data", text(&copy)]);

    // From one store to another, and back to a disk.
    our(&["mirror", "--verify", &there, &second]).ok();
    is_mirror(&scene, &server, &origin, "second");
    let disk = scene.scratch.join("disk");
    our(&["mirror", &second, text(&disk)]).ok();
    of_stock(&["check", "--verify-data", text(&disk)]);
    of_stock(&["list", text(&disk)]);

    // Whoever writes to a mirror has a repository of its own.
    our(&["create", &format!("{second}::own"), text(&tree)]).ok();
    let refused = our(&["mirror", &there, &second]);
    assert_eq!(refused.code(), 2);
    assert!(
        refused.err().contains("has transaction"),
        "{}",
        refused.err()
    );
    let remote = our(&["mirror", "ssh://host/repo", &there]);
    assert_eq!(remote.code(), 2);
    assert!(
        remote.err().contains("run this on the host"),
        "{}",
        remote.err()
    );
}

/// How many segments were sent.
fn sent(run: &Run) -> u64 {
    let line = run.err();
    let line = line.lines().find(|line| line.starts_with("Segments sent:"));
    let count = line.and_then(|line| line.split_whitespace().nth(2));
    count.and_then(|count| count.parse().ok()).expect("figures")
}

/// Below the prefix is what is in the directory, file by file.
fn is_mirror(scene: &Scene, server: &ObjectServer, origin: &Path, prefix: &str) {
    let copy = scene.scratch.join("compared");
    let _ = fs::remove_dir_all(&copy);
    server.download(prefix, &copy);
    assert_eq!(files(&copy), files(origin));
}

/// Names and contents of all files but locks and what a mirror says of itself.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = text(path.strip_prefix(root).expect("below it")).to_owned();
            if !name.starts_with("lock.") && name != "mirror" {
                found.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}
