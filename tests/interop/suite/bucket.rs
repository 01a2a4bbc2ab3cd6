//! Repositories on an object store: what is there is what a disk would have, for stock Borg too.

use std::fs;

use ironborg_testkit::{ObjectServer, Program, generated};

use crate::scene::{Scene, text};

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
