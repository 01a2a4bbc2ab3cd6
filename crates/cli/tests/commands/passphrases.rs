//! Where passphrases come from, and in which order.

use std::fs;
use std::process::Command;

use super::scene::{Ran, Scene};

/// A machine with an encrypted repository whose passphrase is "secret".
fn scene() -> Scene {
    let scene = Scene::new();
    scene.ok(["init", "-e", "repokey-blake2", "r"]);
    scene
}

/// Lists the repository with other variables than the usual passphrase.
fn list(scene: &Scene, variables: &[(&str, &str)]) -> Ran {
    let mut command = scene.command(["list", "r"]);
    command
        .env_remove("BORG_PASSPHRASE")
        .env("BORG_EXIT_CODES", "modern")
        .envs(variables.iter().copied());
    Ran::of(command, b"")
}

#[test]
fn a_command_gives_the_passphrase() {
    let scene = scene();
    assert_eq!(list(&scene, &[("BORG_PASSCOMMAND", "echo secret")]).code, 0);
    assert_eq!(
        list(&scene, &[("BORG_PASSCOMMAND", "printf 'secret\\n\\n'")]).code,
        0
    );
    assert_eq!(list(&scene, &[("BORG_PASSCOMMAND", "echo wrong")]).code, 52);
    let ran = list(&scene, &[("BORG_PASSCOMMAND", "false")]);
    assert_eq!(ran.code, 51, "{ran:?}");
    assert!(
        ran.err
            .contains("Command '['false']' returned non-zero exit status 1."),
        "{ran:?}"
    );
    let ran = list(&scene, &[("BORG_PASSCOMMAND", "/no/such/program")]);
    assert_eq!(ran.code, 51, "{ran:?}");
    assert!(
        ran.err
            .contains("[Errno 2] No such file or directory: '/no/such/program'"),
        "{ran:?}"
    );
}

#[test]
fn the_command_does_not_see_the_passphrase() {
    let scene = scene();
    let mut command = scene.command(["init", "-e", "repokey", "r2"]);
    command
        .env("BORG_NEW_PASSPHRASE", "new")
        .env("BORG_PASSPHRASE", "secret");
    assert_eq!(Ran::of(command, b"").code, 0);
    let mut command = scene.command(["create", "--content-from-command", "r::a", "--", "sh", "-c"]);
    command.arg("echo ${BORG_PASSPHRASE-unset} $BORG_VERSION");
    assert_eq!(Ran::of(command, b"").code, 0);
    assert_eq!(
        scene.ok(["extract", "--stdout", "r::a"]).out,
        "unset 1.4.5\n"
    );
}

#[test]
fn an_open_descriptor_gives_the_passphrase() {
    let scene = scene();
    fs::write(scene.home().join("file"), "secret\n").unwrap();
    let shell = |script: &str| {
        let usual = scene.command(["x"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(scene.home())
            .env_clear();
        for (name, value) in usual.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command
            .env_remove("BORG_PASSPHRASE")
            .env("BORG_PASSPHRASE_FD", "9")
            .env("BORG", scene.root().join("borg"));
        Ran::of(command, b"")
    };
    let ran = shell("$BORG list r 9<file");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = shell("echo secret | { $BORG list r 9<&0 </dev/null; }");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = shell("echo wrong | { $BORG list r 9<&0 </dev/null; }");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("BORG_PASSPHRASE_FD is incorrect"),
        "{ran:?}"
    );
}

#[test]
fn the_plain_variable_comes_first() {
    let scene = scene();
    let both = [("BORG_PASSPHRASE", "secret"), ("BORG_PASSCOMMAND", "false")];
    assert_eq!(list(&scene, &both).code, 0);
    let ran = list(&scene, &[("BORG_PASSPHRASE", "")]);
    assert_eq!(ran.code, 52, "an empty passphrase is one, too: {ran:?}");
}

#[test]
fn without_any_a_person_is_asked_and_without_one_it_fails() {
    let scene = scene();
    let ran = list(&scene, &[]);
    assert_eq!(ran.code, 50, "{ran:?}");
    assert!(
        ran.err.contains(
            "BORG_PASSPHRASE is not set. BORG_PASSCOMMAND is not set. Interactive password query failed."
        ),
        "{ran:?}"
    );
    let mut command = scene.command(["list", "r"]);
    command.env_remove("BORG_PASSPHRASE");
    let ran = Ran::of(command, b"no\nneither\nsecret\n");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_new_passphrase_that_nobody_gives_leaves_no_repository_behind() {
    let scene = Scene::new();
    let mut command = scene.command(["init", "-e", "repokey", "r"]);
    command.env_remove("BORG_PASSPHRASE");
    let ran = Ran::of(command, b"");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!scene.home().join("r").exists());
    let mut command = scene.command(["init", "-e", "repokey", "r"]);
    command.env_remove("BORG_PASSPHRASE");
    let ran = Ran::of(command, b"one\ntwo\nsame\nsame\nn\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Passphrases do not match"), "{ran:?}");
}
