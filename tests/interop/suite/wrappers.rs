//! Programs that drive Borg get the same answers from ours: borgmatic itself, and the command lines of Vorta and of the
//! NixOS module.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use ironborg_testkit::{Compare, Program, Run, Snapshot, borgmatic, generated};
use regex::Regex;
use serde_json::Value;

use crate::same_output::{compare_runs, normal};
use crate::scene::{Scene, text};

/// Two files, a directory and a link.
fn scene() -> Scene {
    let scene = Scene::new();
    let tree = scene.scratch.dir("tree");
    fs::create_dir(tree.join("sub")).expect("room");
    fs::write(tree.join("sub/small"), "a few words\n").expect("room");
    fs::write(tree.join("large"), generated("wrappers", 200_000)).expect("room");
    symlink("sub/small", tree.join("link")).expect("room");
    scene
}

/// Makes `borg` in a directory of the scene the program, and gives that directory back.
fn become_borg(scene: &Scene, program: Program) -> PathBuf {
    let bin = scene.scratch.join("bin");
    if bin.exists() {
        fs::remove_dir_all(&bin).expect("a directory of this test");
    }
    scene.scratch.dir("bin");
    symlink(program.path(), bin.join("borg")).expect("room");
    bin
}

/// What a wrapper said, with all that differs between any two runs made equal.
fn masked(bytes: &[u8]) -> String {
    let replacements = [
        (r"[0-9a-f]{64}", "ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", "T"),
        (r"[A-Z][a-z]{2}, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "T"),
        (r#""(duration|max_archive_size)": ?[0-9.e-]+"#, "$1"),
        // Names of temporary files.
        (r"borgmatic-[a-z0-9_]{8}/", "borgmatic-X/"),
        (r"\btmp[a-z0-9_]{8}\b", "tmpX"),
        // How often the figures on the way are shown depends on the time it takes.
        (
            r#"(?m)^\{"compressed_size".*"finished":false.*"type":"archive_progress"\}\n"#,
            "",
        ),
        // A cache of stock Borg's own.
        (r#"(?m)^\{.*("msgid":"cache\.|"name":"borg.cache").*\n"#, ""),
        // Metadata compressed by another release of the same library: a few bytes more or less.
        (r"(?m)^(All archives|Deleted data): .*", "$1"),
        (r"freed about .*? repository", "freed about N repository"),
        (
            r#""(unique_csize|total_csize|deduplicated_size)": ?\d+"#,
            "$1",
        ),
    ];
    // The order of a record's members is that of a Python set, another one each time.
    let text = normal(bytes);
    let lines = text.split_inclusive('\n').map(|line| {
        match serde_json::from_str::<BTreeMap<String, Value>>(line) {
            Ok(record) => serde_json::to_string(&record).expect("it was JSON") + "\n",
            Err(_) => line.to_owned(),
        }
    });
    let text: String = lines.collect();
    replacements
        .into_iter()
        .fold(text, |text, (pattern, replacement)| {
            let pattern = Regex::new(pattern).expect("a valid pattern");
            pattern.replace_all(&text, replacement).into_owned()
        })
}

#[track_caller]
fn assert_same_runs(ours: &[Run], stock: &[Run]) {
    assert_eq!(ours.len(), stock.len());
    for (ours, stock) in ours.iter().zip(stock) {
        compare_runs(ours, stock, masked);
    }
}

const BORGMATIC_CONFIG: &str = r#"
source_directories:
    - tree
    - pipe
read_special: true
repositories:
    - path: "REPOSITORY"
      label: box
working_directory: SCRATCH
local_path: SCRATCH/bin/borg
user_runtime_directory: SCRATCH/run
encryption_passphrase: "PASSPHRASE"
archive_name_format: "box-${ROUND}"
match_archives: "sh:box-*"
exclude_patterns:
    - "*.tmp"
compression: none
files_cache: mtime,size,inode
flags: false
upload_rate_limit: 100000
upload_buffer_size: 1
keep_secondly: 1
keep_daily: 1
checks:
    - name: disabled
"#;

/// What borgmatic is asked to do: the number of the round, which names archives, and its words.
const BORGMATIC_STEPS: [(&str, &str); 8] = [
    ("1", "repo-create -e repokey-blake2 create --list --stats"),
    (
        "2",
        "-v 1 create --comment second prune --list --stats compact key export --path DIR/key.txt",
    ),
    ("3", "create --json"),
    (
        "3",
        "repo-list repo-info info list --archive latest diff --archive latest --second-archive box-2",
    ),
    ("3", "info --json"),
    ("3", "extract --destination DIR/out --archive latest"),
    ("3", "export-tar --destination DIR/out.tar --archive latest"),
    (
        "4",
        "--config DIR/wrong.yaml --config DIR/missing.yaml extract --archive none",
    ),
];

/// What a session of borgmatic has left, and what it said.
struct Session {
    runs: Vec<Run>,
    /// What was extracted.
    tree: Option<Snapshot>,
    /// GNU tar's listing of what was exported.
    tarball: String,
    key: String,
}

/// One session of borgmatic with its `local_path` being `program`.
fn borgmatic_session(scene: &Scene, program: Program) -> Session {
    become_borg(scene, program);
    let dir = scene.scratch.path();
    for name in ["out", "run"] {
        drop(fs::remove_dir_all(dir.join(name)));
        scene.scratch.dir(name);
    }
    drop(fs::remove_file(dir.join("key.txt")));
    // Two more repositories, to see what becomes of errors.
    for (name, repo, passphrase) in [
        ("config.yaml", scene.repo(), "correct"),
        ("wrong.yaml", scene.repo(), "wrong"),
        ("missing.yaml", "/nonexistent", "correct"),
    ] {
        let content = BORGMATIC_CONFIG.replace("SCRATCH", text(dir));
        let content = content.replace("REPOSITORY", repo);
        fs::write(dir.join(name), content.replace("PASSPHRASE", passphrase)).expect("room");
    }
    let mut home = scene.home.clone();
    // It hands the passphrase over through a descriptor, and any other source would come first.
    home.unset("BORG_PASSPHRASE");
    let runs = BORGMATIC_STEPS.map(|(round, words)| {
        let words = format!("--config DIR/config.yaml {words}").replace("DIR", text(dir));
        let run = home.tool(&borgmatic(), words.split(' ')).dir(dir);
        run.env("ROUND", round).run()
    });
    let tar = dir.join("out.tar");
    let list = Command::new("tar").arg("-tvf").arg(&tar).output();
    let out = dir.join("out/tree");
    Session {
        runs: runs.into(),
        tree: out.exists().then(|| Snapshot::of(&out)),
        tarball: String::from_utf8(list.expect("GNU tar").stdout).expect("plain names"),
        key: fs::read_to_string(dir.join("key.txt")).unwrap_or_default(),
    }
}

#[test]
fn borgmatic_notices_no_difference() {
    let scene = scene();
    let pipe = scene.scratch.join("pipe");
    fs::write(pipe, "not a pipe, but read like one").expect("room");
    let before = Snapshot::of(&scene.scratch.join("tree"));
    let sides = scene.each_from_same_state(|program| {
        let session = borgmatic_session(&scene, program);
        let mut scene = scene.beside("repo");
        scene.home.set("BORG_PASSPHRASE", "correct");
        if scene.repo.exists() {
            scene.assert_checks();
        }
        session
    });
    let [ours, stock] = sides;
    assert_same_runs(&ours.runs, &stock.runs);
    let codes: Vec<i32> = ours.runs.iter().map(Run::code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 1]);
    for error in ["status 31", "status 52", "status 13"] {
        assert!(ours.runs[7].err().contains(error), "{}", ours.runs[7]);
    }
    for session in [&ours, &stock] {
        let tree = session.tree.as_ref().expect("something was extracted");
        let differences = before.differences(tree, Compare::Everything);
        assert!(differences.is_empty(), "{differences:#?}");
        assert!(session.key.starts_with("BORG_KEY "), "{}", session.key);
    }
    // Times of what borgmatic adds itself differ.
    let names = |list: &str| {
        let name = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
        list.lines().map(name).collect::<Vec<_>>()
    };
    assert!(ours.tarball.contains("tree/sub/small"), "{}", ours.tarball);
    assert_eq!(names(&ours.tarball), names(&stock.tarball));
    assert_eq!(ours.key.lines().count(), stock.key.lines().count());
}

/// A day with Vorta: every command line it has, but for checking and mounting.
const VORTA: [&str; 23] = [
    "--version",
    "--log-json --version",
    "info --info --json --log-json REPO",
    "init --info --log-json --encryption=repokey-blake2 REPO",
    "init --info --log-json --encryption=repokey-blake2 REPO",
    "info --info --json --log-json REPO",
    "create --list --progress --info --log-json --json --filter=AM -C none --patterns-from patterns \
     REPO::host-one tree",
    "create --list --progress --info --log-json --json -C zstd,3 --noxattrs --paths-from-command \
     REPO::host-two -- find tree",
    "create --log-json --json REPO::host-one no-such-tree",
    "create --log-json --json REPO::other no-such-tree",
    "list --info --log-json --json REPO",
    "list --info --log-json --json-lines \
     --format {mode}{user}{group}{size}{isomtime}{path}{source}{health} REPO::host-one",
    "diff --info --log-json --json-lines REPO::host-one host-two",
    "info --info --log-json --json REPO::host-one",
    "extract --list --info --log-json --dry-run REPO::host-one tree/large",
    "prune --list --info --log-json --keep-hourly 2 --keep-daily 7 --keep-within 10H \
     --glob-archives host-* REPO",
    "delete --info --log-json REPO::other",
    "rename --info --log-json REPO::host-one host-renamed",
    "rename --info --log-json REPO::host-renamed host-two",
    "--info --log-json compact --progress REPO",
    "break-lock --info --log-json REPO",
    "key change-passphrase --info --log-json REPO",
    "list --log-json --json /nonexistent",
];

#[test]
fn vorta_gets_the_same_records() {
    let mut scene = scene();
    let patterns = "P pf\n+ pf:tree/large\n- fm:*/small\n";
    fs::write(scene.scratch.join("patterns"), patterns).expect("room");
    for name in ["BORG_PASSPHRASE", "BORG_NEW_PASSPHRASE"] {
        scene.home.set(name, "one for all");
    }
    let lines = VORTA.map(|line| line.replace("REPO", scene.repo()));
    let lists = lines
        .each_ref()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let [(ours, _), (stock, _)] = scene.run_lists(&lists.each_ref().map(Vec::as_slice));
    assert_same_runs(&ours, &stock);
    let said = |run: usize, text: &str| assert!(ours[run].err().contains(text), "{}", ours[run]);
    said(2, "\"msgid\": \"Repository.DoesNotExist\"");
    said(4, "\"msgid\": \"Repository.AlreadyExists\"");
    said(6, "Creating archive at");
    said(18, "already exists");
    said(19, "compaction freed about");
    said(21, "Key updated");
    assert_eq!(ours[9].code(), 1, "{}", ours[9]);
    assert!(ours[9].json()["archive"]["id"].is_string(), "{}", ours[9]);
    assert!(
        ours[11]
            .json_lines()
            .iter()
            .all(|line| line["healthy"] == true),
        "{}",
        ours[11]
    );
}

/// What the job of the NixOS module does each day, with its habit of a failed archive that is renamed in the end.
const NIXOS_JOB: &str = r#"
borgWrapper () {
    local result
    borg "$@" && result=$? || result=$?
    if [[ "$result" == 1 || ("$result" -ge 100 && "$result" -le 127) ]]; then
        echo "ignoring warning return value $result"
        return 0
    fi
    return "$result"
}
run () {
    if ! borgWrapper list > /dev/null; then
        borgWrapper init --encryption repokey-blake2
    fi
    borgWrapper create --compression auto,zstd --exclude-from excludes --stats "::$1.failed" tree missing
    borgWrapper rename "::$1.failed" "$1" || echo "rename: $?"
    borgWrapper prune --keep-within=1d --keep-daily=7 --list --glob-archives 'host-*'
    borgWrapper compact -v
}
cd "$WORK"
echo '*/small' > excludes
run host-one
run host-two
run host-two
borg list --short
borg list --format '{path}{NL}' ::host-one
"#;

#[test]
fn the_nixos_job_runs() {
    let scene = scene();
    let mut home = scene.home.clone();
    // Colons in a path are allowed; the passphrase comes from a command; there is no locale.
    let repo = scene.scratch.join("back:up");
    home.set("BORG_REPO", &repo)
        .set("WORK", scene.scratch.path());
    home.unset("BORG_PASSPHRASE")
        .unset("LANG")
        .unset("LC_ALL")
        .unset("BORG_BASE_DIR");
    home.set("BORG_PASSCOMMAND", "echo 'correct horse'");
    let path = std::env::var("PATH").expect("there is a PATH");
    let scene = scene.beside("back:up");
    let [ours, stock] = scene.each_from_same_state(|program| {
        let bin = become_borg(&scene, program);
        home.set("PATH", format!("{}:{path}", text(&bin)));
        home.tool("/usr/bin/env".as_ref(), ["bash", "-c", NIXOS_JOB])
            .run()
    });
    compare_runs(&ours, &stock, masked);
    assert!(
        ours.out().contains("ignoring warning return value 1"),
        "{ours}"
    );
    assert!(ours.err().contains("host-two already exists"), "{ours}");
    assert!(ours.out().contains("host-two.failed"), "{ours}");
}
