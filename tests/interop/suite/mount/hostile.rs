//! Archives made to do harm, and damage that is done while they are looked at.
//!
//! Where stock Borg's mount stays up, ours shows the same. What ends stock Borg's mount (a name without a type, content
//! that is not there) is an error number of one name with ours, and everything else is there as before.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ironborg_testkit::{Mount, Program, Random, Tried, generated, tally};
use serde_json::{Value, json};

use super::{Mounts, end, eventually};
use crate::hostile::{DIR, FILE, LINK, item, write_archives};
use crate::scene::Scene;

/// The content of every file made up here: `hostile`.
const CONTENT: &str = "aG9zdGlsZQ==";

/// Archives whose items do not have the right types: those are no archives to `list` and `extract` either.
const UNREADABLE: [&str; 2] = ["without modes", "wrong figures"];

/// How deep and how far a walk goes that might not end.
const DEPTH_MAX: usize = 40;
const NAMES_MAX: usize = 5000;

/// Where in a file the content begins that is whole behind a chunk that is not there.
const DAMAGE_END: u64 = 1 << 20;

fn file(path: &str) -> Value {
    file_with(path, &json!({}))
}

fn file_with(path: &str, more: &Value) -> Value {
    let mut fields = json!({"chunks": [{"data": CONTENT}]});
    let object = fields.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    item(path, FILE, &fields)
}

fn dir(path: &str) -> Value {
    item(path, DIR, &json!({}))
}

fn link(path: &str, source: &str) -> Value {
    item(path, FILE, &json!({"source": source}))
}

/// Archives that stock Borg's mount shows, in its way.
fn shown_by_both() -> Value {
    let long = "n".repeat(255);
    // Linux makes no such name, but others do, and the kernel takes them from a mount.
    let longer = "n".repeat(1024);
    json!({
        "leading outside": {"items": [
            file("../escaped"), file("d/../../escaped"), file("/etc/absolute"), file(".."), file("."), file("fine"), item("to", LINK, &json!({"source": "../../../etc"})),
            item("absolute", LINK, &json!({"source": "/etc/passwd"})),
        ]},
        "empty components": {"items": [
            file("a//b"), file("c/"), dir("d//"), file("d//e"), file("//f"), file("a/x"), file("fine"),
        ]},
        "twice": {"items": [
            file("f"), file_with("f", &json!({"chunks": [{"data": "YWdhaW4="}], "uid": 7})), dir("d"), file("d/one"),
            item("d", 0o040_700, &json!({"uid": 9})), file("d/two"), item("f2", LINK, &json!({"source": "f"})), file("f2"),
        ]},
        "one thing used as another": {"items": [
            file("f"), file("f/below"), file("f/below/that"), item("l", LINK, &json!({"source": "d"})), file("l/below"),
            file("becomes"), dir("becomes"), file("becomes/inner"), dir("was"), file("was/inner"), file("was"),
        ]},
        "links": {"items": [
            link("early", "late"), file("late"), link("a", "b"), link("b", "a"), link("self", "self"),
            link("nothing", "no/such"), file("first"), link("second", "first"), link("third", "second"),
            link("of missing parent/x", "first"), item("fifo", 0o010_600, &json!({"source": "first"})),
            item("symlink to", LINK, &json!({"source": "first"})), link("via symlink", "symlink to"),
        ]},
        "figures": {"items": [
            file_with("more than there is", &json!({"size": 70_000})),
            file_with("less than there is", &json!({"size": 3})),
            file_with("nothing said to be there", &json!({"size": 0})),
            item("nothing there", FILE, &json!({"size": 9, "chunks": []})),
            file_with("devices", &json!({"rdev": 123_456})),
            file_with("times", &json!({"mtime": -1, "atime": -86_400_000_000_000_i64, "ctime": 0})),
            file_with("far times", &json!({"mtime": 9_000_000_000_000_000_000_i64, "atime": 1})),
            file_with("owners", &json!({"uid": 4_294_967_294_u64, "gid": 4_294_967_294_u64, "user": null, "group": null})),
            file_with("modes", &json!({"mode": 0o107_777})),
            file_with("healthy", &json!({"chunks_healthy": []})),
            file_with("unknown keys", &json!({"mystery": {"deep": [1, 2, 3]}})),
        ]},
        "attributes": {"items": [
            file_with("some", &json!({"xattrs": {
                "b64:dXNlci5h": {"b64": "dmFsdWU="}, "b64:dXNlci5ub25l": null, "b64:dXNlci5i": {"b64": ""},
            }})),
            file_with("none", &json!({"xattrs": {}})),
            file_with("acl", &json!({"acl_access": {"b64": "dXNlcjo6cnd4"}, "acl_default": {"b64": "/w=="}})),
        ]},
        "long names": {"items": [file(&long), file(&longer), file(&format!("{long}/{long}/{longer}"))]},
        "odd names": {"items": [
            file(" "), file("\u{7f}\u{1}\n\t"), file("caf\u{e9}"), file("cafe\u{301}"), file("a\\b"), file("...")
        ]},
    })
}

/// Archives that end stock Borg's mount, or make it show what cannot be.
fn for_ours_alone() -> Value {
    let deep = "d/".repeat(1500) + "bottom";
    let not_stored = "00".repeat(31) + "77";
    let huge = json!({"int": "18446744073709551615"});
    // Up to the end of a page of the kernel's, which is read whole or not at all.
    let missing = json!({"id": not_stored, "size": DAMAGE_END - 7, "csize": 100});
    let missing = json!([{"data": CONTENT}, missing, {"data": CONTENT}]);
    json!({
        "nul": {"items": [file("a\0b"), file("\0"), file("d\0/x"), file("d/x"), file("fine")]},
        "surrogates": {"items": [file("x\u{fffd}y"), file("fine")]},
        "loops of directories": {"items": [
            dir("d"), link("d/loop", "d"), dir("e"), link("e/up", "d"), file("d/file"), link("root", "."), file("fine"),
        ]},
        "unknown types": {"items": [
            item("none", 0, &json!({})), item("type 15", 0o170_644, &json!({})), item("type 5", 0o050_755, &json!({})),
            item("whiteout", 0o160_000, &json!({})), item("socket", 0o140_600, &json!({})), file("fine"),
            item("more bits", 0o7_100_644, &json!({"chunks": []})),
        ]},
        "wrong figures": {"items": [
            file_with("size", &json!({"size": huge})), file_with("size, negative", &json!({"size": -5})),
            file_with("mtime", &json!({"mtime": huge})), file_with("uid", &json!({"uid": huge})),
            file_with("rdev", &json!({"rdev": huge})), file_with("nlink", &json!({"nlink": huge})),
            file("fine"),
        ]},
        "large figures": {"items": [
            file_with("links", &json!({"nlink": 77})), link("to nothing named", ""), file_with("largest", &json!({"size": i64::MAX})), file_with("almost", &json!({"size": 1_u64 << 62})),
            file("fine"),
        ]},
        "no content": {"items": [
            item("gone", FILE, &json!({"chunks": missing})),
            item("longer", FILE, &json!({"chunks": [{"data": CONTENT, "size": 100_000}]})),
            item("shorter", FILE, &json!({"chunks": [{"data": CONTENT, "size": 3}, {"data": CONTENT}]})),
            item("sizes that overflow", FILE, &json!({"chunks": [
                {"data": CONTENT, "size": u32::MAX}, {"data": CONTENT, "size": u32::MAX},
            ]})),
            item("no chunks", FILE, &json!({})), file("fine"),
        ]},
        "no target": {"items": [
            item("link", LINK, &json!({})), item("empty", LINK, &json!({"source": ""})),
            item("long", LINK, &json!({"source": "x".repeat(10_000)})), file("fine"),
        ]},
        "odd attributes": {"items": [
            file_with("nul", &json!({"xattrs": {"b64:dXNlci5hAGI=": {"b64": "eA=="}, "b64:": {"b64": "eQ=="}}})),
            file_with("large", &json!({"xattrs": {"b64:dXNlci5s": {"b64": "eHh4".repeat(60_000)}}})),
            file("fine"),
        ]},
        "too long": {"items": [file(&"n".repeat(1025)), file(&format!("{}/x", "n".repeat(5000))), file("fine")]},
        "dots": {"items": [file("./dot"), file("d/./dot"), dir("d/."), dir("./"), file("fine")]},
        "deep": {"items": [file(&deep), file("fine")]},
        "without modes": {"items": [{"path": "x", "mtime": 1}, file("fine")]},
        "good": {"items": [dir("d"), file("d/good"), file("fine")]},
    })
}

#[test]
fn what_stock_borg_shows_too() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let archives = shown_by_both();
    write_archives(&scene, &archives);
    let mounts = Mounts::of(&scene);
    let (view, [stock, ours]) = mounts.compare_views(&[], scene.repo(), &[]);
    // What has no place in a tree is not shown by either; ours says so.
    let more = ["cannot be shown", "cannot be opened: it is damaged"];
    let said = ours.1.lines();
    let said = said.filter(|line| !more.iter().any(|more| line.contains(more)));
    assert_eq!(
        stock.1.lines().collect::<Vec<_>>(),
        said.collect::<Vec<_>>()
    );
    assert_eq!((stock.0, ours.0), (Some(0), Some(0)));
    let names = archives.as_object().expect("an object");
    for name in names.keys() {
        view.entry(name);
    }
    tally(Tried::Attacks, names.len() as u64);
}

/// What a walk has met.
#[derive(Default)]
struct Survey {
    names: usize,
    /// Every path that could be read or listed.
    good: Vec<PathBuf>,
    /// Every path that could not, and the error.
    bad: Vec<(PathBuf, i32)>,
}

impl Survey {
    /// Walks as far as it makes sense, reading the start of each file, and never minds an error.
    fn of(top: &Path) -> Self {
        let mut survey = Self::default();
        survey.add(top, 0);
        survey
    }

    fn add(&mut self, path: &Path, depth: usize) {
        self.names += 1;
        assert!(
            self.names < NAMES_MAX,
            "no end of names: {}",
            path.display()
        );
        match look(path) {
            Ok(children) => {
                self.good.push(path.to_path_buf());
                if depth < DEPTH_MAX {
                    for child in children {
                        self.add(&child, depth + 1);
                    }
                }
            }
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(-1);
                self.bad.push((path.to_path_buf(), code));
            }
        }
    }
}

/// Every question that can be asked about a name; the children if it is a directory.
fn look(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let meta = fs::symlink_metadata(path)?;
    let mut names = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, &mut names[..])?;
    for name in names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 1 << 16];
        rustix::fs::lgetxattr(path, name, &mut value[..])?;
    }
    if meta.is_dir() {
        let entries = fs::read_dir(path)?;
        return entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect();
    }
    if meta.is_symlink() {
        fs::read_link(path)?;
    }
    if meta.is_file() {
        let mut start = Vec::new();
        File::open(path)?.take(1 << 18).read_to_end(&mut start)?;
    }
    Ok(Vec::new())
}

#[test]
fn what_stock_borg_cannot_show() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let archives = for_ours_alone();
    write_archives(&scene, &archives);
    let mounts = Mounts::of(&scene);
    let mount = mounts.mount(Program::Ours, &[], scene.repo(), &[]);
    let names = archives.as_object().expect("an object");
    // Twice: the second time from what was kept of the first.
    for _ in 0..2 {
        let survey = Survey::of(mount.path());
        let shown = format!("{:?}\n{:?}\n{}", survey.good, survey.bad, mount.log());
        // An honest name beside the others is there, unless they are no items at all.
        for name in names.keys() {
            if UNREADABLE.contains(&name.as_str()) {
                assert!(
                    survey.bad.contains(&(mount.path().join(name), 5)),
                    "{name}\n{shown}"
                );
                assert!(mount.log().contains(name), "{name} is not named\n{shown}");
                continue;
            }
            let fine = mount.path().join(name).join("fine");
            let found =
                fs::read(&fine).unwrap_or_else(|e| panic!("{}: {e}\n{shown}", fine.display()));
            assert_eq!(found, b"hostile", "{}", fine.display());
            assert!(
                survey.good.contains(&fine),
                "{name} does not list it\n{shown}"
            );
        }
        for path in &survey.good {
            let relative = path.strip_prefix(mount.path()).expect("below it");
            assert!(!relative.as_os_str().as_bytes().contains(&0), "{shown}");
        }
        let is_bad = |name: &str| {
            let path = mount.path().join("no content").join(name);
            survey.bad.contains(&(path, 5))
        };
        assert!(is_bad("gone"), "a chunk that is not there\n{shown}");
        assert!(!mount.log().contains("panicked"), "{shown}");
    }
    assert!(
        mount.log().contains("gone"),
        "what is damaged is named\n{}",
        mount.log()
    );
    // What can be read of a damaged file is read.
    let gone = File::open(mount.path().join("no content/gone")).expect("a file");
    let mut buf = [0; 7];
    gone.read_exact_at(&mut buf, DAMAGE_END)
        .expect("behind the damage");
    assert_eq!(&buf, b"hostile");
    drop(gone);
    let (code, log) = end(mount);
    assert_eq!(code, Some(0), "{log}");
    // The same in one tree, which there is none of with items that are none.
    let options = ["-o", "versions", "-a", "[!w]*"];
    let mount = mounts.mount(Program::Ours, &options, scene.repo(), &[]);
    let good = mount.path().join("d/good/good.00001");
    assert_eq!(fs::read(&good).expect("beside the others"), b"hostile");
    Survey::of(mount.path());
    let (code, log) = end(mount);
    assert!(code == Some(0) && !log.contains("panicked"), "{log}");
    tally(Tried::Attacks, names.len() as u64);
}

/// Files of the tree that is damaged, each a chunk of its own.
const FILES: usize = 240;
const LEN: usize = 6000;

fn content(file: usize) -> Vec<u8> {
    // Half of it repeated: what is compressed can be damaged in more ways.
    let mut bytes = generated(&format!("file {file}"), LEN / 2);
    bytes.extend_from_within(..);
    bytes
}

/// Segments of the repository, largest first, with their lengths.
fn segments(scene: &Scene) -> Vec<(PathBuf, u64)> {
    let dirs = fs::read_dir(scene.repo.join("data")).expect("a repository");
    let files =
        dirs.flat_map(|dir| fs::read_dir(dir.expect("an entry").path()).expect("a directory"));
    let mut found: Vec<(PathBuf, u64)> = files
        .map(|file| {
            let file = file.expect("an entry");
            (file.path(), file.metadata().expect("a file").len())
        })
        .collect();
    found.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
    found
}

/// Flips a bit of a file, and a second time flips it back.
fn flip(path: &Path, offset: u64, bit: u32) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)
        .expect("inside of the file");
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset)
        .expect("inside of the file");
}

/// Reads files; each has the right bytes or none. Gives back how many could not be read.
#[track_caller]
fn right_or_refused(mount: &Mount, files: impl Iterator<Item = usize>, seed: u64) -> usize {
    let mut refused = 0;
    for file in files {
        match fs::read(mount.path().join(format!("tree/{file}"))) {
            Ok(bytes) => assert!(bytes == content(file), "wrong bytes in {file}, seed {seed}"),
            Err(_) => refused += 1,
        }
    }
    refused
}

#[test]
fn damage_is_never_shown_as_content() {
    let seed = std::env::var("IRONBORG_RANDOM_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(1_066);
    let mut random = Random::new(seed);
    let flips = if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        20
    } else {
        1
    };
    let (mut refused, mut tried) = (0, 0);
    for mode in ["none", "repokey-blake2"] {
        let scene = Scene::with_repository(Program::Ours, mode);
        let tree = scene.scratch.dir("tree");
        for file in 0..FILES {
            fs::write(tree.join(format!("{file}")), content(file)).expect("room on the disk");
        }
        scene.create(Program::Ours, "a", &["-C", "zstd,3"], "tree");
        let (segment, len) = segments(&scene).swap_remove(0);
        let mounts = Mounts::of(&scene);
        for _ in 0..flips {
            // Under a mount that lives: many bits at once, in what has not been read yet.
            let mount = mounts.mount(Program::Ours, &[], &scene.archive("a"), &[]);
            right_or_refused(&mount, 0..4, seed);
            let bits: Vec<(u64, u32)> = (0..25)
                .map(|_| {
                    let offset = random.next_u64() % (len - 8) + 8;
                    (offset, u32::try_from(random.below(8)).expect("below 8"))
                })
                .collect();
            for &(offset, bit) in &bits {
                flip(&segment, offset, bit);
            }
            refused += right_or_refused(&mount, 4..FILES, seed);
            assert!(
                !mount.log().contains("panicked"),
                "seed {seed}\n{}",
                mount.log()
            );
            for &(offset, bit) in &bits {
                flip(&segment, offset, bit);
            }
            // Whole again, and nothing of the damage was kept.
            eventually("that nothing of the damage is left", || {
                right_or_refused(&mount, 0..FILES, seed) == 0
            });
            assert_eq!(end(mount).0, Some(0));
            tried += bits.len() as u64;
        }
    }
    assert!(
        refused > 10,
        "{refused} of the damaged files were refused, seed {seed}"
    );
    tally(Tried::Damages, tried);
}
