//! Servers that lie, rave or answer what was not asked: the client ends with an error of its own, changes nothing
//! and restores nothing that is not what was backed up.

use std::fs;

use ironborg_testkit::{Home, Program, Run};
use serde_json::{Value, json};

use super::{forced, remote};
use crate::scene::{Scene, text};

const RELAY: &str = include_str!("relay.py");

/// A scene with one archive, and the script that spoils answers.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let tree = scene.scratch.dir("tree");
    for name in ["one", "two", "three"] {
        let content = format!("{name} ").repeat(5000);
        fs::write(tree.join(name), content).expect("room on the disk");
    }
    scene.create(Program::Ours, "x", &["-C", "none"], "tree");
    fs::write(scene.scratch.join("relay.py"), RELAY).expect("room on the disk");
    scene
}

/// A machine that reaches a server which does as it is told.
fn with_server(scene: &Scene, name: &str, told: &Value) -> Home {
    let python = Program::Stock.path().with_file_name("python");
    let script = scene.scratch.join("relay.py");
    let (python, script) = (text(&python), text(&script));
    let server = text(Program::Ours.path());
    forced(
        scene,
        name,
        &format!("{python} {script} '{told}' {server} serve"),
    )
}

/// What a command says to such a server.
fn run(scene: &Scene, home: &Home, args: &[&str]) -> Run {
    let repo = remote(scene);
    let args: Vec<String> = args.iter().map(|arg| arg.replace("REPO", &repo)).collect();
    let dir = scene.empty_dir("work");
    home.invocation(Program::Ours, &args)
        .dir(dir)
        .run()
        .in_control()
}

#[test]
fn answers_of_the_wrong_kind_are_errors_and_nothing_else() {
    let scene = scene();
    let list = ["list", "REPO::x"].as_slice();
    let create = ["create", "REPO::new", "."].as_slice();
    let cases = [
        // Integers, lists and nothing where bytes belong.
        ("get", "result", "05", list),
        ("get", "result", "9105", list),
        ("get", "result", "c0", list),
        ("load_key", "result", "05", list),
        // A repository id of 31 bytes, versions that are none.
        (
            "open",
            "result",
            "da001f00000000000000000000000000000000000000000000000000000000000000",
            list,
        ),
        ("negotiate", "result", "a3312e34", list),
        (
            "negotiate",
            "result",
            "81ae7365727665725f76657273696f6ec0",
            list,
        ),
        // Lengths nobody has room for, a byte that begins nothing, text of a shell.
        ("get", "reply", "dbffffffff", list),
        ("get", "reply", "ddffffffff", list),
        ("get", "reply", "c1", list),
        ("get", "reply", "626173683a20626f72673a", list),
        // Lists of ids with rubbish in them.
        ("list", "result", "92a2696405", create),
        ("list", "result", "91a3616263", create),
        ("list", "result", "05", create),
        // A reply to no call.
        ("open", "unasked", "", list),
    ];
    for (number, (method, how, data, args)) in cases.into_iter().enumerate() {
        let told = json!({"method": method, "as": how, "data": data});
        let home = with_server(&scene, &format!("case-{number}"), &told);
        let run = run(&scene, &home, args);
        assert_eq!(run.code(), 2, "{told}\n{run}");
        assert!(!run.err().contains("panicked"), "{told}\n{run}");
    }
    assert!(!scene.repo.join("lock.exclusive").exists());
    scene.assert_checks();
}

#[test]
fn an_object_of_another_id_is_never_taken_for_the_one_asked_for() {
    let scene = scene();
    let told = json!({"method": "get", "as": "swap"});
    let home = with_server(&scene, "swap", &told);
    for args in [&["list", "REPO"][..], &["extract", "REPO::x"]] {
        let run = run(&scene, &home, args);
        assert_eq!(run.code(), 2, "{run}");
    }
    // Only file contents are exchanged: what cannot be verified is not restored.
    let relay = RELAY.replace(
        "if told.get(\"method\") == method:",
        "gets += method == \"get\"\n            if method == \"get\" and gets > 3:",
    );
    let relay = relay
        .replace(
            "if told.get(\"method\") != method or",
            "if not (method == \"get\" and gets > 3) or",
        )
        .replace(
            "before = b\"none before\"",
            "before, gets = b\"none before\", 0",
        );
    assert_ne!(relay, RELAY);
    fs::write(scene.scratch.join("relay.py"), relay).expect("room on the disk");
    let run = run(&scene, &home, &["extract", "REPO::x"]);
    assert_ne!(run.code(), 0, "{run}");
    assert!(run.err().to_lowercase().contains("integrity"), "{run}");
}

#[test]
fn a_server_that_never_stops_talking_is_listened_to_and_takes_no_memory() {
    let scene = scene();
    for (lines, name) in [(false, "one-line"), (true, "lines")] {
        let told = json!({"noise": 6_000_000, "lines": lines});
        let home = with_server(&scene, name, &told);
        let repo = remote(&scene);
        // Address space for the program and its buffers, not for what the server says.
        let limit = "ulimit -v 400000; exec \"$@\"";
        let program = text(Program::Ours.path());
        let args = [
            "-c",
            limit,
            "sh",
            program,
            "list",
            "--short",
            &format!("{repo}::x"),
        ]
        .map(str::to_owned);
        let run = home.tool("/bin/sh".as_ref(), &args).run().in_control();
        assert_eq!(run.code(), 0, "{:.2000}", run.err());
        assert_eq!(run.out().lines().count(), 4, "{}", run.out());
        assert!(run.stderr.len() > 6_000_000, "all of it was for the user");
    }
}
