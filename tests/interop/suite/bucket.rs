//! Repositories on an object store: what is there is what a disk would have, for stock Borg too.

mod commands;
mod faults;
mod kills;
mod served;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};

use ironborg_testkit::{Home, ObjectServer, Program, Run, generated};

use crate::scene::{Scene, text};

/// A machine, a store, and one repository on it.
struct Ground {
    scene: Scene,
    server: ObjectServer,
    /// The machine as it reaches the store.
    home: Home,
    /// The name of the repository in the bucket.
    name: &'static str,
}

impl Ground {
    /// A store without a repository.
    fn new(name: &'static str) -> Self {
        let scene = Scene::new();
        let server = ObjectServer::start(&scene.scratch);
        let home = server
            .known_to(&scene.home)
            .with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        Self {
            scene,
            server,
            home,
            name,
        }
    }

    fn location(&self) -> String {
        self.server.location(self.name)
    }

    fn archive(&self, name: &str) -> String {
        format!("{}::{name}", self.location())
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        self.run_on(&self.home, args)
    }

    #[track_caller]
    fn run_on(&self, home: &Home, args: &[&str]) -> Run {
        let run = home.invocation(Program::Ours, args);
        run.dir(self.scene.scratch.path()).run()
    }

    /// Extracts an archive; where to.
    #[track_caller]
    fn extract(&self, name: &str) -> PathBuf {
        let dir = self.scene.empty_dir("extracted");
        let archive = self.archive(name);
        let run = self.home.invocation(Program::Ours, ["extract", &archive]);
        run.dir(&dir).run().ok();
        dir
    }

    /// Neither we at the store nor stock Borg on a copy of it find anything wrong; and nothing is there that belongs to no
    /// commit.
    #[track_caller]
    fn assert_sound(&self) {
        self.run(&["check", "--verify-data", &self.location()]).ok();
        let copy = self.scene.empty_dir("copy");
        self.server.download(self.name, &copy);
        let stock = self
            .scene
            .home
            .with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let check = ["check", "--verify-data", text(&copy)];
        let run = stock.invocation(Program::Stock, check).run().ok();
        assert!(
            run.err().is_empty(),
            "stock Borg has something to say\n{run}"
        );
        self.assert_no_leftovers();
    }

    fn assert_no_leftovers(&self) {
        let names = self.server.objects(self.name);
        let last = names.iter().find_map(|name| name.strip_prefix("index."));
        let last: u32 = last.expect("an index").parse().expect("a number");
        let per_commit = ["hints", "index", "integrity"].map(|what| format!("{what}.{last}"));
        let usual = ["README", "config", "lock.lease", "nonce", "transactions"];
        for name in &names {
            let segment = name.strip_prefix("data/");
            let segment = segment.and_then(|name| name.rsplit('/').next()?.parse::<u32>().ok());
            let is_known = match segment {
                Some(segment) => segment <= last,
                None => per_commit.contains(name) || usual.contains(&name.as_str()),
            };
            assert!(is_known, "{name} belongs to nothing: {names:#?}");
        }
    }
}

/// The files of a small tree; those of one round differ from those of another.
fn fill(tree: &Path, round: u64) {
    fs::create_dir_all(tree).expect("room");
    for number in 0..4 {
        let content = generated(&format!("{round} {number}"), 30_000);
        fs::write(tree.join(format!("file {number}")), content).expect("room");
    }
}

#[test]
fn a_bucket_and_a_disk_hold_the_same_repository() {
    let scene = Scene::new();
    let server = ObjectServer::start(&scene.scratch);
    let ours = server.known_to(&scene.home);
    let stock = scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let ours = ours.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let tree = scene.scratch.dir("tree");
    // Larger than what is sent by one request.
    fs::write(tree.join("large"), generated("bucket", 20_000_000)).expect("room");
    for number in 0..20 {
        fs::write(tree.join(format!("{number}")), format!("file {number}\n")).expect("room");
    }
    let tree = text(&tree);
    let (there, back) = (server.location("made/here"), server.location("brought"));
    let our = |args: &[&str]| ours.invocation(Program::Ours, args).run().ok();

    // Ours on the store, stock Borg on a copy of it.
    our(&["init", "--encryption", "repokey-blake2", &there]);
    our(&[
        "create",
        "--compression",
        "none",
        &format!("{there}::one"),
        tree,
    ]);
    our(&["create", &format!("{there}::two"), tree]);
    our(&["delete", &format!("{there}::one")]);
    our(&["compact", &there]);
    our(&["check", "--verify-data", &there]);
    let copy = scene.scratch.join("copy");
    server.download("made/here", &copy);
    let of_stock = |args: &[&str]| stock.invocation(Program::Stock, args).run().ok();
    of_stock(&["check", "--verify-data", text(&copy)]);
    let listed = |run: ironborg_testkit::Run| run.out();
    let format = "{path} {size} {sha256}{NL}";
    let by_stock = listed(of_stock(&[
        "list",
        "--format",
        format,
        &format!("{}::two", text(&copy)),
    ]));
    let by_ours = listed(our(&["list", "--format", format, &format!("{there}::two")]));
    assert_eq!(by_ours, by_stock);
    assert_eq!(by_ours.lines().count(), 22);

    // Stock Borg on a disk, ours on a copy of that on the store, and back again.
    let made = scene.scratch.join("made");
    of_stock(&["init", "--encryption", "repokey", text(&made)]);
    of_stock(&["create", &format!("{}::one", text(&made)), tree]);
    of_stock(&["create", &format!("{}::two", text(&made)), tree]);
    server.upload(&made, "brought");
    our(&["create", &format!("{back}::three"), tree]);
    our(&["prune", "--keep-last", "1", &back]);
    our(&["compact", "--threshold", "0", &back]);
    let copy = scene.scratch.join("copy-of-copy");
    server.download("brought", &copy);
    of_stock(&["check", "--verify-data", text(&copy)]);
    let archives = listed(of_stock(&["list", "--short", text(&copy)]));
    assert_eq!(archives, "three\n");
}
