//! `check`: what may be asked together, reports for programs, plans.

use std::fs;

use serde_json::Value;

use super::scene::{Ran, Scene};

/// A repository `repo` with archives `old` and `new` that share nothing.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.ok(["init", "-e", "none", "repo"]);
    for (name, time) in [("old", Some("2020-01-31T12:00:00")), ("new", None)] {
        fs::write(scene.home().join("file"), name.repeat(1000)).unwrap();
        let archive = format!("repo::{name}");
        let time = time.map(|time| ["--timestamp", time]);
        let time = time.as_ref().map_or(&[][..], |time| &time[..]);
        scene.ok([&["create"], time, &[&archive, "file"]].concat());
    }
    scene
}

/// Answers the question a repair begins with.
#[track_caller]
fn repair(scene: &Scene, args: &[&str]) -> Ran {
    let ran = Ran::of(scene.command(args), b"YES\n");
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

fn report(scene: &Scene, args: &[&str]) -> Value {
    serde_json::from_str(&scene.run(args).out).unwrap()
}

/// The ids of a list's objects.
fn chunks(list: &Value) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    rows.filter_map(|row| Some(row["chunk"].as_str()?.to_owned()))
        .collect()
}

/// What an archive refers to is no orphan because the archive was not looked at.
#[test]
fn a_repair_of_some_archives_leaves_the_objects_of_the_others() {
    let scene = scene();
    let choices: [&[&str]; 9] = [
        &["--newer", "1d"],
        &["--older", "1y"],
        &["--oldest", "1d"],
        &["--newest", "1d"],
        &["--first", "1"],
        &["--last", "1"],
        &["-a", "n*"],
        &["-P", "o"],
        &["--sort-by", "name", "--first", "1"],
    ];
    for choice in choices {
        let ran = repair(
            &scene,
            &[&["check", "--repair", "-v", "repo"], choice].concat(),
        );
        let skipped = "Orphaned objects check skipped (needs all archives checked).";
        assert!(ran.err.contains(skipped), "{choice:?}\n{}", ran.err);
        let ran = scene.ok(["check", "--verify-data", "-v", "repo"]);
        assert!(
            ran.err.contains("no problems found."),
            "{choice:?}\n{}",
            ran.err
        );
    }
    let ran = repair(&scene, &["check", "--repair", "-v", "repo::old"]);
    assert!(
        ran.err.contains("Orphaned objects check skipped"),
        "{}",
        ran.err
    );
    scene.ok(["extract", "--dry-run", "repo::new"]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let scene = scene();
    for (args, why) in [
        (
            &["--plan"] as &[&str],
            "--plan is about a repair: give --repair too.",
        ),
        (
            &["--repair", "--max-duration=5"],
            "--repair does not allow --max-duration argument.",
        ),
        (
            &["--max-duration=5"],
            "--repository-only is required for --max-duration support.",
        ),
        (
            &["--repository-only", "--verify-data"],
            "--repository-only contradicts --first, ",
        ),
        (
            &["--repository-only", "--newer=1d"],
            "--repository-only contradicts --first, ",
        ),
    ] {
        let ran = Ran::of(scene.command([&["check", "repo"], args].concat()), b"YES\n");
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.err.contains(why), "{args:?}\n{}", ran.err);
    }
}

#[test]
fn a_plan_asks_nothing_and_changes_nothing_and_is_what_a_repair_does() {
    let scene = scene();
    // Without a key an object's id is the digest of its content.
    let digest = ["list", "--format", "{sha256}", "repo::old", "file"];
    let lost = scene.ok(digest).out;
    scene.ok(["debug", "delete-obj", "repo", &lost]);

    // No answer was given; none is needed.
    let planned = report(&scene, &["check", "--repair", "--plan", "--json", "repo"]);
    assert_eq!(planned["check"]["mode"], "plan");
    let finding = &planned["findings"][0];
    assert_eq!(finding["kind"], "chunk_missing");
    assert_eq!(finding["archive"], "old");
    assert_eq!(finding["path"], "file");
    assert_eq!(finding["chunk"], lost.as_str());
    assert_eq!(finding["bytes"], serde_json::json!([0, 3000]));
    assert_eq!(
        scene.run(["check", "repo"]).code,
        1,
        "nothing is repaired yet"
    );

    let lines = scene.run(["check", "--repair", "--plan", "repo"]).out;
    let details = planned["changes"].as_array().unwrap().iter();
    let told = details.map(|change| format!("would {}\n", change["detail"].as_str().unwrap()));
    assert_eq!(lines, told.collect::<String>());

    let done = repair(&scene, &["check", "--repair", "--json", "repo"]);
    let done: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(done["check"]["mode"], "repair");
    assert_eq!(done["check"]["sound"], true);
    assert_eq!(done["changes"], planned["changes"]);
    assert!(!chunks(&done["changes"]).is_empty());

    let sound = report(&scene, &["check", "--json", "repo"]);
    assert_eq!(sound["findings"][0]["kind"], "chunk_still_missing");
    assert_eq!(sound["findings"].as_array().unwrap().len(), 1);
    assert_eq!(sound["check"]["sound"], true);
    assert_eq!(sound["changes"], Value::Array(Vec::new()));
}

#[test]
fn a_report_says_what_was_looked_at() {
    let scene = scene();
    let check = report(
        &scene,
        &[
            "check",
            "--json",
            "--archives-only",
            "--verify-data",
            "repo",
        ],
    );
    let expected = serde_json::json!({
        "archives": true, "mode": "look", "repository": false, "sound": true, "verify_data": true,
    });
    assert_eq!(check["check"], expected);
    let check = report(&scene, &["check", "--json", "--repository-only", "repo"]);
    assert_eq!(check["check"]["archives"], false);
    assert_eq!(check["check"]["repository"], true);
    assert!(
        check["repository"]["location"]
            .as_str()
            .unwrap()
            .ends_with("/repo")
    );
}
