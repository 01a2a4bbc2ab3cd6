//! `upgrade` and `benchmark crud`: the same words, and repositories either program takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{Program, Run, sample, sample_passphrase};
use regex::Regex;

use crate::same_output::{assert_same_run, normal};
use crate::scene::{Scene, text};

/// A sample as the repository of a scene.
fn scene_of(name: &str) -> Scene {
    let mut scene = Scene::new();
    scene
        .home
        .set("BORG_PASSPHRASE", sample_passphrase())
        .set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
        .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    let unpacked = sample(name).unpack(&scene.scratch, &scene.home);
    scene.moved_to(unpacked.repository);
    scene
}

/// Every archive with its authentication, as stock Borg sees it.
fn archives(scene: &Scene) -> String {
    let args = ["list", "--format", "{name} {tam} {start}{NL}", scene.repo()];
    scene.run(Program::Stock, &args).out()
}

/// The files of the security record but the nonce, which depends on how many were reserved.
fn security_record(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    let records = scene.home.config().join("security");
    for record in fs::read_dir(records).expect("security records").flatten() {
        for entry in fs::read_dir(record.path()).expect("a directory").flatten() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

/// Several runs in a row with each program from the same state: they say the same and leave the same.
#[track_caller]
fn check(scene: &Scene, commands: &[&[&str]]) {
    let [ours, stock] = scene.each_from_same_state(|program| {
        let run = |words: &&[&str]| {
            let args = [&["upgrade"], *words, &[scene.repo()]].concat();
            scene.run(program, &args)
        };
        let runs: Vec<Run> = commands.iter().map(run).collect();
        (runs, archives(scene), security_record(scene))
    });
    for (ours, stock) in ours.0.iter().zip(&stock.0) {
        assert_same_run(ours, stock);
    }
    assert_eq!(ours.1, stock.1, "{commands:?}: archives");
    assert_eq!(ours.2, stock.2, "{commands:?}: security record");
}

#[test]
fn authentication_is_made_good_given_up_and_demanded_again() {
    for name in [
        "no-tam",
        "made-by-1.1.18-invalid-archive-tam",
        "mode-none",
        "mode-keyfile-blake2",
    ] {
        let scene = scene_of(name);
        check(
            &scene,
            &[
                &["--check-tam"],
                &["--check-archives-tam"],
                &["--tam", "--force"],
                &["--check-tam"],
                &["--archives-tam"],
                &["--check-archives-tam", "--archives-tam"],
                &["--disable-tam"],
                &["--check-tam", "--tam"],
            ],
        );
        // What ours did stands before stock Borg's eyes.
        for option in ["--tam", "--archives-tam"] {
            scene
                .run(Program::Ours, &["upgrade", option, scene.repo()])
                .ok();
        }
        scene.assert_checks();
        assert!(!archives(&scene).contains("none"), "{}", archives(&scene));
    }
}

#[test]
fn a_borg_repository_is_left_as_it_is() {
    let scene = scene_of("mode-repokey");
    let before = archives(&scene);
    let copies = Regex::new(r"\.before-upgrade-[0-9:-]+").expect("a pattern");
    for args in [&["-v"] as &[&str], &["-v", "--inplace"], &["-v", "-n"]] {
        let args = [&["upgrade"], args, &[scene.repo()]].concat();
        let [ours, stock] = Program::BOTH.map(|program| {
            let run = scene.run(program, &args).ok();
            let parent = scene.repo.parent().expect("a directory");
            let names = fs::read_dir(parent).expect("our own directory").flatten();
            let mut made = 0;
            for entry in names {
                if copies.is_match(&entry.file_name().to_string_lossy()) {
                    made += 1;
                    fs::remove_dir_all(entry.path()).expect("our own directory");
                }
            }
            let said = copies
                .replace_all(&normal(&run.stderr), ".COPY")
                .into_owned();
            (said, run.out(), made)
        });
        assert_eq!(ours, stock, "{args:?}");
        assert_eq!(archives(&scene), before);
    }
    let modern = scene.home.with("BORG_EXIT_CODES", "modern");
    let nothing = scene.scratch.dir("nothing");
    for place in [text(&nothing), "not there"] {
        for option in ["--inplace", "--tam"] {
            scene.assert_same_output_on(&modern, &["upgrade", option, place]);
        }
    }
}

/// The repository stock Borg's own tests convert, if they are installed with it.
#[test]
fn a_repository_of_attic_becomes_one_of_borg() {
    let Some(tarball) = attic_tarball() else {
        return;
    };
    for (options, dry_run) in [(&["-v"] as &[&str], false), (&["-v", "-n"], true)] {
        let mut scene = Scene::new();
        let unpacked = scene.scratch.dir("unpacked");
        let tar = Command::new("tar")
            .args(["-xzf", &tarball, "-C", text(&unpacked)])
            .status();
        assert!(tar.is_ok_and(|status| status.success()), "cannot unpack");
        scene.moved_to(unpacked.join("repo"));
        scene
            .home
            .set("ATTIC_KEYS_DIR", unpacked.join("keys"))
            .set("BORG_PASSPHRASE", "attic");
        scene.assert_same_output(&["list", scene.repo()]);
        let args = [&["upgrade", "--inplace"], options, &[scene.repo()]].concat();
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = scene.run(program, &args);
            let keys = scene.home.config().join("keys/repo");
            let segment = fs::read(scene.repo.join("data/0/0")).expect("a segment");
            let index = fs::read(scene.repo.join("index.0")).expect("an index");
            (run, fs::read_to_string(keys).ok(), segment, index)
        });
        assert_same_run(&ours.0, &stock.0);
        assert_eq!(ours.1, stock.1, "key file");
        assert_eq!((ours.2, ours.3), (stock.2, stock.3), "segment and index");
        assert_eq!(ours.1.is_none(), dry_run);
    }
}

fn attic_tarball() -> Option<String> {
    let borg = std::env::var("IRONBORG_STOCK_BORG").ok()?;
    let root = Path::new(&borg).parent()?.parent()?;
    let libraries = fs::read_dir(root.join("lib")).ok()?.flatten();
    let path = "site-packages/borg/testsuite/attic.tar.gz";
    let mut tarballs = libraries.map(|library| library.path().join(path));
    let found = tarballs.find(|tarball| tarball.exists())?;
    Some(text(&found).to_owned())
}

#[test]
fn the_benchmark_says_the_same_and_tidies_up() {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    let home = scene.home.with("_BORG_BENCHMARK_CRUD_TEST", "1");
    let place = scene.scratch.dir("place");
    let numbers = Regex::new(r" +[0-9.]+ MB/s|[0-9.]+s\)").expect("a pattern");
    let args = ["benchmark", "crud", scene.repo(), text(&place)];
    let lines = Program::BOTH.map(|program| {
        let run = scene.run_on(&home, program, &args).ok();
        assert!(run.err().is_empty(), "{run}");
        assert_eq!(fs::read_dir(&place).expect("our own directory").count(), 0);
        numbers.replace_all(&run.out(), "N").into_owned()
    });
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0].lines().count(), 8);
    assert_eq!(archives(&scene), "");
    scene.assert_checks();

    // An archive that is in the way stays, and nothing else does.
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), b"content").expect("room on the disk");
    scene.create(Program::Ours, "borg-benchmark-crud3", &[], "tree");
    let run = scene.run_on(&home, Program::Ours, &args).exits(2);
    assert!(run.err().contains("already exists"), "{run}");
    assert!(archives(&scene).starts_with("borg-benchmark-crud3 "));
    assert_eq!(archives(&scene).lines().count(), 1);
    assert_eq!(fs::read_dir(&place).expect("our own directory").count(), 0);
}
