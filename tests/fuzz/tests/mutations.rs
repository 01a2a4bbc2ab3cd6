//! Runs every fuzz target on its seeds and on some thousand random changes of them.
//!
//! No substitute for fuzzing: it keeps the targets working, and finds at once what would be found first.

use std::panic::catch_unwind;

use ironborg_fuzz_targets::TARGETS;
use ironborg_fuzz_targets::mutation::{Random, mutate};
use ironborg_testkit::{Tried, tally};

const CHANGED_COUNT: u64 = 1500;

#[track_caller]
fn check(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target");
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for input in seeds.iter().chain([&Vec::new()]) {
        (target.run)(input);
    }
    for seed in 0..CHANGED_COUNT {
        let input = mutate(&seeds, &mut Random::new(seed));
        let outcome = catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "{name}, seed {seed}, input {input:02x?}");
    }
    tally(
        Tried::FuzzExecutions,
        CHANGED_COUNT + seeds.len() as u64 + 1,
    );
}

macro_rules! check_targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_is_checked() {
            let checked = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), checked);
        }
    };
}

check_targets! {
    msgpack item_stream manifest archive key
    segment hashindex hints integrity config roster
    paper_key caches security path_index
    tarball
    rpc_calls rpc_replies rpc_client_session rpc_server_session
    object stored_form
    patterns location parameters paths
    jobs_configuration jobs_import
}
