//! Long random runs: anything can be done to a repository, by either program, in any order, with kills and damage in between;
//! after each step it holds what a model of it holds.
//!
//! A run is a seed and a time. `IRONBORG_RANDOM_SECONDS` gives the time of each run, `IRONBORG_RANDOM_SEED` a seed for all of them:
//! the same operations come in the same order (but for what follows from the moment at which a program was
//! killed). `IRONBORG_RANDOM_STOCK=2` has every second run of a program be stock Borg's, `IRONBORG_RANDOM_CHECK=1`
//! has every byte looked at after each operation, `IRONBORG_KEEP_SCRATCH` keeps the
//! directory of a run that failed.

mod changes;
mod damage;
mod model;
mod operations;
mod piped;
mod reading;
mod settle;
mod upkeep;
mod world;

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Random, Tried, tally};

use self::operations::{step, verify_all};
use self::reading::{assert_names, assert_unlocked, check, verify_any};
use self::world::{Way, Who, World};
use crate::scene::KEY_MODES;

/// Operations between two looks at every byte.
const CHECK_INTERVAL: u64 = 40;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// One run. `seed` is that of a run in CI.
#[track_caller]
fn run(seed: u64, damages: bool) {
    let seed = number("IRONBORG_RANDOM_SEED").map_or(seed, |given| given.wrapping_add(seed));
    let seconds = number("IRONBORG_RANDOM_SECONDS").unwrap_or(20);
    let share = number("IRONBORG_RANDOM_STOCK").unwrap_or(5);
    let share = usize::try_from(share).expect("a small number");
    let mode = KEY_MODES[Random::new(seed).below(KEY_MODES.len())];
    let mut world = World::new(mode, share);
    let end = Instant::now() + Duration::from_secs(seconds);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world, seed, damages, end)));
    if let Err(panic) = outcome {
        let operation = world.number;
        let words = world.last_words();
        let base = number("IRONBORG_RANDOM_SEED").unwrap_or(0);
        panic!(
            "seed {seed} (IRONBORG_RANDOM_SEED={base} in this test), {mode}, operation {operation}: {}\n\
             == the last operations, {words}",
            message(panic.as_ref())
        );
    }
    tally(Tried::RandomOperations, world.number);
    tally(Tried::Kills, world.kills);
    tally(Tried::Damages, world.damages);
}

fn message(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

/// Operations until the time is over, and a last look at everything.
#[track_caller]
fn live(world: &mut World, seed: u64, damages: bool, end: Instant) {
    let mut random = Random::new(seed);
    let who = Who {
        program: world.any_program(&mut random),
        machine: 0,
        way: Way::Local,
    };
    let location = world.location(&who);
    world
        .run(&who, &["init", "--encryption", world.mode, &location])
        .ok();
    let ours = Who {
        program: Program::Ours,
        ..who.clone()
    };
    let check_interval = number("IRONBORG_RANDOM_CHECK").unwrap_or(CHECK_INTERVAL);
    world.ours_checks = world
        .run(&ours, &["check", "--archives-only", &location])
        .code()
        == 0;
    while Instant::now() < end {
        world.next_operation();
        // Each operation has numbers of its own: what one draws does not change the next.
        let mut random = Random::new(seed ^ world.number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        step(world, &mut random, damages);
        assert_names(world, &mut random);
        verify_any(world, &mut random);
        assert_unlocked(world);
        if world.number.is_multiple_of(check_interval) {
            check(world, &mut random);
        }
    }
    verify_all(world, &mut random);
    check(world, &mut random);
    for program in Program::BOTH {
        let location = world.location(&who);
        let who = Who {
            program,
            ..who.clone()
        };
        world.run(&who, &["info", &location]).ok();
    }
}

#[test]
fn a_run() {
    run(1, false);
}

#[test]
fn another_run() {
    run(2, false);
}

#[test]
fn a_run_with_damage() {
    run(3, true);
}
