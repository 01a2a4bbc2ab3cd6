//! `extract` and `delete` with their options: the same files, the same words.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use ironborg_testkit::{Compare, Program, Run, Snapshot, tree};

use crate::same_output::{assert_same_lines, assert_same_run};
use crate::scene::Scene;

fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    tree::rich(&scene.scratch.join("tree"));
    scene.create(Program::Stock, "a", &[], "tree");
    scene
}

/// Extracts with each program into directories prepared alike; words, exit codes and trees must agree.
#[track_caller]
fn check(scene: &Scene, options: &[&str], paths: &[&str], prepare: impl Fn(&Path)) -> Snapshot {
    let archive = scene.archive("a");
    let args = [&["extract"], options, &[archive.as_str()], paths].concat();
    let extract = |program: Program| -> (Run, Snapshot) {
        let started = SystemTime::now();
        // The same place for both: its path shows in messages.
        let dir = scene.scratch.dir("work");
        prepare(&dir);
        tree::set_mtime(&dir, 1_000_000_000, 0);
        let run = scene.home.invocation(program, &args).dir(&dir).run();
        let mut snapshot = Snapshot::of(&dir);
        fs::rename(&dir, scene.empty_dir(program.name()).join("work")).expect("a new name");
        // The directory extracted into and directories that were not archived are as old as this run.
        snapshot.nodes.remove(b"".as_slice());
        let snapshot = snapshot.without_times_since(started);
        (run, snapshot)
    };
    let [(ours, our_tree), (stock, stock_tree)] = Program::BOTH.map(extract);
    assert_same_run(&ours, &stock);
    let differences = stock_tree.differences(&our_tree, Compare::AndHoles);
    assert!(differences.is_empty(), "{args:?}: {differences:#?}");
    our_tree
}

fn nothing(_: &Path) {}

#[test]
fn selections() {
    let scene = scene();
    for paths in [
        &[] as &[&str],
        &["tree/names"],
        &["tree/links", "tree/text"],
        &["sh:tree/m*/**"],
        &["re:zeros|empty"],
        &["no/such/path"],
        &["tree/text", "no/such/path", "pp:nothing"],
        // A later name of a hard link alone brings its content along.
        &["tree/links/z third"],
        &["tree/links/m/second", "tree/links/z third"],
    ] {
        check(&scene, &["--list"], paths, nothing);
    }
    for options in [
        &["--exclude", "*/names"] as &[&str],
        &["--exclude", "tree/links/a first"],
        &["--pattern", "+ tree/many", "--pattern", "- **"],
        &["--exclude", "re:."],
    ] {
        check(&scene, options, &[], nothing);
    }
}

#[test]
fn metadata_options() {
    let scene = scene();
    for options in [
        &["--numeric-ids"] as &[&str],
        &["--numeric-owner"],
        &["--noacls"],
        &["--noxattrs"],
        &["--noflags"],
        &["--nobsdflags"],
        &["--sparse"],
        &[
            "--noacls",
            "--noxattrs",
            "--noflags",
            "--sparse",
            "--numeric-ids",
        ],
        &["--umask", "0000"],
    ] {
        check(&scene, options, &[], nothing);
    }
}

#[test]
fn strip_components_and_dry_run() {
    let scene = scene();
    for options in [
        &["--strip-components", "1"] as &[&str],
        &["--strip-components", "2", "--list"],
        &["--strip-components", "50"],
        &["--dry-run"],
        &["--dry-run", "--list"],
        &["-v", "--show-rc"],
        &["--log-json", "--list"],
    ] {
        check(&scene, options, &[], nothing);
    }
}

#[test]
fn content_to_standard_output() {
    let scene = scene();
    for paths in [
        &["tree/text"] as &[&str],
        &["tree/several chunks", "tree/sparse"],
        &["tree/links"],
        &[],
    ] {
        let archive = scene.archive("a");
        let args = [&["extract", "--stdout", archive.as_str()], paths].concat();
        let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &args));
        assert_eq!(ours.code(), stock.code(), "{ours}\n{stock}");
        assert!(
            ours.stdout == stock.stdout,
            "{paths:?}: {} and {} bytes",
            ours.stdout.len(),
            stock.stdout.len()
        );
    }
}

/// Over an existing tree: old files, directories in the way, symlinks where directories belong.
#[test]
fn over_what_is_there() {
    let scene = scene();
    let older = |dir: &Path| {
        fs::create_dir_all(dir.join("tree/names")).expect("a scratch directory");
        fs::write(
            dir.join("tree/text"),
            b"older and longer than what is in the archive",
        )
        .expect("room");
        fs::write(dir.join("tree/not in the archive"), b"stays").expect("room on the disk");
        std::os::unix::fs::symlink("text", dir.join("tree/words")).expect("a new symlink");
        fs::write(dir.join("tree/links"), b"a file where a directory belongs").expect("room");
    };
    check(&scene, &[], &[], older);
    let occupied = |dir: &Path| {
        fs::create_dir_all(dir.join("tree/text/below")).expect("a scratch directory");
        fs::write(
            dir.join("tree/text/below/file"),
            b"a directory where a file belongs",
        )
        .expect("room");
    };
    check(&scene, &[], &[], occupied);
    let partly = |dir: &Path| {
        fs::create_dir_all(dir.join("tree")).expect("a scratch directory");
        fs::write(dir.join("tree/zeros"), b"0").expect("room on the disk");
        fs::hard_link(dir.join("tree/zeros"), dir.join("tree/random")).expect("a new hard link");
    };
    check(&scene, &[], &[], partly);
}

/// Twice in the same place: nothing left over, nothing lost (immutable files aside, which cannot be replaced).
#[test]
fn twice_in_the_same_place() {
    let scene = scene();
    let dirs = Program::BOTH.map(|program| {
        let dir = scene.empty_dir(program.name());
        let archive = scene.archive("a");
        let args = ["extract", "--exclude", "tree/flags", &archive];
        for _ in 0..2 {
            scene.home.invocation(program, args).dir(&dir).run().ok();
        }
        dir
    });
    let [ours, stock] = dirs.map(|dir| Snapshot::of(&dir.join("tree")));
    let differences = stock.differences(&ours, Compare::Everything);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn as_an_ordinary_user() {
    // Only root has something to give up; an ordinary user is tested by all other tests.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = scene();
    let extract = |program: Program| {
        let started = SystemTime::now();
        let dir = scene.scratch.dir("work");
        let archive = scene.archive("a");
        let invocation = scene
            .home
            .invocation(program, ["extract", &archive])
            .without_privileges();
        let run = invocation.dir(&dir).run();
        let tree = Snapshot::of(&dir).without_times_since(started);
        fs::rename(&dir, scene.empty_dir(program.name()).join("work")).expect("a new name");
        (run, tree)
    };
    let [ours, stock] = Program::BOTH.map(extract);
    assert_same_lines(&ours.0, &stock.0);
    assert!(
        stock.0.err().contains("Operation not permitted"),
        "{}",
        stock.0
    );
    let differences = stock.1.differences(&ours.1, Compare::Everything);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn deleting_archives() {
    let scene = scene();
    scene.create(
        Program::Stock,
        "b",
        &["--timestamp", "2024-01-02T00:00:00"],
        "tree/names",
    );
    scene.create(
        Program::Stock,
        "c",
        &["--timestamp", "2024-01-03T00:00:00"],
        "tree/many",
    );
    let repo = scene.repo().to_owned();
    let b = scene.archive("b");
    for args in [
        &["delete", &b] as &[&str],
        &["delete", "--stats", &b],
        &["delete", "--list", "--stats", &b],
        &["delete", "--stats", "--iec", "-v", &b],
        &["delete", "--dry-run", "--list", &b],
        &["delete", "--list", &repo, "b", "c"],
        &["delete", "--list", &repo, "b", "no such archive"],
        &["delete", "--list", "--glob-archives", "[bc]", &repo],
        &["delete", "--list", "--first", "1", &repo],
        &["delete", "--list", "--last", "2", &repo],
        &["delete", "--glob-archives", "none match", &repo],
        &["delete", &scene.archive("no such archive")],
        &["delete", "--force", &b],
        &["delete", "--force", "--force", &b],
        &["delete", "--cache-only", &repo],
        &["delete", "--keep-security-info", "--dry-run", &repo],
        &["--log-json", "delete", "--list", "--stats", &b],
    ] {
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = scene.run(program, args);
            (
                run,
                scene.run(Program::Stock, &["list", &repo]),
                scene.run(program, &["info", &repo]),
            )
        });
        assert_same_run(&ours.0, &stock.0);
        assert_same_run(&ours.1, &stock.1);
        assert_same_run(&ours.2, &stock.2);
    }
}

#[test]
fn deleting_the_repository() {
    let scene = scene();
    let repo = scene.repo().to_owned();
    for answer in ["YES", "yes", "no", "", "nonsense"] {
        let home = scene
            .home
            .with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", answer);
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = scene.run_on(&home, program, &["delete", &repo]);
            (run, scene.repo.exists(), security_records(&scene))
        });
        assert_same_run(&ours.0, &stock.0);
        assert_eq!(
            (ours.1, ours.2),
            (stock.1, stock.2),
            "{answer:?}: what is left, ours first"
        );
    }
    for args in [
        &["delete", "--dry-run", &repo] as &[&str],
        &["delete", "--dry-run", "--list", &repo],
        &["delete", "--keep-security-info", &repo],
        &["delete", &repo],
    ] {
        let home = scene.home.with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = scene.run_on(&home, program, args);
            (run, scene.repo.exists(), security_records(&scene))
        });
        assert_same_run(&ours.0, &stock.0);
        assert_eq!(
            (ours.1, ours.2),
            (stock.1, stock.2),
            "{args:?}: what is left, ours first"
        );
    }
}

fn security_records(scene: &Scene) -> usize {
    fs::read_dir(scene.home.config().join("security")).map_or(0, Iterator::count)
}
