//! Sealed files and scratch bytes: what was written is read, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use ironborg_crypto::{Key, KeyMode};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::RepositoryId;
use proptest::prelude::*;

use super::*;
use crate::CacheError;

const KIND: SealedKind = SealedKind {
    tag: *b"test",
    version: 1,
};
const NAMES: [&[u8]; 1] = [b"this file"];

fn key() -> Key {
    Key::generate(KeyMode::Repokey, RepositoryId([1; 32])).unwrap()
}

fn kept(storage: &Arc<MemoryStorage>) -> SealedTarget {
    SealedTarget::Kept {
        storage: Arc::clone(storage) as Arc<dyn Storage>,
        name: "dir/file".into(),
    }
}

fn write(target: SealedTarget, key: &Key, content: &[u8]) -> SealedFile {
    let mut writer = SealedWriter::create(target, KIND, key, &NAMES).unwrap();
    // In pieces that do not fit the blocks.
    for piece in content.chunks(1000) {
        writer.write(piece).unwrap();
    }
    assert_eq!(writer.len(), content.len() as u64);
    writer.finish(&[3; TRAILER_LEN]).unwrap()
}

fn open(storage: &Arc<MemoryStorage>, key: &Key) -> Result<Option<SealedFile>, CacheError> {
    let storage = Arc::clone(storage) as Arc<dyn Storage>;
    SealedFile::open_kept(storage, "dir/file", KIND, key, &NAMES)
}

fn content(len: usize) -> Vec<u8> {
    (0_u8..251).cycle().step_by(7).take(len).collect()
}

#[track_caller]
fn check_content(file: &SealedFile, content: &[u8]) {
    assert_eq!(file.len(), content.len() as u64);
    assert_eq!(file.trailer(), &[3; TRAILER_LEN]);
    let mut block = Vec::new();
    let mut number = 0;
    for expected in content.chunks(SEALED_BLOCK_LEN) {
        file.read_block(number, &mut block).unwrap();
        assert_eq!(block, expected);
        number += 1;
    }
    for beyond in [number, number + 1, 1 << 63, u64::MAX] {
        assert!(file.read_block(beyond, &mut block).is_err());
    }
}

const LENS: [usize; 7] = [
    0,
    1,
    SEALED_BLOCK_LEN - 1,
    SEALED_BLOCK_LEN,
    SEALED_BLOCK_LEN + 1,
    9 * SEALED_BLOCK_LEN,
    12 * SEALED_BLOCK_LEN + 777,
];

#[test]
fn what_was_written_is_read() {
    let key = key();
    let dir = tempfile_dir();
    for len in LENS {
        let content = content(len);
        let storage = Arc::new(MemoryStorage::new());
        check_content(&write(kept(&storage), &key, &content), &content);
        check_content(&open(&storage, &key).unwrap().unwrap(), &content);
        assert!(storage.status("dir/file.tmp").unwrap().is_none());
        // Without a name it is the same, whether there is a place for it or not.
        for directory in [dir.clone(), PathBuf::from("/dev/null/nowhere")] {
            let target = SealedTarget::Temporary { directory };
            check_content(&write(target, &key, &content), &content);
        }
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir(dir).unwrap();
}

fn tempfile_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("sealed-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn nothing_shows_what_it_holds() {
    let storage = Arc::new(MemoryStorage::new());
    write(kept(&storage), &key(), &b"a secret name ".repeat(5000));
    let stored = storage.read("dir/file").unwrap();
    assert!(!stored.windows(6).any(|window| window == b"secret"));
}

/// Everything that can be read is as it was written, whatever is changed: one bit in each block, its tag, the header or
/// the trailer.
#[test]
fn damage_is_found_in_every_block() {
    let key = key();
    let content = content(5 * SEALED_BLOCK_LEN + 100);
    let storage = Arc::new(MemoryStorage::new());
    write(kept(&storage), &key, &content);
    let good = storage.read("dir/file").unwrap();
    let mut places: Vec<usize> = (0..good.len()).step_by(4096).collect();
    places.extend([
        0,
        9,
        13,
        20,
        50,
        good.len() - 1,
        good.len() - 33,
        good.len() - 300,
    ]);
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 4;
        storage.set("dir/file", bad);
        let Ok(Some(file)) = open(&storage, &key) else {
            continue;
        };
        let mut block = Vec::new();
        let mut failed = 0;
        for (number, expected) in (0..).zip(content.chunks(SEALED_BLOCK_LEN)) {
            match file.read_block(number, &mut block) {
                Ok(()) => assert_eq!(block, expected, "byte {at}"),
                Err(_) => failed += 1,
            }
        }
        assert_eq!(failed, 1, "byte {at}");
    }
}

#[test]
fn a_file_that_was_cut_is_none() {
    let key = key();
    let storage = Arc::new(MemoryStorage::new());
    write(kept(&storage), &key, &content(3 * SEALED_BLOCK_LEN + 5));
    let good = storage.read("dir/file").unwrap();
    let mut lens: Vec<usize> = (0..good.len()).step_by(997).collect();
    lens.extend([good.len() - 1, good.len() - STORED_LEN]);
    for len in lens {
        storage.set("dir/file", &good[..len]);
        assert!(open(&storage, &key).is_err(), "cut at {len}");
    }
    // A block taken out of the middle, so that the end is there.
    let mut shorter = good.clone();
    shorter.drain(64..64 + STORED_LEN);
    storage.set("dir/file", shorter);
    assert!(open(&storage, &key).is_err());
    let mut swapped = good;
    let (first, second) = swapped[64..64 + 2 * STORED_LEN].split_at_mut(STORED_LEN);
    first.swap_with_slice(second);
    storage.set("dir/file", swapped);
    let file = open(&storage, &key).unwrap().unwrap();
    assert!(file.read_block(0, &mut Vec::new()).is_err());
    assert!(file.read_block(2, &mut Vec::new()).is_ok());
}

#[test]
fn files_of_others_are_refused() {
    let key = key();
    let storage = Arc::new(MemoryStorage::new());
    assert!(open(&storage, &key).unwrap().is_none(), "there is none");
    write(kept(&storage), &key, b"content");
    assert!(open(&storage, &self::key()).is_err(), "another key");
    let shared = Arc::clone(&storage) as Arc<dyn Storage>;
    let other_names: [&[u8]; 1] = [b"that file"];
    let other = SealedFile::open_kept(Arc::clone(&shared), "dir/file", KIND, &key, &other_names);
    assert!(other.is_err(), "under another name");
    let newer = SealedKind { version: 2, ..KIND };
    let other = SealedFile::open_kept(Arc::clone(&shared), "dir/file", newer, &key, &NAMES);
    assert!(other.unwrap().is_none(), "another version is not damage");
    let kind = SealedKind {
        tag: *b"else",
        ..KIND
    };
    assert!(SealedFile::open_kept(shared, "dir/file", kind, &key, &NAMES).is_err());
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let storage = Arc::new(MemoryStorage::new());
    let mut writer = SealedWriter::create(kept(&storage), KIND, &key(), &NAMES).unwrap();
    writer.write(&content(100_000)).unwrap();
    assert!(storage.status("dir/file.tmp").unwrap().is_some());
    let second = SealedWriter::create(kept(&storage), KIND, &key(), &NAMES);
    assert!(second.is_err(), "one writes it at a time");
    drop(writer);
    assert!(storage.list("dir").unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Scratch bytes are a vector, wherever they are.
    #[test]
    fn scratch_bytes_are_a_vector(
        steps in prop::collection::vec((0_u8..4, any::<u16>(), 1_usize..60_000), 1..60),
        has_room in any::<bool>(),
    ) {
        let dir = if has_room { std::env::temp_dir() } else { "/dev/null/nowhere".into() };
        let mut scratch = ScratchBytes::new(&key(), 3 * SEALED_BLOCK_LEN, dir).unwrap();
        let mut model: Vec<u8> = Vec::new();
        for (kind, number, len) in steps {
            let bytes = vec![number.to_le_bytes()[0]; len];
            let at = usize::from(number) * 7 % (model.len() + 1);
            let len = len.min(model.len() - at);
            match kind {
                0 | 1 => {
                    scratch.append(&bytes).unwrap();
                    model.extend_from_slice(&bytes);
                }
                2 => {
                    scratch.write(at as u64, &bytes[..len]).unwrap();
                    model[at..at + len].copy_from_slice(&bytes[..len]);
                }
                _ => {
                    let mut out = vec![0; len];
                    scratch.read(at as u64, &mut out).unwrap();
                    prop_assert_eq!(&out, &model[at..at + len]);
                }
            }
        }
        let mut all = vec![0; model.len()];
        scratch.read(0, &mut all).unwrap();
        prop_assert_eq!(all, model);
    }
}
