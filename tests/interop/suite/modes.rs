//! Every key mode and every compressor: what one program writes, the other lists, checks and extracts identically.
//!
//! Normally each mode goes with every third compressor, another third for each mode and direction: every compressor
//! is tried in both directions with at least two modes. `cargo xtask test --full` tries every mode with each.

use std::env;

use ironborg_testkit::{Program, tree};

use crate::scene::{
    ALL_ARCHIVE_KEYS, ALL_ITEM_KEYS, CHEAP_ITEM_KEYS, COMPRESSIONS, KEY_MODES, Scene,
};

/// The compressors that go with a mode in one direction.
fn compressions(mode: &str, writer: Program) -> Vec<&'static str> {
    let mode = KEY_MODES.iter().position(|known| *known == mode);
    let first = mode.expect("a mode") + usize::from(writer == Program::Ours);
    let is_full = env::var_os("IRONBORG_INTEROP_FULL").is_some();
    let wanted = |at: &usize| is_full || (at + first).is_multiple_of(3);
    (0..COMPRESSIONS.len())
        .filter(wanted)
        .map(|at| COMPRESSIONS[at])
        .collect()
}

/// One mode, one writer, several compressors, each in a repository of its own.
#[track_caller]
fn check(mode: &str, writer: Program) {
    for compression in compressions(mode, writer) {
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
