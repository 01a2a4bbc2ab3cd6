//! Large trees: 20,000 small files, a huge directory and a 3 GB sparse file, each key mode and each compressor once.
//!
//! The whole product of modes and compressors on these takes hours; `cargo xtask test --full` runs it.

use std::env;

use ironborg_testkit::{Compare, Program, assert_same_tree, tree};

use crate::scene::{CHEAP_ITEM_KEYS, COMPRESSIONS, KEY_MODES, Scene};

/// Key modes and compressors so paired that every one of both occurs.
fn pairs() -> Vec<(&'static str, &'static str)> {
    if env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        let all = KEY_MODES.into_iter();
        return all
            .flat_map(|mode| COMPRESSIONS.map(|compression| (mode, compression)))
            .collect();
    }
    let modes = KEY_MODES.into_iter().cycle();
    modes.zip(COMPRESSIONS).collect()
}

fn make_large_tree(scene: &Scene) {
    let top = scene.scratch.dir("tree");
    tree::rich(&top.join("rich"));
    tree::many_small(&top.join("small"), 20_000);
    tree::huge_directory(&top.join("huge"), 20_000);
    tree::big_sparse(&top.join("3 GB"));
}

#[track_caller]
fn check(writer: Program, reader: Program, pairs: &[(&str, &str)]) {
    let first = Scene::new();
    make_large_tree(&first);
    for (mode, compression) in pairs {
        let scene = first.beside(&format!("repo-{mode}-{compression}"));
        scene.init(writer, mode);
        scene.create(writer, "large", &["--compression", compression], "tree");
        // The other program knows every chunk and stores nothing.
        let again = scene.create(reader, "again", &["--json"], "tree").json();
        let added = again["archive"]["stats"]["deduplicated_size"].as_u64();
        assert_eq!(added, Some(0), "{mode}, {compression}: stored twice");
        scene.assert_same_json_lines("large", CHEAP_ITEM_KEYS);
        scene.assert_checks();
        let dir = scene.extract(reader, "large", &["--sparse"]);
        let expected = scene.scratch.join("tree");
        assert_same_tree(&expected, &dir.join("tree"), Compare::AndHoles);
    }
}

#[test]
fn ours_writes_large_trees() {
    check(Program::Ours, Program::Stock, &pairs());
}

#[test]
fn stock_writes_large_trees() {
    check(Program::Stock, Program::Ours, &pairs());
}
