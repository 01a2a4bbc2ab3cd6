//! Signals and closed pipes in the middle of a command: each ends with stock Borg's exit code and words, and leaves no lock,
//! no temporary file and no child behind.

mod kills;
mod stuck;
pub(crate) mod terminal;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Random, generated};
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::Scene;

/// Whether everything is wanted, however long it takes.
fn is_full() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// Waits for something that is bound to happen.
#[track_caller]
fn await_condition(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("our own child, not yet waited for");
}

/// A repository with two archives, whose listings, contents and differences all are more than a pipe holds.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("large"), generated("signals", 3_000_000)).expect("room");
    for name in ["one", "two"] {
        let mut random = Random::new(name.len() as u64);
        for number in 0..1500 {
            let path = tree.join(format!(
                "a rather long name, so that there is much to say, {number:05}"
            ));
            fs::write(path, format!("{name} {}", random.next_u64())).expect("room");
        }
        scene.create(Program::Ours, name, &["-C", "none"], "tree");
    }
    scene
}

/// Locks and temporary files in the repository, caches and configuration.
fn left_behind(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    for top in [scene.repo.clone(), scene.home.cache(), scene.home.config()] {
        collect(&top, &mut found);
    }
    found.sort();
    found
}

fn collect(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("lock.") || name.contains("tmp") {
            found.push(entry.path().display().to_string());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
}
