//! Commands that change no archive: compaction, keys, configuration, caches, locks.

use std::fs;

use ironborg_testkit::{Program, Random};

use super::operations::{carry_out, one_of};
use super::world::{Way, Who, World};
use crate::scene::text;

#[track_caller]
pub(super) fn compact(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let location = world.location(&who);
    let mut args = vec!["compact"];
    args.extend(["--threshold", one_of(random, &["0", "10", "50", "90"])]);
    if random.below(3) == 0 {
        args.push("--cleanup-commits");
    }
    args.push(&location);
    let order = world.begin(&who, &args).perhaps_killed(world, random);
    let after = world.archives.clone();
    carry_out(world, random, order, after);
}

/// Another passphrase, or the key out and in again.
#[track_caller]
pub(super) fn keys(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let location = world.location(&who);
    if world.mode == "none" {
        return;
    }
    match random.below(3) {
        0 | 1 => {
            let new = format!("passphrase {}", world.number);
            let order = world
                .begin(&who, &["key", "change-passphrase", &location])
                .env("BORG_NEW_PASSPHRASE", &new)
                .perhaps_killed(world, random);
            let is_killed = order.is_killed();
            let run = order.run(world);
            if run.code() == 0 {
                world.passphrase = new;
            } else {
                assert!(is_killed, "{run}");
                settle_passphrase(world, random, new);
            }
        }
        _ => {
            let file = world.scratch.join("exported key");
            let file = text(&file).to_owned();
            world.run(&who, &["key", "export", &location, &file]).ok();
            let mut reader = world.anyone(random);
            reader.machine = who.machine;
            let location = world.location(&reader);
            world
                .run(&reader, &["key", "import", &location, &file])
                .ok();
        }
    }
}

/// Either the old passphrase opens the repository or the new one.
#[track_caller]
fn settle_passphrase(world: &mut World, random: &mut Random, new: String) {
    let who = Who {
        program: world.any_program(random),
        machine: random.below(2),
        way: Way::Local,
    };
    let location = world.location(&who);
    world.patient = true;
    let run = world.run(&who, &["list", &location]);
    if run.code() != 0 {
        assert!(run.err().contains("assphrase"), "{run}");
        world.passphrase = new;
    }
    world.patient = true;
    world.run(&who, &["list", &location]).ok();
}

/// What is seldom done.
#[track_caller]
pub(super) fn others(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let location = world.location(&who);
    match random.below(6) {
        0 => {
            // Of a repository elsewhere nobody may do this.
            let who = Who {
                way: Way::Local,
                ..who
            };
            let location = world.location(&who);
            let size = one_of(random, &["300000", "1000000", "20000000"]);
            world
                .run(&who, &["config", &location, "max_segment_size", size])
                .ok();
        }
        1 => drop(world.run(&who, &["with-lock", &location, "true"]).ok()),
        2 => drop(world.run(&who, &["break-lock", &location]).ok()),
        3 if world.mode != "none" => {
            let which = one_of(random, &["--tam", "--archives-tam"]);
            let who = Who {
                way: Way::Local,
                ..who
            };
            let location = world.location(&who);
            world.run(&who, &["upgrade", which, &location]).ok();
        }
        4 => {
            let moved = world.scratch.join(format!("repo{}", world.number));
            fs::rename(&world.repo, &moved).expect("a new name");
            world.tell(&format!("mv {} {}", text(&world.repo), text(&moved)));
            world.repo = moved;
        }
        _ => drop(world.run(&who, &["info", &location]).ok()),
    }
}

/// What a machine remembers is lost, or damaged.
#[track_caller]
pub(super) fn caches(world: &mut World, random: &mut Random) {
    let machine = random.below(2);
    match random.below(4) {
        0 => {
            let who = Who {
                machine,
                ..world.anyone(random)
            };
            let location = world.location(&who);
            world.run(&who, &["delete", "--cache-only", &location]).ok();
        }
        1 => lose(world, machine, &[".cache"]),
        2 => lose(world, machine, &[".config/borg/security"]),
        _ => lose(world, machine, &[".cache", ".config/borg/security"]),
    }
    let who = Who {
        program: world.any_program(random),
        machine,
        way: Way::Local,
    };
    let location = world.location(&who);
    let run = world.run(&who, &["info", &location]).ok();
    assert!(
        who.program == Program::Stock || !run.out().is_empty(),
        "{run}"
    );
}

fn lose(world: &mut World, machine: usize, dirs: &[&str]) {
    for dir in dirs {
        let dir = world.homes[machine].base().join(dir);
        world.tell(&format!("rm -rf {}", text(&dir)));
        if dir.exists() {
            fs::remove_dir_all(dir).expect("a directory of this test");
        }
    }
}
