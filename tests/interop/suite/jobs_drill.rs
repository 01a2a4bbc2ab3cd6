//! Restore drills of archives that stock Borg has made: what is whole is proven, what is not is found, and no live file is
//! touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ironborg_testkit::{OtherUser, Program, Random, Server, Tried, tally, tree};
use serde_json::{Value, json};

use crate::scene::{Scene, text};

/// How a drill ended.
struct Drilled {
    code: i32,
    figures: Value,
    log: String,
}

impl Drilled {
    #[track_caller]
    fn figure(&self, name: &str) -> u64 {
        let figure = &self.figures[name];
        figure
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {figure}\n{}", self.log))
    }

    #[track_caller]
    fn share(&self) -> f64 {
        let share = &self.figures["proven_share"];
        share
            .as_f64()
            .unwrap_or_else(|| panic!("{share}\n{}", self.log))
    }
}

/// The words that drill, and the order for them.
fn order(budget: u64, archives: &str, paths: &[&Path]) -> Value {
    let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    json!({
        "job": "job", "target": "main", "archive": "a", "fail_on_warnings": false,
        "steps": [{"drill": {"budget": budget, "archives": archives, "paths": paths}}],
    })
}

#[track_caller]
fn drill(scene: &Scene, budget: u64, archives: &str, paths: &[&Path]) -> Drilled {
    let state = scene.scratch.join("state");
    let run = scene
        .home
        .tool(
            Program::Ours.path(),
            ["jobs", "work", "--state", text(&state)],
        )
        .env("BORG_REPO", scene.repo())
        .input(order(budget, archives, paths).to_string())
        .run();
    let lines = run.json_lines();
    let ended = lines
        .last()
        .unwrap_or_else(|| panic!("nothing is told\n{run}"));
    assert_eq!(ended["type"], "ended", "{run}");
    assert_eq!(ended["code"], run.code(), "{run}");
    let left = fs::read_dir(state.join("job/drill")).map(|entries| {
        let names = entries.map(|entry| entry.expect("ours").file_name());
        names.collect::<Vec<_>>()
    });
    if let Ok(left) = left {
        assert!(left.len() <= 1 && left != ["restored"], "{left:?} is left");
    }
    Drilled {
        code: run.code(),
        figures: ended["figures"].clone(),
        log: run.err(),
    }
}

/// Changes a file until the clock that stamps files has gone on: another one that changed before is at rest then.
fn change_later(path: &Path, other: &Path) {
    let changed = |path: &Path| {
        let found = fs::metadata(path).expect("it is there");
        (found.ctime(), found.ctime_nsec())
    };
    loop {
        fs::write(path, b"x").expect("room on the disk");
        if changed(path) > changed(other) {
            return;
        }
    }
}

/// Access times of all files of a tree: whoever reads them quietly leaves them alone.
fn access_times(top: &Path) -> BTreeMap<PathBuf, (i64, i64)> {
    let mut times = BTreeMap::new();
    let mut directories = vec![top.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("ours") {
            let entry = entry.expect("ours");
            let found = entry.path().symlink_metadata().expect("ours");
            if found.is_dir() {
                directories.push(entry.path());
            } else if found.is_file() {
                let time = (found.atime(), found.atime_nsec());
                times.insert(entry.path(), time);
            }
        }
    }
    times
}

#[test]
fn everything_stock_borg_has_stored_is_proven() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let top = scene.scratch.join("tree");
    tree::rich(&top);
    let (top_text, last) = (text(&top), scene.scratch.join("last"));
    change_later(&last, &top);
    scene
        .run(
            Program::Stock,
            &["create", &scene.archive("a-1"), top_text, text(&last)],
        )
        .ok();
    let before = access_times(&top);
    let drilled = drill(&scene, 600, "a-*", &[&top, &last]);
    assert_eq!(drilled.code, 0, "{}", drilled.log);
    assert_eq!(drilled.figure("different_files"), 0, "{}", drilled.log);
    assert_eq!(drilled.figure("restored_files"), 0, "{}", drilled.log);
    let listed = scene.run(
        Program::Stock,
        &["list", "--format", "{type}{NL}", &scene.archive("a-1")],
    );
    let kinds = listed.out();
    let drillable = kinds.lines().filter(|kind| !matches!(*kind, "b" | "c"));
    assert_eq!(
        drilled.figure("proven_files"),
        drillable.count() as u64,
        "{}",
        drilled.log
    );
    assert!((drilled.share() - 1.0).abs() < f64::EPSILON);
    assert_eq!(drilled.figures["archive"], "a-1");
    assert!(
        drilled
            .log
            .contains("proven restorable: 100.0 % of the data"),
        "{}",
        drilled.log
    );
    assert!(
        before == access_times(&top),
        "a live file was read as if by somebody"
    );
}

#[test]
fn changed_files_are_restored_and_wrong_content_is_found() {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    let top = scene.scratch.dir("tree");
    let mut random = Random::new(11);
    for name in ["changed", "gone", "renamed", "same", "swapped"] {
        fs::write(top.join(name), random.bytes(10_000)).expect("room on the disk");
    }
    // As stock Borg keeps it in its files cache, by size and mtime only: content that changes under the same is not seen.
    let mode = "--files-cache=mtime,size";
    let last = scene.scratch.join("last");
    for name in ["changed", "gone", "renamed", "same", "swapped"] {
        tree::set_mtime(&top.join(name), 1_600_000_000, 123_456_789);
    }
    fs::write(&last, b"x").expect("room on the disk");
    let create = |name: &str| {
        let archive = scene.archive(name);
        let words = ["create", mode, &archive, text(&top), text(&last)];
        scene.run(Program::Stock, &words).ok();
    };
    create("a-1");
    let swapped = top.join("swapped");
    let found = fs::metadata(&swapped).expect("it is there");
    let mut content = fs::read(&swapped).expect("it is there");
    content[7_000] ^= 1;
    fs::write(&swapped, content).expect("room on the disk");
    tree::set_mtime(&swapped, found.mtime(), found.mtime_nsec());
    change_later(&last, &swapped);
    create("a-2");
    fs::write(top.join("changed"), b"other").expect("room on the disk");
    fs::remove_file(top.join("gone")).expect("it is there");
    fs::rename(top.join("renamed"), top.join("other")).expect("it is there");
    fs::write(top.join("new"), b"new").expect("room on the disk");

    let drilled = drill(&scene, 600, "a-*", &[&top, &last]);
    assert_eq!(drilled.code, 2, "{}", drilled.log);
    assert_eq!(drilled.figure("different_files"), 1);
    let path = text(&swapped).trim_start_matches('/');
    let told = format!("a-2::{path}: restore drill: its content differs from byte 7000 on");
    assert!(drilled.log.contains(&told), "{}", drilled.log);
    // Beside these the directory, which has changed as well; and the two files that have not.
    assert_eq!(drilled.figure("restored_files"), 4, "{}", drilled.log);
    assert_eq!(drilled.figure("restored_bytes"), 30_000);
    assert_eq!(drilled.figure("proven_files"), 2);
    assert_eq!(drilled.figure("proven_bytes"), 10_001);
    let expected = 40_001.0 / 50_001.0;
    assert!(
        (drilled.share() - expected).abs() < 0.001,
        "{}",
        drilled.share()
    );
}

#[test]
fn a_damaged_chunk_is_named_and_everything_else_is_proven() {
    let scene = Scene::with_repository(Program::Stock, "authenticated");
    let top = scene.scratch.dir("tree");
    let mut random = Random::new(12);
    for number in 0..20 {
        fs::write(top.join(format!("f{number:02}")), random.bytes(5_000)).expect("room");
    }
    fs::write(top.join("large"), random.bytes(12 << 20)).expect("room on the disk");
    let marked = b"this is where the bit is flipped, a little later than here";
    fs::write(top.join("marked"), marked).expect("room on the disk");
    scene
        .run(
            Program::Stock,
            &["create", "-C", "none", &scene.archive("a"), text(&top)],
        )
        .ok();
    let flipped = flip(&scene.repo.join("data/0"), marked);
    assert_eq!(flipped, 1, "the content is stored once, as it is");
    let drilled = drill(&scene, 600, "a", &[&top]);
    assert_eq!(drilled.code, 2, "{}", drilled.log);
    assert_eq!(drilled.figure("different_files"), 1, "{}", drilled.log);
    let path = text(&top.join("marked")).trim_start_matches('/').to_owned();
    let lost = format!("a::{path}: bytes 0-{} (chunk ", marked.len());
    assert!(drilled.log.contains(&lost), "{}", drilled.log);
    assert!(
        drilled.log.contains("1 files of archive a came out wrong."),
        "{}",
        drilled.log
    );
    assert_eq!(drilled.figure("proven_bytes"), 20 * 5_000 + (12 << 20));
    assert!(drilled.share() < 1.0);
    tally(Tried::Damages, 1);
}

/// Flips a bit in the middle of every place where `marked` is.
fn flip(directory: &Path, marked: &[u8]) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("a directory of segments") {
        let path = entry.expect("ours").path();
        let mut bytes = fs::read(&path).expect("ours");
        let found = bytes
            .windows(marked.len())
            .position(|window| window == marked);
        if let Some(at) = found {
            bytes[at + marked.len() / 2] ^= 4;
            fs::write(&path, bytes).expect("room on the disk");
            count += 1;
        }
    }
    count
}

/// Without any time each drill does one batch or one chunk, and goes on where the last one stopped. The other side of an
/// ssh connection is stock Borg.
#[test]
fn what_there_was_no_time_for_is_done_the_next_time() {
    let scene = Scene::behind(Server::Current(Program::Stock));
    scene.init(Program::Ours, "repokey");
    let top = scene.scratch.dir("tree");
    let mut random = Random::new(13);
    fs::write(top.join("large"), random.bytes(5 << 20)).expect("room on the disk");
    fs::write(top.join("small"), random.bytes(9_000)).expect("room on the disk");
    fs::write(top.join("z"), b"x").expect("room on the disk");
    scene
        .run(Program::Ours, &["create", &scene.archive("a"), text(&top)])
        .ok();
    let mut shares = Vec::new();
    let mut proven = 0;
    while shares.last() != Some(&1.0) {
        let drilled = drill(&scene, 0, "*", &[&top]);
        assert_eq!(drilled.code, 0, "{}", drilled.log);
        proven += drilled.figures["proven_bytes"].as_u64().unwrap_or(0);
        shares.push(drilled.share());
        assert!(shares.len() < 20, "{shares:?}");
    }
    assert!(shares.len() > 2, "chunks have 2 MiB: {shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
    // What there was room for beside the rest was proven twice.
    assert!(proven >= (5 << 20) + 9_001, "{proven}");
}

/// A user's own job, and the output of a command, which nothing can be compared with.
#[test]
fn a_user_drills_and_what_a_command_has_printed_is_restored() {
    let scene = Scene::new();
    let user = OtherUser::new(&scene.scratch, &scene.home);
    let (repo, state) = (
        user.home().base().join("repo"),
        user.home().base().join("state"),
    );
    let top = user.dir("tree");
    for name in ["one", "two"] {
        fs::write(top.join(name), name).expect("room on the disk");
        user.give(&top.join(name));
    }
    fs::create_dir(top.join("closed")).expect("room on the disk");
    fs::write(top.join("closed/three"), "three").expect("room on the disk");
    user.give(&top.join("closed/three"));
    user.give(&top.join("closed"));
    let run = |words: &[&str]| user.invocation(words).env("BORG_REPO", &repo).run().ok();
    run(&["init", "--encryption", "none"]);
    run(&["create", "::files", text(&top)]);
    run(&[
        "create",
        "--content-from-command",
        "::output",
        "--",
        "echo",
        "some output",
    ]);
    // There are jobs under our own name only.
    let ironborg = user.borg().with_file_name("ironborg");
    fs::hard_link(user.borg(), &ironborg).expect("room on the disk");
    let drill = |archives: &str, paths: &[&Path]| {
        let work = ["jobs", "work", "--state", text(&state)];
        let run = user
            .tool(&ironborg, work)
            .env("BORG_REPO", &repo)
            .input(order(60, archives, paths).to_string())
            .run()
            .ok();
        run.json_lines().last().expect("the end")["figures"].clone()
    };
    let figures = drill("files", &[&top]);
    assert_eq!(figures["proven_files"], 5, "{figures}");
    assert_eq!(figures["proven_share"], 1.0, "{figures}");
    let figures = drill("output", &[]);
    assert_eq!(figures["restored_files"], 1, "{figures}");
    assert_eq!(figures["restored_bytes"], 12, "{figures}");
    assert_eq!(figures["proven_share"], 1.0, "{figures}");
}
