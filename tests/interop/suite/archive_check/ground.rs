//! The repository that all damages are done to.

use std::fs;
use std::os::unix::fs::symlink;

use ironborg_testkit::{Program, Random};

use crate::scene::{Scene, text};

/// Makes a repository whose key is derived from the passphrase in no time: it is opened many hundred times.
const INIT: &str = "
import sys
import borg.constants
borg.constants.PBKDF2_ITERATIONS = 2
from borg.archiver import main
sys.argv[0] = 'borg'
main()
";

/// Small chunks, so that small files have many.
const CHUNKS: &str = "--chunker-params=buzhash,10,13,11,63";

/// A scene with an undamaged repository: archives `a` (stock's) and `b` (ours) share chunks, `c` (stock's) is cut at
/// fixed places, `many` (ours) has items in several chunks.
pub(super) fn ground(mode: &str) -> Scene {
    let mut scene = Scene::new();
    scene.home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    scene
        .home
        .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    plant(&scene);
    let init = ["init", "--encryption", mode, scene.repo()];
    scene.home.stock_library(INIT, init).run().ok();
    let [a, c] = ["a", "c"].map(|name| scene.archive(name));
    let create = ["create", CHUNKS, &a, "tree"];
    scene.run_list(Program::Stock, &[&create])[0].clone().ok();
    let grown = scene.scratch.join("tree/grown");
    let bytes = [fs::read(&grown).expect("planted"), b"more".repeat(700)].concat();
    fs::write(grown, bytes).expect("room");
    scene.create(Program::Ours, "b", &[CHUNKS], "tree");
    // What it remembers of the files would be how they were cut before.
    let fixed = "--chunker-params=fixed,1024";
    let create = ["create", "--files-cache=disabled", fixed, &c, "tree"];
    scene.run_list(Program::Stock, &[&create])[0].clone().ok();
    scene.create(Program::Ours, "many", &[], "many");
    scene
}

fn plant(scene: &Scene) {
    let tree = scene.scratch.dir("tree");
    let mut random = Random::new(51);
    let blocks: [Vec<u8>; 3] = [1024, 1024, 512].map(|len| random.bytes(len));
    let files: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("small", random.bytes(300)),
        ("large", random.bytes(40_000)),
        ("linked", random.bytes(5_000)),
        ("grown", random.bytes(6_000)),
        (
            "twice",
            [0, 1, 0, 1, 2].map(|block| blocks[block].clone()).concat(),
        ),
        ("zeros", vec![0; 3000]),
    ];
    for (name, bytes) in files {
        fs::write(tree.join(name), bytes).expect("room");
    }
    fs::hard_link(tree.join("linked"), tree.join("linked too")).expect("a new link");
    symlink("small", tree.join("symlink")).expect("a new symlink");
    // Long paths make long item streams.
    let mut deep = String::from("many");
    for part in ["x", "y", "z"] {
        deep = format!("{deep}/{}", part.repeat(220));
    }
    let deep = scene.scratch.dir(&deep);
    for number in 0..120 {
        let path = deep.join(format!("{number:-<200}"));
        let bytes = if number % 20 == 0 { "many" } else { "" };
        fs::write(&path, bytes).unwrap_or_else(|_| panic!("{}", text(&path)));
    }
}
