//! The store or the client killed in the middle of things.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use ironborg_testkit::{Compare, Program, Random, Run, Tried, assert_same_tree, generated, tally};

use super::{Ground, fill};

/// How often the client is killed.
const ROUNDS: u64 = 6;

#[test]
fn a_store_or_a_client_that_is_killed_costs_what_was_not_committed() {
    let mut ground = Ground::new("kills");
    let location = ground.location();
    let tree = ground.scene.scratch.join("tree");
    fill(&tree, 0);
    ground
        .run(&["init", "--encryption", "repokey", &location])
        .ok();
    ground
        .run(&["create", &ground.archive("first"), "tree"])
        .ok();
    kill_store(&mut ground);
    ground
        .run(&["create", &ground.archive("second"), "tree"])
        .ok();
    let mut killed = 0;
    for round in 0..ROUNDS {
        let command = if round % 3 == 2 { "compact" } else { "create" };
        killed += u64::from(kill_client(&ground, command, round));
    }
    assert!(killed >= 2, "{killed} of {ROUNDS}");
    fill(&tree, 0);
    fs::remove_file(tree.join("new")).expect("it was made");
    ground.assert_sound();
    assert_same_tree(
        &tree,
        &ground.extract("first").join("tree"),
        Compare::Content,
    );
    tally(Tried::Kills, killed + 1);
}

/// The store dies while it is written to, and comes back with the files it has.
fn kill_store(ground: &mut Ground) {
    let tree = ground.scene.scratch.join("tree");
    fs::write(tree.join("new"), generated("store", 40_000_000)).expect("room");
    let archive = ground.archive("lost");
    let home = ground.home.with("IRONBORG_STORE_PATIENCE", "2");
    let mut create = home
        .invocation(Program::Ours, ["create", "-C", "none", &archive, "tree"])
        .dir(ground.scene.scratch.path());
    let child = create.start(Stdio::null());
    thread::sleep(Duration::from_millis(500));
    ground.server.kill();
    let killed = Instant::now();
    let run = Run::of(child).in_control().exits(2);
    assert!(killed.elapsed() < Duration::from_secs(30), "{run}");
    assert!(run.err().contains("s3://backups/kills"), "{run}");
    assert!(!run.err().contains("Local Exception"), "{run}");
    ground.server.restart();
    let listed = ground.run(&["list", "--short", &ground.location()]).ok();
    assert_eq!(listed.out(), "first\n");
}

/// The client dies; the next one takes over at once. Says whether it had not finished.
fn kill_client(ground: &Ground, command: &str, round: u64) -> bool {
    let tree = ground.scene.scratch.join("tree");
    let content = Random::new(round).bytes(12_000_000);
    fs::write(tree.join("new"), content).expect("room");
    let archive = ground.archive(&format!("round{round}"));
    let location = ground.location();
    let args: &[&str] = match command {
        "create" => &["create", "-C", "none", &archive, "tree"],
        _ => &["compact", "--threshold", "0", &location],
    };
    let mut invocation = ground
        .home
        .invocation(Program::Ours, args)
        .dir(ground.scene.scratch.path());
    let mut child = invocation.start_silent(Stdio::null());
    thread::sleep(Duration::from_millis(
        30 + Random::new(round ^ 0x6b).next_u64() % 400,
    ));
    let was_running = child.try_wait().expect("our own child").is_none();
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    let listed = ground.run(&["list", "--short", &location]).ok().out();
    for name in ["first", "second"] {
        assert!(
            listed.lines().any(|line| line == name),
            "round {round}: {listed}"
        );
    }
    let next = ground.archive(&format!("next{round}"));
    ground.run(&["create", &next, "tree/file 0"]).ok();
    ground.run(&["delete", &next]).ok();
    was_running
}
