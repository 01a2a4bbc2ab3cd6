//! What is asked and what is refused when a repository is not what it was: the same on both programs, and the answer
//! given to one counts for the other.

use std::fs;
use std::path::Path;

use ironborg_testkit::{Home, Program};

use crate::same_output::{assert_same_run, copy_all};
use crate::scene::{KEY_MODES, Scene, text};

/// Runs a command with each program from the same state: legacy exit codes with text, modern ones with JSON.
#[track_caller]
fn check(scene: &Scene, home: &Home, args: &[&str]) {
    for (scheme, json) in [("legacy", false), ("modern", true)] {
        let home = home.with("BORG_EXIT_CODES", scheme);
        let args = if json {
            [&["--log-json"], args].concat()
        } else {
            args.to_vec()
        };
        let [ours, stock] =
            scene.each_from_same_state(|program| scene.run_on(&home, program, &args));
        assert_same_run(&ours, &stock);
    }
}

#[test]
fn an_unknown_repository_without_encryption() {
    for mode in KEY_MODES {
        let scene = Scene::with_repository(Program::Stock, mode);
        let stranger = Home::new(&scene.scratch, "stranger");
        let keys = scene.home.config().join("keys");
        if keys.exists() {
            fs::create_dir_all(stranger.config()).expect("room on the disk");
            copy_all(&keys, &stranger.config().join("keys"));
        }
        let saved = stranger.base().to_path_buf();
        let answers: &[Option<&str>] = if mode.contains("key") {
            &[None]
        } else {
            &[None, Some("yes"), Some("no"), Some("nonsense"), Some("")]
        };
        for answer in answers {
            for command in [
                &["list", scene.repo()] as &[&str],
                &["list", "--json", scene.repo()],
            ] {
                let runs = Program::BOTH.map(|program| {
                    let _ = fs::remove_dir_all(saved.join(".config/borg/security"));
                    let _ = fs::remove_dir_all(saved.join(".cache"));
                    let mut home = stranger.clone();
                    if let Some(answer) = answer {
                        home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", answer);
                    }
                    scene.run_on(&home, program, command)
                });
                assert_same_run(&runs[0], &runs[1]);
            }
        }
        // Once agreed to one, the other does not ask again.
        for (first, second) in Program::DIRECTIONS {
            let _ = fs::remove_dir_all(saved.join(".config/borg/security"));
            let _ = fs::remove_dir_all(saved.join(".cache"));
            let home = stranger.with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            scene.run_on(&home, first, &["list", scene.repo()]).ok();
            let run = scene
                .run_on(&stranger, second, &["list", scene.repo()])
                .ok();
            assert!(run.err().is_empty(), "asked again\n{run}");
        }
    }
}

#[test]
fn a_repository_that_moved() {
    for mode in ["none", "repokey", "keyfile-blake2"] {
        let mut scene = Scene::with_repository(Program::Stock, mode);
        let moved = scene.scratch.join("moved");
        fs::rename(&scene.repo, &moved).expect("our own directory");
        scene.moved_to(moved);
        for answer in [None, Some("yes"), Some("no"), Some("nonsense")] {
            let mut home = scene.home.clone();
            if let Some(answer) = answer {
                home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", answer);
            }
            check(&scene, &home, &["list", scene.repo()]);
        }
        for (first, second) in Program::DIRECTIONS {
            let saved = scene.save();
            let home = scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
            scene.run_on(&home, first, &["list", scene.repo()]).ok();
            let run = scene.run(second, &["list", scene.repo()]).ok();
            assert!(run.err().is_empty(), "asked again\n{run}");
            saved.restore();
        }
    }
}

/// An old copy of the repository put in its place: both refuse it.
#[test]
fn a_repository_older_than_what_was_seen() {
    for mode in ["none", "repokey-blake2"] {
        for writer in Program::BOTH {
            let scene = Scene::with_repository(Program::Stock, mode);
            let tree = scene.scratch.dir("tree");
            fs::write(tree.join("file"), b"content").expect("room on the disk");
            let old = scene.empty_dir("old").join("repo");
            copy_all(&scene.repo, &old);
            // The manifest's time is what is compared; let it differ.
            std::thread::sleep(std::time::Duration::from_millis(20));
            scene.create(writer, "newer", &[], "tree");
            fs::remove_dir_all(&scene.repo).expect("our own directory");
            copy_all(&old, &scene.repo);
            check(&scene, &scene.home, &["list", scene.repo()]);
            check(
                &scene,
                &scene.home,
                &["create", &scene.archive("x"), "tree"],
            );
        }
    }
}

/// Another key type under the same id: somebody replaced the repository.
#[test]
fn a_repository_whose_encryption_changed() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let other = scene.beside("other");
    let stranger = Home::new(&scene.scratch, "stranger");
    other
        .run_on(
            &stranger,
            Program::Stock,
            &["init", "-e", "none", other.repo()],
        )
        .ok();
    let id_line = |repo: &Path| {
        let config = fs::read_to_string(repo.join("config")).expect("a config file");
        config
            .lines()
            .find(|line| line.starts_with("id ="))
            .expect("an id")
            .to_owned()
    };
    let config = fs::read_to_string(other.repo.join("config")).expect("a config file");
    let config = config.replace(&id_line(&other.repo), &id_line(&scene.repo));
    fs::write(other.repo.join("config"), config).expect("room on the disk");
    fs::remove_dir_all(&scene.repo).expect("our own directory");
    fs::rename(&other.repo, &scene.repo).expect("our own directory");
    check(&scene, &scene.home, &["list", scene.repo()]);
}

#[test]
fn wrong_and_missing_passphrases() {
    for mode in ["repokey", "keyfile-blake2", "authenticated"] {
        let scene = Scene::with_repository(Program::Stock, mode);
        let args = ["list", scene.repo()];
        check(&scene, &scene.home.with("BORG_PASSPHRASE", "wrong"), &args);
        check(&scene, &scene.home.with("BORG_PASSPHRASE", ""), &args);
        let mut command = scene.home.clone();
        command.unset("BORG_PASSPHRASE");
        check(
            &scene,
            &command.with("BORG_PASSCOMMAND", "echo wrong"),
            &args,
        );
        check(&scene, &command.with("BORG_PASSCOMMAND", "false"), &args);
        check(
            &scene,
            &command.with("BORG_PASSCOMMAND", "no-such-program --x"),
            &args,
        );
        check(
            &scene,
            &command.with("BORG_PASSCOMMAND", "echo correct horse battery staple"),
            &args,
        );
        check(
            &scene,
            &command.with("BORG_PASSCOMMAND", "echo 'correct horse battery staple'"),
            &args,
        );
    }
}

#[test]
fn missing_and_foreign_keys() {
    let scene = Scene::with_repository(Program::Stock, "keyfile");
    let stranger = Home::new(&scene.scratch, "stranger");
    let args = ["list", scene.repo()];
    check(&scene, &stranger, &args);
    let keys = stranger.config().join("keys");
    fs::create_dir_all(&keys).expect("room on the disk");
    for content in [
        "",
        "BORG_KEY",
        "BORG_KEY 00\nabc\n",
        "nonsense\n\n",
        "BORG_KEY \u{fffd}\n",
    ] {
        fs::write(keys.join("key"), content).expect("room on the disk");
        check(&scene, &stranger, &args);
    }
    // A key file by name, right and wrong.
    let right = fs::read_dir(scene.home.config().join("keys"))
        .expect("keys")
        .flatten()
        .next()
        .expect("one");
    check(&scene, &stranger.with("BORG_KEY_FILE", right.path()), &args);
    check(
        &scene,
        &stranger.with("BORG_KEY_FILE", keys.join("key")),
        &args,
    );
    check(
        &scene,
        &stranger.with("BORG_KEY_FILE", keys.join("missing")),
        &args,
    );
}

/// The passphrase may come through a file descriptor; both leave the same exit code when it is wrong.
#[test]
fn a_repository_that_is_none() {
    let scene = Scene::new();
    let dir = scene.scratch.dir("plain directory");
    check(&scene, &scene.home, &["list", text(&dir)]);
    fs::write(dir.join("config"), b"[repository]\nversion = 1\n").expect("room on the disk");
    check(&scene, &scene.home, &["list", text(&dir)]);
    fs::write(dir.join("config"), b"nonsense").expect("room on the disk");
    check(&scene, &scene.home, &["list", text(&dir)]);
    fs::write(dir.join("config"), b"[repository]\nversion = 2\nid = 00\n")
        .expect("room on the disk");
    check(&scene, &scene.home, &["list", text(&dir)]);
    check(&scene, &scene.home, &["list", "missing"]);
    check(&scene, &scene.home, &["list", "missing::archive"]);
    check(&scene, &scene.home, &["create", "missing::archive", "x"]);
}
