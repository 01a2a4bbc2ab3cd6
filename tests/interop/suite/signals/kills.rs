//! SIGTERM at a random moment of whatever changes a repository: it ends in time, leaves no lock, and both programs read
//! what there was before.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Random, Run, Tried, tally, tree};
use rustix::process::Signal;

use super::{is_full, left_behind, send};
use crate::scene::Scene;

/// Decides the moments; another one by this variable.
const SEED_VARIABLE: &str = "IRONBORG_SIGNALS_SEED";

fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok();
    given.map_or(0x7e21, |text| text.parse().expect("a number"))
}

fn rounds() -> u64 {
    if is_full() { 30 } else { 5 }
}

/// Four archives that share half of what they hold, and room to be won back.
fn prepared() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let top = scene.scratch.join("tree");
    tree::mixed(&top, 6, 1);
    for name in ["keep", "a", "b", "c"] {
        let own = Random::new(u64::from(name.as_bytes()[0])).bytes(3_000_000);
        std::fs::write(top.join("own"), own).expect("room");
        scene.create(Program::Ours, name, &["-C", "none"], "tree");
    }
    let args = ["delete", &scene.archive("c")];
    scene.run(Program::Ours, &args).ok();
    let own = Random::new(99).bytes(20_000_000);
    std::fs::write(top.join("own"), own).expect("room");
    scene
}

fn start(scene: &Scene, words: &[&str]) -> Child {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.replace("REPO", scene.repo()))
        .collect();
    scene
        .home
        .invocation(Program::Ours, words)
        .dir(scene.scratch.path())
        .start(Stdio::null())
}

/// Sends SIGTERM at a random moment, again and again, each time from the same state.
fn check(words: &[&str]) {
    let scene = prepared();
    let archive = scene.archive("keep");
    let listing = scene.run(Program::Ours, &["list", "--json-lines", &archive]);
    let listing = listing.ok().out();
    let saved = scene.save();
    let begun = Instant::now();
    Run::of(start(&scene, words)).ok();
    let whole = u64::try_from(begun.elapsed().as_micros()).expect("seconds");
    let seed = seed();
    let mut random = Random::new(seed);
    let mut told = 0;
    for round in 0..rounds() {
        let what = format!("{words:?}, round {round} ({SEED_VARIABLE}={seed})");
        saved.restore();
        let child = start(&scene, words);
        std::thread::sleep(Duration::from_micros(random.next_u64() % whole));
        send(&child, Signal::TERM);
        let run = Run::of(child).in_time(&what);
        if run.code() != 0 {
            assert_eq!(run.code(), 143, "{what}\n{run}");
            told += 1;
        }
        assert_eq!(left_behind(&scene), [""; 0], "{what}\n{run}");
        // What is kept is there, whole; nothing is known but what was asked for.
        let found = scene.run(Program::Ours, &["list", "--json-lines", &archive]);
        assert_eq!(found.ok().out(), listing, "{what}");
        let list = ["list", "--short", "--consider-checkpoints", scene.repo()];
        for name in scene.run(Program::Ours, &list).ok().out().lines() {
            let known = ["keep", "a", "b", "new"];
            let stem = name.strip_suffix(".recreate").unwrap_or(name);
            let stem = stem.strip_suffix(".checkpoint").unwrap_or(stem);
            let stem = stem.strip_suffix(".recreate").unwrap_or(stem);
            assert!(known.contains(&stem), "{what}: {name}");
        }
        let check = ["check", "--verify-data", scene.repo()].map(str::to_owned);
        let extract = ["extract", "--dry-run", &archive].map(str::to_owned);
        // Stock Borg starts once for all of a round, and not every round in CI.
        if is_full() || round == 0 {
            for run in scene
                .home
                .stock_runs(scene.scratch.path(), &[check.to_vec(), extract.to_vec()])
            {
                assert_eq!((run.code(), run.err().as_str()), (0, ""), "{what}\n{run}");
            }
        } else {
            let run = scene.run(Program::Ours, &["extract", "--dry-run", &archive]);
            run.ok();
        }
    }
    assert!(
        told > 0,
        "{words:?}: it always was too late ({SEED_VARIABLE}={seed})"
    );
    tally(Tried::Kills, told);
}

trait InTime {
    fn in_time(self, what: &str) -> Self;
}

impl InTime for Run {
    /// Less than it takes to be ended from outside.
    #[track_caller]
    fn in_time(self, what: &str) -> Self {
        assert!(self.elapsed < Duration::from_secs(25), "{what}\n{self}");
        self
    }
}

#[test]
fn while_creating() {
    check(&["create", "-C", "lz4", "REPO::new", "tree"]);
}

#[test]
fn while_deleting() {
    check(&["delete", "REPO", "a", "b"]);
}

#[test]
fn while_pruning() {
    check(&["prune", "--keep-last", "1", "-a", "[ab]", "REPO"]);
}

#[test]
fn while_compacting() {
    check(&["compact", "--threshold", "0", "REPO"]);
}

#[test]
fn while_recreating() {
    check(&[
        "recreate",
        "-C",
        "zlib,9",
        "--recompress",
        "always",
        "REPO::a",
    ]);
}
