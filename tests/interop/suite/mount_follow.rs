//! Following a repository: what a mount reads while both programs back up, prune and compact, without ever being in
//! their way.

#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod reader;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ironborg_mount::MountError;
use ironborg_mount::follow::Follower;
use ironborg_testkit::{Program, Tried, tally};

use crate::scene::Scene;
use reader::{SEGMENT_SIZE, Way, find, follow, read_archive, write_tree};

/// Rounds of backups, pruning and compaction.
fn rounds() -> u32 {
    let is_full = std::env::var_os("IRONBORG_INTEROP_FULL").is_some();
    if is_full { 25 } else { 2 }
}

/// A repository with small segments and an archive that stays.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let set = ["config", scene.repo(), "max_segment_size", SEGMENT_SIZE];
    scene.run(Program::Stock, &set).ok();
    create(&scene, Program::Stock, "stays");
    scene
}

fn create(scene: &Scene, program: Program, name: &str) {
    write_tree(scene, "tree", name);
    scene.create(program, name, &[], "tree");
}

/// Both programs add archives, take old ones away and compact. Nothing waits for a lock: it is there at once.
fn write(scene: &Scene, round: u32) {
    for program in Program::BOTH {
        create(scene, program, &format!("{}-{round}", program.name()));
    }
    let last = if round.is_multiple_of(2) {
        Program::BOTH
    } else {
        [Program::Stock, Program::Ours]
    };
    let prune = [
        "prune",
        "--keep-last",
        "1",
        "--glob-archives",
        "*-*",
        scene.repo(),
    ];
    scene.run(last[0], &prune).ok();
    scene
        .run(last[1], &["compact", "--threshold", "0", scene.repo()])
        .ok();
}

/// Reads every archive there is. What is deleted meanwhile may end early, and says so.
fn read_all(follower: &Follower) -> (u64, u64) {
    let (mut chunks, mut gone) = (0, 0);
    let session = follower.newest().unwrap();
    let names: Vec<String> = session
        .manifest
        .archives
        .keys()
        .map(|name| String::from_utf8(name.clone()).unwrap())
        .collect();
    assert!(names.iter().any(|name| name == "stays"), "{names:?}");
    for name in names {
        // An archive that is deleted between the list and the look at it is no longer there.
        let Ok(archive) = find(follower, &name) else {
            assert_ne!(name, "stays");
            gone += 1;
            continue;
        };
        match read_archive(follower, &archive) {
            Ok(count) => chunks += count,
            Err(error) => match wait_until_gone(follower, &archive, error) {
                MountError::ArchiveGone { name: gone_name } => {
                    assert_eq!(gone_name.to_string(), name);
                    assert_ne!(name, "stays");
                    gone += 1;
                }
                error => panic!("{name}: {error}"),
            },
        }
    }
    (chunks, gone)
}

/// What was deleted is explained as soon as it is looked for commits again.
fn wait_until_gone(
    follower: &Follower,
    archive: &ironborg_archive::Archive,
    error: MountError,
) -> MountError {
    let mut error = error;
    for _ in 0..60 {
        error = follower.explain(archive, error);
        if matches!(error, MountError::ArchiveGone { .. }) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    error
}

/// Readers read for as long as both programs write.
fn read_while_others_write(way: &Way) {
    let scene = scene();
    let followers = [follow(&scene, way), follow(&scene, way)];
    let stays = find(&followers[0], "stays").unwrap();
    let is_done = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let (chunks, _) = read_all(&followers[0]);
                looks.fetch_add(chunks, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(60));
            }
        });
        scope.spawn(|| {
            // This one never asks what is new.
            while !is_done.load(Ordering::SeqCst) {
                let chunks = read_archive(&followers[1], &stays).unwrap();
                looks.fetch_add(chunks, Ordering::SeqCst);
                followers[1].rest();
                thread::sleep(Duration::from_millis(60));
            }
        });
        let finished = Finished(&is_done);
        for round in 0..rounds() {
            write(&scene, round);
        }
        drop(finished);
    });
    let session = newest(&followers[0]);
    let last = format!("-{}", rounds() - 1);
    let has_last = |session: &ironborg_archive::Session| {
        let mut names = session.manifest.archives.keys();
        names.any(|name| name.ends_with(last.as_bytes()))
    };
    assert!(has_last(&session), "new archives do not appear");
    read_all(&followers[0]);
    scene.assert_checks();
    let looks = looks.load(Ordering::SeqCst);
    assert!(looks > 20, "{looks} chunks were read meanwhile");
    tally(Tried::Reads, looks);
}

/// The session on what is there now, however short ago it was looked.
fn newest(follower: &Follower) -> std::sync::Arc<ironborg_archive::Session> {
    thread::sleep(Duration::from_millis(4100));
    follower.newest().unwrap()
}

/// Tells readers to stop, also when a writer fails.
struct Finished<'a>(&'a AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn files_are_read_while_both_programs_write() {
    read_while_others_write(&Way::Files);
}

#[test]
fn a_server_of_ours_is_read_from_while_both_programs_write() {
    read_while_others_write(&Way::Server(Program::Ours));
}

/// Stock Borg's server takes the lock: whoever wants to write gets it in turn.
#[test]
fn a_server_of_stock_borg_is_read_from_in_turns() {
    let scene = scene();
    let follower = follow(&scene, &Way::Server(Program::Stock));
    let stays = find(&follower, "stays").unwrap();
    let is_done = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                follower.newest().unwrap();
                looks.fetch_add(read_archive(&follower, &stays).unwrap(), Ordering::SeqCst);
            }
        });
        let _finished = Finished(&is_done);
        for program in Program::BOTH {
            write_tree(&scene, "tree", program.name());
            // It looks for the lock every second.
            scene.create(program, program.name(), &["--lock-wait", "10"], "tree");
        }
        // Who reads waits for who has the lock for long.
        let hold = ["with-lock", "--lock-wait", "10", scene.repo(), "sleep", "5"];
        scene.run(Program::Ours, &hold).ok();
        let compact = [
            "compact",
            "--lock-wait",
            "10",
            "--threshold",
            "0",
            scene.repo(),
        ];
        scene.run(Program::Stock, &compact).ok();
    });
    for program in Program::BOTH {
        let archive = find_new(&follower, program.name());
        read_archive(&follower, &archive).unwrap();
    }
    // What is not used for a while keeps nobody waiting.
    thread::sleep(Duration::from_millis(1500));
    assert!(
        !scene.repo.join("lock.roster").exists(),
        "the lock was not given back"
    );
    assert!(looks.load(Ordering::SeqCst) > 10);
    drop(follower);
    scene.assert_checks();
}

/// An archive that was added since, as soon as it is looked for such.
fn find_new(follower: &Follower, name: &str) -> ironborg_archive::Archive {
    for _ in 0..100 {
        let session = follower.newest().unwrap();
        if session.manifest.archives.contains_key(name.as_bytes()) {
            return find(follower, name).unwrap();
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{name} does not appear")
}
