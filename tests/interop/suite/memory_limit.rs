//! A limit for memory changes how much is done at once, never what is done; what cannot be done within it is not begun.

use std::fs;

use ironborg_testkit::{Program, generated};

use crate::same_output::files;
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
