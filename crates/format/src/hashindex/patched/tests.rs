//! A patched file is the file of a table that was changed in the same way.

use super::super::HashIndex;
use super::*;
use proptest::prelude::*;
use std::convert::Infallible;

type Table = HashIndex<8>;

fn key(n: u16) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    // Few first fields, so that keys get into each other's way, across pages and around the end.
    key[..4].copy_from_slice(&(u32::from(n % 5) * 131 + 1030 - 400).to_le_bytes());
    key[4..6].copy_from_slice(&n.to_le_bytes());
    key
}

fn survey(file: &[u8], piece: usize) -> Result<Option<PatchedTable<8>>, HashIndexError> {
    let mut survey = TableSurvey::new(&file[..HEADER_LEN.min(file.len())], file.len() as u64)?;
    for buckets in file[HEADER_LEN..].chunks(piece * 40) {
        survey.take(buckets);
    }
    survey.finish()
}

fn reader(file: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<(), Infallible> {
    |offset, out| {
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&file[offset..offset + out.len()]);
        Ok(())
    }
}

/// The file with the changes, put in piece by piece.
fn written(file: &[u8], table: &PatchedTable<8>, piece: usize) -> Vec<u8> {
    let mut written = file.to_vec();
    for (i, bytes) in written.chunks_mut(piece).enumerate() {
        table.patch((i * piece) as u64, bytes);
    }
    written
}

proptest! {
    #[test]
    fn a_patched_file_is_that_of_a_table_with_the_same_changes(
        before in prop::collection::vec((any::<bool>(), 0_u16..500), 0..700),
        changes in prop::collection::vec((0_u8..3, 0_u16..600), 0..400),
        piece in 1_usize..9000,
    ) {
        let mut table = Table::new();
        for (insert, n) in before {
            if insert {
                table.insert(&key(n), &[1; 8]);
            } else {
                table.remove(&key(n));
            }
        }
        let mut file = table.as_bytes().to_vec();
        let mut patched = survey(&file, 1 + piece % 300).unwrap().unwrap();
        for (step, (operation, n)) in changes.into_iter().enumerate() {
            let key = key(n);
            let value = [u8::try_from(step % 100).unwrap(); 8];
            let found = match operation {
                0 => patched.insert(&key, &value, reader(&file)).unwrap(),
                1 => patched.remove(&key, reader(&file)).unwrap(),
                _ => Patched::Done(patched.get(&key, reader(&file)).unwrap()),
            };
            let expected = match operation {
                0 => table.insert(&key, &value),
                1 => table.remove(&key),
                _ => table.get(&key).copied(),
            };
            match found {
                Patched::Done(found) => prop_assert_eq!(found, expected),
                // Tables of the least size never get smaller, and get larger above three quarters.
                Patched::Rebuild => {
                    file = table.as_bytes().to_vec();
                    patched = survey(&file, 7).unwrap().unwrap();
                }
            }
            if step % 97 == 96 {
                // As by a commit.
                file = written(&file, &patched, piece);
                patched.settle();
            }
            prop_assert_eq!(patched.len(), table.len());
        }
        prop_assert_eq!(written(&file, &patched, piece), table.as_bytes());
        prop_assert_eq!(patched.size(), table.size());
    }

    #[test]
    fn a_file_that_changes_meanwhile_ends_every_search(bytes in prop::collection::vec(any::<u8>(), 997)) {
        let mut table = Table::new();
        for n in 0..300 {
            table.insert(&key(n), &[2; 8]);
        }
        let file = table.as_bytes().to_vec();
        let mut patched = survey(&file, 100).unwrap().unwrap();
        let noise = |offset: u64, out: &mut [u8]| -> Result<(), Infallible> {
            for (at, byte) in out.iter_mut().enumerate() {
                *byte = bytes[(usize::try_from(offset).unwrap() + at) % bytes.len()];
            }
            Ok(())
        };
        for n in 0..40 {
            patched.get(&key(n), noise).unwrap();
            patched.insert(&key(n), &[3; 8], noise).unwrap();
            patched.remove(&key(n), noise).unwrap();
        }
    }
}

#[test]
fn a_table_grows_where_one_in_memory_does() {
    let mut table = Table::new();
    let file = table.as_bytes().to_vec();
    let mut patched = survey(&file, 50).unwrap().unwrap();
    let mut n = 0;
    let refused = loop {
        let found = patched.insert(&key(n), &[0; 8], reader(&file)).unwrap();
        if found == Patched::Rebuild {
            break n;
        }
        table.insert(&key(n), &[0; 8]);
        n += 1;
    };
    assert_eq!(table.bucket_count(), 1031);
    assert_eq!(written(&file, &patched, 4096), table.as_bytes());
    table.insert(&key(refused), &[0; 8]);
    assert_eq!(table.bucket_count(), 2053);
}

#[test]
fn a_table_shrinks_where_one_in_memory_does() {
    let mut table = Table::with_bucket_capacity(2053);
    for n in 0..520 {
        table.insert(&key(n), &[0; 8]);
    }
    let file = table.as_bytes().to_vec();
    let mut patched = survey(&file, 50).unwrap().unwrap();
    let mut n = 0;
    while patched.remove(&key(n), reader(&file)).unwrap() != Patched::Rebuild {
        table.remove(&key(n));
        n += 1;
    }
    assert_eq!(table.bucket_count(), 2053);
    assert_eq!(written(&file, &patched, 4096), table.as_bytes());
    table.remove(&key(n));
    assert_eq!(table.bucket_count(), 1031);
}

#[test]
fn a_table_that_does_not_agree_with_its_header_is_refused() {
    let mut table = Table::new();
    table.insert(&key(1), &[0; 8]);
    let mut file = table.as_bytes().to_vec();
    file[8] = 2;
    assert_eq!(
        survey(&file, 10).unwrap_err(),
        HashIndexError::Inconsistent(1, 2)
    );
    file[8] = 1;
    // A file that was cut off while it was read.
    let mut cut = TableSurvey::<8>::new(&file[..HEADER_LEN], file.len() as u64).unwrap();
    cut.take(&file[HEADER_LEN..HEADER_LEN + 40 * 1000]);
    assert!(cut.finish().is_err());
    // Nowhere to end a search.
    for bucket in file[HEADER_LEN..].chunks_exact_mut(40) {
        if bucket[32..36] == EMPTY.to_le_bytes() {
            bucket[32..36].copy_from_slice(&DELETED.to_le_bytes());
        }
    }
    assert!(survey(&file, 10).unwrap().is_none());
}

#[test]
fn entries_are_listed_in_bucket_order() {
    let mut table = Table::new();
    for n in 0..200 {
        table.insert(&key(n), &[4; 8]);
    }
    table.remove(&key(7));
    let expected: Vec<_> = table.iter().map(|(key, value)| (*key, *value)).collect();
    let file = table.as_bytes().to_vec();
    let listed: Vec<_> = entries_in::<8>(&file[HEADER_LEN..])
        .map(|(key, value)| (*key, *value))
        .collect();
    assert_eq!(listed, expected);
    let patched = survey(&file, 100).unwrap().unwrap();
    let behind = patched.behind(&expected[10].0, reader(&file)).unwrap();
    let behind = usize::try_from(behind.unwrap()).unwrap();
    let next = entries_in::<8>(&file[behind..]).next().map(|(key, _)| *key);
    assert_eq!(next, Some(expected[11].0));
    assert_eq!(patched.behind(&key(7), reader(&file)).unwrap(), None);
}
