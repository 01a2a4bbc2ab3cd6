//! Large trees: 20,000 small files, a huge directory and a 3 GB sparse file, with each key mode and each compressor.
//!
//! Normally one pair of both a test, alternating in direction and in what is large: many files, or one; and two of the
//! tests only, which is what a run has time for. The whole product in both directions takes hours; `cargo xtask test --full`
//! runs it.

use std::env;
use std::path::Path;

use ironborg_testkit::{Compare, Program, Snapshot, assert_restored, tree};

use crate::scene::{COMPRESSIONS, KEY_MODES, Scene};

/// Keys that say everything about an item; one content hash, as three billion bytes go through it.
const KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {source} {linktarget} {flags} {size} {csize} \
    {dsize} {dcsize} {num_chunks} {unique_chunks} {mtime} {ctime} {isomtime} {sha256} {archiveid} {extra} {health}";

fn check(index: usize) {
    let scene = Scene::new();
    if env::var_os("IRONBORG_INTEROP_FULL").is_none() {
        let expected = if index % 4 < 2 {
            make(&scene, &[BIG_FILE])
        } else {
            make(&scene, &[MANY_FILES])
        };
        let mode = KEY_MODES[index % KEY_MODES.len()];
        let direction = Program::DIRECTIONS[index % 2];
        check_pair((&scene, &expected), mode, COMPRESSIONS[index], direction);
        return;
    }
    let expected = make(&scene, &[BIG_FILE, MANY_FILES]);
    if let Some(mode) = KEY_MODES.get(index) {
        for compression in COMPRESSIONS {
            for direction in Program::DIRECTIONS {
                check_pair((&scene, &expected), mode, compression, direction);
            }
        }
    }
}

const BIG_FILE: fn(&Path) = |top| tree::big_sparse(&top.join("3 GB"));

const MANY_FILES: fn(&Path) = |top| {
    tree::many_small(&top.join("small"), 20_000);
    tree::huge_directory(&top.join("huge"), 10_000);
};

/// Makes the rich tree with large parts; gives what a backup of it brings back.
fn make(scene: &Scene, parts: &[fn(&Path)]) -> Snapshot {
    let top = scene.scratch.dir("tree");
    tree::rich(&top.join("rich"));
    for part in parts {
        part(&top);
    }
    Snapshot::of(&top).as_restored()
}

#[track_caller]
fn check_pair(
    (first, expected): (&Scene, &Snapshot),
    mode: &str,
    compression: &str,
    (writer, reader): (Program, Program),
) {
    let name = format!("{mode}-{compression}-{}", writer.name());
    let scene = first.beside(&name);
    scene.init(writer, mode);
    scene.create(writer, "large", &["--compression", compression], "tree");
    // The other program knows every chunk and stores nothing.
    let again = scene.create(reader, "again", &["--json"], "tree").json();
    let added = again["archive"]["stats"]["deduplicated_size"].as_u64();
    assert_eq!(added, Some(0), "{mode}, {compression}: stored twice");
    scene.assert_same_json_lines("large", KEYS);
    scene.assert_checks();
    for (program, archive) in [(reader, "large"), (writer, "again")] {
        let dir = scene.extract(program, archive, &["--sparse"]);
        assert_restored(expected, &dir.join("tree"), Compare::AndHoles);
    }
}

macro_rules! pairs {
    ($($name:ident: $index:literal),* $(,)?) => {
        $(#[test] fn $name() { check($index); })*
    };
}

pairs! {
    mode_and_compressor_1: 0,
    mode_and_compressor_2: 1,
    mode_and_compressor_3: 2,
    mode_and_compressor_4: 3,
    mode_and_compressor_5: 4,
    mode_and_compressor_6: 5,
    mode_and_compressor_7: 6,
    mode_and_compressor_8: 7,
}
