//! Damage larger than a bit: segments that are swapped, doubled, missing, emptied or cut, and things that are not what
//! their names say.

use ironborg_crypto::KeyMode;
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_testkit::Random;

use crate::laboratory::Laboratory;
use crate::segment_file::{entries, is_segment};
use crate::trial::{Damage, Trials, seed};
use crate::writing::Writer;

fn with_each(
    mode: KeyMode,
    refused_min: u64,
    damage: impl FnOnce(&MemoryStorage, &mut dyn FnMut(String, MemoryStorage)),
) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    if refused_min == 0 {
        trials.demand_harmless();
    }
    damage(&laboratory.healthy, &mut |what, storage| {
        trials.check_with(&what, &Damage::of_repository(storage), &Writer::ALL);
    });
    trials.finish(refused_min);
}

fn segments(healthy: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let files = healthy.files().into_iter();
    files.filter(|(name, _)| is_segment(name)).collect()
}

#[test]
fn segments_missing_emptied_and_cut() {
    with_each(KeyMode::Repokey, 3, |healthy, check| {
        for (name, content) in segments(healthy) {
            let damaged = healthy.snapshot();
            damaged.remove(&name).unwrap();
            check(format!("{name} is missing"), damaged);
            for entry in [0..0, 0..8].into_iter().chain(entries(&content)) {
                for len in [
                    entry.start,
                    entry.start + 1,
                    entry.end - usize::from(entry.end > 0),
                ] {
                    let damaged = healthy.snapshot();
                    damaged.truncate(&name, len);
                    check(format!("{name} cut to {len} bytes"), damaged);
                }
            }
        }
    });
}

#[test]
fn segments_swapped_and_doubled() {
    with_each(KeyMode::None, 3, |healthy, check| {
        let segments = segments(healthy);
        let next = segments.len();
        for (index, (name, content)) in segments.iter().enumerate() {
            for (other, other_content) in &segments[index + 1..] {
                let damaged = healthy.snapshot();
                damaged.set(name, other_content.clone());
                damaged.set(other, content.clone());
                check(format!("{name} and {other} swapped"), damaged);
            }
            let damaged = healthy.snapshot();
            damaged.set(&format!("data/0/{next}"), content.clone());
            check(format!("{name} once more as segment {next}"), damaged);
            let damaged = healthy.snapshot();
            damaged.set(name, [content.as_slice(), &content[8..]].concat());
            check(format!("{name} twice in one file"), damaged);
            let damaged = healthy.snapshot();
            damaged.set(name, Random::new(seed()).bytes(content.len()));
            check(format!("{name} is noise"), damaged);
        }
    });
}

/// A commit that is doubled with the manifest before it brings an older state back.
#[test]
fn older_transactions_once_more() {
    with_each(KeyMode::Repokey, 3, |healthy, check| {
        let segments = segments(healthy);
        let next = segments.len();
        for start in 0..next {
            for len in [2, 3] {
                let damaged = healthy.snapshot();
                for (place, (_, content)) in segments.iter().skip(start).take(len).enumerate() {
                    damaged.set(&format!("data/0/{}", next + place), content.clone());
                }
                check(format!("{len} segments from {start} once more"), damaged);
            }
        }
    });
}

#[test]
fn directories_for_files_and_files_for_directories() {
    with_each(KeyMode::Repokey, 3, |healthy, check| {
        for (name, _) in healthy.files() {
            let damaged = healthy.snapshot();
            damaged.remove(&name).unwrap();
            damaged.create_dir(&name).unwrap();
            check(format!("{name} is a directory"), damaged);
        }
        for name in ["data", "data/0"] {
            let damaged = healthy.snapshot();
            damaged.remove_tree(name).unwrap();
            check(format!("{name} is missing"), damaged.snapshot());
            damaged.set(name, b"a file".as_slice());
            check(format!("{name} is a file"), damaged);
        }
    });
}

#[test]
fn files_that_do_not_belong_there() {
    with_each(KeyMode::None, 0, |healthy, check| {
        let noise = Random::new(seed()).bytes(500);
        for name in [
            "index.0",
            "index.99",
            "index.4294967295",
            "index.99999999999",
            "index.-1",
            "index.tmp",
            "hints.99",
            "integrity.99",
            "nonce",
            "data/0/99",
            "data/0/4294967295",
            "data/0/99999999999999999999",
            "data/0/-1",
            "data/0/1.beef",
            "data/99/99000",
            "data/1/5",
            "data/x/y",
            "data/100",
        ] {
            for (content, what) in [(noise.as_slice(), "noise"), (b"", "nothing")] {
                let damaged = healthy.snapshot();
                damaged.set(name, content);
                check(format!("{name} holds {what}"), damaged);
            }
        }
        let files = healthy.files();
        for (name, content) in &files {
            let Some((kind, _)) = name.split_once('.') else {
                continue;
            };
            for number in [0, 3, 5, 10] {
                let damaged = healthy.snapshot();
                damaged.set(&format!("{kind}.{number}"), content.clone());
                check(format!("{name} as {kind}.{number} too"), damaged.snapshot());
                damaged.remove(name).unwrap();
                check(format!("{name} as {kind}.{number}"), damaged);
            }
        }
    });
}
