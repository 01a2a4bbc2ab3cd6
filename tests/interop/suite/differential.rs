//! Every command with its main options and errors, one script after the other: both programs begin with the same
//! repositories, run the same lines, and must say the same on both streams and exit alike each time.
//!
//! What is compared more closely elsewhere (content of archives, files that are written) is not repeated here.

mod scripts;

use std::collections::BTreeMap;

use ironborg_testkit::{Program, Run};
use regex::Regex;
use serde_json::Value;

use crate::same_output::normal;
use crate::scene::Scene;

/// What stock Borg makes the repositories with. Each script finds: `r` (repokey, archives a1 to a3, a checkpoint and
/// one with an odd name), `n` (not encrypted, empty), `u` (authenticated), `k` (keyfile-blake2), `t` (a tree).
const PREPARATION: &str = "\
init -e repokey r
init -e none n
init -e authenticated-blake2 u
init -e keyfile-blake2 k
create --timestamp 2024-01-01T10:00:00 --comment first r::a1 t
create --timestamp 2024-02-01T10:00:00 -C zlib,6 --chunker-params fixed,4096 r::a2 t/dir t/a
create --timestamp 2024-03-01T10:00:00 r::a3.checkpoint t/a
create --timestamp 2024-03-02T10:00:00 r::a3 t
create --timestamp 2024-03-03T10:00:00 'r::odd [x] é' t/link
create --timestamp 2024-03-02T10:00:00 u::a1 t
create --timestamp 2024-03-02T10:00:00 k::a1 t/dir
";

/// The words of a line; blanks between single quotes belong to a word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        let current = words.last_mut().expect("there is always one");
        if index % 2 == 1 {
            // A word of its own even when empty.
            current.push_str(part);
            current.push('\u{0}');
            continue;
        }
        let mut pieces = part.split(' ');
        current.push_str(pieces.next().unwrap_or_default());
        words.extend(pieces.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words.iter().map(|word| word.replace('\u{0}', "")).collect()
}

pub(crate) fn script(text: &str) -> Vec<Vec<String>> {
    text.lines().map(words).collect()
}

/// A machine with the repositories and the tree in one directory, where everything runs.
fn world() -> Scene {
    let mut scene = Scene::new();
    scene.moved_to(scene.scratch.dir("world"));
    scene.home.set("PATH", "/usr/bin:/bin");
    scene.home.set("BORG_HOSTNAME", "host");
    scene
        .home
        .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    let tree = scene.scratch.dir("t/dir");
    for (name, len) in [("../a", 1), ("../b", 70_000), ("c", 5000), ("d é", 3)] {
        let content: Vec<u8> = (0..len)
            .map(|at: u32| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
            .collect();
        std::fs::write(tree.join(name), content).expect("a file of this test");
    }
    std::os::unix::fs::symlink("a", tree.join("../link")).expect("a link of this test");
    std::fs::hard_link(tree.join("c"), tree.join("../hard")).expect("a link of this test");
    with_tree(&scene, || {
        for run in scene.home.stock_runs(&scene.repo, &script(PREPARATION)) {
            run.ok();
        }
    });
    scene
}

/// Does something while the tree is beside the repositories. It is no part of what is copied and put back, for a
/// copy has other inodes and change times.
fn with_tree<T>(scene: &Scene, action: impl FnOnce() -> T) -> T {
    let (apart, here) = (scene.scratch.join("t"), scene.repo.join("t"));
    std::fs::rename(&apart, &here).expect("a directory of this test");
    let result = action();
    std::fs::rename(&here, &apart).expect("a directory of this test");
    result
}

/// What is different by nature: random identifiers, times of day, sizes that depend on both.
fn masked(bytes: &[u8]) -> String {
    let text = normal(bytes);
    let replacements = [
        (r"\b[0-9a-f]{64}\b", "ID"),
        (
            r#""(start|end|time|last_modified)": "20[0-9T:.-]+""#,
            r#""$1": "T""#,
        ),
        (
            r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), 20(2[5-9]|[3-9])[0-9-]+ [0-9:]+",
            "T",
        ),
        (
            r#""(c|a|m|isom|isoc)time": "20[0-9T:.-]+""#,
            r#""${1}time": "T""#,
        ),
        // Ours has no such cache to bring up to date.
        (
            r#"(?m)^.*"message": "(Synchronizing chunks cache\.\.\.|Archives: .*|Done\.)".*\n"#,
            "",
        ),
        (
            r#""max_archive_size": [0-9.e-]+"#,
            r#""max_archive_size": F"#,
        ),
    ];
    replacements.into_iter().fold(text, |text, (pattern, new)| {
        let pattern = Regex::new(pattern).expect("a valid pattern");
        pattern.replace_all(&text, new).into_owned()
    })
}

/// Runs the lines with both programs and reports everything that differs.
#[track_caller]
fn compare(variables: &[(&str, &str)], text: &str) {
    let mut scene = world();
    for (name, value) in variables {
        scene.home.set(name, value);
    }
    let lines = script(text);
    let [ours, stock] = scene.each_from_same_state(|program| {
        with_tree(&scene, || match program {
            Program::Ours => lines
                .iter()
                .map(|line| scene.home.invocation(program, line).dir(&scene.repo).run())
                .collect(),
            Program::Stock => scene.home.stock_runs(&scene.repo, &lines),
        })
    });
    assert_same_runs(&ours, &stock);
}

/// The runs exited alike and said the same, one by one; what differs is shown together.
#[track_caller]
pub(crate) fn assert_same_runs(ours: &[Run], stock: &[Run]) {
    assert_eq!(ours.len(), stock.len());
    let found: Vec<String> = ours
        .iter()
        .zip(stock)
        .filter_map(|(ours, stock)| difference(ours, stock))
        .collect();
    assert!(
        found.is_empty(),
        "{} of {} lines differ\n\n{}",
        found.len(),
        ours.len(),
        found.join("\n")
    );
}

/// A JSON object with its keys in order: stock Borg has those that a format asks for in any.
fn sorted(line: &str) -> String {
    let object: Option<BTreeMap<String, Value>> = serde_json::from_str(line).ok();
    object.map_or_else(|| line.to_owned(), |object| format!("{object:?}"))
}

fn difference(ours: &Run, stock: &Run) -> Option<String> {
    let facts = |run: &Run| {
        let out = masked(&run.stdout);
        let out: Vec<String> = out.lines().map(sorted).collect();
        let err = masked(&run.stderr).trim_end().to_owned();
        (run.code(), out.join("\n"), err)
    };
    (facts(ours) != facts(stock)).then(|| {
        let show = |run: &Run| {
            let (code, out, err) = facts(run);
            format!("rc {code}\n-- out\n{out}-- err\n{err}")
        };
        format!(
            "=== {stock_line}\n== ours: {}\n== stock: {}",
            show(ours),
            show(stock),
            stock_line = stock.to_string().lines().next().unwrap_or_default()
        )
    })
}
