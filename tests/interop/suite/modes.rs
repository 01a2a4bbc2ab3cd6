//! Every key mode with every compressor: what one program writes, the other lists, checks and extracts identically.

use ironborg_testkit::{Program, tree};

use crate::scene::{ALL_ARCHIVE_KEYS, ALL_ITEM_KEYS, CHEAP_ITEM_KEYS, COMPRESSIONS, Scene};

/// One mode, one writer, all compressors, each in a repository of its own.
#[track_caller]
fn check(mode: &str, writer: Program) {
    for compression in COMPRESSIONS {
        let scene = Scene::with_repository(writer, mode);
        tree::rich(&scene.scratch.join("tree"));
        let options = ["--compression", compression, "--comment", "of a rich tree"];
        scene.create(writer, "rich", &options, "tree");
        scene.assert_same_json_lines("rich", CHEAP_ITEM_KEYS);
        scene.assert_checks();
        scene.assert_restores(writer.other(), "rich", "tree");
    }
    // What text listings show does not depend on the compressor.
    let scene = Scene::with_repository(writer, mode);
    tree::rich(&scene.scratch.join("tree"));
    scene.create(writer, "rich", &["--atime"], "tree");
    scene.assert_same_listing("rich", ALL_ITEM_KEYS);
    scene.assert_same_output(&["list", "--format", ALL_ARCHIVE_KEYS, scene.repo()]);
    scene.assert_same_output(&["info", "--json", &scene.archive("rich")]);
    scene.assert_restores(writer, "rich", "tree");
}

macro_rules! both_directions {
    ($($name:ident: $mode:literal),* $(,)?) => {
        mod ours_writes {
            $(#[test] fn $name() { super::check($mode, super::Program::Ours); })*
        }
        mod stock_writes {
            $(#[test] fn $name() { super::check($mode, super::Program::Stock); })*
        }
    };
}

both_directions! {
    none: "none",
    authenticated: "authenticated",
    authenticated_blake2: "authenticated-blake2",
    repokey: "repokey",
    keyfile: "keyfile",
    repokey_blake2: "repokey-blake2",
    keyfile_blake2: "keyfile-blake2",
}
