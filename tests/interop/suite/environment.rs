//! Environment variables: both programs heed the same ones, and refuse the same values.

use std::fs;
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{Home, Program, Run};

use super::same_output::assert_same_run;
use super::scene::Scene;

/// A repository with one archive, of a tree with one old file.
fn scene(mode: &str) -> Scene {
    let mut scene = Scene::new();
    for (name, value) in [("BORG_HOSTNAME", "host"), ("BORG_USERNAME", "me")] {
        scene.home.set(name, value);
    }
    scene.init(Program::Ours, mode);
    let tree = scene.scratch.dir("tree");
    for (name, date) in [("old", "@1000000000"), ("new", "now")] {
        let file = tree.join(name);
        fs::write(&file, name).expect("a file of this test");
        let touched = Command::new("touch").args(["-d", date]).arg(file).status();
        assert!(touched.is_ok_and(|status| status.success()));
        // The clock of the file system has to go on: the newest files are not remembered.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    scene.create(Program::Ours, "a", &[], "tree");
    scene
}

/// Runs stock Borg once for each list of arguments in one process, and ours as well.
fn both(scene: &Scene, home: &Home, lists: &[&[&str]]) -> Vec<(Run, Run)> {
    let owned = |args: &&[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    let words: Vec<Vec<String>> = lists.iter().map(owned).collect();
    let stock = home.stock_runs(scene.scratch.path(), &words);
    // What is left of a refused `init`.
    let _ = fs::remove_dir_all(scene.scratch.join("r"));
    let ours = lists
        .iter()
        .map(|args| scene.run_on(home, Program::Ours, args));
    ours.zip(stock).collect()
}

#[test]
fn variables_without_effect_on_what_is_said() {
    let mut scene = scene("repokey");
    for (name, value) in [
        ("BORG_JSON_INDENT", " "),
        ("BORG_MSGPACK_VERSION_CHECK", "no"),
        ("BORG_WORKAROUNDS", "basesyncfile,retry_erofs,bogus"),
        ("BORG_RSH", "bogus"),
        ("BORG_REMOTE_PATH", "bogus"),
        ("BORG_USE_CHUNKS_ARCHIVE", "no"),
        ("BORG_FUSE_IMPL", "none"),
        ("BORG_HOST_ID", "x"),
        ("BORG_EXIT_CODES", "MODERN"),
        ("BORG_PASSPHRASE_FD", "x"),
        ("BORG_LOGGING_CONF", ""),
        ("BORG_SHOW_SYSINFO", "No"),
        ("BORG_DISPLAY_PASSPHRASE", "yes"),
        ("COLUMNS", "x"),
        ("TZ", "Asia/Kolkata"),
    ] {
        scene.home.set(name, value);
    }
    scene.home.set("BORG_REPO", scene.repo.clone());
    let lists: [&[&str]; 6] = [
        &["list"],
        &["list", "--json"],
        &["list", "--short", "::a"],
        &["list", "::nosuch"],
        &["info", "::a"],
        &[
            "create",
            "--dry-run",
            "--list",
            "::{hostname}-{user}",
            "tree",
        ],
    ];
    for (ours, stock) in both(&scene, &scene.home, &lists) {
        assert_same_run(&ours, &stock);
    }
}

#[test]
fn json_is_indented_as_wanted() {
    let scene = scene("none");
    for indent in ["None", "", "0", "3", "-1", "1.5", "x"] {
        let home = scene.home.with("BORG_JSON_INDENT", indent);
        for (ours, stock) in both(&scene, &home, &[&["list", "--json", scene.repo()]]) {
            assert_same_run(&ours, &stock);
        }
    }
}

#[test]
fn directories_are_where_the_variables_say() {
    let scene = scene("none");
    let check = |home: &Home, repo: &str, key: &str| {
        let archive = format!("{repo}::a");
        let with = |program, args: &[&str]| scene.run_on(home, program, args).ok();
        with(Program::Ours, &["init", "-e", "keyfile", repo]);
        let keys = scene.scratch.join(key);
        assert!(
            fs::read_dir(&keys).is_ok_and(|mut files| files.next().is_some()),
            "{key}"
        );
        // Stock Borg finds key and record there, or it would ask.
        with(Program::Stock, &["create", &archive, "tree"]);
        with(Program::Ours, &["list", &archive]);
    };
    let variables = ["CONFIG", "CACHE", "KEYS", "SECURITY"];
    let mut home = scene.home.clone();
    for name in variables {
        home.set(format!("BORG_{name}_DIR"), format!("d-{name}"));
    }
    check(&home, "r1", "d-KEYS");
    let found = |dir: &str| scene.scratch.join(dir).is_dir();
    assert!(found("d-CACHE") && found("d-SECURITY") && !found("d-CONFIG/security"));
    home.unset("BORG_KEYS_DIR").unset("BORG_SECURITY_DIR");
    check(&home, "r2", "d-CONFIG/keys");
    assert!(found("d-CONFIG/security"));
    let mut home = scene.home.clone();
    home.unset("BORG_BASE_DIR");
    home.set("XDG_CONFIG_HOME", "x").set("XDG_CACHE_HOME", "y");
    check(&home, "r3", "x/borg/keys");
    assert!(found("x/borg/security") && found("y/borg"));
}

#[test]
fn directories_without_a_name_are_refused() {
    let scene = scene("repokey");
    let repo = scene.repo();
    let archive = scene.archive("b");
    let cases: [(&str, &[&[&str]]); 4] = [
        ("BORG_CONFIG_DIR", &[&["list", repo]]),
        (
            "BORG_CACHE_DIR",
            &[&["list", repo], &["create", &archive, "tree"]],
        ),
        (
            "BORG_KEYS_DIR",
            &[&["list", "--short", repo], &["init", "-e", "keyfile", "r"]],
        ),
        ("BORG_SECURITY_DIR", &[&["list", "--short", repo]]),
    ];
    for (name, lists) in cases {
        let home = scene.home.with(name, "");
        for (ours, stock) in both(&scene, &home, lists) {
            assert_same_run(&ours, &stock);
            let _ = fs::remove_dir_all(scene.scratch.join("r"));
        }
    }
    assert!(
        !exists(scene.scratch.path(), "ironborg"),
        "no cache in the current directory"
    );
}

fn exists(dir: &Path, name: &str) -> bool {
    dir.join(name).exists()
}

#[test]
fn files_caches_have_their_suffix_and_time_to_live() {
    let scene = scene("none");
    let status = |home: &Home, name: &str| {
        let archive = scene.archive(name);
        let args = ["create", "--list", &archive, "tree"];
        let said = scene.run_on(home, Program::Ours, &args).ok().err();
        let line = said.lines().find(|line| line.ends_with(" tree/old"));
        line.expect("the file is listed").chars().next()
    };
    assert_eq!(status(&scene.home, "b"), Some('U'));
    let other = scene.home.with("BORG_FILES_CACHE_SUFFIX", "s");
    assert_eq!(status(&other, "c"), Some('A'));
    assert_eq!(status(&other, "d"), Some('U'));
    // Nothing outlives two backups of something else.
    let short = scene.home.with("BORG_FILES_CACHE_TTL", "2");
    for name in ["e", "f", "g"] {
        let archive = scene.archive(name);
        let args = ["create", &archive, "tree/new"];
        scene.run_on(&short, Program::Ours, &args).ok();
    }
    assert_eq!(status(&short, "h"), Some('A'));
}
