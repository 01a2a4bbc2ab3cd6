//! Killed without warning while backing up: both programs open the repository afterwards, what was committed is whole,
//! and the next run goes on from the checkpoint.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Random, Run, Tried, tally, tree};

use crate::scene::Scene;

/// How often a backup is killed at a random moment.
const ROUNDS: u64 = 100;

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
    tally(Tried::Kills, ROUNDS - survivors);
}

fn list_has(scene: &Scene, name: &str) -> bool {
    let list = scene
        .run(Program::Stock, &["list", "--short", scene.repo()])
        .ok();
    list.out().lines().any(|line| line == name)
}

/// A backup of standard input that arrives slowly, a block every quarter of a second.
struct Slow {
    child: Child,
    input: Option<ChildStdin>,
    content: Vec<u8>,
}

/// Bytes of a block, which is also the chunk size.
const BLOCK: usize = 65_536;

impl Slow {
    fn start(scene: &Scene, program: Program, seed: u64) -> Self {
        let archive = scene.archive("a");
        let chunker = format!("fixed,{BLOCK}");
        let args = [
            "create",
            "-C",
            "none",
            "--checkpoint-interval",
            "1",
            "--chunker-params",
            &chunker,
        ];
        let args = [&args as &[&str], &[&archive, "-"]].concat();
        let mut invocation = scene
            .home
            .invocation(program, args)
            .dir(scene.scratch.path());
        let mut child = invocation.start(Stdio::piped());
        let input = child.stdin.take();
        Self {
            child,
            input,
            content: Random::new(seed).bytes(40 * BLOCK),
        }
    }

    fn feed(&mut self, blocks: Range<usize>) {
        let input = self.input.as_mut().expect("not yet ended");
        for block in self.content[blocks.start * BLOCK..blocks.end * BLOCK].chunks(BLOCK) {
            input.write_all(block).expect("the program reads");
            input.flush().expect("the program reads");
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn kill(mut self) -> Vec<u8> {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
        self.content
    }
}

/// Killed after a checkpoint or some: the next run stores only what no checkpoint holds.
#[test]
fn after_checkpoints() {
    for round in 0..6_u8 {
        let (killed, successor) = Program::DIRECTIONS[usize::from(round % 2)];
        let scene = Scene::with_repository(Program::Stock, "repokey");
        let mut slow = Slow::start(&scene, killed, u64::from(round));
        slow.feed(0..12 + usize::from(round));
        let content = slow.kill();
        let args = ["list", "--short", "--consider-checkpoints", scene.repo()];
        let list = scene.run(successor, &args).ok();
        assert!(
            list.out().contains("a.checkpoint"),
            "{} left no checkpoint\n{list}",
            killed.name()
        );
        scene.assert_checks();
        let chunker = format!("fixed,{BLOCK}");
        let archive = scene.archive("b");
        let args = [
            "create",
            "--json",
            "-C",
            "none",
            "--chunker-params",
            &chunker,
            &archive,
            "-",
        ];
        let run = scene
            .home
            .invocation(successor, args)
            .input(content.clone())
            .run()
            .ok();
        let document = run.json();
        let added = document["archive"]["stats"]["deduplicated_size"]
            .as_u64()
            .expect("a number");
        let whole = content.len() as u64;
        assert!(
            added < whole - 2 * BLOCK as u64,
            "{} stored {added} of {whole} bytes again",
            successor.name()
        );
        scene.assert_checks();
        let run = scene
            .run(killed, &["extract", "--stdout", &scene.archive("b")])
            .ok();
        assert!(run.stdout == content, "another content came back");
    }
}

/// Asked to stop politely: what is left behind and the exit code are stock Borg's.
#[test]
fn stopped_by_signals() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1] {
        let outcomes = Program::BOTH.map(|program| {
            let scene = Scene::with_repository(Program::Stock, "none");
            let mut slow = Slow::start(&scene, program, 1);
            slow.feed(0..7);
            kill_process(Pid::from_child(&slow.child), signal).expect("our own child");
            if signal == Signal::USR1 {
                // A question, not an end.
                slow.feed(7..9);
            }
            drop(slow.input.take());
            let run = Run::of(slow.child);
            let args = ["list", "--short", "--consider-checkpoints", scene.repo()];
            let list = scene.run(Program::Stock, &args).ok();
            scene.assert_checks();
            (run, list.out())
        });
        let [ours, stock] = outcomes;
        let both = format!("{signal:?}\n{}\n{}", ours.0, stock.0);
        assert_eq!(ours.0.code(), stock.0.code(), "{both}");
        assert_eq!(ours.1, stock.1, "archives left, ours first, after {both}");
    }
}
