//! The options of `check` with archives in play: which archives, which part, who asks and who answers, where it is.

use std::env;
use std::fs;

use ironborg_testkit::{
    Compare, Home, Program, Run, Server, Wire, assert_same_tree, sample, sample_names,
    sample_passphrase,
};

use super::ground::ground;
use super::trial::{comparable, injure, shown};
use crate::same_output::{compare_runs, differences};
use crate::scene::{Scene, text};

/// The ground with several damages, in place.
fn damaged(names: &[&str]) -> Scene {
    let mut scene = ground("repokey");
    for (number, name) in names.iter().enumerate() {
        let next = scene.scratch.join(format!("damaged-{number}"));
        injure(
            &scene,
            &[(name, scene.repo(), vec![text(&next).to_owned()])],
        );
        scene.moved_to(next);
    }
    // This machine has seen the repository at its first place.
    scene.home = scene.home.based_at(&scene.scratch.dir("another home"));
    scene
}

/// Both say the same with each list of arguments, one after the other.
#[track_caller]
fn assert_same(scene: &Scene, lists: &[Vec<&str>]) -> Vec<Run> {
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let [(ours, _), (stock, _)] = scene.run_lists(&lists);
    for (ours, stock) in ours.iter().zip(&stock) {
        compare_runs(ours, stock, comparable);
    }
    ours
}

#[test]
fn archives_are_chosen_alike() {
    let scene = damaged(&["chunk-first", "orphan", "archive-missing"]);
    let repo = scene.repo();
    let [a, b, none] = ["a", "b", "none"].map(|name| scene.archive(name));
    let check = |words: &[&'static str]| [&["check", "-v"], words, &[repo]].concat();
    let mut lists = vec![
        check(&["-a", "[ac]", "--archives-only"]),
        check(&["-P", "m"]),
        check(&["--glob-archives=", "--archives-only"]),
        check(&["-a", "nothing*", "--log-json"]),
        check(&["--first", "1", "--sort-by", "name"]),
        check(&["--last", "2", "--archives-only", "--verify-data"]),
        check(&["--first", "9", "--archives-only"]),
        check(&["--last", "9", "--archives-only", "--progress"]),
        check(&["--sort-by", "id", "--save-space", "--bypass-lock"]),
        vec!["check", "-v", &none],
        vec!["check", "-v", "--archives-only", &a],
        vec!["check", "--repair", "-v", &none],
        check(&["--repair", "--archives-only", "--last", "2"]),
        vec!["check", "--repair", "-v", "--archives-only", &a],
        check(&["--archives-only"]),
        vec!["check", "--repair", "--archives-only", &b],
        check(&["--archives-only", "--show-rc"]),
        check(&["--repair"]),
        check(&["--verify-data"]),
    ];
    if !super::trial::is_full() {
        lists = lists.into_iter().skip(2).collect();
    }
    let runs = assert_same(&scene, &lists);
    let last = runs.last().expect("runs");
    assert_eq!(last.code(), 0, "{last}");
    assert!(runs.iter().filter(|run| run.code() == 1).count() > 5);
}

/// A repair in an append-only repository is refused for its segments, not for archives: those are only added to.
#[test]
fn an_append_only_repository_is_repaired_alike() {
    let scene = damaged(&["chunk-first"]);
    let repo = scene.repo();
    let lists = [
        vec!["config", repo, "append_only", "1"],
        vec!["check", "-v", "--repair", "--archives-only", repo],
        vec!["check", "-v", "--verify-data", repo],
    ];
    let runs = assert_same(&scene, &lists);
    assert_eq!(runs[2].code(), 0, "{}", runs[2]);
}

#[test]
fn the_question_is_answered_on_standard_input_alike() {
    let mut scene = damaged(&["chunk-first"]);
    scene.home.unset("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING");
    let [plain, json] = [&[] as &[&str], &["--log-json"]];
    for (answer, words) in [
        ("NO\n", plain),
        ("", json),
        ("yes\n", plain),
        ("YES\n", json),
    ] {
        for codes in ["legacy", "modern"] {
            let args = [&["check", "--repair", scene.repo()], words].concat();
            let [ours, stock] = scene.each_from_same_state(|program| {
                let run = scene.home.invocation(program, &args);
                run.input(answer).env("BORG_EXIT_CODES", codes).run()
            });
            compare_runs(&ours, &stock, comparable);
            assert_eq!(ours.code() == 0, answer == "YES\n", "{ours}");
        }
    }
}

/// A file that was lost is whole again when it has been backed up again and a repair has looked.
#[test]
fn what_is_backed_up_again_heals() {
    let scene = damaged(&["chunk-spoiled"]);
    let repo = scene.repo();
    let again = scene.archive("again");
    let chunks = "--chunker-params=buzhash,10,13,11,63";
    let lists: [&[&str]; 5] = [
        &["check", "-v", "--repair", "--verify-data", repo],
        &["create", chunks, "--files-cache=disabled", &again, "tree"],
        &["check", "-v", "--repair", repo],
        &["check", "-v", "--verify-data", repo],
        &[
            "list",
            "--format",
            "{path} {sha256} {num_chunks} {health}{NL}",
            &scene.archive("b"),
        ],
    ];
    let places = Program::BOTH.map(|program| {
        let dir = scene.scratch.dir(format!("healed by {}", program.name()));
        (program, dir)
    });
    let runs = scene.each_from_same_state(|program| {
        let runs = scene.run_list(program, &lists);
        // Whoever has healed it, the other restores it.
        let (other, dir) = places
            .iter()
            .find(|(name, _)| *name != program)
            .expect("two");
        let archive = scene.archive("b");
        let extract = scene.home.invocation(*other, ["extract", &archive]);
        extract.dir(dir).run().ok();
        assert_same_tree(
            &scene.scratch.join("tree"),
            &dir.join("tree"),
            Compare::Everything,
        );
        runs
    });
    for (ours, stock) in runs[0].iter().zip(&runs[1]) {
        compare_runs(ours, stock, comparable);
    }
    assert!(
        runs[0][2].err().contains("Completely healed"),
        "{}",
        runs[0][2]
    );
}

#[test]
fn across_the_wire_stock_borg_serves() {
    check_across_the_wire(Program::Stock);
}

#[test]
fn across_the_wire_ours_serves() {
    check_across_the_wire(Program::Ours);
}

/// Either client finds and mends the same across the wire as here.
#[track_caller]
fn check_across_the_wire(server: Program) {
    let mut scene = damaged(&[
        "chunk-spoiled",
        "orphan",
        "items-middle",
        "manifest-missing",
    ]);
    let wire = Wire::new(Server::Current(server));
    wire.lead(&mut scene.home);
    let url = wire.url(&scene.repo);
    let lists: [&[&str]; 2] = [
        &[
            "check",
            "-v",
            "--repair",
            "--verify-data",
            "--archives-only",
            &url,
        ],
        &["check", "-v", "--verify-data", "--archives-only", &url],
    ];
    let [(ours, _), (stock, _)] = scene.run_lists(&lists);
    for (ours, stock) in ours.iter().zip(&stock) {
        compare_runs(ours, stock, comparable);
    }
    assert!(
        ours[0].err().contains("item metadata chunk missing"),
        "{}",
        ours[0]
    );
    assert!(
        ours[0].err().contains("New missing file chunk"),
        "{}",
        ours[0]
    );
    assert_eq!(ours[1].code(), 0, "{}", ours[1]);
}

/// Repositories of every age and state: looked at and repaired alike.
#[test]
fn samples_are_checked_and_repaired_alike() {
    let everyday = [
        "made-by-1.0.13-repokey",
        "made-by-1.1.18-invalid-archive-tam",
        "no-tam",
        "no-manifest-tam",
        "part-files",
        "interrupted",
        "repaired",
    ];
    let is_full = super::trial::is_full();
    let only = env::var("IRONBORG_DAMAGE").ok();
    let mut wrong = String::new();
    let wanted = |name: &&str| is_full || everyday.contains(name);
    for name in sample_names().into_iter().filter(wanted) {
        if only.as_deref().is_none_or(|only| only == name) {
            wrong.push_str(&check_sample(name));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn check_sample(name: &str) -> String {
    let scene = Scene::new();
    let mut home = Home::new(&scene.scratch, "home of a sample");
    home.set("BORG_PASSPHRASE", sample_passphrase());
    home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    home.set("BORG_HOST_ID", "host.example.org@1");
    let sample = sample(name).unpack(&scene.scratch, &home);
    let mut scene = scene;
    scene.home = home;
    scene.moved_to(sample.repository);
    // Whether the owner of a lock that was left is dead depends on what runs here.
    let _ = fs::remove_dir_all(scene.repo.join("lock.exclusive"));
    let _ = fs::remove_file(scene.repo.join("lock.roster"));
    let repo = scene.repo();
    // Archives that nobody signed are signed now, each with a random salt: their ids differ.
    let format = match name {
        "no-tam" => "{archive} {start}{NL}",
        _ => "{archive} {id} {start}{NL}",
    };
    let lists: [&[&str]; 5] = [
        &["check", "-v", "--verify-data", repo],
        &["check", "-v", "--repair", repo],
        &["check", "-v", "--verify-data", repo],
        &["list", "--consider-checkpoints", "--format", format, repo],
        &[
            "check",
            "-v",
            "--repair",
            "--verify-data",
            "--log-json",
            repo,
        ],
    ];
    let [(ours, _), (stock, _)] = scene.run_lists(&lists);
    let pairs = ours.iter().zip(&stock);
    let different = pairs.filter_map(|(ours, stock)| {
        let differences = differences(ours, stock, comparable)?;
        let (ours, stock) = (shown(ours), shown(stock));
        Some(format!(
            "\n#### {name}: {differences}\n== ours\n{ours}== stock\n{stock}"
        ))
    });
    different.collect()
}
