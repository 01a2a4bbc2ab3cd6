//! What ours asks of a server that is far away: no id twice, and no object without asking for the next ones too.
//!
//! The server is stock Borg's. Messages are counted at the line between.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ironborg_testkit::{
    Compare, Home, Program, Run, WireMessage, WireProxy, assert_same_tree, tree,
};

use crate::scene::Scene;

/// What the line waits for each byte, either way: long against what a server thinks about.
const DELAY: Duration = Duration::from_millis(40);

/// A repository that is reached over a line.
struct Far {
    scene: Scene,
    url: String,
}

impl Far {
    fn new(mode: &str) -> Self {
        let scene = Scene::new();
        let url = WireProxy::url(&scene.repo);
        let far = Self { scene, url };
        far.run(
            &WireProxy::new(),
            Program::Ours,
            &["init", "-e", mode, &far.url],
        );
        far
    }

    #[track_caller]
    fn run(&self, proxy: &WireProxy, client: Program, args: &[&str]) -> Run {
        let home = proxy.before(&self.scene.home, Program::Stock);
        self.scene.run_on(&home, client, args).ok()
    }

    /// Runs ours; gives what went over the line too.
    #[track_caller]
    fn logged(&self, delay: Duration, args: &[&str]) -> (Run, Vec<WireMessage>) {
        let log = self.scene.scratch.join("log");
        let _ = fs::remove_file(&log);
        let proxy = WireProxy::new().delay(delay).log(&log);
        let run = self.run(&proxy, Program::Ours, args);
        (run, WireMessage::read_all(&log))
    }

    /// Backs the tree up with ours; gives how many times ids were listed and objects sent.
    #[track_caller]
    fn create(&self, name: &str) -> (usize, usize) {
        let (_, messages) = self.logged(Duration::ZERO, &["create", &self.archive(name), "tree"]);
        (count(&messages, "list"), count(&messages, "put"))
    }

    fn archive(&self, name: &str) -> String {
        format!("{}::{name}", self.url)
    }

    /// Another machine, next to the repository.
    fn near(&self) -> Home {
        let near = Home::new(&self.scene.scratch, "near");
        near.with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
    }

    #[track_caller]
    fn near_run(&self, args: &[&str]) -> Run {
        self.scene.run_on(&self.near(), Program::Stock, args).ok()
    }

    #[track_caller]
    fn assert_checks(&self) {
        let run = self.near_run(&["check", "--verify-data", self.scene.repo()]);
        assert_eq!(run.err(), "", "{run}");
    }

    /// Where ours keeps what is stored.
    fn kept(&self) -> PathBuf {
        let own = self.scene.home.cache().join("ironborg");
        let of_repository = fs::read_dir(own).expect("there is a cache").next();
        of_repository
            .expect("of one repository")
            .expect("readable")
            .path()
            .join("stored")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.scene.scratch.join("tree").join(name);
        fs::create_dir_all(path.parent().expect("it is in the tree")).expect("room");
        fs::write(path, content).expect("room");
    }
}

fn count(messages: &[WireMessage], method: &str) -> usize {
    let is_method = |message: &&WireMessage| message.word.as_deref() == Some(method);
    messages
        .iter()
        .filter(|message| message.is_request)
        .filter(is_method)
        .count()
}

/// After the first backup ids are never listed again, unless somebody else has changed something.
#[test]
fn ids_are_listed_once_and_kept() {
    let far = Far::new("none");
    tree::mixed(&far.scene.scratch.join("tree"), 2, 1);
    let (lists, puts) = far.create("a");
    assert!(lists > 0 && puts > 3, "{lists} {puts}");
    far.write("new", "something");
    // The new content, the items, the archive, the manifest.
    assert_eq!(far.create("b"), (0, 4));
    // What ours takes away and puts in itself is known.
    for args in [
        &["delete", &far.archive("a")][..],
        &["rename", &far.archive("b"), "bb"],
        &["recreate", "--exclude", "*/new", &far.url],
        &["prune", "--keep-last", "1", &far.url],
        &["compact", &far.url],
    ] {
        far.run(&WireProxy::new(), Program::Ours, args);
    }
    // Its chunk went with the archive that was recreated: it is new once more.
    let (lists, puts) = far.create("c");
    assert_eq!((lists, puts), (0, 4));
    far.assert_checks();
}

/// Whatever others do is noticed before anything is believed to be there.
#[test]
fn what_others_take_away_is_not_believed_to_be_stored() {
    let far = Far::new("none");
    let all = ["one", "two", "three"];
    for name in all {
        far.write(name, &format!("content of {name}"));
    }
    far.create("a");
    let local = |name: &str| far.scene.archive(name);

    // Stock Borg's client deletes the archive and with it every chunk; and makes another.
    far.near_run(&["delete", &local("a")]);
    let (lists, puts) = far.create("b");
    assert!(lists > 0 && puts >= all.len() + 3, "{lists} {puts}");

    // A chunk is lost, and no manifest tells of it.
    let hashes = far
        .near_run(&["list", "--format", "{path} {sha256}{NL}", &local("b")])
        .out();
    let two = hashes.lines().find(|line| line.starts_with("tree/two "));
    // Without encryption a chunk's id is the hash of its content.
    let id = two
        .expect("it is there")
        .rsplit(' ')
        .next()
        .expect("two words")
        .to_owned();
    far.near_run(&["debug", "delete-obj", far.scene.repo(), &id]);
    far.write("copy of two", "content of two");
    let (lists, _) = far.create("c");
    assert!(lists > 0);
    // The backup that came after the loss has what was lost.
    far.assert_checks();

    // A damaged list is none.
    let kept = far.kept();
    let mut bytes = fs::read(&kept).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&kept, bytes).expect("room");
    far.write("new", "something else");
    let log = far.scene.scratch.join("log");
    let _ = fs::remove_file(&log);
    let run = far.run(
        &WireProxy::new().log(&log),
        Program::Ours,
        &["create", &far.archive("d"), "tree"],
    );
    assert!(
        run.err().contains("list of stored chunks is corrupted"),
        "{run}"
    );
    assert!(count(&WireMessage::read_all(&log), "list") > 0);
    // An old one is none either: a commit of ours that another machine's followed.
    let old = fs::read(&kept).expect("it is there");
    far.create("e");
    far.near_run(&["delete", &local("e")]);
    fs::write(&kept, old).expect("room");
    assert!(far.create("f").0 > 0);
    far.assert_checks();
}

/// The line is waited for a few times, however many objects there are.
#[test]
fn nothing_waits_for_the_line_object_by_object() {
    let far = Far::new("repokey");
    let top = far.scene.scratch.join("tree");
    tree::many_small(&top, 600);
    tree::mixed(&top.join("mixed"), 4, 5);
    let create = |name: &str| far.logged(DELAY, &["create", &far.archive(name), "tree"]).1;
    let first = create("a");
    assert!(count(&first, "put") > 500);
    let turns = |messages: &[WireMessage]| WireMessage::turns(messages);
    assert!(
        turns(&first) <= 16,
        "{} turns for a first backup",
        turns(&first)
    );
    let second = create("b");
    assert!(
        turns(&second) <= 14,
        "{} turns for a second backup",
        turns(&second)
    );
    for n in 0..6 {
        far.write(&format!("../other/{n}"), &format!("content {n}"));
        // Ours has not seen these yet.
        far.run(
            &WireProxy::new(),
            Program::Stock,
            &["create", &far.archive(&format!("s{n}")), "other"],
        );
    }

    let out = far.scene.empty_dir("out");
    let log = far.scene.scratch.join("log");
    let _ = fs::remove_file(&log);
    let home = WireProxy::new()
        .delay(DELAY)
        .log(&log)
        .before(&far.scene.home, Program::Stock);
    home.invocation(Program::Ours, ["extract", &far.archive("a")])
        .dir(&out)
        .run()
        .ok();
    let messages = WireMessage::read_all(&log);
    assert!(count(&messages, "get") > 500);
    assert!(
        turns(&messages) <= 12,
        "{} turns for an extraction",
        turns(&messages)
    );
    assert_same_tree(&top, &out.join("tree"), Compare::Everything);

    let command = |args: &[&str], most: usize| {
        let (run, messages) = far.logged(DELAY, args);
        assert!(
            turns(&messages) <= most,
            "{} turns for {args:?}",
            turns(&messages)
        );
        run.out()
    };
    command(&["list", &far.url], 5);
    command(
        &[
            "list",
            "--format",
            "{archive} {comment} {username}{NL}",
            &far.url,
        ],
        6,
    );
    let listed = command(&["list", &far.archive("b")], 8);
    assert_eq!(
        listed,
        far.run(
            &WireProxy::new(),
            Program::Stock,
            &["list", &far.archive("b")]
        )
        .out()
    );
    command(&["diff", &far.archive("a"), "b"], 12);
    command(&["info", &far.url], 40);
    let info = command(&["info", "--last", "2", &far.url], 12);
    assert_eq!(
        info,
        far.run(
            &WireProxy::new(),
            Program::Stock,
            &["info", "--last", "2", &far.url]
        )
        .out()
    );
    command(&["prune", "--keep-last", "2", &far.url], 20);
    far.assert_checks();
}
