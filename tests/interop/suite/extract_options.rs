//! `extract` and `delete` with their options: the same files, the same words.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use ironborg_testkit::{Compare, Program, Run, Snapshot, tree};

use crate::same_output::assert_same_run;
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
    // Only root can become somebody else; an ordinary user already is one.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = scene();
    let restored = Program::BOTH.map(|program| {
        // User 65534 may not read the test's directory: everything it needs is copied to a place of its own.
        let place = std::env::temp_dir().join(format!(
            "ironborg-user-{}-{}",
            std::process::id(),
            program.name()
        ));
        fs::create_dir(&place).expect("a new directory");
        crate::same_output::copy_all(&scene.repo, &place.join("repo"));
        let owned = std::process::Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(&place)
            .status();
        assert!(owned.is_ok_and(|status| status.success()), "chown");
        let repo = place.join("repo");
        let script = format!(
            "umask 022; mkdir base out && cd out && HOME={0}/base BORG_BASE_DIR={0}/base \
             BORG_PASSPHRASE='correct horse battery staple' BORG_RELOCATED_REPO_ACCESS_IS_OK=yes \
             TZ=UTC LC_ALL=C.UTF-8 BORG_SELFTEST=disabled {1} extract {2}::a",
            place.display(),
            program.path().display(),
            repo.display()
        );
        let mut command = std::process::Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "sh",
            "-c",
            &script,
        ]);
        let output = command
            .current_dir(&place)
            .output()
            .expect("setpriv starts");
        let mut tree = Snapshot::of(&place.join("out"));
        tree.nodes.remove(b"".as_slice());
        fs::remove_dir_all(&place).expect("a directory of this test");
        let mut said: Vec<String> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(str::to_owned)
            .collect();
        said.sort();
        (output.status.code(), said, tree)
    });
    let [ours, stock] = restored;
    assert_eq!(ours.0, stock.0, "exit code\n{:#?}\n{:#?}", ours.1, stock.1);
    assert_eq!(ours.1, stock.1, "warnings, ours first");
    let differences = stock.2.differences(&ours.2, Compare::Everything);
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
