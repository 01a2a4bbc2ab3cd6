//! `compact`, `config`, `with-lock`, `break-lock` and `version`: the same words, exit codes and files.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Run, generated};

use crate::same_output::{Files, assert_same_run, files};
use crate::scene::{Scene, text};

/// A repository of small segments, some of them sparse: archives came and went.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let tree = scene.scratch.dir("tree");
    let config = scene.repo.join("config");
    let text = fs::read_to_string(&config).expect("a repository has a config");
    fs::write(&config, text.replace("= 524288000", "= 60000")).expect("room");
    for round in ["a", "c", "d", "b"] {
        let label = if round == "c" { "b" } else { round };
        for file in 0..6 {
            let bytes = generated(&format!("{label}{}", file / 2 * 3), 9_000 + file * 3_000);
            fs::write(tree.join(file.to_string()), bytes).expect("room");
        }
        scene.create(Program::Stock, round, &["-C", "none"], "tree");
    }
    let doomed = ["delete", scene.repo(), "a", "c", "d"];
    scene.run(Program::Stock, &doomed).ok();
    scene
}

/// Both programs do the same, one thing after the other, from the same state, and leave the same files.
///
/// Index, hints and integrity files hold the same facts in an order of their own; all else is the same to the byte.
#[track_caller]
fn check(scene: &Scene, lists: &[&[&str]]) -> Vec<Run> {
    let (runs, [ours, stock]) = scene.assert_same_outputs(lists);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&stock), "files after {lists:?}");
    for (name, bytes) in &ours {
        // The log of transactions holds the time of day.
        let own = ["index.", "hints.", "integrity.", "transactions"];
        let own = own.iter().any(|prefix| name.starts_with(prefix));
        assert!(
            own || *bytes == stock[name],
            "{name} differs after {lists:?}"
        );
    }
    runs
}

#[test]
fn compact_leaves_the_same_segments() {
    let scene = scene();
    let repo = scene.repo();
    let archive = scene.archive("b");
    let mut lengths = Vec::new();
    for options in [
        &["-v", "--progress"] as &[&str],
        &["--info", "--threshold", "0", "--progress", "--log-json"],
        &["-v", "--threshold=60", "--show-rc"],
        &["-v", "--cleanup-commits", "--threshold", "-5"],
        &["--dry-run", "-v"],
    ] {
        // A second time there is little left to do.
        let args = [&["compact"], options, &[repo]].concat();
        let runs = check(&scene, &[&args, &["compact", "-v", repo]]);
        lengths.push(runs[0].err().len());
    }
    assert!(lengths[0] > lengths[3], "progress is shown when asked for");
    check(
        &scene,
        &[
            &["compact", "--threshold", "x", repo],
            &["compact", &archive],
            &["compact", "--bypass-lock", repo],
            &["compact", "/nonexistent/repo"],
            &["compact", "--append-only", repo],
            &["compact"],
        ],
    );
    // What ours leaves is whole, and stock Borg finds nothing left to do where ours has been.
    scene.run(Program::Ours, &["compact", repo]).ok();
    scene.assert_checks();
    let run = scene.run(Program::Stock, &["compact", "-v", repo]).ok();
    assert!(run.err().contains("compaction freed about"), "{run}");
    scene.assert_restores(Program::Ours, "b", "tree");
}

#[test]
fn compact_minds_append_only_and_quotas() {
    let scene = scene();
    let repo = scene.repo();
    let compact: &[&str] = &["compact", "-v", repo];
    let runs = check(
        &scene,
        &[
            &["config", repo, "append_only", "1"],
            compact,
            &["config", repo, "storage_quota", "10M"],
            compact,
            &["config", repo, "append_only", "0"],
            compact,
        ],
    );
    let said = |run: usize, text: &str| assert!(runs[run].err().contains(text), "{}", runs[run]);
    said(3, "Storage quota: ");
    said(5, "compaction freed about");
    // More is stored than is allowed: freeing space is what one does about that. Stock Borg gives up.
    let config = scene.repo.join("config");
    let text = fs::read_to_string(&config).expect("a repository has a config");
    fs::write(
        &config,
        text.replace("storage_quota = 0", "storage_quota = 10"),
    )
    .expect("room");
    let [ours, stock] = scene.each_from_same_state(|program| {
        let run = scene.run(program, compact);
        scene.assert_checks();
        run
    });
    assert_eq!((ours.code(), stock.code()), (0, 2), "{ours}{stock}");
    assert!(ours.err().contains("compaction freed about"), "{ours}");
}

/// The repository after the options, the rest behind it: options in between stock Borg takes badly.
fn config_args<'a>(repo: &'a str, command: &[&'a str], words: &[&'a str]) -> Vec<&'a str> {
    let (options, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.starts_with('-'));
    [command, &options, &[repo], &names].concat()
}

#[test]
fn config_shows_and_changes_the_same() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let repo = scene.repo();
    let id = "0123456789abcdef".repeat(4);
    let words: &[&[&str]] = &[
        &["--list"],
        &["id"],
        &["key"],
        &["repository.version"],
        &["Version"],
        &["nope"],
        &["no.pe"],
        &["DEFAULT.Nope"],
        &["a.b.c"],
        &["storage_quota", ""],
        &[],
        &["--delete"],
        &["--delete", "--list"],
        &["max_segment_size", "1.5M"],
        &["repository.additional_free_space", "2G"],
        &["additional_free_space", "1M"],
        &["storage_quota", "5M"],
        &["storage_quota", "none"],
        &["segments_per_dir", " 500 "],
        &["segments_per_dir", "1.5"],
        &["last_segment_checked", "7"],
        &["max_segment_size", "4273995776"],
        &["append_only", "yes"],
        &["Append_only", "1"],
        &["version", "2"],
        &["cache.previous_location", "/x"],
        &["id", &id],
        &["id", "0123"],
        &["--delete", "additional_free_space"],
        &["--delete", "additional_free_space", "ignored"],
        &["--delete", "key"],
        &["--delete", "last_segment_checked"],
        &["--bypass-lock", "append_only"],
        &["one", "too", "many"],
    ];
    let lists: Vec<Vec<&str>> = words
        .iter()
        .map(|words| config_args(repo, &["config"], words))
        .collect();
    let archive = scene.archive("x");
    let mut lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let elsewhere = ["ssh://host/repo", &archive, "/nonexistent"].map(|at| ["config", at, "id"]);
    lists.extend(elsewhere.iter().map(<[_; 3]>::as_slice));
    check(&scene, &lists);
    // Settings nobody knows, other sections and the key survive a change, comments do not.
    let config = scene.repo.join("config");
    let text = fs::read_to_string(&config).expect("a repository has a config");
    let more = "# a comment\n[other]\nKey: value\n  and more\n\n";
    fs::write(&config, format!("{text}{more}")).expect("room");
    check(
        &scene,
        &[
            &["config", repo, "other.key"],
            &["config", repo, "append_only", "1"],
            &["config", repo, "other.key"],
            &["config", repo, "--list"],
        ],
    );
}

#[test]
fn config_of_the_cache() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let repo = scene.repo();
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), "content").expect("room");
    scene.create(Program::Stock, "a", &[], "tree");
    let words: &[&[&str]] = &[
        &["previous_location"],
        &["repository"],
        &["manifest"],
        &["timestamp"],
        &["key_type"],
        &["version"],
        &["--list"],
        &["nope"],
        &["integrity.nope"],
        &["repository.id"],
        &[],
        &["version", "1"],
        &["repository.id", "x"],
        &["--delete", "timestamp"],
        &["previous_location", "::"],
        &["previous_location", "/elsewhere"],
        &["--delete", "previous_location"],
        &["previous_location"],
        &["previous_location", repo],
        &["previous_location"],
    ];
    let lists: Vec<Vec<&str>> = words
        .iter()
        .map(|words| config_args(repo, &["config", "--cache"], words))
        .collect();
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    check(&scene, &lists);
    // What ours writes stock Borg's cache has not seen yet, and a machine without one answers all the same.
    scene.create(Program::Ours, "b", &[], "tree");
    check(&scene, &lists[..10]);
    // A location written by either is asked about by both.
    for writer in Program::BOTH {
        let saved = scene.save();
        scene
            .run(
                writer,
                &["config", "--cache", repo, "previous_location", "/elsewhere"],
            )
            .ok();
        let (runs, _) = scene.assert_same_outputs(&[&["list", "--short", repo]]);
        assert!(
            runs[0]
                .err()
                .contains("was previously located at /elsewhere"),
            "{}",
            runs[0]
        );
        saved.restore();
    }
}

/// Without stock Borg's cache there is still a security record.
#[test]
fn config_of_a_cache_that_is_not_there() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let repo = scene.repo();
    let run = |words: &[&str]| scene.run(Program::Ours, &[&["config"], words].concat());
    let shown = run(&["-c", repo, "previous_location"]).ok();
    assert_eq!(shown.out(), format!("{repo}\n"));
    run(&["-c", "-d", repo, "previous_location"]).ok();
    run(&["-c", repo, "previous_location", "/elsewhere"]).ok();
    let (runs, _) = scene.assert_same_outputs(&[&["list", "--short", repo]]);
    assert!(
        runs[0]
            .err()
            .contains("was previously located at /elsewhere"),
        "{}",
        runs[0]
    );
}

#[test]
fn with_lock_passes_everything_on() {
    let scene = scene();
    let repo = scene.repo();
    let archive = scene.archive("b");
    let lists: &[&[&str]] = &[
        &["with-lock", repo, "sh", "-c", "exit 3"],
        &["with-lock", "--show-rc", repo, "sh", "-c", "exit 1"],
        &["with-lock", "--show-rc", repo, "sh", "-c", "exit 200"],
        &["with-lock", repo, "sh", "-c", "kill -9 $$"],
        &["with-lock", repo, "no-such-command", "--option"],
        &["with-lock", repo, "/etc/passwd"],
        &["with-lock", repo, "echo", "--info", "-x", "--", "-h"],
        &["with-lock", repo, "--", "echo", "-h", "--", "--"],
        &["with-lock", repo, "echo", "--", "--show-rc", "--", "x"],
        &["with-lock", repo, "--show-rc", "echo"],
        &["with-lock", "--", repo, "echo", "--version"],
        &[
            "with-lock",
            repo,
            "sh",
            "-c",
            "env | grep ^BORG_ | grep -v SELFTEST; cat",
        ],
        &["with-lock", repo],
        &["with-lock"],
        &["with-lock", &archive, "true"],
        &["with-lock", "/nonexistent", "true"],
    ];
    let (runs, [ours, _]) = scene.assert_same_outputs(lists);
    assert!(runs[11].out().contains("BORG_VERSION"), "{}", runs[11]);
    // Unlike stock Borg's, our lock leaves no trace.
    assert_eq!(ours, files(&scene.repo));
    // A passphrase's descriptor is not for the command.
    let [ours, stock] = Program::BOTH.map(|program| {
        let script = r#"exec "$0" with-lock "$1" ls /proc/self/fd 7</etc/passwd"#;
        let args = ["-c", script, text(program.path()), repo];
        scene.home.tool("/bin/bash".as_ref(), args).run()
    });
    assert_same_run(&ours.ok(), &stock);
    // Nobody else gets in meanwhile, and it is over when the command is.
    for (holder, other) in Program::DIRECTIONS {
        let mut invocation = scene.home.invocation(holder, ["with-lock", repo, "cat"]);
        let child = invocation.start(Stdio::piped());
        await_lock(&scene);
        let run = scene.run(other, &["compact", "--lock-wait", "1", repo]);
        assert_eq!(run.code(), 2, "{run}");
        Run::of(child).ok();
        scene
            .run(other, &["compact", "--lock-wait", "1", repo])
            .ok();
    }
}

/// Being told to end ends the command and gives the lock back.
#[test]
fn with_lock_takes_its_command_along() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let started = Instant::now();
    let there = scene.scratch.join("there");
    let script = format!("echo > {}; exec sleep 600", text(&there));
    let args = ["with-lock", scene.repo(), "sh", "-c", &script];
    let [ours, stock] = Program::BOTH.map(|program| {
        let _ = fs::remove_file(&there);
        let child = scene.home.invocation(program, args).start(Stdio::null());
        await_lock(&scene);
        while !there.exists() {
            assert!(
                started.elapsed() < Duration::from_mins(2),
                "no command was started"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // Long enough for its parent to wait for it.
        std::thread::sleep(Duration::from_millis(100));
        let pid = child.id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
        let run = Run::of(child);
        assert!(!scene.repo.join("lock.exclusive").exists(), "{run}");
        run
    });
    assert_eq!((ours.code(), stock.code()), (143, 143), "{ours}{stock}");
    assert_eq!(ours.err(), stock.err());
    assert!(
        started.elapsed() < Duration::from_mins(5),
        "the command was not ended"
    );
}

#[test]
fn locks_are_broken() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let cache = fs::read_dir(scene.home.cache()).expect("stock Borg has a cache");
    let cache = cache.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let cache = cache
        .into_iter()
        .find(|path| path.join("config").exists())
        .expect("a cache");
    for dir in [&scene.repo, &cache] {
        let lock = dir.join("lock.exclusive");
        fs::create_dir(&lock).expect("room");
        fs::write(lock.join("elsewhere@1.4711-0"), "").expect("room");
        let roster = r#"{"exclusive": [["elsewhere@1", 4711, 0]]}"#;
        fs::write(dir.join("lock.roster"), roster).expect("room");
    }
    let sides = scene.each_from_same_state(|program| {
        let run = scene.run(program, &["break-lock", scene.repo()]);
        (run, files(&scene.repo), files(&cache))
    });
    let [(ours, repo, cache), (stock, stock_repo, stock_cache)] = sides;
    assert_same_run(&ours.ok(), &stock);
    assert_eq!(repo, stock_repo);
    assert_eq!(cache, stock_cache);
    scene.assert_same_outputs(&[
        &["break-lock", "/nonexistent"],
        &["break-lock", "--bypass-lock", scene.repo()],
        &["break-lock", &scene.archive("x")],
        &["version", scene.repo()],
        &["version", "/nonexistent"],
        &["version"],
        &["umount", "/nonexistent"],
        &["umount"],
    ]);
}

fn await_lock(scene: &Scene) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let lock = scene.repo.join("lock.exclusive");
    while !lock.exists() {
        assert!(Instant::now() < deadline, "nobody took the lock");
        std::thread::sleep(Duration::from_millis(10));
    }
}
