//! Limits other than room: quotas, sizes of files, rights, file systems that cannot be written, paths that are gone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use ironborg_testkit::{Program, Run, Tried, tally};

use super::disk::{Disk, litter, on, random_file, with_disks};
use crate::same_output::{files, normal};
use crate::scene::Scene;

const QUOTA: u64 = 1_000_000;

/// Both programs count the same, before and after everything that changes it.
#[test]
fn both_agree_on_what_a_quota_leaves() {
    let scene = Scene::new();
    for (name, len) in [("one/a", 500_000), ("two/b", 400_000), ("three/c", 300_000)] {
        random_file(&scene, name, len);
    }
    scene.init(Program::Stock, "none");
    if scene.wire().is_some() {
        // Then the config is the server's.
        return;
    }
    let config = scene.repo.join("config");
    let text = fs::read_to_string(&config).expect("a config");
    let text = text.replace("storage_quota = 0", &format!("storage_quota = {QUOTA}"));
    fs::write(&config, text).expect("room");
    let [one, two, three] = ["one", "two", "three"].map(|name| scene.archive(name));
    let used: &[&str] = &["debug", "dump-hints", scene.repo(), "-"];
    let plain = ["-C", "none"];
    let create = |archive: &str, tree: &str| {
        let words = ["create", plain[0], plain[1], archive, tree];
        words.map(str::to_owned).to_vec()
    };
    let steps = [
        create(&one, "one"),
        create(&two, "two"),
        create(&three, "three"),
        vec!["delete".to_owned(), two.clone()],
        create(&three, "three"),
        vec!["compact".to_owned(), scene.repo().to_owned()],
        create(&three, "three"),
    ];
    let mut lists: Vec<Vec<&str>> = Vec::new();
    for step in &steps {
        lists.push(step.iter().map(String::as_str).collect());
        lists.push(used.to_vec());
    }
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let [(ours, _), (stock, _)] = scene.run_lists(&lists);
    let codes: Vec<i32> = ours.iter().step_by(2).map(Run::code).collect();
    assert_eq!(codes, [0, 0, 2, 0, 2, 0, 0], "{}", ours[0]);
    for (at, (ours, stock)) in ours.iter().zip(&stock).enumerate() {
        assert_eq!(ours.code(), stock.code(), "step {at}\n{ours}\n{stock}");
        if at % 2 == 0 {
            let words = [ours, stock].map(|run| without_numbers(&normal(&run.stderr)));
            assert_eq!(words[0], words[1], "step {at}");
            continue;
        }
        let [ours, stock] = [ours, stock].map(|run| {
            let used = run.json()["storage_quota_use"].as_u64();
            used.unwrap_or_else(|| panic!("{run}"))
        });
        // Compressed manifests of other ids and times differ by some bytes.
        assert!(ours.abs_diff(stock) < 300, "step {at}: {ours} and {stock}");
        assert!(ours <= QUOTA, "step {at}: {ours}");
    }
    let over = ours[4].err();
    assert!(
        over.contains("The storage quota (1.00 MB) has been exceeded ("),
        "{over}"
    );
    tally(Tried::Faults, 2);
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Without this a program is killed by a signal, its locks held.
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let scene = Scene::new();
    random_file(&scene, "tree/a", 1_500_000);
    scene.init(Program::Ours, "none");
    let saved = scene.save();
    let limited = |args: &[&str], dir: &std::path::Path| {
        Program::BOTH.map(|program| {
            let path = program.path();
            let words = [&["--fsize=500000", path.to_str().expect("plain")], args].concat();
            let tool = scene.home.tool("prlimit".as_ref(), words);
            tool.dir(dir).run()
        })
    };
    let archive = scene.archive("one");
    let create: &[&str] = &["create", "-C", "none", &archive, "tree"];
    let runs = limited(create, scene.scratch.path());
    for run in &runs {
        assert_eq!(run.code(), 2, "{run}");
        assert!(run.err().contains("[Errno 27] File too large"), "{run}");
    }
    assert_eq!(litter(&scene.repo), [""; 0]);
    saved.restore();
    scene.create(Program::Ours, "one", &["-C", "none"], "tree");
    let out = scene.empty_dir("out");
    let runs = limited(&["extract", &archive], &out);
    for run in &runs {
        assert_eq!(run.code(), 1, "{run}");
        let said = run
            .err()
            .contains("tree/a: write: [Errno 27] File too large");
        assert!(said, "{run}");
    }
    scene.assert_restores(Program::Ours, "one", "tree");
    scene.assert_checks();
    tally(Tried::Faults, 2);
}

/// Reading needs no lock where none can be made, if one says so; writing says why it cannot be.
#[test]
fn a_file_system_that_cannot_be_written_can_be_read() {
    with_disks(|| {
        let mut scene = Scene::new();
        random_file(&scene, "tree/a", 100_000);
        let disk = Disk::new(&scene, 2000);
        scene.moved_to(disk.path("repo"));
        scene.init(Program::Stock, "repokey-blake2");
        scene.create(Program::Stock, "one", &[], "tree");
        let before = files(&scene.repo);
        disk.make_read_only(true);
        let (repo, one, two) = (scene.repo(), scene.archive("one"), scene.archive("two"));
        let masked = regex::Regex::new(r"exclusive\.\w+\.tmp").expect("a valid pattern");
        let lists: [&[&str]; 7] = [
            &["list", repo],
            &["create", &two, "tree"],
            &["delete", &one],
            &["list", "--bypass-lock", repo],
            &["info", "--bypass-lock", &one],
            &["extract", "--bypass-lock", "--stdout", &one],
            &["diff", "--bypass-lock", &one, "one"],
        ];
        let ours = scene.run_list(Program::Ours, &lists);
        let stock = scene.run_list(Program::Stock, &lists);
        for (at, (ours, stock)) in ours.iter().zip(&stock).enumerate() {
            let is_refused = at < 3;
            assert_eq!(ours.code(), if is_refused { 2 } else { 0 }, "{ours}");
            assert_eq!(ours.code(), stock.code(), "{ours}\n{stock}");
            assert!(ours.stdout == stock.stdout, "{ours}\n{stock}");
            if is_refused {
                let words = [ours, stock].map(|run| {
                    let said = normal(&run.stderr);
                    let line = said.lines().next().unwrap_or_default();
                    masked.replace(line, "exclusive.TMP").into_owned()
                });
                assert_eq!(words[0], words[1]);
                assert!(
                    words[0].contains("[Errno 30] Read-only file system"),
                    "{ours}"
                );
            }
        }
        disk.make_read_only(false);
        assert!(files(&scene.repo) == before, "something was written");
        tally(Tried::Faults, 7);
    });
}

/// Directories that may not be entered or written, and a path where nothing is.
#[test]
fn places_one_has_no_right_to_are_named() {
    let scene = Scene::new();
    if scene.wire().is_some() {
        return;
    }
    random_file(&scene, "tree/a", 100_000);
    scene.init(Program::Stock, "none");
    scene.create(Program::Stock, "one", &[], "tree");
    let (one, two) = (scene.archive("one"), scene.archive("two"));
    let lists: [&[&str]; 4] = [
        &["list", scene.repo()],
        &["list", &one],
        &["create", &two, "tree"],
        &["delete", &one],
    ];
    let before = files(&scene.repo);
    let mut tried = 0;
    for (place, mode) in [
        ("", 0),
        ("", 0o500),
        ("data", 0),
        ("data/0", 0),
        ("config", 0),
        ("index", 0),
    ] {
        let path = match place {
            // Its name has a number.
            "index" => {
                let name = before.keys().find(|name| name.starts_with("index."));
                scene.repo.join(name.expect("there is an index"))
            }
            place => scene.repo.join(place),
        };
        let usual = fs::metadata(&path).expect("it is there").permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
        let mut runs = Vec::new();
        for (at, args) in lists.iter().enumerate() {
            if place == "index" && at > 1 {
                continue;
            }
            let programs = if at < 2 {
                &Program::BOTH[..]
            } else {
                &[Program::Ours]
            };
            for &program in programs {
                let invocation = scene.home.invocation(program, *args).without_privileges();
                runs.push(invocation.dir(scene.scratch.path()).run().in_control());
            }
        }
        // An index that cannot be read is removed and made anew.
        if place != "index" || path.exists() {
            fs::set_permissions(&path, usual).expect("ours");
        }
        if place == "index" {
            for run in &runs[..1] {
                assert!(run.code() == 0 || run.err().contains("[Errno 13]"), "{run}");
            }
        } else {
            for run in &runs {
                assert_eq!(run.code(), 2, "{place} {mode:o}\n{run}");
            }
            let denied = runs[0].err();
            assert!(denied.contains("Permission denied"), "{}", runs[0]);
        }
        assert_eq!(litter(&scene.repo), [""; 0], "{place} {mode:o}");
        let now = files(&scene.repo);
        let kept = before.iter().filter(|(name, _)| name.starts_with("data/"));
        for (name, content) in kept {
            assert!(
                now.get(name) == Some(content),
                "{name} has changed, {place} {mode:o}"
            );
        }
        tried += runs.len() as u64;
    }
    scene.assert_restores(Program::Ours, "one", "tree");
    // Gone, as a disk that is not mounted is.
    let gone = on(&scene, &scene.scratch.join("gone/repo"));
    for args in [
        &["list", gone.repo()] as &[&str],
        &["create", &gone.archive("x"), "tree"],
    ] {
        gone.assert_same_output(args);
    }
    tally(Tried::Faults, tried + 2);
}
