//! Attacks on a repository by whoever keeps it, mounted; and bytes that are not what they should be, in every command.
//!
//! What stock Borg has been attacked with in its history, and where ours is:
//!
//! - CVE-2015-4082 (Attic): a client is made to give up its encryption. [`encryption_that_is_given_up`], and
//!   `questions::a_repository_whose_encryption_changed`.
//! - CVE-2016-10099: content of a file is passed off as the manifest. [`content_for_a_manifest`].
//! - CVE-2016-10100: a second archive of a name takes the place of the first when `check` makes the manifest anew: with
//!   the tests of `check`.
//! - CVE-2017-15914, and before that `--restrict-to-path /a` that let into `/ab`: `hostile_wire::restricted`.
//! - CVE-2023-36811: content of a file is passed off as an archive. [`content_for_an_archive`].
//! - Chunks that are swapped, as the MAC does not bind the id. [`objects_under_another_id`].
//! - An older state brought back: [`an_older_manifest`], `questions::a_repository_older_than_what_was_seen`.
//! - Another repository in its place: `questions::a_repository_that_moved`.
//! - Counters of the cipher brought back to use them twice: the `hostile_bytes` tests of `ironborg-archive`.
//! - Extraction to elsewhere, hard links to elsewhere, numbers and types that lie: `hostile`.
//! - Little that decompresses to much: the tests of `decompress` in `ironborg-object`.
//! - Servers that answer with what was not asked for: `hostile_wire::servers`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ironborg_testkit::{Home, Program, Run, Tried, tally};
use serde_json::Value;

use crate::same_output::compare_runs;
use crate::scene::Scene;

const MANIFEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A repository with archives `a` and `b` of a small tree, made by ours: stock Borg takes a second for each.
fn scene(mode: &str) -> Scene {
    let scene = Scene::with_repository(Program::Ours, mode);
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("one"), "content of one\n".repeat(20)).expect("room on the disk");
    scene.create(Program::Ours, "a", &["-C", "lz4"], "tree");
    fs::write(tree.join("two"), "content of two\n".repeat(20)).expect("room on the disk");
    scene.create(Program::Ours, "b", &["-C", "lz4"], "tree");
    scene
}

/// An object as it is stored.
fn object(scene: &Scene, id: &str) -> Vec<u8> {
    let args = ["debug", "get-obj", scene.repo(), id, "object"];
    scene.run(Program::Ours, &args).ok();
    fs::read(scene.scratch.join("object")).expect("just written")
}

/// Stores an object under any id, as the repository's host can.
fn put_object(scene: &Scene, id: &str, object: &[u8]) {
    fs::write(scene.scratch.join("object"), object).expect("room on the disk");
    let args = ["debug", "put-obj", scene.repo(), id, "object"];
    scene.run(Program::Ours, &args).ok();
}

/// An archive as `debug dump-archive` has it.
fn dump(scene: &Scene, archive: &str) -> Value {
    let args = ["debug", "dump-archive", &scene.archive(archive), "-"];
    scene.run(Program::Ours, &args).ok().json()
}

/// An id in such a dump.
fn id(value: &Value) -> String {
    let text = value.as_str().expect("a text");
    text.trim_start_matches('\u{7f}').to_owned()
}

/// The id of the first chunk of a file of the archive.
fn chunk_id(dump: &Value, path: &str) -> String {
    let items = dump["_items"].as_array().expect("items");
    let item = items.iter().find(|item| item["path"] == path);
    id(&item.expect("there is such an item")["chunks"][0][0])
}

/// Whether there is time for stock Borg in every mode.
fn is_full() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// The modes there is time for: the first, or all.
fn modes<'m>(all: &'m [&'m str]) -> &'m [&'m str] {
    if is_full() { all } else { &all[..1] }
}

/// What is refused, and how many of the commands did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Every command.
    AllRefused,
    /// Some, not all.
    SomeRefused,
}

/// Gives both programs all commands from the same state. Ours ends in each as stock Borg does, says what that says
/// where it is not caught by surprise, and is refused as expected. What was extracted is what was backed up.
#[track_caller]
fn assault(scene: &Scene, home: &Home, expected: Expected) {
    let [archive_a, archive_b, new] = ["a", "b", "new"].map(|name| scene.archive(name));
    let commands: &[&[&str]] = &[
        &["list", scene.repo()],
        &["list", "--short", &archive_b],
        &["extract", "--stdout", &archive_b],
        &["create", &new, "tree"],
        &["extract", "--dry-run", &archive_a],
        &["info", &archive_b],
        &["diff", &archive_a, "b"],
        &["rename", &archive_b, "c"],
        &["delete", &archive_a],
    ];
    let compared = if is_full() { commands.len() } else { 4 };
    let home_scene = |program: Program| match program {
        Program::Ours => commands
            .iter()
            .map(|args| scene.run_on(home, program, args).in_control())
            .collect(),
        Program::Stock => {
            let owned = |args: &&[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
            let lists: Vec<Vec<String>> = commands[..compared].iter().map(owned).collect();
            home.stock_runs(scene.scratch.path(), &lists)
        }
    };
    let [ours, stock]: [Vec<Run>; 2] = scene.each_from_same_state(home_scene);
    let content = ["one", "two"].map(|name| format!("content of {name}\n").repeat(20));
    for ((args, ours), stock) in commands.iter().zip(&ours).zip(&stock) {
        let both = format!("{args:?}\n== ours\n{ours}\n== stock\n{stock}");
        // Ours reads less than stock Borg where figures are remembered or not needed.
        let reads_all = ["list", "extract"].contains(&args[0]);
        assert!(ours.code() == 0 || stock.code() != 0, "{both}");
        assert!(
            !reads_all || stock.code() == 0 || ours.code() != 0,
            "{both}"
        );
        if ours.code() == stock.code() && !stock.err().contains("Traceback") {
            compare_runs(ours, stock, last_line);
        }
        if args[..2] == ["extract", "--stdout"] {
            let whole = content.concat();
            assert!(whole.starts_with(&ours.out()), "{both}");
            assert!(ours.code() != 0 || ours.out() == whole, "{both}");
        }
    }
    let refused = ours.iter().filter(|run| run.code() != 0).count();
    match expected {
        Expected::AllRefused => assert_eq!(refused, commands.len(), "{}", texts(&ours)),
        Expected::SomeRefused => {
            assert!(refused > 0 && refused < commands.len(), "{}", texts(&ours));
        }
    }
    tally(Tried::Attacks, 1);
}

fn texts(runs: &[Run]) -> String {
    let texts: Vec<String> = runs.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// What comes last is the error; ours may say more before.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rfind(|line| !line.is_empty());
    // Two programs do nothing at the same moment.
    let timed = regex::Regex::new(r"\d\d:\d\d:\d\d|\d+\.\d+ seconds").expect("a pattern");
    timed
        .replace_all(line.unwrap_or_default(), "T")
        .into_owned()
}

/// A manifest without archives, of the far future, without authentication: `{version, archives, timestamp, config,
/// item_keys}`, packed.
fn forged_manifest() -> Vec<u8> {
    let mut packed = vec![0x85];
    let raw = |text: &str| {
        let len = u8::try_from(text.len()).expect("short texts");
        [&[0xa0 | len][..], text.as_bytes()].concat()
    };
    let pairs = [
        ("archives", vec![0x80]),
        ("config", vec![0x80]),
        ("item_keys", vec![0x90]),
        ("timestamp", raw("2099-01-01T00:00:00.000000")),
        ("version", vec![1]),
    ];
    for (key, value) in pairs {
        packed.extend(raw(key));
        packed.extend(value);
    }
    packed
}

/// The attacker has a file of his choice backed up, whose object is then authentic, and shows it as the manifest.
#[test]
fn content_for_a_manifest() {
    for mode in modes(&["repokey", "keyfile-blake2", "authenticated"]) {
        let scene = scene(mode);
        let bait = scene.scratch.dir("bait");
        fs::write(bait.join("file"), forged_manifest()).expect("room on the disk");
        scene.create(Program::Ours, "bait", &[], "bait");
        let forged = object(&scene, &chunk_id(&dump(&scene, "bait"), "bait/file"));
        put_object(&scene, MANIFEST, &forged);
        assault(&scene, &scene.home, Expected::AllRefused);
    }
}

/// The same in the place of an archive. Its id is that of a file, so the manifest does not list it; put under the id of
/// an archive it is not what that id names.
#[test]
fn content_for_an_archive() {
    for mode in modes(&["repokey-blake2", "none"]) {
        let scene = scene(mode);
        let listed = dump(&scene, "b");
        let bait = object(&scene, &chunk_id(&listed, "tree/one"));
        put_object(&scene, &id(&listed["_manifest_entry"]["id"]), &bait);
        assault(&scene, &scene.home, Expected::SomeRefused);
    }
}

/// Authentic objects, each under the id of another.
#[test]
fn objects_under_another_id() {
    for mode in modes(&["repokey", "authenticated-blake2", "none", "repokey-blake2"]) {
        let scene = scene(mode);
        let [a, b] = ["a", "b"].map(|name| dump(&scene, name));
        let pairs = [
            // Content, pieces of item streams, archives.
            [chunk_id(&b, "tree/one"), chunk_id(&b, "tree/two")],
            [&a, &b].map(|dump| id(&dump["_meta"]["items"][0])),
            [&a, &b].map(|dump| id(&dump["_manifest_entry"]["id"])),
        ];
        for [first, second] in pairs {
            let saved = scene.save();
            let [first_object, second_object] = [&first, &second].map(|id| object(&scene, id));
            put_object(&scene, &first, &second_object);
            put_object(&scene, &second, &first_object);
            assault(&scene, &scene.home, Expected::SomeRefused);
            saved.restore();
        }
    }
}

/// The manifest as it was when there was less, everything else as it is.
#[test]
fn an_older_manifest() {
    for mode in modes(&["repokey", "none", "authenticated"]) {
        let scene = Scene::with_repository(Program::Ours, mode);
        let tree = scene.scratch.dir("tree");
        fs::write(tree.join("one"), "content of one\n".repeat(20)).expect("room on the disk");
        scene.create(Program::Ours, "a", &[], "tree");
        let older = object(&scene, MANIFEST);
        fs::write(tree.join("two"), "content of two\n".repeat(20)).expect("room on the disk");
        scene.create(Program::Ours, "b", &[], "tree");
        put_object(&scene, MANIFEST, &older);
        assault(&scene, &scene.home, Expected::AllRefused);
    }
}

/// A manifest that says the repository is not encrypted, to a client that knows better and to one that never saw it.
#[test]
fn encryption_that_is_given_up() {
    let scene = scene("repokey");
    // Type byte of no encryption, then two bytes that say: not compressed.
    let plain = [&[2, 0, 0][..], &forged_manifest()].concat();
    put_object(&scene, MANIFEST, &plain);
    assault(&scene, &scene.home, Expected::AllRefused);
    let stranger = Home::new(&scene.scratch, "stranger");
    assault(&scene, &stranger, Expected::AllRefused);
}

/// An object that is not encrypted among those that are, and one of another kind of key.
#[test]
fn objects_of_another_key() {
    let kinds: &[(&str, u8)] = if is_full() {
        &[("repokey", 2), ("repokey-blake2", 3), ("none", 3)]
    } else {
        &[("repokey", 2)]
    };
    for &(mode, kind) in kinds {
        let scene = scene(mode);
        let victim = chunk_id(&dump(&scene, "b"), "tree/two");
        let mut forged = object(&scene, &victim);
        forged[0] = kind;
        put_object(&scene, &victim, &forged);
        assault(&scene, &scene.home, Expected::SomeRefused);
        put_object(&scene, &victim, &[&[kind, 0, 0][..], b"forged"].concat());
        assault(&scene, &scene.home, Expected::SomeRefused);
        put_object(&scene, &victim, &[]);
        assault(&scene, &scene.home, Expected::SomeRefused);
    }
}

/// Does something to the repository and has ours end in every command, in control and before long. What stock Borg can
/// list then, ours lists.
fn misplace(what: &str, damage: impl FnOnce(&Path)) {
    let scene = scene("repokey");
    damage(&scene.repo);
    let list: &[&str] = &["list", scene.repo()];
    // Stock Borg takes a second to start, and waits at a fifo for ever.
    let is_chosen = is_full() || what.len().is_multiple_of(5);
    let is_chosen = is_chosen && !what.contains("fifo");
    let stock = is_chosen.then(|| scene.run(Program::Stock, list));
    let [archive_b, new] = ["b", "new"].map(|name| scene.archive(name));
    let commands: [&[&str]; 7] = [
        list,
        &["list", &archive_b],
        &["extract", "--dry-run", &archive_b],
        &["create", "--lock-wait", "1", &new, "tree"],
        &["compact", scene.repo()],
        &["check", "--repository-only", scene.repo()],
        &["break-lock", scene.repo()],
    ];
    for args in commands {
        let run = scene.run(Program::Ours, args).in_control();
        assert!(run.code() < 128, "{what}\n{run}");
        // What stock Borg gets over, ours gets over; ours gets over more.
        if let Some(stock) = stock
            .as_ref()
            .filter(|stock| args == list && stock.code() == 0)
        {
            let both = format!("{what}\n== ours\n{run}\n== stock\n{stock}");
            assert_eq!(run.code(), 0, "{both}");
            assert_eq!(run.out(), stock.out(), "{both}");
        }
    }
    tally(Tried::Damages, 1);
}

fn make_fifo(path: &Path) {
    fs::remove_file(path).expect("a file of the repository");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a new fifo");
}

fn make_loop(path: &Path) {
    fs::remove_file(path).expect("a file of the repository");
    symlink(path, path).expect("a new symlink");
}

fn make_directory(path: &Path) {
    fs::remove_file(path).expect("a file of the repository");
    fs::create_dir(path).expect("a new directory");
}

fn make_huge(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path);
    let file = file.expect("a file of the repository");
    file.set_len(1 << 42)
        .expect("a sparse file of four terabytes");
}

/// The file of the last transaction whose name begins so.
fn latest(repo: &Path, prefix: &str) -> std::path::PathBuf {
    let entries = fs::read_dir(repo).expect("a repository");
    let names = entries.map(|entry| entry.expect("an entry").path());
    let is_meant = |path: &std::path::PathBuf| {
        let name = path.file_name().expect("it has a name");
        name.to_string_lossy().starts_with(prefix)
    };
    names.filter(is_meant).max().expect("there is one")
}

macro_rules! misplaced {
    ($($name:ident: $make:ident;)*) => {
        $(
            #[test]
            fn $name() {
                for prefix in ["index.", "hints.", "integrity.", "nonce", "config", "data/0/2"] {
                    misplace(&format!("{prefix}: {}", stringify!($name)), |repo| {
                        let path = match prefix {
                            "data/0/2" | "config" => repo.join(prefix),
                            _ => latest(repo, prefix),
                        };
                        $make(&path);
                    });
                }
            }
        )*
    };
}

misplaced! {
    fifos_for_files: make_fifo;
    symlinks_to_themselves: make_loop;
    directories_for_files: make_directory;
    files_of_four_terabytes: make_huge;
}

/// Locks that nobody can make sense of, and names in them that lead elsewhere.
#[test]
fn locks_with_anything_in_them() {
    let huge_pid = format!("host.example@1.{}-0", u64::MAX);
    for (name, content) in [
        ("lock.roster", &b""[..]),
        ("lock.roster", b"{"),
        ("lock.roster", b"[]"),
        ("lock.roster", b"{\"shared\": [[\"../../x\", -1, 5]]}"),
        (
            "lock.roster",
            b"{\"exclusive\": [[\"h\", 99999999999999999999, 0]]}",
        ),
        ("lock.roster", b"\xff\xfe\x00"),
        ("lock.roster", b"{\"exclusive\": {\"a\": 1}}"),
        ("lock.exclusive/..-..-x", b""),
        ("lock.exclusive/\u{1b}[31m.1-0", b""),
        ("lock.exclusive/host.-5-x", b""),
        (&format!("lock.exclusive/{huge_pid}"), b""),
        ("lock.exclusive", b"a file"),
    ] {
        misplace(
            &format!("{name} holds {}", content.escape_ascii()),
            |repo| {
                let path = repo.join(name);
                fs::create_dir_all(path.parent().expect("below the repository")).expect("room");
                fs::write(path, content).expect("room on the disk");
            },
        );
    }
}

/// Configs that say impossible things.
#[test]
fn configs_with_anything_in_them() {
    let replacements = [
        ("version = 1", "version = 2"),
        ("version = 1", "version = 99999999999999999999"),
        ("version = 1", "version = one"),
        ("version = 1", "version = 1\nversion = 1"),
        ("[repository]", "[repository]\nid = 00"),
        ("[repository]", "repository"),
        ("[repository]", ""),
        ("segments_per_dir = 1000", "segments_per_dir = 0"),
        ("segments_per_dir = 1000", "segments_per_dir = -1"),
        ("max_segment_size = 524288000", "max_segment_size = 0"),
        (
            "max_segment_size = 524288000",
            "max_segment_size = 99999999999",
        ),
        ("append_only = 0", "append_only = maybe"),
        ("storage_quota = 0", "storage_quota = -5"),
        ("storage_quota = 0", "storage_quota = 1e3"),
        (
            "additional_free_space = 0",
            "additional_free_space = 99999999T",
        ),
        ("id = ", "id = zz"),
        ("id = ", "; id = "),
        ("key = ", "key = %(key)s"),
        ("key = ", "key = AAAA"),
    ];
    for (from, to) in replacements {
        misplace(&format!("{to:?} for {from:?}"), |repo| {
            let path = repo.join("config");
            let config = fs::read_to_string(&path).expect("a config");
            assert!(config.contains(from), "{from} in {config}");
            fs::write(path, config.replacen(from, to, 1)).expect("room on the disk");
        });
    }
}
