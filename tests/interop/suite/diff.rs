//! `diff`: the same lines in the same order, for every kind of change and every way of asking.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{Home, Program, generated, sample, sample_passphrase, tree};
use serde_json::{Value, json};

use crate::hostile::{self, DIR, FILE, LINK, item};
use crate::scene::{Scene, text};

/// Changes of every kind in the rich tree, and some that only show in the order of lines.
fn change(top: &Path) {
    let write = |path: &str, bytes: &[u8]| fs::write(top.join(path), bytes).expect("room");
    // Directories are read in the order of inodes: new ones at the front shift everything behind.
    fs::remove_dir_all(top.join("sub/gone")).expect("made before");
    for name in ["more/a", "more/b", "more/a b\u{e9}"] {
        fs::create_dir_all(top.join("more")).expect("a new directory");
        write(name, name.as_bytes());
    }
    write("sub/grown", &generated("grown", 3000));
    let mut large = generated("large", 3_000_000);
    large.splice(1_000_000..1_000_010, *b"something else");
    write("sub/large", &large);
    write("sub/same size", b"NEW");
    fs::remove_file(top.join("sub/retargeted")).expect("made before");
    symlink("elsewhere", top.join("sub/retargeted")).expect("a symlink");
    for path in ["sub/file to dir", "sub/file to link", "sub/file to fifo"] {
        fs::remove_file(top.join(path)).expect("made before");
    }
    fs::create_dir(top.join("sub/file to dir")).expect("a new directory");
    symlink("x", top.join("sub/file to link")).expect("a symlink");
    mkfifo(&top.join("sub/file to fifo"));
    fs::remove_dir(top.join("sub/dir to file")).expect("made before");
    write("sub/dir to file", b"now a file");
    fs::remove_file(top.join("sub/fifo gone")).expect("made before");
    mkfifo(&top.join("sub/fifo new"));
    fs::set_permissions(top.join("sub/mode"), fs::Permissions::from_mode(0o4751)).expect("chmod");
    chown(top.join("sub/owner"), Some(1), Some(1)).expect("tests run as root");
    tree::set_mtime(&top.join("sub/mtime"), 1_700_000_000, 123_456_789);
    // Hard links: content of all, one more, one less, one that is alone now, a first one that is gone.
    write("hard/a1", b"changed for all three");
    fs::hard_link(top.join("hard/a1"), top.join("hard/a4")).expect("a link");
    fs::remove_file(top.join("hard/b2")).expect("made before");
    fs::remove_file(top.join("hard/c2")).expect("made before");
    write("hard/c2", b"on its own");
    fs::remove_file(top.join("hard/d1")).expect("made before");
}

/// What [`change`] changes.
fn prepare(top: &Path) {
    let write = |path: &str, bytes: &[u8]| fs::write(top.join(path), bytes).expect("room");
    for dir in ["sub/gone/deep", "sub/dir to file", "hard"] {
        fs::create_dir_all(top.join(dir)).expect("a new directory");
    }
    write("sub/gone/deep/file", b"soon gone");
    write("sub/gone/empty", b"");
    write("sub/grown", &generated("grown", 2000));
    write("sub/large", &generated("large", 3_000_000));
    write("sub/same size", b"OLD");
    for path in [
        "sub/file to dir",
        "sub/file to link",
        "sub/file to fifo",
        "sub/mode",
        "sub/owner",
        "sub/mtime",
    ] {
        write(path, path.as_bytes());
    }
    symlink("target", top.join("sub/retargeted")).expect("a symlink");
    mkfifo(&top.join("sub/fifo gone"));
    for first in ["a", "b", "c", "d"] {
        write(&format!("hard/{first}1"), first.as_bytes());
        for other in 2..4 {
            let link = top.join(format!("hard/{first}{other}"));
            fs::hard_link(top.join(format!("hard/{first}1")), link).expect("a link");
        }
    }
}

fn mkfifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo");
}

/// A repository with archives of both programs of one tree before and after.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let top = scene.scratch.join("tree");
    tree::rich(&top);
    prepare(&top);
    scene.create(Program::Ours, "before", &["--noflags"], "tree");
    change(&top);
    scene.create(Program::Stock, "after", &["--noflags"], "tree");
    scene
}

#[test]
fn every_kind_of_change() {
    let scene = scene();
    let (before, after) = (scene.archive("before"), scene.archive("after"));
    let options: &[&[&str]] = &[
        &[],
        &["--json-lines"],
        &["--content-only"],
        &["--numeric-owner", "--sort"],
        &["--sort-by", "path"],
        &["--sort-by", ">size_added,<size_removed,path"],
        &["--sort-by", "size_diff,>path", "--json-lines"],
        &["--sort-by", "size,user,group"],
        &["--sort-by", "uid,>user,gid, >mtime,"],
        &["--sort-by", ">mtime_diff,ctime_diff", "--content-only"],
        &[
            "--log-json",
            "--iec",
            "--json-lines",
            "--content-only",
            "--sort-by=path",
        ],
    ];
    for options in options {
        scene.assert_same_output(&[&["diff"], *options, &[&before, "after"]].concat());
    }
    scene.assert_same_output(&["diff", "--json-lines", &after, "before"]);
    scene.assert_same_output(&["diff", &before, "before"]);
    // An option of its own, so that the archives of one program alone are compared as well.
    let [ours, stock] = [("first", Program::Ours), ("second", Program::Stock)];
    for (name, program) in [ours, stock] {
        scene.create(program, name, &["--noflags"], "tree");
    }
    scene.assert_same_output(&["diff", &scene.archive("first"), "second"]);
}

#[test]
fn a_part_of_the_items() {
    let scene = scene();
    let before = scene.archive("before");
    let words: &[&[&str]] = &[
        &["tree/sub"],
        &[
            "tree/sub",
            "pp:nothing here",
            "sh:**/nor here",
            "pf:nor/here",
        ],
        // Hard links whose first one is left out.
        &["tree/hard/a2", "tree/hard/a4", "re:hard/[bcd]3"],
        &["--exclude", "tree/sub", "--exclude", "re:1$"],
        &["--pattern", "+ tree/more", "--pattern", "- **"],
    ];
    for words in words {
        scene.assert_same_output(&[&["diff", before.as_str(), "after"], *words].concat());
    }
    let modern = scene.home.with("BORG_EXIT_CODES", "modern");
    scene.assert_same_output_on(&modern, &["diff", &before, "after", "nothing here"]);
    let links = ["diff", &before, "after", "tree/hard/a2"];
    scene.assert_same_output_on(&modern, &links);
}

#[test]
fn refusals() {
    let scene = Scene::with_repository(Program::Stock, "none");
    fs::write(scene.scratch.join("file"), b"content").expect("room");
    scene.create(Program::Stock, "a", &[], "file");
    let archive = scene.archive("a");
    let words: &[&[&str]] = &[
        &[&archive],
        &[&archive, "missing"],
        &[scene.repo(), "a"],
        &[&archive, &archive],
        &[&archive, ""],
        &[&archive, "a", ""],
        &["--sort-by", "mode", &archive, "a"],
        &["--sort-by", ",", &archive, "a"],
        &["--sort-by", "path", "--sort-by", "size", &archive, "a"],
        &["--bypass-lock", &archive, "a"],
        &[
            "--same-chunker",
            "--sort",
            "--sort-by=size",
            &archive,
            "{now:a}",
        ],
    ];
    for words in words {
        scene.assert_same_output(&[&["diff"], *words].concat());
    }
    scene.assert_same_output(&["diff", &scene.archive("missing"), "a"]);
}

/// Files cut in different ways are read and compared.
#[test]
fn different_chunker_params() {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let top = scene.scratch.join("tree");
    prepare(&scene.scratch.dir(&top));
    fs::write(top.join("sub/zeros"), vec![0; 2_000_000]).expect("room");
    let ways = [
        ("buzhash", "buzhash,10,16,14,4095", Program::Ours),
        ("fixed", "fixed,65536,1000", Program::Stock),
        ("default", "default", Program::Ours),
    ];
    for (name, params, program) in ways {
        scene.create(program, name, &["--chunker-params", params], "tree");
    }
    change(&top);
    for (name, params, program) in ways {
        let name = format!("{name}-2");
        scene.create(program, &name, &["--chunker-params", params], "tree");
    }
    for (old, new) in [
        ("buzhash", "fixed"),
        ("default", "fixed-2"),
        ("fixed", "buzhash-2"),
    ] {
        let old = scene.archive(old);
        scene.assert_same_output(&["diff", &old, new]);
        scene.assert_same_output(&["diff", "--content-only", "--json-lines", &old, new]);
    }
    let old = scene.archive("fixed");
    scene.assert_same_output(&["diff", "--same-chunker-params", &old, "default"]);
    scene.assert_same_output(&["diff", "--sort-by=>size_diff,path", &old, "default-2"]);
}

/// Two archives in one repository, made as no program makes them.
fn forged(old: &Value, new: &Value) -> Scene {
    let scene = hostile::scene(&json!({ "items": old }));
    hostile::write_archive(&scene, "y", &json!({ "items": new }));
    scene
}

#[track_caller]
fn check_forged(old: &Value, new: &Value) {
    let scene = forged(old, new);
    let x = scene.archive("x");
    scene.assert_same_output(&["diff", "--same-chunker-params", &x, "y"]);
    scene.assert_same_output(&["diff", "--json-lines", "--sort-by=size_diff", &x, "y"]);
}

/// Paths that are there twice, hard links before what they refer to, to themselves, to what is no file; owners without
/// names; times that no clock has.
#[test]
fn items_in_odd_places() {
    let file = |path: &str, data: &str| item(path, FILE, &json!({"chunks": [{"data": data}]}));
    let link = |path: &str, source: &str| item(path, FILE, &json!({ "source": source }));
    let dir = |path: &str, mode: u32| item(path, mode, &json!({}));
    let alone = |path: &str, data: &str| {
        item(
            path,
            FILE,
            &json!({"chunks": [{"data": data}], "hardlink_master": false}),
        )
    };
    check_forged(
        &json!([
            file("a", "AAAA"),
            file("b", "AAAA"),
            file("a", "BBBB"),
            dir("d", DIR),
            link("l", "later"),
            link("m", "m"),
            link("n", "d"),
            file("later", "AAAA"),
            link("o", "nowhere"),
            file("twice", "AAAA"),
            file("twice", "BBBB"),
            alone("p", "AAAA"),
            link("q", "p"),
            link("u", "a")
        ]),
        &json!([
            file("b", "CCCC"),
            file("a", "AAAA"),
            link("l", "later"),
            link("m", "m"),
            link("n", "d"),
            dir("d", DIR ^ 0o111),
            file("twice", "BBBB"),
            file("later", "BBBB"),
            link("o", "nowhere"),
            link("lost", "nowhere"),
            file("e", "AAAA"),
            file("e", "AAAA"),
            alone("p", "BBBB"),
            link("q", "p"),
            link("r", "p"),
            link("u", "e")
        ]),
    );
    let with = |path: &str, more: &Value| item(path, FILE, more);
    let far = json!({"int": "18446744073709551615"});
    check_forged(
        &json!([
            with("a", &json!({"user": null, "mtime": -5})),
            with("b", &json!({"mtime": far})),
            with("c", &json!({"ctime": 5})),
            with("d", &json!({"size": 7, "chunks": [{"data": "AAAA"}]})),
            item("l", LINK, &json!({"source": "a"})),
            item("s", 0o140_755, &json!({})),
            with("\u{fffd}", &json!({}))
        ]),
        &json!([
            with("a", &json!({"group": null, "mtime": 9})),
            with("b", &json!({"mtime": 1})),
            with("c", &json!({"ctime": 6})),
            with("d", &json!({"size": 9, "chunks": [{"data": "AAAA"}]})),
            item(
                "l",
                LINK,
                &json!({"source": "b", "chunks": [{"data": "AAAA"}]})
            ),
            item("s", 0o020_644, &json!({}))
        ]),
    );
}

/// Stock Borg cannot sort names and their absence; ours takes an absent name for an empty one.
#[test]
fn owners_without_names_can_be_sorted() {
    let file = |path: &str, user: Value| item(path, FILE, &json!({ "user": user }));
    let new = json!([
        file("a", json!("x")),
        file("b", json!(null)),
        file("c", json!("w"))
    ]);
    let scene = forged(&json!([file("a", json!("v"))]), &new);
    let args = ["diff", "--sort-by=user", &scene.archive("x"), "y"];
    let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &args));
    assert_eq!(stock.code(), 2, "stock Borg has learned it\n{stock}");
    let ours = ours.ok();
    let lines = ours.out();
    let paths: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert_eq!(paths, ["b", "c", "a"], "{ours}");
}

/// What is said of a chunk that is needed and missing is the same; nothing is said where it is not needed.
#[test]
fn chunks_that_are_missing() {
    let missing = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let other = "ff".repeat(32);
    let file = |id: &str| {
        item(
            "name",
            FILE,
            &json!({"chunks": [{"id": id, "size": 9, "csize": 50}]}),
        )
    };
    let scene = forged(&json!([file(missing)]), &json!([file(&other)]));
    let x = scene.archive("x");
    scene.assert_same_output(&["diff", "--same-chunker-params", &x, "y"]);
    let forget = json!({"items": [file(&other)], "metadata": {"chunker_params": [1, 2, 3, 4]}});
    hostile::write_archive(&scene, "z", &forget);
    let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &["diff", &x, "z"]));
    let ours = ours.in_control();
    assert_eq!((ours.code(), stock.code()), (2, 2), "{ours}\n{stock}");
    assert!(
        ours.err().contains(&format!("Object with key {missing}")),
        "{ours}\n{stock}"
    );
}

/// Archives of Borg 1.0 know neither chunker parameters nor which files have hard links.
#[test]
fn archives_of_old_versions() {
    for name in [
        "made-by-1.0.13-repokey",
        "made-by-1.1.18-none",
        "made-by-1.2.9-repokey",
    ] {
        let sample = sample(name);
        let scene = Scene::new();
        let mut home = Home::new(&scene.scratch, "home");
        home.set("BORG_PASSPHRASE", sample_passphrase());
        home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let repo = sample.unpack(&scene.scratch, &home).repository;
        let names = home
            .run(Program::Stock, ["list", "--short", text(&repo)])
            .ok();
        let names: Vec<String> = names.out().lines().map(str::to_owned).collect();
        assert!(!names.is_empty(), "{name} has archives");
        let first = format!("{}::{}", text(&repo), names[0]);
        let last = names.last().expect("at least one");
        scene.assert_same_output_on(&home, &["diff", "--json-lines", &first, last]);
    }
}
