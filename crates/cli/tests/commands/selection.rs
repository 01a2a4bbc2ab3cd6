//! Archives chosen by age, wherever archives are chosen.

use std::fs;

use super::scene::Scene;

/// A repository `repo` with archives of 2020 and one made now.
fn scene() -> Scene {
    let scene = Scene::new();
    fs::write(scene.home().join("file"), "content").unwrap();
    scene.ok(["init", "-e", "none", "repo"]);
    let archives = [
        ("first", "2020-01-31T12:00:00"),
        ("second", "2020-02-29T12:00:00"),
        ("third", "2020-03-02T00:00:00"),
    ];
    for (name, time) in archives {
        let archive = format!("repo::{name}");
        scene.ok(["create", "--timestamp", time, &archive, "file"]);
    }
    scene.ok(["create", "repo::now", "file"]);
    scene
}

#[track_caller]
fn check(scene: &Scene, options: &[&str], expected: &[&str]) {
    let ran = scene.ok([&["list", "--short", "repo"], options].concat());
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), expected, "{options:?}");
}

#[test]
fn archives_are_chosen_by_age() {
    let scene = scene();
    check(&scene, &["--older", "1y"], &["first", "second", "third"]);
    check(&scene, &["--newer", "7d"], &["now"]);
    check(&scene, &["--older=7d", "--newer=7d"], &[]);
    check(&scene, &["--oldest", "1m"], &["first", "second"]);
    check(&scene, &["--oldest", "32d"], &["first", "second", "third"]);
    check(&scene, &["--newest", "1H"], &["now"]);
    check(
        &scene,
        &["--older", "1w", "--newest", "2d"],
        &["second", "third"],
    );
    check(
        &scene,
        &["--older", "1w", "--last", "1", "-a", "*d"],
        &["third"],
    );
    check(
        &scene,
        &["--newest", "99y", "--first", "2"],
        &["first", "second"],
    );
}

#[test]
fn deleting_by_age_does_not_mean_the_whole_repository() {
    let scene = scene();
    scene.ok(["delete", "repo", "--oldest", "1m"]);
    check(&scene, &[], &["third", "now"]);
    scene.ok(["delete", "repo", "--newer", "1d", "--dry-run"]);
    scene.ok(["delete", "repo", "--older", "90y"]);
    check(&scene, &[], &["third", "now"]);
    let ran = scene.run(["delete", "repo::now", "--older", "1d"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("Mixing archive filters"), "{}", ran.err);
}

#[test]
fn rules_see_only_archives_of_the_ages_asked_for() {
    let scene = scene();
    let ran = scene.ok([
        "prune",
        "repo",
        "--list",
        "--keep-last",
        "1",
        "--older",
        "1y",
    ]);
    let shown: Vec<&str> = ran.err.lines().map(|line| line[..52].trim_end()).collect();
    assert_eq!(
        shown,
        [
            "Keeping archive (rule: secondly #1):         third",
            "Pruning archive (1/2):                       second",
            "Pruning archive (2/2):                       first"
        ]
    );
    check(&scene, &[], &["third", "now"]);
}

#[test]
fn ages_are_never_what_an_abbreviation_means() {
    let scene = Scene::new();
    let complaint = |words: &[&str]| {
        let ran = scene.run(words);
        assert_eq!(ran.code, 2, "{words:?}");
        ran.err.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(
        complaint(&["list", "--old", "7d", "x"]),
        "borg: error: unrecognized arguments: --old"
    );
    assert_eq!(
        complaint(&["list", "--older", "7x", "x"]),
        "borg list: error: argument --older: Invalid time span '7x': expected a number followed by \
         one of y, m, w, d, H, M, S"
    );
}
