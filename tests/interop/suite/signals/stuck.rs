//! Commands that wait for somebody else: a reader who does not read, a writer who does not write, a person, a program.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ironborg_testkit::{Program, Run, Tried, generated, tally};
use rustix::process::Signal;

use super::{await_condition, is_full, left_behind, scene, send};
use crate::same_output::normal;
use crate::scene::{Scene, text};

/// What a command is stuck in when the signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stuck {
    /// Writing to a pipe that nobody reads.
    Output,
    /// Reading from a pipe that nobody writes to, after some of the tarball or file.
    Input,
    /// A program of ours that has said it runs, and sleeps.
    Child,
    /// A question.
    Question,
}

const TERM: &[Signal] = &[Signal::TERM];
const HUP: &[Signal] = &[Signal::HUP];
const TWICE: &[Signal] = &[Signal::INT, Signal::INT];

/// Command line, what it is stuck in, and the signals it is sent.
const CASES: &[(&str, Stuck, &[Signal])] = &[
    ("extract --stdout REPO::one", Stuck::Output, TERM),
    ("extract --stdout REPO::one", Stuck::Output, TWICE),
    ("list REPO::one", Stuck::Output, TERM),
    ("list --json-lines REPO::one", Stuck::Output, HUP),
    ("diff REPO::one two", Stuck::Output, TERM),
    ("diff --json-lines REPO::one two", Stuck::Output, TWICE),
    ("export-tar REPO::one -", Stuck::Output, HUP),
    ("export-tar --show-rc REPO::one -", Stuck::Output, TWICE),
    ("create REPO::new -", Stuck::Input, TWICE),
    ("import-tar --show-rc REPO::new -", Stuck::Input, TERM),
    ("with-lock REPO DIR/sleeper", Stuck::Child, TERM),
    ("list PASSCOMMAND REPO", Stuck::Child, TERM),
    ("list --show-rc PASSCOMMAND REPO", Stuck::Child, TWICE),
    ("delete --show-rc REPO", Stuck::Question, TERM),
];

/// A program that says that it runs, and then does nothing for longer than any test takes.
const SLEEPER: &str = "#!/bin/sh\necho $$ > DIR/running\nexec sleep 1000 > /dev/null 2>&1\n";

fn sleeper(scene: &Scene) {
    use std::os::unix::fs::PermissionsExt;
    let dir = text(scene.scratch.path());
    let path = scene.scratch.join("sleeper");
    fs::write(&path, SLEEPER.replace("DIR", dir)).expect("room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// The process the sleeper has become, when it has.
fn sleeping(scene: &Scene) -> Option<u32> {
    let text = fs::read_to_string(scene.scratch.join("running")).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn waiting_in(pipe: impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).expect("a pipe")
}

/// Starts a command and waits until it is stuck.
fn start(scene: &Scene, program: Program, line: &str, stuck: Stuck) -> Child {
    let dir = text(scene.scratch.path());
    let words = line.split(' ').filter(|word| *word != "PASSCOMMAND");
    let words = words.map(|word| word.replace("REPO", scene.repo()).replace("DIR", dir));
    let mut home = scene.home.clone();
    if line.contains("PASSCOMMAND") {
        home.unset("BORG_PASSPHRASE");
        home.set("BORG_PASSCOMMAND", format!("{dir}/sleeper"));
    }
    let _ = fs::remove_file(scene.scratch.join("running"));
    let mut invocation = home
        .invocation(program, words.collect::<Vec<_>>())
        .dir(scene.scratch.path());
    let mut child = invocation.start(Stdio::piped());
    match stuck {
        Stuck::Output => await_condition("output nobody reads", || {
            waiting_in(child.stdout.as_ref().expect("piped")) >= 50_000
        }),
        Stuck::Input => feed(scene, &mut child),
        Stuck::Child => await_condition("a sleeping child", || sleeping(scene).is_some()),
        Stuck::Question => await_condition("a question", || {
            waiting_in(child.stderr.as_ref().expect("piped")) > 50
        }),
    }
    child
}

/// Writes the beginning of a tarball, and waits until it was read.
fn feed(scene: &Scene, child: &mut Child) {
    let tarball = fs::read(scene.scratch.join("tarball")).expect("made before");
    let input = child.stdin.as_mut().expect("piped");
    let part = tarball.get(..tarball.len() / 2).expect("a part of it");
    assert!(part.len() > 1_000_000, "a long tarball");
    input.write_all(part).expect("the program reads");
    let lock = scene.repo.join("lock.exclusive");
    await_condition("the input to be read", || {
        lock.exists() && waiting_in(&*input) == 0
    });
}

/// Bytes of all segments.
fn stored(scene: &Scene) -> u64 {
    let segments = fs::read_dir(scene.repo.join("data/0")).expect("a repository");
    segments
        .map(|segment| segment.expect("readable").metadata().expect("there").len())
        .sum()
}

/// Sends signals to a program that is stuck and waits for its end. Ours is not helped on; stock Borg may be stuck again
/// in writing what it has left to write.
fn end(program: Program, mut child: Child, signals: &[Signal]) -> Run {
    for (number, signal) in signals.iter().enumerate() {
        if number > 0 {
            // Two within 20 ms count as one.
            std::thread::sleep(Duration::from_millis(60));
        }
        send(&child, *signal);
    }
    let input = child.stdin.take();
    if program == Program::Ours {
        await_condition("the end", || {
            child.try_wait().expect("our own child").is_some()
        });
    }
    let run = Run::of(child);
    drop(input);
    run
}

#[test]
fn whatever_it_is_stuck_in() {
    let scene = scene();
    sleeper(&scene);
    let tar = Command::new("tar")
        .args(["-cf", "tarball", "tree"])
        .current_dir(scene.scratch.path())
        .status();
    assert!(tar.is_ok_and(|status| status.success()));
    let mut findings = Vec::new();
    for (line, stuck, signals) in CASES {
        let what = format!("{line}, stuck in {stuck:?}, {signals:?}");
        let saved = scene.save();
        let runs = Program::BOTH.map(|program| {
            let child = start(&scene, program, line, *stuck);
            let run = end(program, child, signals);
            let left = left_behind(&scene);
            if !left.is_empty() {
                findings.push(format!("{what}: {} left {left:?}\n{run}", program.name()));
            }
            if let Some(pid) = sleeping(&scene).filter(|_| *stuck == Stuck::Child) {
                await_end(pid, &mut findings, &format!("{what}, {}", program.name()));
            }
            saved.restore();
            run
        });
        let [ours, stock] = &runs;
        let same = ours.code() == stock.code() && normal(&ours.stderr) == normal(&stock.stderr);
        if !same {
            findings.push(format!("{what}:\n{ours}\n{stock}"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    scene.assert_checks();
    tally(Tried::Kills, CASES.len() as u64);
}

/// A child that was told to end, or killed, is gone soon.
fn await_end(pid: u32, findings: &mut Vec<String>, what: &str) {
    for _ in 0..400 {
        if !is_alive(pid) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    findings.push(format!("{what}: the child stayed behind"));
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Stock Borg waits for the filter, for as long as that takes.
#[test]
fn a_filter_that_does_nothing_is_not_waited_for() {
    let scene = scene();
    sleeper(&scene);
    let line = "export-tar --tar-filter DIR/sleeper REPO::one DIR/out";
    let child = start(&scene, Program::Ours, line, Stuck::Child);
    let run = end(Program::Ours, child, TERM);
    assert_eq!(
        (run.code(), run.err().as_str()),
        (143, "Received SIGTERM\n")
    );
    assert_eq!(left_behind(&scene), [""; 0]);
    let mut findings = Vec::new();
    let pid = sleeping(&scene).expect("it said so");
    await_end(pid, &mut findings, line);
    assert!(findings.is_empty(), "{findings:?}");
}

/// A reader who has had enough: not an error, nothing is left, and the exit code is stock Borg's.
#[test]
fn a_reader_who_has_had_enough() {
    let scene = scene();
    let lines = [
        "list REPO::one",
        "list --json-lines REPO::one",
        "diff REPO::one two",
        "extract --stdout REPO::one",
        "export-tar REPO::one -",
    ];
    let mut findings = Vec::new();
    for line in lines {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.replace("REPO", scene.repo()))
            .collect();
        let [ours, stock] = Program::BOTH.map(|program| {
            let mut child = scene.home.invocation(program, &words).start(Stdio::null());
            let output = child.stdout.take().expect("piped");
            await_condition("output", || waiting_in(&output) >= 50_000);
            drop(output);
            let run = Run::of(child);
            let left = left_behind(&scene);
            if !left.is_empty() {
                findings.push(format!("{line}: {} left {left:?}", program.name()));
            }
            run
        });
        if ours.code() != stock.code() {
            findings.push(format!("{line}\n{ours}\n{stock}"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Whoever reads the list of a backup has had enough: the backup goes on, or ends as stock Borg does; the archive is
/// whole or not there.
#[test]
fn nobody_reads_the_list_of_a_backup() {
    let scene = scene();
    let [ours, stock] = scene.each_from_same_state(|program| {
        let archive = scene.archive("new");
        let args = ["create", "--list", &archive, "tree"];
        let mut invocation = scene
            .home
            .invocation(program, args)
            .dir(scene.scratch.path());
        let mut child = invocation.start(Stdio::null());
        let errors = child.stderr.take().expect("piped");
        await_condition("a list", || waiting_in(&errors) >= 20_000);
        drop(errors);
        let run = Run::of(child);
        assert_eq!(left_behind(&scene), [""; 0], "{}", program.name());
        let list = scene.run(Program::Ours, &["list", "--short", scene.repo()]);
        (run, list.ok().out())
    });
    assert_eq!(ours.0.code(), stock.0.code(), "{}\n{}", ours.0, stock.0);
    assert_eq!(ours.1, stock.1);
    if is_full() {
        scene.assert_checks();
    }
}

/// The first SIGINT ends an import as it ends a backup: what came in is kept as a checkpoint, which extracts.
#[test]
fn an_interrupted_import_keeps_what_it_has() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let tree = scene.scratch.dir("tree");
    for number in 0..60 {
        let content = generated(&format!("import {number}"), 100_000);
        fs::write(tree.join(format!("{number:02}")), content).expect("room");
    }
    let tar = Command::new("tar")
        .args(["--sort=name", "-cf", "tarball", "tree"])
        .current_dir(scene.scratch.path())
        .status();
    assert!(tar.is_ok_and(|status| status.success()));
    let child = start(&scene, Program::Ours, "import-tar REPO::a -", Stuck::Input);
    // What was read may still be with a thread that has not had its turn, and nothing be there yet to be kept.
    await_condition("what was read to be stored", || stored(&scene) > 900_000);
    let run = end(Program::Ours, child, &[Signal::INT]).exits(2);
    assert!(
        run.err().ends_with("Error: Got Ctrl-C / SIGINT.\n"),
        "{run}"
    );
    assert_eq!(left_behind(&scene), [""; 0]);
    let args = ["list", "--short", "--consider-checkpoints", scene.repo()];
    let list = scene.run(Program::Stock, &args).ok();
    assert_eq!(list.out(), "a.checkpoint\n", "{list}");
    let args = ["check", "--verify-data", scene.repo()];
    scene.run(Program::Stock, &args).ok();
    let out = scene.extract(Program::Stock, "a.checkpoint", &[]);
    assert_some_files(&tree, &out.join("tree"));
    tally(Tried::Kills, 1);
}

#[track_caller]
fn assert_some_files(expected: &Path, found: &Path) {
    let names: Vec<_> = fs::read_dir(found)
        .expect("a directory")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let read = |dir: &Path| fs::read(dir.join(&name)).expect("a file");
        // What stock Borg calls a part of a file is the beginning of it.
        let plain = name.to_string_lossy().into_owned();
        if !plain.contains("borg_part") {
            assert!(read(expected) == read(found), "{plain} is not the same");
        }
    }
}
