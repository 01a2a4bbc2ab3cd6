//! Every key mode in every way: what one pair of programs writes, another reads.

use ironborg_testkit::{Program, Server, tree};

use super::WAYS;
use crate::scene::{CHEAP_ITEM_KEYS, Scene};

/// Each way adds an archive to one repository, which the first made; the next but one restores it.
#[track_caller]
fn check(mode: &str, first: usize) {
    let scene = Scene::behind(Server::Current(Program::Stock));
    tree::rich(&scene.scratch.join("tree"));
    let way = |number: usize| {
        let (client, server) = WAYS[(first + number) % WAYS.len()];
        let name = format!("{}-{}", client.name(), server.name());
        (client, scene.served_by(Server::Current(server)), name)
    };
    let (client, served, _) = way(0);
    served.init(client, mode);
    for number in 0..WAYS.len() {
        let (client, served, name) = way(number);
        let run = served.create(client, &name, &["--json"], "tree");
        let added = run.json()["archive"]["stats"]["deduplicated_size"].as_u64();
        let expected = if number == 0 {
            1_000_000..u64::MAX
        } else {
            0..1
        };
        let fits = added.is_some_and(|added| expected.contains(&added));
        assert!(fits, "{mode}: {name} added {added:?} bytes\n{run}");
        let (client, served, _) = way(number + 2);
        served.assert_restores(client, &name, "tree");
    }
    let (_, served, name) = way(0);
    served.assert_same_json_lines(&name, CHEAP_ITEM_KEYS);
    scene.assert_checks();
}

macro_rules! modes {
    ($($name:ident: $mode:literal, $first:literal;)*) => {
        $(#[test] fn $name() { check($mode, $first); })*
    };
}

modes! {
    none: "none", 0;
    authenticated: "authenticated", 1;
    authenticated_blake2: "authenticated-blake2", 2;
    repokey: "repokey", 0;
    keyfile: "keyfile", 1;
    repokey_blake2: "repokey-blake2", 2;
    keyfile_blake2: "keyfile-blake2", 1;
}
