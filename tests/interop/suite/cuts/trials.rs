//! The same command again and again, each time with the connection cut somewhere else.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use ironborg_testkit::{Program, Run, WireMessage, WireProxy};
use serde_json::Value;

use super::Far;
use crate::scene::text;

/// Every moment at which a request can be cut off, in the words of the proxy.
pub(super) const MOMENTS: [&str; 6] = [
    "before",
    "inside",
    "after",
    "unanswered",
    "half-answered",
    "answered",
];

/// Requests before there is a repository to go on with; a cut there is an error, as it always was.
pub(super) const OPENING: [&str; 2] = ["negotiate", "open"];

/// Whether every cut is wanted, however long it takes.
pub(super) fn is_full() -> bool {
    env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// A machine and a repository that are put back before every trial.
pub(super) struct Trials {
    pub(super) far: Far,
    server: Program,
    /// Repositories as trials left them, with what was done to them.
    kept: Vec<(String, PathBuf)>,
    findings: Vec<String>,
}

/// One trial's outcome.
pub(super) struct Trial {
    pub(super) run: Run,
    /// Connections that were made.
    pub(super) dials: u64,
}

impl Trials {
    /// Takes the repository and the machine as they are now for the beginning of all trials of our client.
    pub(super) fn new(far: Far, server: Program) -> Self {
        copy(&far.scene.repo, &far.scene.scratch.join("first-repo"));
        copy(far.scene.home.base(), &far.scene.scratch.join("first-home"));
        Self {
            far,
            server,
            kept: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Runs our client in `dir`, once, from the beginning.
    pub(super) fn run(&self, proxy: WireProxy, dir: &Path, args: &[&str]) -> Trial {
        let scene = &self.far.scene;
        copy(&scene.scratch.join("first-repo"), &scene.repo);
        copy(&scene.scratch.join("first-home"), scene.home.base());
        let state = scene.scratch.join("dials");
        let _ = fs::remove_file(&state);
        let home = proxy.state(&state).before(&scene.home, self.server);
        let run = home.invocation(Program::Ours, args).dir(dir).run();
        let dials = File::open(&state).map_or(0, |file| {
            // Servers whose connection was cut are still at work for a moment, and hold it.
            file.lock().expect("a file system with locks");
            file.metadata().expect("an open file").len()
        });
        Trial { run, dials }
    }

    /// The messages of a run without any cut.
    pub(super) fn uncut(&self, dir: &Path, args: &[&str]) -> Vec<WireMessage> {
        let log = self.far.scene.scratch.join("log");
        let _ = fs::remove_file(&log);
        self.run(WireProxy::new().log(&log), dir, args).run.ok();
        WireMessage::read_all(&log)
    }

    /// Notes what is wrong, to be shown with everything else at the end.
    pub(super) fn expect(&mut self, holds: bool, what: &str, trial: &Trial) {
        if !holds {
            let text = format!("{what} ({} connections)\n{}", trial.dials, trial.run);
            self.findings.push(text);
        }
    }

    /// Notes a lock that was left.
    pub(super) fn expect_no_lock(&mut self, what: &str) {
        for lock in ["lock.exclusive", "lock.roster"] {
            if self.far.scene.repo.join(lock).exists() {
                self.findings.push(format!("{what}: {lock} stayed behind"));
            }
        }
    }

    /// Keeps the repository for a look at it, and notes a lock that was left.
    pub(super) fn keep(&mut self, what: &str) {
        self.expect_no_lock(what);
        let name = format!("kept-{}", self.kept.len());
        let path = self.far.scene.scratch.join(name);
        fs::rename(&self.far.scene.repo, &path).expect("both are in the scratch directory");
        self.kept.push((what.to_owned(), path));
    }

    /// Has stock Borg look at every repository kept: nothing is wrong with it, it has these archives and the last of them,
    /// if there is one, has these items.
    #[track_caller]
    pub(super) fn finish(mut self, archives: &[&str], items: Option<&Value>) {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut runs: Vec<Vec<String>> = Vec::new();
        for (_, path) in &self.kept {
            let path = text(path);
            runs.push(words(&["check", "--verify-data", path]));
            runs.push(words(&["list", "--short", "--consider-checkpoints", path]));
            if let Some(last) = archives.last() {
                let archive = format!("{path}::{last}");
                runs.push(words(&["debug", "dump-archive", &archive, "-"]));
            }
        }
        // The same repository is found in many places here.
        let near = self.far.near();
        let near = near.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let found = near.stock_runs(self.far.scene.scratch.path(), &runs);
        let each = found.len() / self.kept.len().max(1);
        for ((what, _), runs) in self.kept.iter().zip(found.chunks(each.max(1))) {
            let [check, list, rest @ ..] = runs else {
                unreachable!("two runs and more for each repository")
            };
            if check.code() != 0 || !check.err().is_empty() {
                self.findings.push(format!("{what}: {check}"));
            }
            if list.out().lines().ne(archives.iter().copied()) {
                self.findings.push(format!("{what}: {list}"));
            }
            if let ([dump], Some(items)) = (rest, items) {
                let same = dump.code() == 0 && dump.json()["_items"] == *items;
                if !same {
                    self.findings.push(format!("{what}: other items in {dump}"));
                }
            }
        }
        let (count, shown) = (self.findings.len(), 10);
        self.findings.truncate(shown);
        let text = self.findings.join("\n\n");
        assert!(count == 0, "{count} findings, the first of them:\n{text}");
    }
}

/// The items of an archive, chunk ids included, as stock Borg reads them beside the repository.
#[track_caller]
pub(super) fn items(far: &Far, archive: &str) -> Value {
    let archive = far.scene.archive(archive);
    let dump = far.scene.run_on(
        &far.near(),
        Program::Stock,
        &["debug", "dump-archive", &archive, "-"],
    );
    dump.ok().json()["_items"].take()
}

/// The numbers from 1 to `count` that are tried: all, or the first, the last and one between.
pub(super) fn some_of(count: u64) -> Vec<u64> {
    if is_full() {
        return (1..=count).collect();
    }
    let mut some = vec![1, count.div_ceil(2), count];
    some.dedup();
    some
}

/// How many requests of each method there are.
pub(super) fn methods(messages: &[WireMessage]) -> Vec<(String, u64)> {
    let mut methods: Vec<(String, u64)> = Vec::new();
    for message in messages.iter().filter(|message| message.is_request) {
        let word = message.word.as_deref().expect("requests have a method");
        match methods.iter_mut().find(|(method, _)| method == word) {
            Some((_, count)) => *count += 1,
            None => methods.push((word.to_owned(), 1)),
        }
    }
    methods
}

/// Bytes that went one way.
pub(super) fn total(messages: &[WireMessage], requests: bool) -> u64 {
    let these = messages
        .iter()
        .filter(|message| message.is_request == requests);
    these.map(|message| message.size).sum()
}

/// Replaces a directory by a copy of another.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("our own directory");
    }
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(
        status.expect("cp is everywhere").success(),
        "{} cannot be copied",
        from.display()
    );
}
