//! A client that may only add takes away what it likes; nothing is lost, and the way back is the documented one.
//!
//! The steps are those of `docs/serving.md`, "Going back".

use std::fs;

use ironborg_testkit::{Compare, Home, Program, Run, assert_same_tree};

use super::{forced, remote};
use crate::scene::{Scene, text};

/// Three archives of a tree that changed in between, then everything is taken away, by `client` through `server`.
struct Robbed {
    scene: Scene,
    home: Home,
    client: Program,
}

impl Robbed {
    fn new(server: Program, client: Program) -> Self {
        let mut scene = Scene::with_repository(client, "repokey");
        scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let command = format!(
            "{} serve --append-only --restrict-to-repository {}",
            text(server.path()),
            scene.repo()
        );
        let home = forced(&scene, "append-only", &command);
        let robbed = Self {
            scene,
            home,
            client,
        };
        let tree = robbed.scene.scratch.dir("tree");
        for name in ["first", "second"] {
            let content = format!("{name}\n").repeat(20_000);
            fs::write(tree.join(name), content).expect("room on the disk");
            robbed.run(&["create", &robbed.archive(name), "tree"]).ok();
        }
        robbed
    }

    fn archive(&self, name: &str) -> String {
        format!("{}::{name}", remote(&self.scene))
    }

    fn run(&self, args: &[&str]) -> Run {
        self.scene.run_on(&self.home, self.client, args)
    }

    /// Deletes, prunes, compacts, and puts something else in place of what was there.
    fn rob(&self) {
        let repo = remote(&self.scene);
        self.run(&["delete", &self.archive("first")]).ok();
        fs::remove_file(self.scene.scratch.join("tree/first")).expect("it is there");
        self.run(&["create", &self.archive("third"), "tree"]).ok();
        self.run(&["prune", "--keep-last", "1", &repo]).ok();
        self.run(&["compact", "--threshold", "0", &repo]).ok();
        self.run(&["delete", "--force", &self.archive("third")])
            .ok();
        assert_eq!(self.run(&["list", "--short", &repo]).ok().out(), "");
        // The whole repository at once is refused.
        let home = self.home.with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
        let destroyed = self.scene.run_on(&home, self.client, &["delete", &repo]);
        assert_eq!(destroyed.code(), 2, "{destroyed}");
    }

    /// The transactions the log has, oldest first.
    fn transactions(&self) -> Vec<u64> {
        let log = fs::read_to_string(self.scene.repo.join("transactions")).expect("there is a log");
        let numbers = log.lines().map(|line| {
            let rest = line.strip_prefix("transaction ").expect(line);
            let (number, time) = rest.split_once(", UTC time ").expect(line);
            assert_eq!(time.len(), "2024-01-02T03:04:05.123456".len(), "{line}");
            number.parse().expect(line)
        });
        numbers.collect()
    }

    /// Removes all segments after a transaction, and what is known of later ones.
    fn go_back_to(&self, transaction: u64) {
        let repo = &self.scene.repo;
        for dir in fs::read_dir(repo.join("data")).expect("a repository") {
            for segment in fs::read_dir(dir.expect("readable").path()).expect("a directory") {
                let path = segment.expect("readable").path();
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .expect("a number");
                if name.parse::<u64>().expect("a number") > transaction {
                    fs::remove_file(path).expect("ours");
                }
            }
        }
        for file in fs::read_dir(repo).expect("a repository") {
            let path = file.expect("readable").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("plain");
            if ["index.", "hints.", "integrity."]
                .iter()
                .any(|start| name.starts_with(start))
            {
                fs::remove_file(path).expect("ours");
            }
        }
    }

    /// What the client remembers of the later state, which it would take for the true one.
    fn forget_on_client(&self) {
        let repo = remote(&self.scene);
        self.run(&["delete", "--cache-only", &repo]).ok();
        let security = self.home.config().join("security");
        for record in fs::read_dir(security).expect("there are records") {
            let timestamp = record.expect("readable").path().join("manifest-timestamp");
            fs::remove_file(timestamp).expect("the repository was used");
        }
    }
}

#[track_caller]
fn the_way_back(server: Program, client: Program) {
    let robbed = Robbed::new(server, client);
    let scene = &robbed.scene;
    let good = *robbed.transactions().last().expect("archives were made");
    robbed.rob();
    assert!(*robbed.transactions().last().expect("there are more") > good);
    let saved = scene.scratch.join("saved");
    copy(&scene.repo, &saved);

    // Going back, by hand.
    robbed.go_back_to(good);
    // Without being told to, the client does not follow: this is what an attack looks like.
    let refused = robbed.run(&["list", &remote(scene)]);
    assert_eq!(refused.code(), 2, "{refused}");
    assert!(
        refused.err().contains("this is either an attack or unsafe"),
        "{refused}"
    );
    robbed.forget_on_client();
    let listed = robbed.run(&["list", "--short", &remote(scene)]).ok();
    assert_eq!(listed.out(), "first\nsecond\n");
    scene.assert_checks();
    fs::write(scene.scratch.join("tree/first"), "first\n".repeat(20_000)).expect("room");
    let restored = scene.extract(client.other(), "second", &[]).join("tree");
    assert_same_tree(&scene.scratch.join("tree"), &restored, Compare::Content);

    // And life goes on: for the client, and for whoever frees the room one day.
    robbed
        .run(&["create", &robbed.archive("fourth"), "tree"])
        .ok();
    assert!(*robbed.transactions().last().expect("one more") > good);
    scene.run(client.other(), &["compact", scene.repo()]).ok();
    scene.assert_checks();
}

/// Copies a repository: directories and files, nothing else is in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).expect("a new name");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("room on the disk");
        }
    }
}

#[test]
fn back_from_what_a_client_of_ours_did_to_a_server_of_ours() {
    the_way_back(Program::Ours, Program::Ours);
}

#[test]
fn back_from_what_a_stock_client_did_to_a_server_of_ours() {
    the_way_back(Program::Ours, Program::Stock);
}

#[test]
fn back_from_what_a_client_of_ours_did_to_a_stock_server() {
    the_way_back(Program::Stock, Program::Ours);
}
