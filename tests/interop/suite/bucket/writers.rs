//! Writers that are processes of their own: one at a time, whatever becomes of the others.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_testkit::{Compare, Home, Program, Run, assert_same_tree, generated};
use rustix::process::{Pid, Signal, kill_process};

use super::{Ground, fill};

/// A backup of standard input, which has the lock until its input ends.
struct Holder(Child);

impl Holder {
    fn start(ground: &Ground, home: &Home, name: &str) -> Self {
        let archive = ground.archive(name);
        let mut create = home.invocation(Program::Ours, ["create", &archive, "-"]);
        let mut child = create.start(Stdio::piped());
        let input = child.stdin.as_mut().expect("piped");
        input
            .write_all(b"the beginning")
            .expect("the program reads");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ground.is_held_by(child.id()) {
            assert!(Instant::now() < deadline, "waited in vain for the lock");
            thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("not 0"), signal).expect("ours");
    }

    fn finish(self) -> Run {
        Run::of(self.0)
    }
}

impl Ground {
    fn is_held_by(&self, process: u32) -> bool {
        let lease = self.server.object(&format!("{}/lock.lease", self.name));
        let lease = String::from_utf8(lease.unwrap_or_default()).expect("text");
        lease.lines().any(|line| line == format!("pid {process}"))
    }

    /// Another machine, with the same keys.
    fn another_machine(&self) -> Home {
        let mut other = self.home.with("BORG_HOST_ID", "other@2");
        other.set("BORG_KEYS_DIR", self.home.config().join("keys"));
        other.based_at(&self.scene.scratch.dir("other"))
    }
}

#[test]
fn of_two_writers_one_waits_and_one_that_was_held_up_cannot_commit() {
    let mut ground = Ground::new("writers");
    ground.home.set("IRONBORG_STORE_TERM", "2");
    let location = ground.location();
    let tree = ground.scene.scratch.join("tree");
    fill(&tree, 1);
    fs::write(tree.join("large"), generated("writers", 9_000_000)).expect("room");
    ground
        .run(&["init", "--encryption", "repokey", &location])
        .ok();
    let other = ground.another_machine();
    two_at_once(&ground, &other);

    let holder = Holder::start(&ground, &ground.home, "held");
    let refused = ground.archive("refused");
    let run = ground.run_on(&other, &["create", &refused, "tree"]);
    let run = run.exits(2);
    assert!(run.err().contains("lock.lease (timeout)"), "{run}");
    let by = format!("Hint: process {} on ", holder.0.id());
    assert!(run.err().contains(&by), "{run}");
    holder.finish().ok();

    // Its term runs out while it stands still.
    let held_up = Holder::start(&ground, &ground.home, "held-up");
    held_up.signal(Signal::STOP);
    let run = ground.run_on(
        &other,
        &[
            "--lock-wait",
            "20",
            "create",
            &ground.archive("successor"),
            "tree",
        ],
    );
    let run = run.ok();
    assert!(run.err().contains("Took over the lease"), "{run}");
    held_up.signal(Signal::CONT);
    let run = held_up.finish().in_control().exits(2);
    assert!(run.err().contains("lock"), "does not say why\n{run}");

    // Broken by hand.
    let broken = Holder::start(&ground, &ground.home, "broken");
    ground.run_on(&other, &["break-lock", &location]).ok();
    ground
        .run_on(&other, &["create", &ground.archive("after"), "tree"])
        .ok();
    let run = broken.finish().in_control().exits(2);
    assert!(run.err().contains("lock"), "{run}");

    // What arrived late of them belongs to nothing, and goes with the next one who writes.
    ground.run(&["compact", &location]).ok();
    let listed = ground
        .run(&["list", "--short", "--sort-by", "name", &location])
        .ok();
    let expected = "after\nheld\none\nsuccessor\ntwo\n";
    assert_eq!(listed.out(), expected);
    ground.assert_sound();
    for name in ["one", "two", "successor", "after"] {
        let dir = ground.extract(name);
        assert_same_tree(&tree, &dir.join("tree"), Compare::Content);
    }
}

/// Both come in, one after the other.
fn two_at_once(ground: &Ground, other: &Home) {
    let start = |home: &Home, name: &str| {
        let archive = ground.archive(name);
        let args = ["--lock-wait", "60", "create", &archive, "tree"];
        let create = home.invocation(Program::Ours, args);
        create.dir(ground.scene.scratch.path()).start(Stdio::null())
    };
    let both = [start(&ground.home, "one"), start(other, "two")];
    for child in both {
        Run::of(child).ok();
    }
}
