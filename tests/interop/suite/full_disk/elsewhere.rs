//! Other disks than the repository's are full: caches, security records, temporary files, what is extracted.

use std::fs;

use ironborg_testkit::{Program, Tried, tally};

use super::disk::{Disk, litter, random_file, with_disks};
use crate::same_output::{files, normal};
use crate::scene::{Scene, text};

fn setting(mode: &str) -> (Scene, Disk) {
    let scene = Scene::new();
    random_file(&scene, "tree/a", 600_000);
    scene.init(Program::Stock, mode);
    scene.create(Program::Stock, "one", &["-C", "none"], "tree");
    random_file(&scene, "tree/b", 100_000);
    let disk = Disk::new(&scene, 2000);
    (scene, disk)
}

/// A cache is a convenience: a backup is made without.
#[test]
fn a_full_cache_costs_no_backup() {
    with_disks(|| {
        let (scene, disk) = setting("none");
        let copy = disk.hold(&scene.home.cache(), "cache");
        let there = scene.with("BORG_CACHE_DIR", &copy);
        for (at, blocks) in [0, 1, 2].into_iter().enumerate() {
            disk.leave(blocks);
            let archive = scene.archive(&format!("two-{at}"));
            let run = there.run(Program::Ours, &["create", &archive, "tree"]).ok();
            if blocks == 0 {
                let said = run.err().contains("[Errno 28] No space left on device");
                assert!(said, "nothing said of the cache\n{run}");
            }
            assert_eq!(litter(&copy), [""; 0], "{run}");
        }
        disk.leave(0);
        let two = scene.archive("two-0");
        for args in [
            &["list", "--short", &two] as &[&str],
            &["info", &two],
            &["delete", &two],
            &["prune", "--keep-last", "1", scene.repo()],
            &["compact", scene.repo()],
        ] {
            there.run(Program::Ours, args).ok();
        }
        scene.assert_restores(Program::Stock, "two-2", "tree");
        scene.assert_checks();
        tally(Tried::Faults, 8);
    });
}

/// A nonce that cannot be reserved is not used, and records are there whole or not at all.
#[test]
fn full_security_records_stop_what_needs_them() {
    with_disks(|| {
        let (scene, disk) = setting("repokey-blake2");
        let records = scene.home.config().join("security");
        let copy = disk.hold(&records, "security");
        let there = scene.with("BORG_SECURITY_DIR", &copy);
        let before = files(&copy);
        let archive = scene.archive("two");
        disk.leave(0);
        let run = there.run(Program::Ours, &["create", &archive, "tree"]);
        assert_eq!(run.code(), 2, "{run}");
        assert!(run.err().contains("Local Exception\n[Errno 28]"), "{run}");
        assert!(files(&copy) == before, "the records have changed\n{run}");
        there.run(Program::Ours, &["list", scene.repo()]).ok();

        // A machine that knows nothing yet.
        let unknown = disk.path("unknown");
        let fresh = scene.with("BORG_SECURITY_DIR", &unknown);
        let run = fresh.run(Program::Ours, &["list", scene.repo()]);
        assert_eq!(run.code(), 2, "{run}");
        assert!(run.err().contains("[Errno 28]"), "{run}");
        disk.empty();
        fresh.run(Program::Ours, &["list", scene.repo()]).ok();
        there.run(Program::Ours, &["create", &archive, "tree"]).ok();
        scene.assert_restores(Program::Stock, "two", "tree");
        scene.assert_checks();
        tally(Tried::Faults, 3);
    });
}

/// What is restored or exported does not fit: named, and the exit code stock Borg's.
#[test]
fn what_is_restored_does_not_fit() {
    with_disks(|| {
        let (scene, disk) = setting("repokey-blake2");
        let one = scene.archive("one");
        let out = disk.path("out");
        let tar = disk.path("one.tar");
        let key = disk.path("key");
        let extracted = |blocks| {
            Program::BOTH.map(|program| {
                disk.hold(&scene.scratch.join("tree"), "other");
                disk.empty();
                fs::create_dir(&out).expect("a name needs no room");
                disk.leave(blocks);
                scene
                    .home
                    .invocation(program, ["extract", &one])
                    .dir(&out)
                    .run()
            })
        };
        for blocks in [0, 1, 50, 145] {
            let [ours, stock] = extracted(blocks);
            assert_eq!(ours.code(), stock.code(), "{ours}\n{stock}");
            let both = [&ours, &stock].map(|run| normal(&run.stderr));
            assert_eq!(both[0], both[1], "{blocks} blocks, ours first");
            assert!(both[0].contains("tree/a: write: [Errno 28]"), "{ours}");
        }
        let [ours, _] = extracted(160);
        ours.ok();

        let export: &[&str] = &["export-tar", &one, text(&tar)];
        for args in [export, &["key", "export", scene.repo(), text(&key)]] {
            let codes = Program::BOTH.map(|program| {
                disk.leave(0);
                for file in [&tar, &key] {
                    let _ = fs::remove_file(file);
                }
                let run = scene.run(program, args);
                assert!(run.err().contains("[Errno 28]"), "{run}");
                run.code()
            });
            assert_eq!(codes, [2, 2], "{args:?}");
        }
        tally(Tried::Faults, 6);
    });
}

#[test]
fn a_full_place_for_temporary_files_is_not_needed() {
    with_disks(|| {
        let (scene, disk) = setting("repokey-blake2");
        disk.leave(0);
        let there = scene.with("TMPDIR", &disk.dir);
        let archive = scene.archive("two");
        for args in [
            &["create", &archive, "tree"] as &[&str],
            &["list", &archive],
            &["delete", &archive],
            &["compact", scene.repo()],
            &["check", scene.repo()],
        ] {
            if args[0] == "check" && !is_there(&there) {
                continue;
            }
            there.run(Program::Ours, args).ok();
        }
        tally(Tried::Faults, 4);
    });
}

/// Whether our check does the archives' part too.
fn is_there(scene: &Scene) -> bool {
    let run = scene.run(Program::Ours, &["check", scene.repo()]);
    !run.err().contains("is not there yet")
}
