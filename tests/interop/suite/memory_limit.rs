//! A limit for memory changes how much is done at once, never what is done; what cannot be done within it is not begun.

use std::fs;

use ironborg_testkit::{Program, generated};

use crate::same_output::{Files, copy_all, files};
use crate::scene::Scene;

/// A repository with archives that share most of what they have; ours has never seen them.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    let tree = scene.scratch.dir("tree");
    for name in ["a", "b", "c"] {
        for file in 0..40 {
            let label = if file % 10 == 0 { name } else { "same" };
            let bytes = generated(&format!("{label}{file}"), 500 + file * 300);
            fs::write(tree.join(file.to_string()), bytes).expect("room");
        }
        scene.create(Program::Stock, name, &[], "tree");
    }
    scene
}

#[test]
fn what_needs_more_is_refused_before_anything_is_done() {
    let scene = scene();
    let (repo, archive) = (scene.repo().to_owned(), scene.archive("d"));
    let before = files(&scene.repo);
    for words in [
        &["create", "--max-memory", "1M", &archive, "tree"] as &[&str],
        &["check", "--max-memory=30M", "--verify-data", &repo],
        &["prune", "--max-memory", "20M", "--keep-last", "1", &repo],
        &["delete", "--max-memory", "20M", &repo, "a"],
        &["--max-memory", "20M", "info", &repo],
        &["mount", "--max-memory", "10M", "-f", &repo, "tree"],
    ] {
        let refusal = scene.run(Program::Ours, words);
        assert_eq!(refusal.code(), 2, "{words:?}: {}", refusal.err());
        let text = refusal.err();
        assert!(text.starts_with("Error: at least "), "{words:?}: {text}");
        assert!(
            text.ends_with("M of memory are needed for this, --max-memory allows less\n"),
            "{words:?}: {text}"
        );
        assert!(files(&scene.repo) == before, "{words:?} changed something");
    }
}

#[test]
fn within_a_limit_the_same_is_done() {
    let scene = scene();
    let limit = "--max-memory=60M";
    let repo = scene.repo().to_owned();
    let stock = scene.run(Program::Stock, &["info", &repo]).ok();
    let ours = scene.run(Program::Ours, &["info", limit, &repo]).ok();
    assert_eq!(ours.out(), stock.out());
    let archive = scene.archive("d");
    let words = ["create", limit, &archive, "tree"];
    scene.run(Program::Ours, &words).ok();
    scene.assert_restores(Program::Stock, "d", "tree");
    let words = ["check", limit, "--verify-data", &repo];
    scene.run(Program::Ours, &words).ok();
    let words = ["prune", limit, "--keep-last", "2", "--stats", &repo];
    scene.run(Program::Ours, &words).ok();
    scene.assert_checks();
    let stock = scene.run(Program::Stock, &["info", &repo, "-a", "*"]).ok();
    let ours = scene
        .run(Program::Ours, &["info", limit, &repo, "-a", "*"])
        .ok();
    assert_eq!(ours.out(), stock.out());
}

/// So many files that what a check would have in memory of them is more than it has to have.
const MANY: usize = 15_000;

/// A damaged repository with many objects, and the least memory it can be checked within.
fn many_objects() -> (Scene, String) {
    let mut scene = Scene::new();
    scene.home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    // Nothing in it depends on chance.
    scene.init(Program::Ours, "none");
    let config = scene.repo.join("config");
    let words = fs::read_to_string(&config).expect("a repository has a config");
    fs::write(&config, words.replace("= 524288000", "= 400000")).expect("room");
    let tree = scene.scratch.dir("tree");
    for file in 0..MANY {
        fs::write(tree.join(file.to_string()), format!("content {file}")).expect("room");
    }
    scene.create(Program::Ours, "a", &["-C", "none"], "tree");
    fs::remove_file(tree.join("77")).expect("it was made");
    scene.create(Program::Ours, "b", &["-C", "none"], "tree");
    scene
        .run(Program::Ours, &["delete", scene.repo(), "a"])
        .ok();
    let refusal = scene.run(
        Program::Ours,
        &["check", "--repair", "--max-memory", "1M", scene.repo()],
    );
    let text = refusal.err();
    let (_, least) = text.split_once("Error: at least ").expect("a refusal");
    let (least, _) = least.split_once(' ').expect("a size");
    let limit = format!("--max-memory={least}");
    (scene, limit)
}

/// Flips a byte in the middle of a segment.
fn damage(scene: &Scene, segment: &str) {
    let path = scene.repo.join("data/0").join(segment);
    let mut bytes = fs::read(&path).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path, bytes).expect("room");
}

/// Runs a check with the usual memory and within a limit, on the same files: it says and does the same.
fn assert_same_within(scene: &Scene, limit: &str, words: &[&str], is_timed: bool) {
    let copy = scene.scratch.join("copy");
    let original = scene.scratch.join("original");
    std::fs::rename(&scene.repo, &original).expect("one directory");
    let mut ran = Vec::new();
    for options in [&[] as &[&str], &[limit]] {
        copy_all(&original, &scene.repo);
        let words = [words, options, &[scene.repo()]].concat();
        let run = scene.run(Program::Ours, &words);
        ran.push((run, files(&scene.repo)));
        let _ = fs::remove_dir_all(&copy);
        std::fs::rename(&scene.repo, &copy).expect("one directory");
    }
    let (usual, within) = (&ran[0], &ran[1]);
    assert_eq!(
        within.0.code(),
        usual.0.code(),
        "{words:?}: {}",
        within.0.err()
    );
    assert_eq!(within.0.out(), usual.0.out(), "{words:?}");
    assert_eq!(within.0.err(), usual.0.err(), "{words:?}");
    if is_timed {
        // The manifest says when it was written.
        let names = |files: &Files| {
            let sizes = files
                .iter()
                .map(|(name, bytes)| (name.clone(), bytes.len()));
            sizes.collect::<Vec<_>>()
        };
        assert_eq!(names(&within.1), names(&usual.1), "{words:?}");
        let index = |files: &Files| {
            let index = files.iter().find(|(name, _)| name.starts_with("index."));
            index.map(|(name, bytes)| (name.clone(), bytes.clone()))
        };
        assert!(index(&within.1) == index(&usual.1), "{words:?}");
    } else {
        // Superseded objects are listed in an order that is chance.
        let rest = |files: &Files| {
            let is_chance =
                |name: &str| name.starts_with("hints.") || name.starts_with("integrity.");
            let rest = files.iter().filter(|(name, _)| !is_chance(name));
            rest.map(|(name, bytes)| (name.clone(), bytes.clone()))
                .collect::<Files>()
        };
        assert!(rest(&within.1) == rest(&usual.1), "{words:?}");
    }
    std::fs::rename(&original, &scene.repo).expect("one directory");
}

#[test]
fn a_check_finds_and_mends_the_same_within_little_memory() {
    let (scene, limit) = many_objects();
    let (repository, archives) = ("--repository-only", "--archives-only");
    assert_same_within(&scene, &limit, &["check", "-v"], false);
    damage(&scene, "1");
    assert_same_within(&scene, &limit, &["check", "-v", repository], false);
    assert_same_within(
        &scene,
        &limit,
        &["check", "-v", "--repair", repository],
        false,
    );
    let words = ["check", "--repair", "--plan", "--verify-data"];
    assert_same_within(&scene, "--max-memory=60M", &words, false);
    assert_same_within(&scene, &limit, &["check", "-v", "--repair"], true);
    // The index leads to what is not there, and lacks what is.
    scene
        .run(
            Program::Ours,
            &["check", "--repair", repository, scene.repo()],
        )
        .ok();
    assert_same_within(&scene, &limit, &["check", "-v", archives], false);
    assert_same_within(&scene, &limit, &["check", "-v", archives, "--repair"], true);
    scene
        .run(
            Program::Ours,
            &["debug", "delete-obj", scene.repo(), &"0".repeat(64)],
        )
        .ok();
    assert_same_within(&scene, &limit, &["check", archives], false);
}
