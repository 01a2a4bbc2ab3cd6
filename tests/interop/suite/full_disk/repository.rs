//! The disk of a local repository is full.

use std::fs;
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{Program, Run, Tried, tally};

use super::disk::{BLOCK, Disk, litter, on, random_file, with_disks};
use crate::same_output::{files, normal};
use crate::scene::Scene;

/// A disk and a repository with archives `one` and `two` that share a file, made by stock Borg.
struct Setting {
    scene: Scene,
    disk: Disk,
    /// The scene with its repository on the disk.
    there: Scene,
}

impl Setting {
    fn new() -> Self {
        let mut scene = Scene::new();
        for (name, len) in [("one/a", 700_000), ("one/b", 300_000), ("two/c", 400_000)] {
            random_file(&scene, name, len);
        }
        random_file(&scene, "new/d", 1_500_000);
        fs::copy(scene.scratch.join("one/b"), scene.scratch.join("two/b")).expect("room");
        let disk = Disk::new(&scene, 5000);
        // Made where it will be, as far as both programs know.
        scene.moved_to(disk.path("repo"));
        scene.init(Program::Stock, "none");
        for name in ["one", "two"] {
            scene.create(Program::Stock, name, &["-C", "none"], name);
        }
        copy(&scene.repo, &scene.scratch.join("original"));
        copy(scene.home.base(), &scene.scratch.join("machine"));
        let there = on(&scene, &scene.repo);
        Self { scene, disk, there }
    }

    /// Repository and machine as they were, and room for so many blocks.
    #[track_caller]
    fn begin(&self, blocks: u64) {
        let home = self.scene.home.base();
        fs::remove_dir_all(home).expect("a directory of this test");
        copy(&self.scene.scratch.join("machine"), home);
        self.disk.hold(&self.scene.scratch.join("original"), "repo");
        self.disk.leave(blocks);
    }

    #[track_caller]
    fn archives(&self) -> Vec<String> {
        self.disk.empty();
        let list = self
            .there
            .run(Program::Ours, &["list", "--short", self.there.repo()]);
        list.ok().out().lines().map(str::to_owned).collect()
    }

    /// Failed for want of room, undone, and said so.
    #[track_caller]
    fn assert_undone(&self, run: &Run, free: u64, before: &crate::same_output::Files) {
        assert_eq!(run.code(), 2, "{run}");
        let err = run.err();
        let refused = err.contains("Insufficient free space to complete transaction (required: ");
        let full = err.contains("Local Exception\n") && err.contains("[Errno 28]");
        assert!(refused || full, "{run}");
        assert_eq!(
            full,
            err.contains("\nHint: the disk of the repository is full;"),
            "{run}"
        );
        assert_eq!(self.disk.free(), free, "{run}");
        assert!(
            files(&self.there.repo) == *before,
            "something was left\n{run}"
        );
    }
}

#[track_caller]
fn copy(original: &Path, copy: &Path) {
    let mut command = Command::new("cp");
    let status = command.arg("-a").arg(original).arg(copy).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// As many blocks as a test tries: some, or all when everything is asked for.
fn levels(some: &[u64], end: u64) -> Vec<u64> {
    match std::env::var_os("IRONBORG_INTEROP_FULL") {
        Some(_) => (0..end).collect(),
        None => some.to_vec(),
    }
}

/// No lock, no room for one: whoever wants in is told, and leaves nothing.
#[test]
fn a_backup_that_does_not_fit_is_undone() {
    with_disks(|| {
        let setting = Setting::new();
        let there = &setting.there;
        let archive = there.archive("new");
        let create: &[&str] = &["create", "-C", "none", &archive, "new"];
        setting.begin(0);
        let before = files(&there.repo);
        let some = [
            0, 1, 2, 3, 5, 9, 16, 64, 128, 256, 350, 366, 370, 376, 380, 400, 420, 430, 500,
        ];
        let (mut undone, mut done) = (0, 0);
        for blocks in levels(&some, 480) {
            setting.begin(blocks);
            let run = there.run(Program::Ours, create);
            if run.code() == 0 {
                assert_eq!(setting.archives(), ["one", "two", "new"], "{run}");
                done += 1;
                continue;
            }
            setting.assert_undone(&run, blocks * BLOCK, &before);
            undone += 1;
            if undone % 8 == 1 {
                setting.disk.empty();
                there.assert_restores(Program::Ours, "one", "one");
                there.assert_restores(Program::Ours, "two", "two");
            }
        }
        assert!(undone > 10 && done > 0, "{undone} undone, {done} done");
        // In the middle of data, and refused before the end, stock Borg says the same.
        for blocks in [200, 420 - 20] {
            let said = Program::BOTH.map(|program| {
                setting.begin(blocks);
                let run = there.run(program, create);
                (run.code(), normal(&run.stderr).trim_end().to_owned())
            });
            assert_eq!(said[0], said[1], "{blocks} blocks, ours first");
        }
        setting.disk.empty();
        there.assert_checks();
        tally(Tried::Faults, undone + done);
    });
}

/// What makes room may use what stock Borg keeps free for it.
#[test]
fn deleting_and_compacting_make_room() {
    with_disks(|| {
        let setting = Setting::new();
        let there = &setting.there;
        let archive = there.archive("one");
        let repo = there.repo();
        let delete: &[&str] = &["delete", &archive];
        let prune: &[&str] = &["prune", "--keep-last", "1", repo];
        let compact: &[&str] = &["compact", repo];
        let reserve: &[&str] = &["config", repo, "additional_free_space", "1T"];
        setting.begin(0);
        let before = files(&there.repo);
        let (mut undone, mut partly, mut done) = (0, 0, 0);
        let some = [0, 1, 2, 4, 8, 16, 30, 60, 80, 140, 200];
        for (at, blocks) in levels(&some, 130).into_iter().enumerate() {
            setting.begin(blocks);
            let command = if at % 2 == 0 { delete } else { prune };
            let run = there.run(Program::Ours, command);
            if run.code() != 0 {
                setting.assert_undone(&run, blocks * BLOCK, &before);
                undone += 1;
                continue;
            }
            let run = there.run(Program::Ours, compact).ok();
            // The chunks of `one` that `two` does not need.
            if run.err().contains("left as they are") {
                partly += 1;
            } else {
                assert!(setting.disk.free() > blocks * BLOCK + 600_000, "{run}");
                done += 1;
            }
            assert_eq!(litter(&there.repo), [""; 0], "{run}");
            assert_eq!(setting.archives(), ["two"], "{run}");
        }
        assert!(
            undone > 3 && partly > 0 && done > 1,
            "{undone} undone, {partly} done partly, {done} done"
        );
        there.assert_restores(Program::Ours, "two", "two");
        there.assert_checks();
        tally(Tried::Faults, undone + partly + done);

        // With a reserve larger than the disk, refused by both, in the same words: only here deleting is not.
        setting.begin(600);
        setting.disk.empty();
        there.run(Program::Ours, reserve).ok();
        let new = there.archive("new");
        there.assert_same_output(&["create", "-C", "none", &new, "two"]);
        let refused = there.run(Program::Stock, delete);
        assert!(
            refused.err().contains("Insufficient free space"),
            "{refused}"
        );
        there.run(Program::Ours, delete).ok();
        there.run(Program::Ours, compact).ok();
        there.run(Program::Ours, prune).ok();
        assert_eq!(setting.archives(), ["two"]);
        tally(Tried::Faults, 3);
    });
}

#[test]
fn a_whole_repository_can_be_deleted_and_none_is_half_made() {
    with_disks(|| {
        let setting = Setting::new();
        let sure = setting
            .there
            .with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
        setting.begin(1);
        let run = sure.run(Program::Ours, &["delete", sure.repo()]).ok();
        assert!(!sure.repo.exists(), "{run}");
        // A name can be made, a lock not.
        setting.begin(0);
        let before = files(&sure.repo);
        let run = sure.run(Program::Ours, &["delete", sure.repo()]);
        setting.assert_undone(&run, 0, &before);

        let other = on(&setting.scene, &setting.disk.path("other"));
        for blocks in 0..3 {
            setting.disk.leave(blocks);
            let run = other.run(Program::Ours, &["init", "-e", "none", other.repo()]);
            assert_eq!(run.code(), 2, "{run}");
            assert!(!other.repo.exists(), "{run}");
        }
        setting.disk.empty();
        other.init(Program::Ours, "none");
        tally(Tried::Faults, 5);
    });
}

/// A repair that finds no room harms nothing, and the next one does it all.
#[test]
fn a_repair_without_room_can_be_repeated() {
    with_disks(|| {
        let setting = Setting::new();
        let sure = setting
            .there
            .with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        let repair: &[&str] = &["check", "--repair", "--repository-only", sure.repo()];
        let damage = || {
            for (name, _) in files(&sure.repo) {
                if name.starts_with("index.") {
                    fs::remove_file(sure.repo.join(name)).expect("a file of this test");
                }
            }
            // The first segment with data: one object of it is lost, the others are kept.
            let segment = sure.repo.join("data/0/2");
            let mut bytes = fs::read(&segment).expect("a segment");
            bytes[300] ^= 1;
            fs::write(&segment, bytes).expect("in place");
        };
        let data = || {
            let mut found = files(&sure.repo);
            found.retain(|name, _| name.starts_with("data/"));
            found
        };
        setting.begin(600);
        damage();
        sure.run(Program::Ours, repair).ok();
        let expected = data();
        let mut failed = 0;
        let some = [0, 1, 3, 8, 16, 40, 100, 170, 230, 300];
        let tried = levels(&some, 300);
        for &blocks in &tried {
            setting.begin(blocks + 100);
            damage();
            let damaged = data();
            setting.disk.leave(blocks);
            let run = sure.run(Program::Ours, repair).in_control();
            if run.code() != 0 {
                assert_eq!(run.code(), 2, "{run}");
                failed += 1;
                let now = data();
                let lost = damaged.keys().any(|name| !now.contains_key(name));
                assert!(!lost, "a segment is gone\n{run}");
            }
            assert_eq!(litter(&sure.repo), [""; 0], "{run}");
            setting.disk.empty();
            sure.run(Program::Ours, repair).ok();
            assert!(data() == expected, "{blocks} blocks\n{run}");
        }
        assert!(failed > 3, "{failed} of {} failed", tried.len());
        tally(Tried::Faults, tried.len() as u64);
    });
}
