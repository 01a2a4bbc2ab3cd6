//! Flipped bits of what a client keeps: security records, key files, caches.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ironborg_crypto::KeyMode;
use ironborg_testkit::Random;

use crate::laboratory::Laboratory;
use crate::trial::{Damage, Trials, is_full, seed};
use crate::writing::Writer;

fn bits_of(
    trials: &mut Trials<'_>,
    files: &BTreeMap<PathBuf, Vec<u8>>,
    writers: &[Writer],
    one_of: usize,
) {
    let mut random = Random::new(seed());
    for (path, content) in files {
        for at in 0..content.len() {
            let chosen = u8::try_from(random.below(8)).expect("below 8");
            let wanted = random.below(one_of) == 0;
            let bits = if is_full() {
                0..8
            } else {
                chosen..chosen + u8::from(wanted)
            };
            for bit in bits {
                let mut content = content.clone();
                content[at] ^= 1 << bit;
                let what = format!("bit {bit} at {at} of {}", path.display());
                let damage = Damage::of_client(path.clone(), content);
                trials.check_with(&what, &damage, writers);
            }
        }
    }
}

/// Whole files that are something else.
fn replaced(trials: &mut Trials<'_>, files: &BTreeMap<PathBuf, Vec<u8>>, writers: &[Writer]) {
    for (path, content) in files {
        let half = content[..content.len() / 2].to_vec();
        let doubled = [content.as_slice(), content].concat();
        for (what, content) in [
            ("empty", Vec::new()),
            ("half", half),
            ("doubled", doubled),
            ("zeros", vec![0; content.len()]),
            ("noise", Random::new(seed()).bytes(content.len().max(100))),
            ("no text", vec![0xff; 30]),
            ("a huge number", b"99999999999999999999999999".to_vec()),
            ("a negative number", b"-1".to_vec()),
        ] {
            let what = format!("{what} in {}", path.display());
            let damage = Damage::of_client(path.clone(), content);
            trials.check_with(&what, &damage, writers);
        }
    }
}

fn records(mode: KeyMode, one_of: usize) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    let files = laboratory.records.clone();
    assert!(files.len() >= 3, "{files:?}");
    bits_of(&mut trials, &files, &[Writer::Create], one_of);
    replaced(&mut trials, &files, &[Writer::Create, Writer::Delete]);
    trials.finish(3);
}

/// A damaged cache is made anew: nothing is refused, no answer is another.
fn caches(mode: KeyMode, one_of: usize) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    let files = laboratory.caches.clone();
    assert!(files.len() >= 2, "{files:?}");
    trials.demand_harmless();
    bits_of(&mut trials, &files, &[Writer::Create], one_of);
    replaced(
        &mut trials,
        &files,
        &[Writer::Create, Writer::Recreate, Writer::Prune],
    );
    trials.finish(0);
}

#[test]
fn security_records_of_none() {
    records(KeyMode::None, 2);
}

#[test]
fn security_records_of_repokey() {
    records(KeyMode::Repokey, 2);
}

#[test]
fn key_files() {
    records(KeyMode::KeyfileBlake2, 5);
}

#[test]
fn caches_of_none() {
    caches(KeyMode::None, 24);
}

#[test]
fn caches_of_repokey() {
    caches(KeyMode::Repokey, 48);
}
