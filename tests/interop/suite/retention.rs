//! Segments that nobody can remove before their time, on a store with Object Lock: with all rights to remove everything, what
//! was backed up is there again.

use std::fs;
use std::thread;
use std::time::Duration;

use ironborg_storage::Storage;
use ironborg_testkit::{ObjectServer, Program};

use crate::scene::{Scene, text};

const SCRIPT: &str = include_str!("retention.py");
const BUCKET: &str = "locked";

#[test]
fn what_is_retained_outlives_the_removal_of_everything() {
    let scene = Scene::new();
    let server = ObjectServer::start(&scene.scratch);
    server.make_locked_bucket(BUCKET);
    let ours = server.known_to(&scene.home);
    let ours = ours.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let stock = scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let our = |args: &[&str]| ours.invocation(Program::Ours, args).run();
    let by_hand = |what: &str, prefix: &str, more: &[&str]| {
        let args = [&[what, server.endpoint(), BUCKET, prefix], more].concat();
        scene.home.stock_library(SCRIPT, args).run().ok().out()
    };
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), "content\n").expect("room");
    fs::write(
        tree.join("large"),
        ironborg_testkit::generated("retention", 9_000_000),
    )
    .expect("room");
    let tree = text(&tree);

    let refused = our(&[
        "init",
        "-e",
        "repokey",
        "--retain",
        "30d",
        &server.location("plain"),
    ]);
    assert_eq!(refused.code(), 2);
    assert!(
        refused.err().contains("Object Lock is not enabled"),
        "{}",
        refused.err()
    );
    let listed = our(&["list", &server.location("plain")]);
    assert_eq!(listed.code(), 2, "nothing was made");

    // What was never finished is given up when it is old.
    server.begin_upload("some/data/0/1");
    let give_up = |age| {
        let storage = server.storage();
        let conditional = storage.conditional().expect("a store");
        conditional.give_up_leftovers(age).expect("a list")
    };
    assert_eq!(give_up(Duration::from_hours(1)), 0);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(give_up(Duration::ZERO), 1);
    assert_eq!(give_up(Duration::ZERO), 0);

    let there = format!("s3://{BUCKET}/repo");
    our(&["init", "-e", "repokey", "--retain", "30d", &there]).ok();
    our(&["create", "-C", "none", &format!("{there}::one"), tree]).ok();
    our(&["create", &format!("{there}::two"), tree]).ok();
    assert_eq!(
        our(&["config", &there, "retain"]).ok().out(),
        "30d,governance\n"
    );
    let count: u32 = by_hand("retained", "repo", &["29"])
        .trim()
        .parse()
        .expect("a number");
    assert!(count >= 6, "{count}");
    our(&["delete", &format!("{there}::one")]).ok();
    let compacted = our(&["compact", "-v", "--threshold", "1", &there]).ok();
    assert!(
        compacted.err().contains("Renewed the retention of"),
        "{}",
        compacted.err()
    );
    assert!(
        compacted.err().contains("stay in older versions"),
        "{}",
        compacted.err()
    );
    let again = our(&["compact", "-v", "--threshold", "1", &there]).ok();
    assert!(!again.err().contains("Renewed"), "{}", again.err());
    by_hand("retained", "repo", &["29"]);

    let mirror = format!("s3://{BUCKET}/mirror");
    our(&["mirror", "--retain", "60d", &there, &mirror]).ok();
    by_hand("retained", "mirror", &["59"]);
    assert_eq!(
        our(&["config", &mirror, "retain"]).ok().out(),
        "60d,governance\n"
    );
    our(&["mirror", "--verify", &there, &mirror]).ok();

    let lost = by_hand("destroy", "repo", &[]);
    let (lost, since) = lost.trim().split_once(' ').expect("two words");
    assert!(lost.parse::<u32>().expect("a number") > 3, "{lost}");
    assert_eq!(our(&["list", &there]).code(), 2);
    by_hand("undo", "repo", &[since]);
    assert_eq!(our(&["list", "--short", &there]).ok().out(), "two\n");
    our(&["check", "--verify-data", &there]).ok();

    // Stock Borg keeps the setting, unread.
    let disk = scene.scratch.join("disk");
    our(&["mirror", &there, text(&disk)]).ok();
    let of_stock = |args: &[&str]| stock.invocation(Program::Stock, args).run().ok();
    let config = disk.join("config");
    let known = fs::read_to_string(&config).expect("a config");
    fs::write(
        &config,
        known.replace("append_only", "retain = 30d,governance\nappend_only"),
    )
    .expect("room");
    of_stock(&["info", text(&disk)]);
    of_stock(&["check", "--verify-data", text(&disk)]);
    of_stock(&["config", text(&disk), "additional_free_space", "20M"]);
    let kept = fs::read_to_string(&config).expect("a config");
    assert!(kept.contains("retain = 30d,governance"), "{kept}");
    our(&["create", &format!("{}::three", text(&disk)), tree]).ok();
}
