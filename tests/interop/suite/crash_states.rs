//! What a power failure in the middle of our work leaves, looked at by stock Borg on the same machine: it opens the
//! repository without a question, finds nothing wrong, and what was acknowledged is there.
//!
//! All moments are replayed in memory elsewhere, by our own code; here are some of each operation, on a disk.

#[allow(dead_code, unused_imports)] // The rest of it is for those who look at every moment.
#[path = "../../../crates/archive/tests/crash/harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::{Archives, CrashPoint, Milestone, Recorded, SCENARIOS, Scenario, is_checkpoint};
use ironborg_storage::{MemoryStorage, Unsynced};
use ironborg_testkit::{Home, Run, Scratch, Tried, tally};

use crate::scene::text;

/// Who holds the locks that are left; on the same machine stock Borg finds them stale.
const HOST: &str = "test@1";

/// Operations after which there may be no repository, or another passphrase, are left to our own code.
fn is_for_stock(scenario: &Scenario) -> bool {
    !["init", "key", "delete the repository"]
        .iter()
        .any(|start| scenario.name.starts_with(start))
}

/// How many states of each scenario.
fn states_wanted() -> usize {
    if harness::is_full_run() { 40 } else { 2 }
}

/// A crash on disk.
struct State {
    context: String,
    repo: PathBuf,
    home: Home,
    before: Archives,
    after: Archives,
}

/// Writes what is in a storage to a directory.
fn write_out(memory: &MemoryStorage, dir: &Path) {
    fs::create_dir_all(dir).expect("room on the disk");
    for (name, content) in memory.files() {
        let path = dir.join(name);
        let parent = path.parent().expect("files are in directories");
        fs::create_dir_all(parent).expect("room on the disk");
        fs::write(path, content).expect("room on the disk");
    }
    fs::create_dir_all(dir.join("data")).expect("room on the disk");
}

/// Sets up the machine that remembers this, the repository now being at `repo`.
fn machine(scratch: &Scratch, name: &str, files: &harness::HomeFiles, repo: &Path) -> Home {
    let mut home = Home::new(scratch, name);
    home.set("BORG_PASSPHRASE", "old");
    home.set("BORG_HOST_ID", HOST);
    let plain = scratch.join(format!("{name}-plain"));
    files.write_to(&plain);
    let config = home.config();
    fs::create_dir_all(config.parent().expect("it is below the base")).expect("room");
    fs::rename(plain.join("config"), &config).expect("a repository was known");
    for record in fs::read_dir(config.join("security")).expect("it was known") {
        let location = record.expect("readable").path().join("location");
        fs::write(location, text(repo)).expect("room on the disk");
    }
    home
}

/// Some moments of a scenario: every so many, and each with another fate of what was not synced.
fn states(scenario: &Scenario, scratch: &Scratch, number: usize) -> Vec<State> {
    let quick = harness::quick_directory();
    let recorded = Recorded::play(scenario, quick.path(), "/memory");
    let is_interesting = |point: &CrashPoint<'_>| {
        let operation = format!("{:?}", recorded.operations[point.operation]);
        !operation.contains("\"lock")
    };
    let mut count = 0;
    recorded.for_each_point(|point| count += usize::from(is_interesting(point)));
    let wanted = states_wanted().min(count);
    let chosen: BTreeSet<usize> = (0..wanted)
        .map(|n| (n * count + number % count) / wanted % count)
        .collect();
    let mut states = Vec::new();
    let mut at = 0;
    recorded.for_each_point(|point| {
        if !is_interesting(point) {
            return;
        }
        if chosen.contains(&at) {
            let unsynced = match (at + number) % 5 {
                0 => Unsynced::Kept,
                1 => Unsynced::Dropped,
                2 => Unsynced::Torn,
                3 => Unsynced::Zeroed,
                _ => Unsynced::Reordered(at as u64),
            };
            let name = format!("state-{number}-{at}");
            let repo = scratch.join(format!("repo-{name}"));
            write_out(&point.disk.after_power_failure(unsynced), &repo);
            let archives = |milestone: &Milestone| milestone.archives.clone().unwrap_or_default();
            states.push(State {
                context: format!(
                    "{}: power failed at operation {}, unsynced {unsynced:?}",
                    scenario.name, point.operation
                ),
                home: machine(scratch, &name, point.homes[0], &repo),
                repo,
                before: archives(point.acknowledged),
                after: archives(point.in_flight.unwrap_or(point.acknowledged)),
            });
        }
        at += 1;
    });
    states
}

impl State {
    /// Archives that are what they are whether the operation counts or not.
    fn untouched(&self) -> impl Iterator<Item = &String> {
        let same = |name: &&String| self.before.get(*name) == self.after.get(*name);
        self.before.keys().filter(same)
    }

    /// What stock Borg is asked: to check, to list, and to read an archive whole.
    fn questions(&self) -> Vec<Vec<String>> {
        let repo = text(&self.repo);
        let mut questions = vec![
            vec!["check", "--verify-data", repo],
            vec!["list", "--short", "--consider-checkpoints", repo],
        ];
        let archive = self
            .untouched()
            .next()
            .map(|name| format!("{repo}::{name}"));
        if let Some(archive) = &archive {
            questions.push(vec!["extract", archive]);
        }
        let owned = |args: &Vec<&str>| args.iter().map(|&arg| arg.to_owned()).collect();
        questions.iter().map(owned).collect()
    }

    fn assert_whole(&self, answers: &[Run], into: &Path) {
        let context = &self.context;
        let listed = answers[1].out();
        for answer in answers {
            let err = answer.err();
            assert_eq!(answer.code(), 0, "{context}\n{answer}");
            for bad in ["continue?", "Traceback", "rror"] {
                assert!(!err.contains(bad), "{context}\n{answer}");
            }
        }
        let found: BTreeSet<&str> = listed.lines().filter(|name| !is_checkpoint(name)).collect();
        let known: BTreeSet<&str> = self
            .before
            .keys()
            .chain(self.after.keys())
            .map(String::as_str)
            .collect();
        assert!(found.is_subset(&known), "{context}: {found:?}");
        for name in self.untouched() {
            assert!(found.contains(name.as_str()), "{context}: {found:?}");
        }
        if let Some(name) = self.untouched().next() {
            let files = self.before[name].iter();
            let expected: usize = files.map(|(_, _, len, _)| len).sum();
            assert!(expected > 20_000, "{context}");
            assert!(content_len(into) >= expected as u64, "{context}");
        }
    }
}

/// Bytes of all files below.
fn content_len(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("readable");
    let len = |entry: fs::DirEntry| {
        let metadata = entry.metadata().expect("readable");
        if metadata.is_dir() {
            content_len(&entry.path())
        } else if metadata.is_file() {
            metadata.len()
        } else {
            0
        }
    };
    entries.map(|entry| len(entry.expect("readable"))).sum()
}

#[test]
fn stock_borg_takes_every_state_for_a_whole_repository() {
    let scratch = Scratch::new();
    let scenarios = SCENARIOS.iter().filter(|scenario| is_for_stock(scenario));
    let states: Vec<State> = scenarios
        .enumerate()
        .flat_map(|(number, scenario)| states(scenario, &scratch, number))
        .collect();
    let dirs: Vec<PathBuf> = (0..states.len())
        .map(|number| scratch.dir(format!("extracted-{number}")))
        .collect();
    let runs: Vec<(&Home, &Path, Vec<String>)> = states
        .iter()
        .zip(&dirs)
        .flat_map(|(state, dir)| {
            let questions = state.questions().into_iter();
            questions.map(|args| (&state.home, dir.as_path(), args))
        })
        .collect();
    let mut answers = Home::stock_runs_elsewhere(&runs).into_iter();
    for (state, dir) in states.iter().zip(&dirs) {
        let count = state.questions().len();
        let answers: Vec<Run> = answers.by_ref().take(count).collect();
        state.assert_whole(&answers, dir);
    }
    assert!(states.len() >= 28, "only {} states", states.len());
    tally(Tried::CrashPoints, states.len() as u64);
}
