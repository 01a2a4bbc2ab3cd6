//! Flipped bits of the repository's files.

use ironborg_crypto::KeyMode;
use ironborg_storage::MemoryStorage;
use ironborg_testkit::Random;

use crate::laboratory::Laboratory;
use crate::segment_file::{HEADER_LEN, entries, is_segment, mend_checksum};
use crate::trial::{Damage, Trials, is_full, seed};
use crate::writing::Writer;

/// Which bytes are tried where not all are.
struct Choice {
    random: Random,
    /// Of so many bytes that are not of a header, one.
    one_of: usize,
}

impl Choice {
    fn new(one_of: usize) -> Self {
        Self {
            random: Random::new(seed()),
            one_of,
        }
    }

    /// The bits of a byte that are tried.
    fn bits(&mut self, is_header: bool) -> std::ops::Range<u8> {
        if is_full() {
            return 0..8;
        }
        let bit = u8::try_from(self.random.below(8)).expect("below 8");
        let wanted = is_header || self.random.below(self.one_of) == 0;
        bit..bit + u8::from(wanted)
    }
}

fn with(healthy: &MemoryStorage, name: &str, content: Vec<u8>) -> Damage {
    let damaged = healthy.snapshot();
    damaged.set(name, content);
    Damage::of_repository(damaged)
}

/// Bits of segments; the checksums tell.
fn segments(mode: KeyMode, one_of: usize) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    let mut choice = Choice::new(one_of);
    for (name, content) in laboratory.healthy.files() {
        if !is_segment(&name) {
            continue;
        }
        let entries = entries(&content);
        for at in 0..content.len() {
            let entry = entries.iter().find(|entry| entry.contains(&at));
            let is_header = entry.is_none_or(|entry| at < entry.start + HEADER_LEN);
            for bit in choice.bits(is_header) {
                let mut content = content.clone();
                content[at] ^= 1 << bit;
                let what = format!("bit {bit} at {at} of {name}");
                trials.check(&what, &with(&laboratory.healthy, &name, content));
            }
        }
    }
    trials.finish(3);
}

/// Bits of segments with the checksums made right again: id, MAC, compressor, decoder are left to tell.
fn mended_segments(mode: KeyMode, one_of: usize) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    let mut choice = Choice::new(one_of);
    for (name, content) in laboratory.healthy.files() {
        if !is_segment(&name) {
            continue;
        }
        for entry in entries(&content) {
            for at in entry.start + 4..entry.end {
                for bit in choice.bits(at < entry.start + HEADER_LEN) {
                    let mut content = content.clone();
                    content[at] ^= 1 << bit;
                    mend_checksum(&mut content, &entry);
                    let what = format!("bit {bit} at {at} of {name}, checksum right");
                    trials.check(&what, &with(&laboratory.healthy, &name, content));
                }
            }
        }
    }
    trials.finish(3);
}

/// Bits of a repository's other files. `without`: a file that is missing besides.
fn other_files(mode: KeyMode, without: Option<&str>, one_of: usize) {
    let laboratory = Laboratory::new(mode);
    let mut trials = Trials::new(&laboratory);
    let mut choice = Choice::new(one_of);
    let healthy = laboratory.healthy.snapshot();
    if let Some(prefix) = without {
        let files = healthy.files();
        let found = files.iter().find(|(name, _)| name.starts_with(prefix));
        let (name, _) = found.expect("there is such a file");
        ironborg_storage::Storage::remove(&healthy, name).unwrap();
        trials.check_with(
            &format!("without {name}"),
            &Damage::of_repository(healthy.snapshot()),
            &Writer::ALL,
        );
    }
    for (name, content) in healthy.files() {
        if is_segment(&name) || without.is_some() && !name.contains('.') {
            continue;
        }
        for at in 0..content.len() {
            // Most of an index is empty; what is there is not found by its bytes but by those that are not zero.
            let is_telling = !name.starts_with("index") || at < 18 || content[at] != 0;
            if !is_telling && choice.random.below(60) != 0 {
                continue;
            }
            for bit in choice.bits(false) {
                let mut content = content.clone();
                content[at] ^= 1 << bit;
                let what = format!("bit {bit} at {at} of {name}, without {without:?}");
                trials.check(&what, &with(&healthy, &name, content));
            }
        }
    }
    trials.finish(u64::from(without.is_none()));
}

macro_rules! tests {
    ($($name:ident: $function:ident($($argument:expr),*);)*) => {
        $(#[test] fn $name() { $function($($argument),*); })*
    };
}

tests! {
    of_segments_none: segments(KeyMode::None, 20);
    of_segments_keyfile_blake2: segments(KeyMode::KeyfileBlake2, 40);
    under_right_checksums_none: mended_segments(KeyMode::None, 5);
    under_right_checksums_repokey: mended_segments(KeyMode::Repokey, 8);
    under_right_checksums_repokey_blake2: mended_segments(KeyMode::RepokeyBlake2, 20);
    under_right_checksums_authenticated: mended_segments(KeyMode::Authenticated, 20);
    of_other_files_none: other_files(KeyMode::None, None, 6);
    of_other_files_repokey: other_files(KeyMode::Repokey, None, 6);
    of_other_files_without_integrity: other_files(KeyMode::None, Some("integrity."), 8);
    of_other_files_without_index: other_files(KeyMode::None, Some("index."), 6);
    of_other_files_without_hints: other_files(KeyMode::Repokey, Some("hints."), 8);
}
