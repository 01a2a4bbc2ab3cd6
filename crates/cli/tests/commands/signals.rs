//! What signals do to a running command.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::scene::{Ran, Scene};

/// Starts a backup of standard input, which stays open, and waits until it reads.
fn start(scene: &Scene) -> (Child, std::process::ChildStdin) {
    let mut command = scene.command([
        "create",
        "--list",
        "--stdin-name",
        "x",
        "r::a",
        "first",
        "-",
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    // The line about the first file says that the repository is open and locked.
    let mut seen = Vec::new();
    let stderr = child.stderr.as_mut().unwrap();
    while !seen.ends_with(b"first\n") {
        let mut byte = [0];
        assert_eq!(
            stderr.read(&mut byte).unwrap(),
            1,
            "it ended: {}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    (child, input)
}

fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

fn prepared() -> Scene {
    let scene = Scene::new();
    scene.ok(["init", "-e", "none", "r"]);
    fs::write(scene.home().join("first"), "content").unwrap();
    scene
}

#[test]
fn the_first_interrupt_ends_a_backup_cleanly() {
    let scene = prepared();
    let (child, input) = start(&scene);
    send(&child, "INT");
    drop(input);
    let ran = Ran::wait(child);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.ends_with("Error: Got Ctrl-C / SIGINT.\n"),
        "{ran:?}"
    );
    let listed = scene.ok(["list", "--consider-checkpoints", "--short", "r"]);
    assert!(!listed.out.lines().any(|name| name == "a"), "{listed:?}");
}

#[test]
fn a_termination_ends_a_backup_and_leaves_no_lock() {
    for (signal, code, text) in [
        ("TERM", 143, "Received SIGTERM\n"),
        ("HUP", 129, "Received SIGHUP.\n"),
    ] {
        let scene = prepared();
        let (child, input) = start(&scene);
        send(&child, signal);
        drop(input);
        let ran = Ran::wait(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.ends_with(text), "{ran:?}");
        assert!(!scene.home().join("r/lock.exclusive").exists());
        scene.ok(["list", "r"]);
    }
}

#[test]
fn a_prompt_does_not_outlive_a_termination() {
    let scene = prepared();
    let mut command = scene.command(["delete", "--show-rc", "r"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take();
    let mut seen = Vec::new();
    while !seen.ends_with(b"continue: ") {
        let mut byte = [0];
        assert_eq!(child.stderr.as_mut().unwrap().read(&mut byte).unwrap(), 1);
        seen.push(byte[0]);
    }
    send(&child, "TERM");
    let ran = Ran::wait(child);
    drop(input);
    assert_eq!(ran.code, 143, "{ran:?}");
    assert!(
        ran.err
            .ends_with("Received SIGTERM\nterminating with signal status, rc 143\n"),
        "{ran:?}"
    );
    scene.ok(["list", "r"]);
}

#[test]
fn a_backup_tells_where_it_is() {
    let scene = prepared();
    let mut command = scene.command(["create", "--info", "--list", "r::a", "first", "-"]);
    let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.stdout(Stdio::null()).spawn().unwrap();
    let input = child.stdin.take();
    let mut seen = String::new();
    let mut asked = false;
    while !seen.ends_with("\nfirst 0 B/0 B\n") {
        if !asked && seen.ends_with("A first\n") {
            send(&child, "USR1");
            asked = true;
        }
        let mut byte = [0];
        let len = child.stderr.as_mut().unwrap().read(&mut byte).unwrap();
        assert_eq!(len, 1, "it ended: {seen}");
        seen.push(char::from(byte[0]));
    }
    drop(input);
    assert_eq!(Ran::wait(child).code, 0);
}
