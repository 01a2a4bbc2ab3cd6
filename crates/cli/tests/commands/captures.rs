//! Runs of stock Borg, captured once, done again by this program: the output has to be the same.
//!
//! What differs between any two runs (ids, times, sizes of stored data) is made equal first.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use super::scene::{Ran, Scene};

fn captures() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/vectors/captures.json"
    );
    let mut document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    match document["runs"].take() {
        Value::Array(runs) => runs,
        other => panic!("the captures are no list: {other}"),
    }
}

/// Runs that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "init verbose keyfile",
        "stock Borg also tells about a cache that is not kept here",
    ),
    (
        "cache sync progress",
        "there is no cache to be synchronised",
    ),
    (
        "debug dump-archive hardlink etc (item 3)",
        "the archive comes from import-tar",
    ),
    (
        "no passphrase possible",
        "the warning is about Python's getpass module",
    ),
    ("list archive bad key", "the traceback is Python's"),
    (
        "lock timeout",
        "needs a stale lock of another process; see the interop suite",
    ),
    (
        "relocated no",
        "the repository was copied by hand; see relocation below",
    ),
    (
        "compact debug",
        "what is said to developers about segments is each program's own",
    ),
    ("relocated env", "as above"),
    ("relocated back", "as above"),
];

#[test]
fn captured_runs_come_out_the_same() {
    let scene = Scene::new();
    let normal = Normaliser::new(&scene);
    make_tree(&scene.home().join("data"));
    let commands = [
        "init", "create", "list", "info", "extract", "rename", "delete", "prune", "compact",
        "recreate",
    ];
    let mut failures = Vec::new();
    let mut done = 0;
    for capture in captures() {
        let label = capture["label"].as_str().unwrap();
        let words: Vec<&str> = capture["command"]
            .as_array()
            .unwrap()
            .iter()
            .skip(1)
            .map(|w| w.as_str().unwrap())
            .collect();
        let command = words
            .iter()
            .find(|word| !word.starts_with('-'))
            .copied()
            .unwrap_or_default();
        if !commands.contains(&command) || LEFT_OUT.iter().any(|(known, _)| *known == label) {
            continue;
        }
        prepare(label, &scene);
        // With more threads files are finished in any order, and other percentages are passed on the way.
        let one_thread = (words[0] == "extract").then(|| "--threads=1".to_owned());
        let words = words
            .iter()
            .map(|word| word.replace("/srv", scene.root().to_str().unwrap()))
            .chain(one_thread);
        let mut command = scene.command(words);
        set_environment(&mut command, &capture["env"]);
        let input = capture["stdin"].as_str().unwrap_or_default();
        let ran = Ran::of(command, input.as_bytes());
        done += 1;
        compare(label, &capture, &ran, &normal, &mut failures);
    }
    assert!(done > 60, "only {done} runs were compared");
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn compare(
    label: &str,
    capture: &Value,
    ran: &Ran,
    normal: &Normaliser,
    failures: &mut Vec<String>,
) {
    let expected_code = capture["rc"].as_i64().unwrap();
    if i64::from(ran.code) != expected_code {
        failures.push(format!(
            "{label}: exit code {} instead of {expected_code}",
            ran.code
        ));
    }
    for (stream, found) in [("stdout", &ran.out), ("stderr", &ran.err)] {
        let expected = normal.text(capture[stream].as_str().unwrap());
        let found = normal.text(found);
        if expected != found {
            failures.push(format!(
                "{label}: {stream}\n-- expected\n{expected}\n-- found\n{found}\n"
            ));
        }
    }
}

fn set_environment(command: &mut Command, variables: &Value) {
    for (name, value) in variables.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// The tree the captures were made of; its inodes ascend in the order of the listings.
fn make_tree(data: &Path) {
    fs::create_dir(data).unwrap();
    let noise = |seed: u32, len: usize| -> Vec<u8> {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..len).map(|_| byte()).collect()
    };
    let file = |content: &[u8]| {
        let content = content.to_owned();
        move |path: &Path| fs::write(path, &content).unwrap()
    };
    let mut order = Ascending::of(data);
    order.make(b"hard", file(b"hello\n"));
    fs::hard_link(data.join("hard"), data.join("a.txt")).unwrap();
    order.make(b"sub", |path| fs::create_dir(path).unwrap());
    fs::write(data.join("sub/b.bin"), noise(1, 3000)).unwrap();
    order.make(b"big", file(&noise(2, 200_000)));
    order.make(b"link", |path| {
        std::os::unix::fs::symlink("a.txt", path).unwrap();
    });
    order.make(b"fifo", |path| {
        let status = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(status.success());
    });
    order.make(b"dup", file(&noise(1, 3000)));
    order.make("caf\u{e9}".as_bytes(), file(b"c"));
    order.make(b"bad-\xff", file(b"b"));
    fs::remove_dir_all(&order.others).unwrap();
    for name in ["hard", "sub/b.bin", "big", "dup", "caf\u{e9}"] {
        set_old_time(&data.join(name));
    }
}

/// Makes the entries of a directory so that their inode numbers ascend, whatever numbers other programs free meanwhile.
struct Ascending<'a> {
    directory: &'a Path,
    /// Keeps the numbers that were too low in use.
    others: PathBuf,
    last: u64,
    passed: u32,
}

impl<'a> Ascending<'a> {
    fn of(directory: &'a Path) -> Self {
        let others = directory.with_extension("others");
        fs::create_dir(&others).unwrap();
        Self {
            directory,
            others,
            last: 0,
            passed: 0,
        }
    }

    fn make(&mut self, name: &[u8], make: impl Fn(&Path)) {
        let path = self.directory.join(OsStr::from_bytes(name));
        loop {
            make(&path);
            let number = fs::symlink_metadata(&path).unwrap().ino();
            if number > self.last {
                self.last = number;
                return;
            }
            self.passed += 1;
            assert!(
                self.passed < 50_000,
                "{number} is still below {}",
                self.last
            );
            fs::rename(&path, self.others.join(self.passed.to_string())).unwrap();
        }
    }
}

fn set_old_time(path: &Path) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// What happened between the captured runs.
fn prepare(label: &str, scene: &Scene) {
    let data = scene.home().join("data");
    match label {
        "create json" => {
            for name in ["fifo", "dup"] {
                fs::remove_file(data.join(name)).unwrap();
            }
            fs::write(data.join("hard"), b"hello again\n").unwrap();
            fs::create_dir(data.join("newdir")).unwrap();
            fs::write(data.join("new"), b"new").unwrap();
        }
        // The file changed after the run before this one had seen it.
        "create json list log-json progress" | "create log-json with warning" => {
            fs::write(
                data.join("big"),
                vec![u8::try_from(label.len()).unwrap(); 200_004],
            )
            .unwrap();
            // Archives of one second are the same to some rules of "prune".
            next_second();
        }
        "deprecated option" => {
            let repository = scene.root().join("backup").display().to_string();
            for name in ["imp", "imp2"] {
                scene.ok(["create", &format!("{repository}::{name}"), "data"]);
            }
        }
        // Another machine: it has never seen any repository.
        "unknown unencrypted" | "unknown unencrypted log-json" => {
            // The run before may have refused, and so have recorded nothing.
            let _ = fs::remove_dir_all(scene.home().join(".config/borg/security"));
        }
        _ => {}
    }
}

/// Waits for the clock's next second.
fn next_second() {
    let second = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    };
    let begun = second();
    while second() == begun {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Makes equal what differs between any two runs.
struct Normaliser {
    rules: Vec<(Regex, &'static str)>,
    replacements: Vec<(String, &'static str)>,
}

impl Normaliser {
    fn new(scene: &Scene) -> Self {
        let rule = |pattern: &str, to| (Regex::new(pattern).unwrap(), to);
        Self {
            replacements: vec![
                (scene.root().join("borg").display().to_string(), "borg"),
                (scene.home().display().to_string(), "HOME"),
                (scene.root().display().to_string(), "/srv"),
                ("/usr/local/bin/borg".into(), "borg"),
                ("/home/alice".into(), "HOME"),
                ("\u{fffd}".into(), "?"),
            ],
            rules: vec![
                rule(r"(?m)^usage: .*\n(?: +.*\n)*", ""),
                rule(r"data/(a\.txt|hard)\b", "data/LINKED"),
                // Whether a file is known again depends on how fine the times of the file system are.
                rule(
                    r#""status": "U", "path": "data/(new|LINKED)""#,
                    "\"status\": \"A\", \"path\": \"data/$1\"",
                ),
                rule(r#""(duration|max_archive_size)": [-+.\de]+"#, "\"$1\": N"),
                rule(r"\b[0-9a-f]{64}\b", "ID"),
                rule(r"\b([0-9a-f]{8})+\b", "HASH"),
                rule(r"[A-Z][a-z]{2}, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
                rule(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", "TIME"),
                rule(r#""status": "M""#, "\"status\": \"A\""),
                rule(r"\[20\d\d-\d\d-\d\d\]", "[DAY]"),
                rule(r#""time": \d+\.\d+"#, "\"time\": NOW"),
                rule(r"Duration: .* seconds", "Duration: N seconds"),
                rule(r" +-?\d+(\.\d+)? ([kKMG]i?)?B\b", " SIZE"),
                rule(
                    r#""(compressed_size|deduplicated_size|total_csize|unique_csize|unique_size|total_size|original_size|csize|dcsize|current|total|total_chunks|total_unique_chunks)": \d+"#,
                    "\"$1\": N",
                ),
                rule(r"(?m)^(Chunk index:) .*$", "$1"),
                rule(r"\d+\.\d%", "N%"),
            ],
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replacements {
            text = text.replace(from, to);
        }
        for (pattern, to) in &self.rules {
            text = pattern.replace_all(&text, *to).into_owned();
        }
        // The order of entries is that of their inode numbers, and extraction works on several at once.
        let mut lines: Vec<String> = text.lines().map(sorted_if_item).collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

/// The keys of an item's object come in no particular order in stock Borg.
fn sorted_if_item(line: &str) -> String {
    if !line.starts_with("{\"type\": \"") && !line.starts_with("{\"archivename\"") {
        return line.to_owned();
    }
    let mut members: Vec<&str> = line.trim_matches(['{', '}']).split(", \"").collect();
    members.sort_unstable();
    members.join("; ")
}
