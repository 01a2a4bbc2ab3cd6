//! Killed without warning while backing up: both programs open the repository afterwards, what was committed is whole,
//! and the next run goes on from the checkpoint.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Random, generated, tree};

use crate::scene::Scene;

/// Rounds of each of the two tests; together one hundred.
const ROUNDS: u64 = 50;

/// A backup at full speed, killed at a random moment between its start and its end.
#[test]
fn at_random_moments() {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let top = scene.scratch.join("tree");
    tree::mixed(&top, 12, 1);
    scene.create(Program::Ours, "committed", &["-C", "lz4"], "tree");
    let listing = scene
        .run(Program::Stock, &["list", &scene.archive("committed")])
        .ok()
        .out();
    let mut random = Random::new(0x51_6b_11);
    let mut whole = Duration::from_millis(400);
    let mut survivors = 0;
    for round in 0..ROUNDS {
        // New content every time: there must be something to write.
        let file = top.join(format!("new {}", round % 4));
        fs::write(file, Random::new(round).bytes(6_000_000)).expect("room on the disk");
        let name = format!("round{round}");
        let archive = scene.archive(&name);
        let args = ["create", "-C", "lz4", &archive, "tree"];
        let mut invocation = scene
            .home
            .invocation(Program::Ours, args)
            .dir(scene.scratch.path());
        let started = Instant::now();
        let mut child = invocation.start_silent(Stdio::null());
        let micros = u64::try_from(whole.as_micros()).expect("seconds") * 11 / 10;
        std::thread::sleep(Duration::from_micros(random.next_u64() % micros));
        if child
            .try_wait()
            .expect("our own child")
            .is_some_and(|status| status.success())
        {
            // Too late: it has finished. The next moments are drawn from the time it really takes.
            whole = started.elapsed();
            survivors += 1;
            scene.run(Program::Stock, &["delete", &archive]).ok();
            continue;
        }
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let opener = if round % 2 == 0 {
            Program::Stock
        } else {
            Program::Ours
        };
        let list = scene.run(opener, &["list", "--short", scene.repo()]).ok();
        assert!(list.out().lines().any(|line| line == "committed"), "{list}");
        let list = scene
            .run(opener.other(), &["list", &scene.archive("committed")])
            .ok();
        assert_eq!(list.out(), listing, "the committed archive, round {round}");
        if round % 5 == 0 {
            scene.assert_checks();
        }
        if list_has(&scene, &name) {
            scene.run(Program::Stock, &["delete", &archive]).ok();
        }
    }
    assert!(
        survivors < ROUNDS / 2,
        "{survivors} of {ROUNDS} finished before they were killed"
    );
    scene.assert_checks();
    for program in Program::BOTH {
        scene.create(program, &format!("after-{}", program.name()), &[], "tree");
        scene.assert_restores(program, "after-ours", "tree");
    }
    scene.assert_checks();
}

fn list_has(scene: &Scene, name: &str) -> bool {
    let list = scene
        .run(Program::Stock, &["list", "--short", scene.repo()])
        .ok();
    list.out().lines().any(|line| line == name)
}

/// A slow backup with checkpoints, killed after some of them: the next run stores only what no checkpoint holds.
#[test]
fn after_checkpoints() {
    const FILES: usize = 20;
    const FILE_LEN: usize = 300_000;
    let mut resumed = 0;
    for round in 0..ROUNDS / 5 {
        let (killed, successor) = Program::DIRECTIONS[usize::try_from(round % 2).expect("0 or 1")];
        let scene = Scene::with_repository(Program::Stock, "repokey");
        let top = scene.scratch.dir("tree");
        for index in 0..FILES {
            let bytes = generated(&format!("round {round}, file {index}"), FILE_LEN);
            fs::write(top.join(format!("f{index}")), bytes).expect("room on the disk");
        }
        let archive = scene.archive("a");
        let args = [
            "create",
            "-C",
            "none",
            "--checkpoint-interval",
            "1",
            "--paths-from-stdin",
            &archive,
        ];
        let mut invocation = scene
            .home
            .invocation(killed, args)
            .dir(scene.scratch.path());
        let mut child = invocation.start_silent(Stdio::piped());
        let mut input = child.stdin.take().expect("piped");
        // Paths arrive slowly, so that a second passes between them and checkpoints are made.
        let given = 12 + usize::try_from(round).expect("small") % 6;
        for index in 0..given {
            writeln!(input, "tree/f{index}").expect("the program reads");
            input.flush().expect("the program reads");
            std::thread::sleep(Duration::from_millis(250));
        }
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let list = scene
            .run(
                Program::Stock,
                &["list", "--short", "--consider-checkpoints", scene.repo()],
            )
            .ok();
        let has_checkpoint = list.out().contains("a.checkpoint");
        scene.assert_checks();
        let document = scene
            .create(successor, "b", &["--json", "-C", "none"], "tree")
            .json();
        let added = document["archive"]["stats"]["deduplicated_size"]
            .as_u64()
            .expect("a number");
        let whole = (FILES * FILE_LEN) as u64;
        if has_checkpoint {
            assert!(
                added < whole - FILE_LEN as u64,
                "{} stored {added} of {whole} again",
                successor.name()
            );
            resumed += 1;
        }
        scene.assert_checks();
        scene.assert_restores(killed, "b", "tree");
    }
    assert!(resumed >= 8, "only {resumed} rounds left a checkpoint");
}

/// Asked to stop politely: a checkpoint is left, the exit code is stock Borg's.
#[test]
fn stopped_by_signals() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let outcomes = Program::BOTH.map(|program| {
            let scene = Scene::with_repository(Program::Stock, "none");
            let top = scene.scratch.dir("tree");
            fs::write(top.join("file"), generated("signals", 3_000_000)).expect("room on the disk");
            let archive = scene.archive("a");
            let args = ["create", "-C", "none", "--paths-from-stdin", &archive];
            let mut invocation = scene
                .home
                .invocation(program, args)
                .dir(scene.scratch.path());
            let mut child = invocation.start(Stdio::piped());
            let mut input = child.stdin.take().expect("piped");
            writeln!(input, "tree/file").expect("the program reads");
            input.flush().expect("the program reads");
            std::thread::sleep(Duration::from_millis(1500));
            let pid = Pid::from_child(&child);
            kill_process(pid, signal).expect("our own child");
            std::thread::sleep(Duration::from_millis(300));
            // An interrupted program comes to the end of its current file; give it one to end.
            let _ = writeln!(input, "tree/file");
            drop(input);
            let run = ironborg_testkit::Run::of(child);
            let list = scene.run(
                Program::Stock,
                &["list", "--short", "--consider-checkpoints", scene.repo()],
            );
            scene.assert_checks();
            (run, list.ok().out())
        });
        let [ours, stock] = outcomes;
        assert_eq!(
            ours.0.code(),
            stock.0.code(),
            "{signal:?}\n{}\n{}",
            ours.0,
            stock.0
        );
        assert_eq!(
            ours.1, stock.1,
            "archives after {signal:?}\n{}\n{}",
            ours.0, stock.0
        );
    }
}
