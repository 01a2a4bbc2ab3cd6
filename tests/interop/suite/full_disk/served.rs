//! The disk of a server is full, or its quota used up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ironborg_testkit::{Program, Tried, tally};

use super::disk::{BLOCK, Disk, litter, on, random_file, with_disks};
use crate::scene::{Scene, text};

/// Every pair with a program of ours at one end at least.
const PAIRS: [(Program, Program); 3] = [
    (Program::Ours, Program::Ours),
    (Program::Stock, Program::Ours),
    (Program::Ours, Program::Stock),
];

/// Writes an executable script.
fn script(scene: &Scene, name: &str, content: &str) -> PathBuf {
    let path = scene.scratch.join(name);
    fs::write(&path, format!("#!/bin/sh\n{content}\n")).expect("room");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("ours");
    path
}

/// The scene, its repositories reached through a server with options of its own.
fn through(scene: &Scene, server: Program, options: &str) -> Scene {
    let shell = script(scene, "shell", "shift\nexec \"$@\"");
    let command = format!("exec {} serve {options}", text(server.path()));
    let server = script(scene, &format!("server-{}", server.name()), &command);
    scene
        .with("BORG_RSH", shell)
        .with("BORG_REMOTE_PATH", server)
}

#[test]
fn a_server_s_full_disk_stops_the_backup_only() {
    with_disks(|| {
        let scene = Scene::new();
        random_file(&scene, "tree/a", 100_000);
        random_file(&scene, "new/b", 900_000);
        let disk = Disk::new(&scene, 2000);
        let local = on(&scene, &scene.scratch.join("repo"));
        local.init(Program::Stock, "none");
        local.create(Program::Stock, "one", &["-C", "none"], "tree");
        let relocated = scene.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let mut tried = 0;
        for (client, server) in PAIRS {
            let there = through(&relocated, server, "");
            for blocks in [1, 40, 150, 235] {
                let repo = disk.hold(&local.repo, "repo");
                disk.leave(blocks);
                let url = format!("ssh://host{}", text(&repo));
                let archive = format!("{url}::new");
                let args = ["create", "-C", "none", &archive, "new"];
                let run = there.run(client, &args).in_control();
                assert_eq!(run.code(), 2, "{blocks} blocks\n{run}");
                let err = run.err();
                let named = ["No space left on device", "Insufficient free space"];
                assert!(named.iter().any(|words| err.contains(words)), "{run}");
                assert_eq!(litter(&repo), [""; 0], "{run}");
                if server == Program::Ours {
                    assert_eq!(disk.free(), blocks * BLOCK, "{run}");
                }
                disk.empty();
                let list = there.run(Program::Ours, &["list", "--short", &url]);
                assert_eq!(list.ok().out(), "one\n", "{run}");
                tried += 1;
            }
        }
        tally(Tried::Faults, tried);
    });
}

#[test]
fn a_server_s_quota_stops_the_backup_only() {
    let scene = Scene::new();
    // The smallest quota a server can be told.
    random_file(&scene, "tree/a", 10_500_000);
    random_file(&scene, "small/b", 100_000);
    let local = on(&scene, &scene.scratch.join("repo"));
    if local.wire().is_some() {
        return;
    }
    local.init(Program::Stock, "none");
    local.create(Program::Stock, "small", &["-C", "none"], "small");
    let relocated = scene.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let url = format!("ssh://host{}", text(&local.repo));
    for (client, server) in PAIRS {
        let there = through(&relocated, server, "--storage-quota=10M");
        let archive = format!("{url}::large");
        let run = there.run(client, &["create", "-C", "none", &archive, "tree"]);
        assert_eq!(run.code(), 2, "{run}");
        let err = run.err();
        assert!(
            err.contains("The storage quota (10.00 MB) has been exceeded (10."),
            "{run}"
        );
        assert!(err.contains("Try deleting some archives."), "{run}");
        assert_eq!(litter(&local.repo), [""; 0], "{run}");
        let list = there.run(Program::Ours, &["list", "--short", &url]);
        assert_eq!(list.ok().out(), "small\n");
    }
    tally(Tried::Faults, 3);
}
