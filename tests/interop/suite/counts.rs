//! What speed is made of, counted: calls to the system for each file, and how often a distant server is waited for.
//!
//! Counts do not depend on what else the machine does, so they hold what a clock cannot. Two trees of different sizes are
//! compared: what a start costs falls out. Each limit is what was counted and a little more; who needs more has to say
//! what for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ironborg_testkit::{Program, WireMessage, WireProxy};

use crate::scene::Scene;

/// Files of the smaller tree; the larger one has twice as many.
const FILES: usize = 400;
/// Files in a directory.
const IN_DIR: usize = 100;
/// The line between client and server: long against what a server thinks about.
const DELAY: Duration = Duration::from_millis(40);

/// A change is told from one that long ago by its time.
const SETTLED: Duration = Duration::from_millis(2100);

/// Calls to the system by name.
type Calls = BTreeMap<String, usize>;

/// Counts the calls of our program.
#[track_caller]
fn calls(scene: &Scene, args: &[&str]) -> Calls {
    let table = scene.scratch.join("strace");
    let program = Program::Ours.path().to_str().expect("a plain path");
    let mut words = vec!["-f", "-c", "-U", "calls,name", "-o"];
    words.extend([table.to_str().expect("a plain path"), program]);
    words.extend(args);
    let home = &scene.home;
    home.tool(Path::new("strace"), words)
        .dir(scene.scratch.path())
        .run()
        .ok();
    let text = fs::read_to_string(table).expect("strace has written it");
    let row = |line: &str| {
        let (count, name) = line.trim().split_once(char::is_whitespace)?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    };
    let calls: Calls = text
        .lines()
        .filter_map(row)
        .filter(|(name, _)| name != "total")
        .collect();
    assert!(calls.contains_key("execve"), "no table of strace:\n{text}");
    calls
}

/// How threads wait for each other, and how memory comes, do not depend on files alone. Under strace every call takes as
/// long as one to a file server: more threads come for that. A build for tests looks at each file before it closes it.
const NOT_COUNTED: [&str; 15] = [
    "futex",
    "sched_yield",
    "madvise",
    "mmap",
    "munmap",
    "brk",
    "mprotect",
    "poll",
    "getrusage",
    "clone3",
    "sigaltstack",
    "rt_sigprocmask",
    "set_robust_list",
    "rseq",
    "fcntl",
];

/// What each file more costs: in all, in hundredths, and by name.
fn each(small: &Calls, large: &Calls) -> (usize, String) {
    let mut sum = 0;
    let mut names = Vec::new();
    for (name, count) in large {
        if NOT_COUNTED.contains(&name.as_str()) {
            continue;
        }
        let more = count.saturating_sub(small.get(name).copied().unwrap_or(0));
        sum += more;
        if more * 20 > FILES {
            let hundredths = more * 100 / FILES;
            names.push(format!(
                "{name} {}.{:02}",
                hundredths / 100,
                hundredths % 100
            ));
        }
    }
    (sum * 100 / FILES, names.join(", "))
}

fn plant(top: &Path, files: usize) {
    for dir in 0..files / IN_DIR {
        let dir = top.join(format!("dir{dir}"));
        fs::create_dir_all(&dir).expect("there is room");
        for file in 0..IN_DIR {
            let name = dir.join(format!("file{file}"));
            fs::write(&name, format!("{}", name.display())).expect("there is room");
        }
    }
    // What is as young as the youngest file may still change: it would be read again.
    thread::sleep(Duration::from_millis(20));
    fs::write(top.join("youngest"), "").expect("there is room");
}

/// A file costs a few calls: one look where it is unchanged; where it is new open, look, read, look again, attributes and
/// close; where it is restored open, write, times and owner, close.
#[test]
fn a_file_costs_so_many_calls_to_the_system() {
    let scene = Scene::new();
    scene.init(Program::Ours, "repokey");
    let trees = [("small", FILES), ("large", 2 * FILES)];
    for (tree, files) in trees {
        plant(&scene.scratch.join(tree), files);
    }
    // Of what was changed just now nobody knows whether it is being changed again.
    thread::sleep(SETTLED);
    let counted = trees.map(|(tree, _)| {
        let archive = |name: &str| scene.archive(&format!("{tree}-{name}"));
        let first = calls(&scene, &["create", &archive("first"), tree]);
        let second = calls(&scene, &["create", &archive("second"), tree]);
        let list = calls(&scene, &["list", "--short", &archive("first")]);
        let tar = calls(
            &scene,
            &["export-tar", &archive("first"), &format!("{tree}.tar")],
        );
        fs::rename(scene.scratch.join(tree), scene.scratch.join("away")).expect("it is there");
        let extract = calls(&scene, &["extract", &archive("first")]);
        fs::remove_dir_all(scene.scratch.join("away")).expect("it is there");
        [first, second, list, tar, extract]
    });
    let [small, large] = counted;
    let each = |at: usize| each(&small[at], &large[at]);
    let found = [
        ("file of a first backup", each(0), 740),
        ("unchanged file", each(1), 115),
        ("listed file", each(2), 15),
        ("file of a tarball", each(3), 115),
        ("extracted file", each(4), 850),
    ];
    for (what, (counted, names), _) in &found {
        println!(
            "calls for each {what}: {}.{:02} ({names})",
            counted / 100,
            counted % 100
        );
    }
    for (what, (counted, names), most) in found {
        assert!(
            counted <= most,
            "each {what}: {counted} hundredths ({names}), at most {most}"
        );
    }
}

/// A distant server is waited for a few times for each command, not for each object.
#[test]
fn a_command_waits_so_often_for_a_distant_server() {
    let scene = Scene::new();
    let url = WireProxy::url(&scene.repo);
    let log = scene.scratch.join("log");
    let turns = |args: &[&str]| {
        let _ = fs::remove_file(&log);
        let proxy = WireProxy::new().delay(DELAY).log(&log);
        let home = proxy.before(&scene.home, Program::Ours);
        scene.run_on(&home, Program::Ours, args).ok();
        WireMessage::turns(&WireMessage::read_all(&log))
    };
    let archive = |name: &str| format!("{url}::{name}");
    turns(&["init", "-e", "repokey", &url]);
    plant(&scene.scratch.join("tree"), 100);
    turns(&["create", &archive("first"), "tree"]);
    let unchanged = turns(&["create", &archive("unchanged"), "tree"]);
    plant(&scene.scratch.join("tree/more"), 100);
    let changed = turns(&["create", &archive("changed"), "tree"]);
    let found = [
        ("create, nothing changed", unchanged, 10),
        ("create, 100 new chunks", changed, 10),
        ("list of archives", turns(&["list", &url]), 4),
        ("list of files", turns(&["list", &archive("changed")]), 6),
        (
            "info of an archive",
            turns(&["info", &archive("changed")]),
            12,
        ),
        (
            "extract of 200 files",
            turns(&["extract", &archive("changed")]),
            8,
        ),
        ("delete", turns(&["delete", &archive("unchanged")]), 14),
    ];
    for (what, count, _) in &found {
        println!("{what}: the server was waited for {count} times");
    }
    for (what, count, most) in found {
        assert!(
            count <= most,
            "{what}: waited {count} times, at most {most}"
        );
    }
}
