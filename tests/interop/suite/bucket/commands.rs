//! What else can be done with a repository, on a store.

use std::fs;

use ironborg_testkit::{Compare, Program, assert_same_tree};

use super::{Ground, fill};
use crate::scene::text;

#[test]
fn every_command_works_on_a_store() {
    let ground = Ground::new("commands");
    let mut home = ground.home.clone();
    home.set("BORG_REPO", ground.location());
    home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    home.set("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
    let our = |args: &[&str]| ground.run_on(&home, args);
    let tree = ground.scene.scratch.join("tree");
    fill(&tree, 1);
    our(&["init", "--encryption", "repokey"]).ok();
    our(&["create", "::one", "tree"]).ok();

    // Settings.
    let location = ground.location();
    our(&["config", &location, "append_only", "1"]).ok();
    assert_eq!(our(&["config", &location, "append_only"]).ok().out(), "1\n");
    our(&["create", "::logged", "tree"]).ok();
    let log = ground
        .server
        .object("commands/transactions")
        .expect("a log");
    assert_eq!(log.split(|byte| *byte == b'\n').count(), 2);
    assert!(our(&["delete"]).exits(2).err().contains("append-only"));
    our(&["config", &location, "append_only", "0"]).ok();
    our(&["config", &location, "storage_quota", "100M"]).ok();
    assert_eq!(
        our(&["config", &location, "storage_quota"]).ok().out(),
        "100M\n"
    );
    let listed = our(&["config", "--list", &location]).ok();
    assert!(listed.out().contains("storage_quota"), "{listed}");

    // Keys.
    let key = ground.scene.scratch.join("key");
    our(&["key", "export", "::", text(&key)]).ok();
    our(&["key", "import", "::", text(&key)]).ok();
    let changed = home.with("BORG_NEW_PASSPHRASE", "correct horse battery staple");
    ground.run_on(&changed, &["key", "change-passphrase"]).ok();

    // Archives.
    our(&["rename", "::logged", "two"]).ok();
    our(&["recreate", "--exclude", "tree/file 3", "::two"]).ok();
    let tar = ground.scene.scratch.join("one.tar");
    our(&["export-tar", "::one", text(&tar)]).ok();
    our(&["import-tar", "::imported", text(&tar)]).ok();
    our(&["diff", "::one", "two"]).ok();
    our(&["info", "::imported"]).ok();
    assert_same_tree(
        &tree,
        &ground.extract("imported").join("tree"),
        Compare::Content,
    );
    our(&["with-lock", "::", "true"]).ok();
    our(&["upgrade", "--check-tam"]);
    our(&["debug", "dump-manifest", "::", "-"]).ok();
    our(&["debug", "info"]).ok();
    our(&["break-lock"]).ok();
    our(&["check", "--repair", "--verify-data"]).ok();
    ground.assert_sound();

    // A damaged segment is repaired in place.
    let names = ground.server.objects("commands");
    assert!(names.iter().any(|name| name.starts_with("data/0/")));
    our(&["prune", "--keep-last", "1"]).ok();
    our(&["compact"]).ok();
    ground.assert_sound();

    // Another prefix is another place.
    let copy = ground.scene.empty_dir("moved");
    ground.server.download("commands", &copy);
    ground.server.upload(&copy, "moved/here");
    let moved = ground.server.location("moved/here");
    let mut wary = ground.home.clone();
    wary.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "no");
    let refused = wary.invocation(Program::Ours, ["list", &moved]).run();
    assert_eq!(refused.code(), 2, "{refused}");
    ground.run(&["list", &moved]).ok();

    our(&["delete"]).ok();
    assert_eq!(ground.server.objects("commands"), Vec::<String>::new());
    assert!(!ground.server.objects("moved/here").is_empty());
    let gone = our(&["list"]).exits(2);
    assert!(gone.err().contains("does not exist"), "{gone}");
    let _ = fs::remove_file(tar);
}
