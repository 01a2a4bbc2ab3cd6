//! Servers nobody has upgraded, and clients nobody has: Borg 1.1 and 1.2 as they are, Borg 1.0 in imitation.

use std::fs;

use ironborg_testkit::{OldStock, Program, Run, Server, tree};

use super::told;
use crate::same_output::{Files, differences};
use crate::scene::{CHEAP_ITEM_KEYS, Scene, text};

/// Both programs do the same with a server of that release, and leave a sound repository.
#[track_caller]
fn check_server(release: OldStock) {
    let scene = Scene::behind(Server::Old(release));
    scene.init(Program::Ours, "repokey-blake2");
    tree::rich(&scene.scratch.join("tree"));
    scene.create(
        Program::Ours,
        "ours",
        &["--timestamp", "2024-01-01T01:02:03"],
        "tree",
    );
    let run = scene.create(Program::Stock, "stock", &["--json"], "tree");
    assert_eq!(
        run.json()["archive"]["stats"]["deduplicated_size"],
        0,
        "{run}"
    );
    scene.assert_checks();
    for (client, name) in [(Program::Ours, "stock"), (Program::Stock, "ours")] {
        scene.assert_restores(client, name, "tree");
    }
    scene.assert_same_json_lines("ours", CHEAP_ITEM_KEYS);
    assert_same_with(&scene, false);
}

/// What either program says of all that concerns the server.
///
/// What the server says by itself is left out for `silent` ones: it has its traceback in it, and comes through another
/// pipe than the answers, before or after the client's own words.
#[track_caller]
fn assert_same_with(scene: &Scene, silent: bool) {
    let repo = scene.repo();
    let [archive, gone, missing] = ["ours", "gone", "missing"].map(|name| scene.archive(name));
    let nowhere = scene.beside("no/where");
    let twice = scene.beside("twice");
    let list: &[&[&str]] = &[
        &["list", "--short", repo],
        &["info", &archive],
        &["list", nowhere.repo()],
        &["init", "-e", "none", repo],
        &["init", "-e", "none", nowhere.repo()],
        &["init", "-e", "none", "--make-parent-dirs", nowhere.repo()],
        &[
            "init",
            "-e",
            "none",
            "--append-only",
            "--storage-quota",
            "10M",
            twice.repo(),
        ],
        &["delete", "--force", twice.repo()],
        &["rename", &archive, "gone"],
        &["list", &missing],
        &["delete", &gone],
        &["compact", repo],
        &["with-lock", repo, "true"],
        &["break-lock", repo],
        &["debug", "get-obj", repo, &"1".repeat(64), "obj"],
        &["--info", "list", "--short", repo],
    ];
    // Stock Borg falls over an error without arguments, which Borg 1.0 sends here; ours does not.
    let orphan: &[&str] = &["init", "-e", "none", nowhere.repo()];
    let asked = list.iter().filter(|args| !silent || **args != orphan);
    let asked: Vec<&[&str]> = asked.copied().collect();
    let sides = scene.run_lists_fresh(&asked, &["no", "twice"]);
    if silent {
        assert_alike(sides, |bytes| {
            let told = told(bytes);
            let lines = told.split_inclusive('\n');
            lines.filter(|line| !line.starts_with("Remote:")).collect()
        });
    } else {
        assert_alike(sides, told);
    }
}

impl Scene {
    /// Both programs from the same state; what they make beside the repository is removed in between.
    #[track_caller]
    fn run_lists_fresh(&self, lists: &[&[&str]], made: &[&str]) -> [Vec<Run>; 2] {
        let sure = self.with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
        self.each_from_same_state(|program| {
            let runs = sure.run_list(program, lists);
            self.assert_checks();
            for name in made {
                let path = self.scratch.join(name);
                if path.exists() {
                    fs::remove_dir_all(path).expect("our own directory");
                }
            }
            runs
        })
    }
}

#[track_caller]
fn assert_alike([ours, stock]: [Vec<Run>; 2], told: impl Fn(&[u8]) -> String) {
    for (ours, stock) in ours.iter().zip(&stock) {
        if let Some(differences) = differences(ours, stock, &told) {
            panic!("{differences}\n\n== first\n{ours}\n== second\n{stock}");
        }
    }
    assert_eq!(ours.len(), stock.len());
}

#[test]
fn server_1_1() {
    check_server(OldStock::V1_1);
}

#[test]
fn server_1_2() {
    check_server(OldStock::V1_2);
}

/// An old client finds in our server what it finds in stock Borg's.
#[track_caller]
fn check_client(release: OldStock) {
    let scene = Scene::behind(Server::Current(Program::Stock));
    tree::rich(&scene.scratch.join("tree"));
    let old = |scene: &Scene, args: &[&str]| {
        let tool = scene.home.tool(release.path(), args);
        tool.dir(scene.scratch.path()).run()
    };
    let repo = scene.repo();
    let [one, two] = ["one", "two"].map(|name| scene.archive(name));
    let tar = scene.scratch.join("tar");
    let when = ["--timestamp", "2024-01-01T01:02:03"];
    let list: &[&[&str]] = &[
        &["init", "-e", "repokey-blake2", repo],
        &["create", when[0], when[1], "--list", &one, "tree"],
        &["create", when[0], when[1], &two, "tree"],
        &["list", "--short", repo],
        &["list", "--format", "{path} {sha256}{NL}", &two],
        &["check", repo],
        &["delete", &two],
        &["prune", "--keep-last", "1", repo],
        &["export-tar", &one, text(&tar)],
        &["list", "--short", repo],
    ];
    // 1.1 had neither; it says so.
    let more: &[&[&str]] = &[
        &["compact", repo],
        &["check", "--repository-only", "--max-duration", "5", repo],
    ];
    let sides = Program::BOTH.map(|server| {
        let served = scene.served_by(Server::Current(server));
        let runs: Vec<Run> = list
            .iter()
            .chain(more)
            .map(|args| old(&served, args))
            .collect();
        served.assert_checks();
        let left: Files = crate::same_output::files(&served.repo);
        let left: Vec<String> = left
            .into_keys()
            .filter(|name| !name.contains('.'))
            .collect();
        fs::remove_dir_all(&served.repo).expect("our own directory");
        fs::remove_dir_all(served.home.base()).expect("our own directory");
        fs::create_dir(served.home.base()).expect("our own directory");
        (runs, left)
    });
    let [(ours, left), (stock, expected)] = sides;
    assert!(ours[1].code() == 0 && !left.is_empty(), "{}", ours[1]);
    assert_eq!(left, expected, "names in the repository");
    assert_alike([ours, stock], told);
}

#[test]
fn client_1_1() {
    check_client(OldStock::V1_1);
}

#[test]
fn client_1_2() {
    check_client(OldStock::V1_2);
}

/// Borg 1.0 answers by position, has no words for errors but their names, and cannot reserve nonces.
#[track_caller]
fn check_before_1_1(release: &str) {
    let scene = Scene::behind(Server::Current(Program::Stock));
    tree::rich(&scene.scratch.join("tree"));
    let script = scene.scratch.join("old_server.py");
    fs::write(&script, include_str!("old_server.py")).expect("room on the disk");
    let python = Program::Stock.path().with_file_name("python");
    let command = format!("{} {} {release}", text(&python), text(&script));
    let scene = scene.with("BORG_REMOTE_PATH", command);
    scene.init(Program::Ours, "repokey");
    scene.create(
        Program::Ours,
        "ours",
        &["--timestamp", "2024-01-01T01:02:03"],
        "tree",
    );
    scene.create(Program::Stock, "stock", &[], "tree");
    scene.assert_checks();
    for (client, name) in [(Program::Ours, "stock"), (Program::Stock, "ours")] {
        scene.assert_restores(client, name, "tree");
    }
    assert_same_with(&scene, true);
}

#[test]
fn server_1_0_13() {
    check_before_1_1("1.0.13");
}

#[test]
fn server_1_0_6() {
    check_before_1_1("1.0.6");
}
