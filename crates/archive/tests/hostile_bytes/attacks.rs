//! What a host does on purpose: counters brought back, caches that lie.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ironborg_crypto::KeyMode;
use ironborg_object::{Compression, Sealer};
use ironborg_repository::LockMode;
use ironborg_storage::Storage;
use ironborg_testkit::{Random, Tried, tally};
use xxhash_rust::xxh3::Xxh3;

use crate::laboratory::Laboratory;
use crate::reading::{Reading, Thorough};
use crate::trial::{Damage, Trials, seed};
use crate::writing::Writer;

/// The counter the repository has, the one the client has, or both, are older, gone or nonsense: what is encrypted next
/// is encrypted with counters that were never used, or nothing is.
#[test]
fn counters_that_are_brought_back() {
    for mode in [KeyMode::Repokey, KeyMode::KeyfileBlake2] {
        let laboratory = Laboratory::new(mode);
        let mut trials = Trials::new(&laboratory);
        let is_nonce = |path: &&PathBuf| path.ends_with("nonce");
        let record = laboratory.records.keys().find(is_nonce);
        let record = record.expect("the client keeps a counter").clone();
        let counters = [
            None,
            Some("0000000000000000"),
            Some("0000000000000001"),
            Some("0000000000000100"),
            Some("000000000000000"),
            Some("-000000000000001"),
            Some("nonsense"),
            Some(""),
            Some("ffffffffffffffff"),
        ];
        for repository in counters {
            for client in counters {
                let storage = laboratory.healthy.snapshot();
                match repository {
                    Some(text) => storage.set("nonce", text),
                    None => storage.remove("nonce").unwrap(),
                }
                // A file that is not there reads like an empty one to who looks for a counter.
                let content = client.unwrap_or_default().as_bytes().to_vec();
                let damage = Damage {
                    repository: Some(storage),
                    client: vec![(record.clone(), content)],
                };
                let what = format!("counters {repository:?} and {client:?}");
                trials.check_with(&what, &damage, &[Writer::Create, Writer::Recreate]);
            }
        }
        trials.finish(0);
        tally(Tried::Attacks, (counters.len() * counters.len()) as u64);
    }
}

/// Where the body of a cache file begins, and what of it the checksum is over.
const BODY_OFFSET: usize = 64;
const CHECKED_LEN: usize = 48;

fn mend_checksum(file: &mut [u8]) {
    let mut hash = Xxh3::new();
    hash.update(&file[..CHECKED_LEN]);
    hash.update(&file[BODY_OFFSET..]);
    file[CHECKED_LEN..BODY_OFFSET].copy_from_slice(&hash.digest128().to_le_bytes());
}

/// A files cache that is damaged and whose checksum is right, as if it had been written so: whatever it says, an archive
/// never refers to a chunk that the repository does not have.
#[test]
fn files_caches_that_lie() {
    let laboratory = Laboratory::new(KeyMode::Repokey);
    let is_files = |path: &&PathBuf| path.ends_with("files");
    let path = laboratory.caches.keys().find(is_files);
    let path = path.expect("there is a files cache").clone();
    let whole = &laboratory.caches[&path];
    let mut random = Random::new(seed());
    let mut tried = 0;
    for at in BODY_OFFSET..whole.len() {
        let mut content = whole.clone();
        content[at] ^= 1 << random.below(8);
        mend_checksum(&mut content);
        let damage = Damage::of_client(path.clone(), content);
        let storage = damage.take_effect(&laboratory);
        // What is refused has stored nothing.
        if Writer::Create.run(&laboratory, &storage).is_err() {
            continue;
        }
        laboratory.be_a_stranger();
        let after = Reading::of(&laboratory, &storage, Thorough::Contents);
        let what = format!("seed {}: byte {at} of a files cache", seed());
        assert!(after.has_whole("third"), "{what}: {after:#?}");
        tried += 1;
    }
    assert!(tried > 100, "{tried} archives were made");
    tally(Tried::Damages, tried);
}

/// A files cache that remembers what the repository lost: the repository was put back to before the last archive, by a
/// host that also has the client forget what it knows of it.
#[test]
fn files_caches_of_a_future_that_did_not_happen() {
    let laboratory = Laboratory::new(KeyMode::Repokey);
    let storage = laboratory.healthy.snapshot();
    let mut session = laboratory.open(&storage, LockMode::Exclusive).unwrap();
    // All content goes, so that nothing the cache knows is there.
    let ids = session.repository.list(None, None).unwrap();
    let archives: Vec<_> = session.manifest.archives.keys().cloned().collect();
    for name in archives {
        session.manifest.archives.remove(&name);
    }
    let mut sealer = Sealer::new(Compression::default());
    for id in ids {
        if id != ironborg_types::ChunkId::MANIFEST {
            session.repository.delete(&id).unwrap();
        }
    }
    session.write_manifest(&mut sealer).unwrap();
    session.repository.commit().unwrap();
    drop(session);
    let caches: BTreeMap<_, _> = laboratory.caches.clone();
    let (path, content) = caches.into_iter().next().expect("there are caches");
    Damage::of_client(path, content).take_effect(&laboratory);
    assert!(Writer::Create.run(&laboratory, &storage).unwrap());
    laboratory.be_a_stranger();
    let after = Reading::of(&laboratory, &storage, Thorough::Contents);
    assert!(after.has_whole("third"), "{after:#?}");
    assert_eq!(after.archives, ["third"]);
    tally(Tried::Attacks, 1);
}
