//! Locks: each program waits for the other, gives up with the same words, and takes over what a dead one left.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_testkit::{Invocation, Program, Run};

use crate::same_output::assert_same_run;
use crate::scene::Scene;

/// Holds the repository's exclusive lock by backing up a standard input that does not end.
pub(crate) struct Holder {
    child: Child,
}

impl Holder {
    pub(crate) fn start(scene: &Scene, program: Program) -> Self {
        let archive = scene.archive("held");
        let mut invocation = scene.home.invocation(program, ["create", &archive, "-"]);
        let mut child = invocation.start_silent(Stdio::piped());
        let input = child.stdin.as_mut().expect("piped");
        input
            .write_all(b"the beginning of a long input")
            .expect("the program reads");
        await_condition("the exclusive lock", || is_locked(scene));
        Self { child }
    }

    /// Lets it finish its backup.
    pub(crate) fn finish(self) {
        Run::of(self.child).ok();
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}

fn is_locked(scene: &Scene) -> bool {
    let lock = scene.repo.join("lock.exclusive");
    fs::read_dir(lock).is_ok_and(|mut entries| entries.next().is_some())
}

#[track_caller]
fn await_condition(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs what is prepared for each at the same time; gives the runs in that order.
fn at_once<T>(list: &[T], mut prepare: impl FnMut(&T) -> Invocation) -> Vec<Run> {
    let prepared: Vec<Invocation> = list.iter().map(&mut prepare).collect();
    thread::scope(|scope| {
        let start = |invocation: Invocation| scope.spawn(|| invocation.run());
        let running: Vec<_> = prepared.into_iter().map(start).collect();
        let end = |run: thread::ScopedJoinHandle<'_, Run>| run.join().expect("it ends in time");
        running.into_iter().map(end).collect()
    })
}

fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let tree = scene.scratch.dir("tree");
    fs::write(
        tree.join("file"),
        ironborg_testkit::generated("locks", 4_000_000),
    )
    .expect("room");
    scene.create(Program::Stock, "first", &["-C", "none"], "tree");
    scene
}

#[test]
fn a_held_lock_is_respected() {
    let scene = scene();
    for holder in Program::BOTH {
        let held = Holder::start(&scene, holder);
        for args in [
            &["create", "--lock-wait", "1", &scene.archive("x"), "tree"] as &[&str],
            &["list", "--lock-wait", "1", scene.repo()],
            &[
                "extract",
                "--dry-run",
                "--lock-wait",
                "1",
                &scene.archive("first"),
            ],
            &["delete", "--lock-wait", "1", &scene.archive("first")],
            &[
                "rename",
                "--lock-wait",
                "1",
                &scene.archive("first"),
                "second",
            ],
        ] {
            // All wait at the same time.
            let schemes = ["legacy", "modern"].map(|scheme| Program::BOTH.map(|it| (it, scheme)));
            let runs = at_once(schemes.as_flattened(), |(program, scheme)| {
                // Each on a machine of its own: the cache's lock is not what is looked at here.
                let mut home = scene.home.clone();
                home.set("BORG_CACHE_DIR", scene.empty_dir("cache"))
                    .set("BORG_EXIT_CODES", scheme);
                home.invocation(*program, args).dir(scene.scratch.path())
            });
            for runs in runs.chunks(2) {
                assert_same_run(&runs[0], &runs[1]);
                assert_ne!(
                    runs[0].code(),
                    0,
                    "{} held the lock\n{}",
                    holder.name(),
                    runs[0]
                );
            }
        }
        for program in Program::BOTH {
            let mut home = scene.home.clone();
            home.set("BORG_CACHE_DIR", scene.empty_dir("cache"));
            let args = ["list", "--bypass-lock", "--short", scene.repo()];
            let run = scene.run_on(&home, program, &args).ok();
            assert!(run.out().contains("first"), "{run}");
        }
        held.finish();
        scene
            .run(Program::Stock, &["delete", &scene.archive("held")])
            .ok();
        assert!(!is_locked(&scene), "{} left its lock behind", holder.name());
    }
}

#[test]
fn a_waiting_program_goes_on_when_the_other_is_done() {
    let scene = scene();
    for (holder, waiter) in Program::DIRECTIONS {
        let held = Holder::start(&scene, holder);
        let archive = scene.archive("waited");
        let args = ["create", "--lock-wait", "60", &archive, "tree"];
        let mut invocation = scene
            .home
            .invocation(waiter, args)
            .dir(scene.scratch.path());
        let mut waiting = invocation.start(Stdio::null());
        thread::sleep(Duration::from_millis(1500));
        assert!(
            waiting.try_wait().expect("our own child").is_none(),
            "{} did not wait",
            waiter.name()
        );
        held.finish();
        Run::of(waiting).ok();
        scene.assert_checks();
        scene
            .run(Program::Stock, &["delete", scene.repo(), "held", "waited"])
            .ok();
    }
}

/// Same host, dead process: the lock is broken without a question.
#[test]
fn a_dead_programs_lock_is_taken_over() {
    let scene = scene();
    for (holder, successor) in Program::DIRECTIONS {
        Holder::start(&scene, holder).kill();
        assert!(is_locked(&scene), "a killed program cannot have cleaned up");
        let run = scene.run(successor, &["create", &scene.archive("after"), "tree"]);
        assert!(run.code() <= 1, "{run}");
        let run = scene.run(holder, &["list", "--short", scene.repo()]).ok();
        assert!(run.out().contains("after"), "{run}");
        assert!(
            !is_locked(&scene),
            "{} left a lock behind",
            successor.name()
        );
        scene.assert_checks();
        scene
            .run(Program::Stock, &["delete", &scene.archive("after")])
            .ok();
    }
}

/// Another host's lock is never broken, dead or not.
#[test]
fn a_foreign_lock_is_left_alone() {
    let scene = scene();
    for holder in Program::BOTH {
        let saved = scene.save();
        let mut away = scene.beside("repo");
        away.home.set("BORG_HOST_ID", "another.example.org@42");
        Holder::start(&away, holder).kill();
        for args in [
            &["create", "--lock-wait", "1", &scene.archive("x"), "tree"] as &[&str],
            &["list", "--lock-wait", "1", scene.repo()],
        ] {
            let runs = at_once(&Program::BOTH, |program| {
                let mut home = scene.home.clone();
                home.set("BORG_CACHE_DIR", scene.empty_dir("cache"));
                home.invocation(*program, args).dir(scene.scratch.path())
            });
            assert_same_run(&runs[0], &runs[1]);
            assert_ne!(runs[0].code(), 0, "{}", runs[0]);
        }
        scene
            .run(Program::Stock, &["break-lock", scene.repo()])
            .ok();
        scene.run(Program::Ours, &["list", scene.repo()]).ok();
        saved.restore();
    }
}

/// Readers share the lock; a writer waits for all of them.
#[test]
fn readers_share_and_writers_wait() {
    let scene = scene();
    for reader in Program::BOTH {
        // Standard output is not read, so the program stays in the middle of its work.
        let archive = scene.archive("first");
        let mut invocation = scene
            .home
            .invocation(reader, ["extract", "--stdout", &archive]);
        let mut child = invocation.start(Stdio::null());
        let roster = scene.repo.join("lock.roster");
        await_condition("the reader", || {
            fs::read_to_string(&roster)
                .is_ok_and(|text| text.contains("shared") && text.contains('@'))
        });
        for program in Program::BOTH {
            scene
                .run(program, &["list", "--lock-wait", "1", scene.repo()])
                .ok();
        }
        let args = ["create", "--lock-wait", "1", &scene.archive("x"), "tree"];
        let runs = Program::BOTH.map(|program| {
            let mut home = scene.home.clone();
            home.set("BORG_CACHE_DIR", scene.empty_dir("cache"));
            scene.run_on(&home, program, &args)
        });
        assert_same_run(&runs[0], &runs[1]);
        assert_ne!(
            runs[0].code(),
            0,
            "{} was still reading\n{}",
            reader.name(),
            runs[0]
        );
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        for program in Program::BOTH {
            scene
                .run(program, &["create", &scene.archive(program.name()), "tree"])
                .ok();
        }
        scene
            .run(Program::Stock, &["delete", scene.repo(), "ours", "stock"])
            .ok();
    }
}

/// While both programs back up at once, again and again, each waits for the other and nothing is lost.
#[test]
fn both_at_once() {
    let scene = scene();
    let children: Vec<Child> = (0..3)
        .flat_map(|round| Program::BOTH.map(|program| (round, program)))
        .map(|(round, program)| {
            let archive = scene.archive(&format!("{}{round}", program.name()));
            let args = ["create", "--lock-wait", "120", &archive, "tree"];
            scene
                .home
                .invocation(program, args)
                .dir(scene.scratch.path())
                .start(Stdio::null())
        })
        .collect();
    for child in children {
        Run::of(child).ok();
    }
    let run = scene
        .run(Program::Ours, &["list", "--short", scene.repo()])
        .ok();
    assert_eq!(run.out().lines().count(), 7, "{run}");
    scene.assert_checks();
}
