//! Right bytes or an error that says what is damaged, whatever is asked for by however many at once.
//!
//! `IRONBORG_CONTENT_SEED` chooses other files and other reads.

use std::collections::HashSet;
use std::thread;

use ironborg_crypto::KeyMode;
use ironborg_mount::MountError;
use ironborg_mount::content::{ContentStore, FileChunks};
use ironborg_testkit::{Random, Tried, tally};
use ironborg_types::ChunkId;

use crate::repository::{Repository, Stored};

const READERS: u64 = 6;
const READS: u64 = 300;

fn seed() -> u64 {
    match std::env::var("IRONBORG_CONTENT_SEED") {
        Ok(text) => text.parse().expect("IRONBORG_CONTENT_SEED is a number"),
        Err(_) => 20_260_101,
    }
}

fn files(random: &mut Random) -> Vec<Vec<usize>> {
    (0..24)
        .map(|number| {
            let count = random.below(25);
            let longest = 1 << (6 + number % 12);
            (0..count).map(|_| 1 + random.below(longest)).collect()
        })
        .collect()
}

/// One file as readers see it.
struct Shown {
    stored: Stored,
    chunks: FileChunks,
}

/// Reads here and there, and in between from front to back, and compares; damaged chunks must be named.
fn read_around(
    content: &ContentStore,
    files: &[Shown],
    damaged: &HashSet<ChunkId>,
    seed: u64,
) -> u64 {
    let mut random = Random::new(seed);
    let mut refused = 0;
    let mut at = (0, 0_usize, 0_usize);
    for round in 0..READS {
        // Half of the reads go on where the last one ended.
        if random.below(2) == 0 {
            let file = random.below(files.len());
            let len = files[file].stored.content.len();
            let size = 1 << random.below(18);
            at = (file, random.below(len + 10), 1 + random.below(size));
        }
        let (file, offset, size) = at;
        at.1 += size;
        let Shown { stored, chunks } = &files[file];
        let from = offset.min(stored.content.len());
        let to = (offset + size).min(stored.content.len());
        let mut out = Vec::new();
        let context = || format!("seed {seed}, round {round}, file {file}: {size} at {offset}");
        match content.read(chunks, offset as u64, size, &file, &mut out) {
            Ok(()) => {
                assert!(out == stored.content[from..to], "{}", context());
                assert!(
                    touched(stored, from..to).is_disjoint(damaged),
                    "{}",
                    context()
                );
            }
            Err(error) => {
                let MountError::Content { id, path, .. } = &error else {
                    panic!("{}: {error}", context());
                };
                assert!(damaged.contains(id), "{}: {error}", context());
                assert!(touched(stored, from..to).contains(id), "{}", context());
                assert_eq!(*path, file.to_string());
                refused += 1;
            }
        }
        if random.below(20) == 0 {
            let next = &files[(file + 1) % files.len()].stored;
            content.expect(next.chunks.iter().copied());
        }
    }
    refused
}

fn touched(stored: &Stored, bytes: std::ops::Range<usize>) -> HashSet<ChunkId> {
    let mut start = 0;
    let mut touched = HashSet::new();
    for chunk in &stored.chunks {
        let end = start + usize::try_from(chunk.size).unwrap();
        if start < bytes.end && bytes.start < end {
            touched.insert(chunk.id);
        }
        start = end;
    }
    touched
}

fn check(mode: KeyMode, damages: usize) -> u64 {
    let mut random = Random::new(seed());
    let repository = Repository::new(mode);
    let lens = files(&mut random);
    let stored = repository.store(&mut random, &lens);
    let all: Vec<ChunkId> = stored
        .iter()
        .flat_map(|stored| stored.chunks.iter().map(|chunk| chunk.id))
        .collect();
    let damaged: HashSet<ChunkId> = (0..damages).map(|_| all[random.below(all.len())]).collect();
    for id in &damaged {
        repository.damage(id);
    }
    let files: Vec<Shown> = stored
        .into_iter()
        .map(|stored| Shown {
            chunks: FileChunks::new(&stored.chunks),
            stored,
        })
        .collect();
    // Not even all of one large file has room.
    let content = repository.content(4 << 20);
    let refused: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|n| {
                let (content, files, damaged) = (&content, &files, &damaged);
                scope.spawn(move || read_around(content, files, damaged, seed() + n))
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum()
    });
    tally(Tried::Reads, READERS * READS);
    tally(Tried::Damages, damaged.len() as u64);
    refused
}

#[test]
fn random_reads_give_what_was_stored_with_an_encrypted_repository() {
    assert_eq!(check(KeyMode::Repokey, 0), 0);
}

#[test]
fn random_reads_give_what_was_stored_with_blake2b() {
    assert_eq!(check(KeyMode::RepokeyBlake2, 0), 0);
}

#[test]
fn damaged_chunks_are_refused_and_all_others_are_read() {
    assert!(check(KeyMode::RepokeyBlake2, 12) > 0);
    assert!(
        check(KeyMode::None, 12) > 0,
        "the checksum and the hash are all it has"
    );
}
