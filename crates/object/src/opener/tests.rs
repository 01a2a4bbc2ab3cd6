//! Sealing and opening together: every mode with every compressor, and objects somebody has
//! tampered with.

use super::*;
use crate::codec::tests::{from_hex, generated, load, samples};
use crate::{Compression, Sealer};
use ironborg_crypto::{CryptoError, KeyMode, Nonces};
use ironborg_types::{ErrorKind, NonceStore, NonceStoreError, RepositoryId};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// A counter that lives as long as the test.
#[derive(Default)]
struct Counter(Mutex<Option<u64>>);

impl NonceStore for Counter {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        Ok(*self.0.lock().expect("no test panics here"))
    }

    fn reserve(&self, next: u64, expected: Option<u64>) -> Result<(), NonceStoreError> {
        let mut stored = self.0.lock().expect("no test panics here");
        assert_eq!(*stored, expected);
        *stored = Some(next);
        Ok(())
    }
}

fn nonces() -> Nonces {
    Nonces::new(
        Arc::new(Counter::default()),
        Arc::new(Counter::default()),
        None,
    )
}

fn modes() -> impl Iterator<Item = KeyMode> {
    KeyMode::ALL
        .into_iter()
        .filter(|mode| *mode != KeyMode::Passphrase)
}

fn generate(mode: KeyMode) -> Key {
    Key::generate(mode, RepositoryId([1; 32])).expect("random numbers")
}

/// The key the captured objects were made with.
fn captured_key(of_mode: &serde_json::Value) -> Key {
    let mode = of_mode["mode"]
        .as_str()
        .and_then(KeyMode::from_argument)
        .expect("a mode");
    if mode == KeyMode::None {
        return Key::plaintext();
    }
    let mut map = generate(mode).key_map().expect("has secrets").clone();
    let secret = |name: &str| from_hex(of_mode["keys"][name].as_str().expect("text"));
    map.enc_key = secret("enc_key").into();
    map.enc_hmac_key = secret("enc_hmac_key").into();
    map.id_key = secret("id_key").into();
    Key::from_key_map(mode, map).expect("the captured secrets are good")
}

#[test]
fn captured_objects_open() {
    let captured = load("envelopes");
    let mut opener = Opener::new();
    let mut out = Vec::new();
    let mut count = 0;
    for of_mode in captured["modes"].as_array().expect("a list") {
        let key = captured_key(of_mode);
        for case in of_mode["encrypt"].as_array().expect("a list") {
            let plaintext = case["plaintext"]
                .as_str()
                .map_or_else(|| vec![0; 1000], from_hex);
            let object = from_hex(case["envelope"].as_str().expect("text"));
            opener
                .open(&key, &key.id_hash(&plaintext), &object, &mut out)
                .expect("captured");
            assert_eq!(out, plaintext);
            count += 1;
        }
    }
    assert!(count > 50);
}

#[test]
fn what_was_sealed_opens_in_every_mode_with_every_compressor() {
    let nonces = nonces();
    let (mut object, mut out) = (Vec::new(), Vec::new());
    let mut opener = Opener::new();
    for mode in modes() {
        let key = generate(mode);
        for spec in [
            "none",
            "lz4",
            "zstd,3",
            "zlib,6",
            "lzma,1",
            "auto,zstd,10",
            "obfuscate,3,lz4",
        ] {
            let mut sealer = Sealer::new(spec.parse().expect("allowed"));
            assert_eq!(Ok(sealer.compression().clone()), spec.parse());
            for data in samples() {
                sealer
                    .seal(&key, &nonces, &data, &mut object)
                    .expect("stores work");
                assert_eq!(object[0], mode.type_byte());
                opener
                    .open(&key, &key.id_hash(&data), &object, &mut out)
                    .expect(spec);
                assert!(out == data, "{mode:?} {spec}");
            }
        }
    }
}

#[test]
fn data_under_another_id_is_refused_but_for_the_manifest() {
    let nonces = nonces();
    for mode in modes() {
        let key = generate(mode);
        let (mut object, mut out) = (Vec::new(), Vec::new());
        let mut sealer = Sealer::new(Compression::Lz4);
        sealer
            .seal(&key, &nonces, b"some data", &mut object)
            .expect("stores work");
        let id = key.id_hash(b"other data");
        let refused = Opener::new().open(&key, &id, &object, &mut out);
        assert_eq!(
            refused,
            Err(ObjectError::Crypto(CryptoError::IdMismatch { id }))
        );
        assert!(out.is_empty());
        // The id of the manifest is none for content.
        assert!(
            Opener::new()
                .open(&key, &ChunkId::MANIFEST, &object, &mut out)
                .is_err()
        );
        let manifest = Opener::new().open_manifest(&key, &object, &mut out);
        assert_eq!(
            (manifest, out.as_slice()),
            (Ok(()), b"some data".as_slice())
        );
    }
    let key = Key::without_secrets(KeyMode::Authenticated);
    let mut out = Vec::new();
    let taken = Opener::new().open(&key, &ChunkId([5; 32]), b"\x07\0\0data", &mut out);
    assert_eq!((taken, out.as_slice()), (Ok(()), b"data".as_slice()));
}

#[test]
fn many_objects_open_as_each_would() {
    let nonces = nonces();
    for mode in modes() {
        let key = generate(mode);
        let mut sealer = Sealer::new("auto,zstd,3".parse().expect("allowed"));
        let mut sealed: Vec<(ChunkId, Vec<u8>)> = Vec::new();
        for data in samples().into_iter().cycle().take(20) {
            let mut object = Vec::new();
            sealer
                .seal(&key, &nonces, &data, &mut object)
                .expect("stores work");
            sealed.push((key.id_hash(&data), object));
        }
        sealed[3].0 = ChunkId([9; 32]);
        sealed[4].0 = ChunkId::MANIFEST;
        sealed[5].1.truncate(1);
        sealed[6].1[0] = 0x77;
        let objects: Vec<_> = sealed
            .iter()
            .map(|(id, object)| (*id, object.as_slice()))
            .collect();
        let mut outs = vec![b"before".to_vec(); objects.len()];
        let lens: Vec<usize> = (0..)
            .map(|n| [0, 1, 1 << 20][n % 3])
            .take(objects.len())
            .collect();
        let ids: Vec<ChunkId> = sealed.iter().map(|(id, _)| *id).collect();
        let mut lost: Vec<Vec<u8>> = sealed.iter().map(|(_, object)| object.clone()).collect();
        let results = Opener::new().open_each(&key, &ids, &mut lost, &lens, &mut outs);
        let mut together = b"before".to_vec();
        let ranges = Opener::new().open_many(&key, &objects, &lens, &mut together);
        for ((range, result), out) in ranges.iter().zip(&results).zip(&outs) {
            let found = range.as_ref().map(|range| &together[range.clone()]);
            let expected = result.as_ref().map(|()| out.as_slice());
            assert_eq!(found, expected, "{mode:?}");
        }
        for room in [0, 1, 5000, usize::MAX] {
            let mut plaintexts = Vec::new();
            let verified = Opener::new().verify_many(&key, &objects, room, &mut plaintexts);
            assert_eq!(verified, results, "{mode:?}, {room}");
        }
        for (i, (id, object)) in objects.iter().enumerate() {
            let mut expected = Vec::new();
            let result = Opener::new().open(&key, id, object, &mut expected);
            assert_eq!(
                (&results[i], &outs[i]),
                (&result, &expected),
                "{mode:?} {i}"
            );
            assert_eq!(result.is_err(), matches!(i, 3..=6), "{mode:?} {i}");
        }
    }
}

#[test]
fn each_object_takes_as_many_counter_values_as_it_has_blocks() {
    let (repository, local) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let nonces = Nonces::new(repository, local, Some(1000));
    let key = generate(KeyMode::RepokeyBlake2);
    let mut sealer = Sealer::new(Compression::None);
    let mut expected = 1000;
    for len in [0, 1, 13, 14, 15, 30, 31, 100_000] {
        let mut object = Vec::new();
        sealer
            .seal(&key, &nonces, &vec![1; len], &mut object)
            .expect("stores work");
        let used = ironborg_crypto::envelope_nonce(&object).expect("long enough");
        assert_eq!(used.first, expected, "{len}");
        expected += u64::try_from((len + 2).div_ceil(16)).expect("small");
    }
}

#[test]
fn a_chunk_too_long_for_any_object_is_an_error() {
    let mut object = Vec::new();
    let data = vec![0; crate::PLAINTEXT_LEN_MAX + 1];
    let mut sealer = Sealer::new(Compression::None);
    let refused = sealer.seal(&Key::plaintext(), &Nonces::none(), &data, &mut object);
    assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Error));
}

#[test]
fn a_plaintext_of_a_known_length_takes_no_more_room() {
    let data = generated("data", 700).repeat(90);
    let key = generate(KeyMode::RepokeyBlake2);
    let id = key.id_hash(&data);
    for spec in [
        "none",
        "lz4",
        "zstd,3",
        "zlib,6",
        "lzma,0",
        "obfuscate,2,lz4",
    ] {
        let mut object = Vec::new();
        Sealer::new(spec.parse().expect("allowed"))
            .seal(&key, &nonces(), &data, &mut object)
            .expect("stores work");
        let mut opener = Opener::new();
        let mut out = Vec::with_capacity(data.len());
        opener
            .open_sized(&key, &id, &mut object.clone(), data.len(), &mut out)
            .expect("it is whole");
        assert_eq!(out, data, "{spec}");
        assert!(
            out.capacity() <= data.len() + 1,
            "{spec}: {}",
            out.capacity()
        );
        for wrong in [0, 1, data.len() - 1, data.len() + 1, usize::MAX] {
            let opened = opener.open_sized(&key, &id, &mut object.clone(), wrong, &mut out);
            assert!(opened.is_ok() && out == data, "{spec}, {wrong}");
        }
        let other = key.id_hash(b"other");
        let refused = opener.open_sized(&key, &other, &mut object, data.len(), &mut out);
        assert!(refused.is_err() && out.is_empty(), "{spec}");
    }
}

#[test]
fn workers_can_take_theirs_along() {
    fn sendable<T: Send>() {}
    sendable::<Sealer>();
    sendable::<Opener>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is done to an object, it opens to the data its id names or not at all.
    #[test]
    fn tampered_objects_never_open_to_other_data(
        len in 0..3000_usize,
        repeat in 1..4_usize,
        bits in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        spec in prop::sample::select(vec!["none", "lz4", "zstd,3", "zlib,6", "lzma,0", "obfuscate,2,lz4"]),
    ) {
        let data = generated("data", len).repeat(repeat);
        let nonces = nonces();
        for mode in modes() {
            let key = generate(mode);
            let (mut object, mut out) = (Vec::new(), Vec::new());
            let mut sealer = Sealer::new(spec.parse().expect("allowed"));
            sealer.seal(&key, &nonces, &data, &mut object).expect("stores work");
            for bit in &bits {
                let bit = bit.index(8 * object.len());
                object[bit / 8] ^= 1 << (bit % 8);
            }
            if let Some(cut) = &cut {
                object.truncate(cut.index(object.len()));
            }
            match Opener::with_limit(1 << 20).open(&key, &key.id_hash(&data), &object, &mut out) {
                Ok(()) => prop_assert_eq!(&out, &data),
                Err(error) => {
                    prop_assert!(out.is_empty());
                    prop_assert!(matches!(
                        error.kind(),
                        ErrorKind::IntegrityError | ErrorKind::DecompressionError
                    ));
                }
            }
        }
    }
}
