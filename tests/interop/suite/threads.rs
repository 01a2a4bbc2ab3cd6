//! One, two or eight threads: the same archives, to the last chunk id, and the same words.
//!
//! Only ours can be told how many threads to use. Each number has a repository of its own, without encryption, so that
//! equal content has equal ids everywhere.

use std::fs;
use std::path::Path;

use ironborg_testkit::{Compare, Mount, Program, Random, assert_same_tree, tree};
use regex::Regex;

use crate::scene::Scene;

/// What somebody sees, and a name for it.
type Seen = Vec<(String, Vec<u8>)>;

/// Chunks of some 16 KiB: a file of a few MiB is shared out among all workers.
const CHUNKS: &str = "12,16,14,4095";
/// Blocks: holes are seen.
const FIXED: [&str; 2] = ["--chunker-params", "fixed,4096"];
/// Everything an item has.
const FORMAT: &str = "{mode} {user} {group} {uid} {gid} {size} {csize} {num_chunks} {mtime} {ctime} {sha256} {flags} \
                      {bpath} {source}{NL}";

/// Many small files, a few large ones, hard links, holes.
fn plant(top: &Path) {
    fs::create_dir(top).expect("there is room");
    tree::many_small(&top.join("small"), 150);
    tree::mixed(&top.join("mixed"), 2, 7);
    let mut random = Random::new(8);
    fs::write(top.join("large"), tree::text(&mut random, 3 << 20)).expect("there is room");
    fs::hard_link(top.join("large"), top.join("mixed/linked")).expect("there is room");
    fs::hard_link(top.join("large"), top.join("small/linked")).expect("there is room");
    let mut holes = vec![0; 1 << 20];
    holes[500_000] = 1;
    fs::write(top.join("holes"), holes).expect("there is room");
}

/// One number of threads at work.
struct Worker<'s> {
    scene: &'s Scene,
    threads: String,
    seen: Seen,
}

impl Worker<'_> {
    /// Runs a command, and notes what it said.
    #[track_caller]
    fn run(&mut self, args: &[&str]) -> Vec<u8> {
        self.run_to(args, 0)
    }

    #[track_caller]
    fn run_to(&mut self, args: &[&str], code: i32) -> Vec<u8> {
        let what = args.join(" ").replace(self.scene.repo(), "REPO");
        let args = [args, &["--threads", &self.threads]].concat();
        let run = self.scene.run(Program::Ours, &args).exits(code);
        let masked = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(self.scene.repo(), "REPO");
            // An archive has its own command line in it, and when it was finished.
            let clock = r"(?m) \[[0-9a-f]{64}\]$";
            let clock = Regex::new(clock).expect("an expression");
            clock.replace_all(&text, "").into_owned().into_bytes()
        };
        self.seen
            .push((format!("{what}: output"), masked(&run.stdout)));
        self.seen
            .push((format!("{what}: messages"), masked(&run.stderr)));
        run.stdout
    }

    /// Notes an archive: its items as users see them, and as the stream of them is cut: the names of those pieces are
    /// their ids.
    #[track_caller]
    fn look_at(&mut self, name: &str) {
        let archive = self.scene.archive(name);
        self.run(&["list", "--format", FORMAT, &archive]);
        let dir = self.scene.empty_dir("items");
        let items = &self.scene.home;
        let items = items.invocation(Program::Ours, ["debug", "dump-archive-items", &archive]);
        items.dir(&dir).run().ok();
        let mut names: Vec<_> = fs::read_dir(&dir)
            .expect("it is there")
            .map(|entry| entry.expect("readable").file_name().into_encoded_bytes())
            .collect();
        names.sort();
        assert!(!names.is_empty());
        self.seen
            .push((format!("{name}: pieces of the items"), names.join(&b' ')));
    }

    /// Takes the chunk of a file of one chunk away: without a key its id is the hash of its content.
    fn damage(&mut self) {
        let archive = self.scene.archive("first");
        let listed = self.run(&["list", "--format", "{num_chunks} {sha256}{NL}", &archive]);
        let listed = String::from_utf8(listed).expect("digits");
        let id = listed.lines().find_map(|line| line.strip_prefix("1 "));
        let id = id.expect("there are small files");
        let deleted = self.run(&["debug", "delete-obj", self.scene.repo(), id]);
        let deleted = String::from_utf8_lossy(&deleted);
        assert!(
            deleted.starts_with(&format!("object {id} deleted.")),
            "{deleted}"
        );
    }

    /// Makes archives in every way there is, and reads them in every way there is.
    fn work(mut self, reference: &Path) -> Seen {
        let repo = self.scene.repo().to_owned();
        let archive = |name: &str| format!("{repo}::{name}");
        let made = ["--timestamp", "2024-02-03T04:05:06"];
        let cut = ["--chunker-params", CHUNKS];
        let mut create = |name: &str, options: &[&str], roots: &[&str]| {
            let place = archive(name);
            let cut = if name == "sparse" { &FIXED } else { &cut };
            let words = [
                &["create", "--list"],
                &made[..],
                cut,
                options,
                &[&place],
                roots,
            ];
            self.run(&words.concat());
        };
        create("first", &["-C", "lz4"], &["tree"]);
        create("second", &["--noctime", "-C", "zstd"], &["tree", "more"]);
        create(
            "parts",
            &["--noctime", "--volume-between-checkpoints", "300000"],
            &["tree"],
        );
        create("sparse", &["--noctime", "--sparse"], &["tree"]);

        let tar = self.scene.scratch.join("archive.tar");
        let tar = tar.to_str().expect("a plain path");
        for name in ["first", "parts", "sparse"] {
            let written = self.run(&["export-tar", &archive(name), "-"]);
            fs::write(tar, written).expect("there is room");
        }
        let imported = archive("imported");
        let import = [&["import-tar"], &made[..], &cut, &[&imported, tar]].concat();
        self.run(&import);
        self.run(&[
            "recreate",
            "-C",
            "zlib",
            "--recompress",
            "always",
            &archive("second"),
        ]);
        self.run(&[
            "recreate",
            "--chunker-params",
            "11,15,13,4095",
            &archive("parts"),
        ]);
        for name in ["first", "second", "sparse", "imported"] {
            self.look_at(name);
        }
        // Where parts begin and end depends on when they were asked for; the files do not.
        self.run(&["list", "--format", FORMAT, &archive("parts")]);
        self.run(&["diff", &archive("first"), "second"]);
        self.run(&["extract", "--dry-run", "--list", &archive("second")]);
        let out = self.scene.empty_dir("out");
        let words = ["extract", &archive("first"), "--threads", &self.threads];
        let extract = self.scene.home.invocation(Program::Ours, words);
        extract.dir(&out).run().ok();
        assert_same_tree(reference, &out.join("tree"), Compare::Everything);
        self.mount(reference);

        self.damage();
        self.run_to(&["check", "-v", "--verify-data", &repo], 1);
        let yes = self.scene.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        let mut repairing = Worker {
            scene: &yes,
            threads: self.threads,
            seen: self.seen,
        };
        repairing.run(&["check", "-v", "--repair", &repo]);
        repairing.look_at("first");
        repairing.look_at("second");
        repairing.run(&["prune", "--list", "--keep-last", "2", &repo]);
        repairing.run(&["list", "--short", &repo]);
        repairing.seen
    }

    /// A mounted archive is the tree.
    fn mount(&self, reference: &Path) {
        let at = self.scene.empty_dir("mounted");
        let archive = self.scene.archive("first");
        let at_word = at.to_str().expect("a plain path");
        let words = [
            "mount",
            "--foreground",
            "--threads",
            &self.threads,
            &archive,
            at_word,
        ];
        let mount = Mount::start(self.scene.home.invocation(Program::Ours, words), &at);
        assert_same_tree(reference, &at.join("tree"), Compare::Content);
        mount.unmount();
    }
}

#[test]
fn the_number_of_threads_changes_nothing_anybody_can_see() {
    let base = Scene::new();
    let top = base.scratch.join("tree");
    plant(&top);
    tree::many_small(&base.scratch.join("more"), 30);
    let [one, others @ ..] = [1, 2, 8].map(|threads: usize| {
        let scene = base.beside(&format!("repo{threads}"));
        scene.init(Program::Ours, "none");
        let worker = Worker {
            scene: &scene,
            threads: threads.to_string(),
            seen: Seen::new(),
        };
        worker.work(&top)
    });
    for (threads, other) in [2, 8].into_iter().zip(others) {
        assert_eq!(one.len(), other.len());
        for ((what, expected), (_, found)) in one.iter().zip(&other) {
            assert!(
                expected == found,
                "with {threads} threads, {what}:\n{}\nwith one:\n{}",
                String::from_utf8_lossy(found),
                String::from_utf8_lossy(expected)
            );
        }
    }
}
