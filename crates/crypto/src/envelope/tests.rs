//! Envelopes against the captured ones, and against damage.

use super::*;
use crate::KeyMode;
use crate::tests::vectors;
use proptest::prelude::*;

/// Opens in all ways, which say the same.
fn open(key: &Key, object: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (mut buffer, mut place) = (Vec::new(), object.to_vec());
    let id = ChunkId([1; 32]);
    let opened = key
        .open_envelope(Some(&id), object, &mut buffer)
        .map(<[u8]>::to_vec);
    let in_place = key
        .open_envelope_in_place(Some(&id), &mut place)
        .map(<[u8]>::to_vec);
    assert_eq!(format!("{opened:?}"), format!("{in_place:?}"));
    // Beside others, the first of which has another length.
    for objects in [
        &[object][..],
        &[object.get(1..).unwrap_or_default(), object, object],
    ] {
        let named: Vec<_> = objects.iter().map(|object| (id, *object)).collect();
        let last = key.authenticate_many(&named).pop().expect("one of each");
        let mut place = object.to_vec();
        let in_place = last.as_ref().map(|authentic| {
            let known = authentic.let_go();
            key.decrypt_in_place(known, &mut place).to_vec()
        });
        assert_eq!(format!("{opened:?}"), format!("{in_place:?}"));
        let among_others = last.map(|authentic| key.decrypt(authentic, &mut buffer).to_vec());
        assert_eq!(format!("{opened:?}"), format!("{among_others:?}"));
    }
    opened
}

/// Seals `data` with the given counter, which the vectors also fix.
fn seal(key: &Key, counter: u64, data: &[u8]) -> Vec<u8> {
    let mut object = vec![0xee; key.envelope_overhead()];
    object.extend_from_slice(data);
    if key.mode().is_encrypted() {
        key.encrypt_in_place(Nonce::for_test(counter, blocks(data.len())), &mut object);
    } else {
        key.seal_in_place(&Nonces::none(), &mut object)
            .expect("nothing to fail");
    }
    object
}

#[test]
fn captured_objects_open_and_are_sealed_again_to_the_same_bytes() {
    let captured = vectors::load("envelopes");
    let mut count = 0;
    for of_mode in vectors::list(&captured, "modes") {
        let mode = vectors::mode(of_mode, "mode");
        let key = vectors::key(mode);
        assert_eq!(of_mode["type_byte"], mode.type_byte());
        assert_eq!(of_mode["name"], mode.name());
        for case in vectors::list(of_mode, "encrypt") {
            let object = vectors::bytes(case, "envelope");
            let data = open(&key, &object).expect("stock Borg wrote it");
            if case["compression"] == "none" {
                let stored = [vec![0, 0], vectors::bytes(case, "plaintext")].concat();
                assert_eq!(data, stored, "{mode:?}");
            }
            let counter = case["iv"].as_u64().unwrap_or(0);
            assert_eq!(seal(&key, counter, &data), object, "{mode:?}");
            if mode.is_encrypted() {
                let used = envelope_nonce(&object).expect("long enough");
                assert_eq!(used.first, counter);
                assert_eq!(case["next_iv"], counter + blocks(data.len()));
                assert!(used.end() >= case["next_iv"].as_u64());
            }
            count += 1;
        }
    }
    assert!(count > 50);
}

#[test]
fn captured_ids_are_computed() {
    let captured = vectors::load("envelopes");
    for of_mode in vectors::list(&captured, "modes") {
        let key = vectors::key(vectors::mode(of_mode, "mode"));
        for case in vectors::list(of_mode, "id_hash") {
            let data = vectors::bytes(case, "data");
            let id = key.id_hash(&data);
            assert_eq!(case["id"], id.to_string());
            assert_eq!(key.verify_id(&id, &data), Ok(()));
            let message = format!("Data integrity error: Chunk {id}: id verification failed");
            let refused = key
                .verify_id(&id, b"something else")
                .map_err(|e| e.to_string());
            assert_eq!(refused, Err(message));
        }
    }
}

/// The counter is one of 128 bits: stock Borg's cipher carries on above 2^64.
#[test]
fn a_counter_that_overflows_64_bits_carries_on() {
    let key = vectors::key(KeyMode::Repokey);
    let secrets = vectors::secrets(KeyMode::Repokey);
    let object = seal(&key, u64::MAX, &[0; 48]);
    let mut expected = [0; 48];
    let cipher_key = secrets.enc_key.as_slice().try_into().expect("32 bytes");
    let counter = u128::from(u64::MAX).to_be_bytes();
    <ctr::Ctr128BE<aes::Aes256> as ctr::cipher::KeyIvInit>::new(cipher_key, &counter.into())
        .apply_keystream(&mut expected);
    assert_eq!(object[ENVELOPE_OVERHEAD..], expected);
    assert_eq!(open(&key, &object), Ok(vec![0; 48]));
}

#[test]
fn refusals_use_borgs_words() {
    let name = "01".repeat(32);
    for mode in vectors::modes() {
        let key = vectors::key(mode);
        let encryption = if mode.is_authenticated_only() {
            ""
        } else {
            "encryption "
        };
        let message = format!("Data integrity error: Chunk {name}: Invalid {encryption}envelope");
        let mut object = seal(&key, 5, b"data");
        object[0] = 0x55;
        assert_eq!(
            open(&key, &object).map_err(|e| e.to_string()),
            Err(message.clone())
        );
        assert_eq!(open(&key, b"").map_err(|e| e.to_string()), Err(message));
    }
    let key = vectors::key(KeyMode::RepokeyBlake2);
    let mut object = seal(&key, 5, b"data");
    object[3] ^= 1;
    assert_eq!(
        open(&key, &object).map_err(|e| e.to_string()),
        Err(format!(
            "Data integrity error: Chunk {name}: Could not decrypt [MAC Authentication failed]"
        ))
    );
    let mut buffer = Vec::new();
    let unnamed = key
        .open_envelope(None, &object, &mut buffer)
        .map_err(|e| e.to_string());
    assert_eq!(
        unnamed,
        Err("Data integrity error: Chunk (unknown): Could not decrypt \
             [MAC Authentication failed]"
            .to_owned())
    );
}

#[test]
fn a_repository_key_opens_objects_from_before_the_migration_from_passphrase_mode() {
    let key = vectors::key(KeyMode::Repokey);
    let mut object = seal(&key, 5, b"data");
    object[0] = 1;
    assert_eq!(open(&key, &object), Ok(b"data".to_vec()));
    let keyfile = vectors::key(KeyMode::Keyfile);
    assert!(open(&keyfile, &object).is_err());
}

#[test]
fn nothing_is_sealed_without_secrets() {
    let key = Key::without_secrets(KeyMode::Authenticated);
    let mut object = vec![0; 10];
    assert_eq!(
        key.seal_in_place(&Nonces::none(), &mut object),
        Err(CryptoError::NoSecrets)
    );
    assert_eq!(open(&key, b"\x07data"), Ok(b"data".to_vec()));
    assert_eq!(key.verify_id(&ChunkId([1; 32]), b"anything"), Ok(()));
}

#[test]
#[should_panic(expected = "every block has its own counter value")]
fn too_few_counter_values_are_refused() {
    let mut object = vec![0; ENVELOPE_OVERHEAD + 17];
    vectors::key(KeyMode::Repokey).encrypt_in_place(Nonce::for_test(0, 1), &mut object);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_opens(
        data in prop::collection::vec(any::<u8>(), 0..40_000),
        counter in 0..u64::MAX / 2,
    ) {
        for mode in vectors::modes() {
            let key = vectors::key(mode);
            let object = seal(&key, counter, &data);
            prop_assert_eq!(object.len(), data.len() + key.envelope_overhead());
            prop_assert_eq!(open(&key, &object), Ok(data.clone()));
        }
    }

    /// In the encrypting modes no bit but those of the type byte can change unnoticed, and nothing
    /// be cut.
    #[test]
    fn damage_is_noticed(
        data in prop::collection::vec(any::<u8>(), 0..100),
        bit in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        for mode in vectors::modes().filter(|mode| mode.is_encrypted()) {
            let key = vectors::key(mode);
            let object = seal(&key, 99, &data);
            let mut flipped = object.clone();
            let bit = bit.index(8 * object.len());
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = open(&key, &flipped);
            if bit >= 8 {
                prop_assert!(opened.is_err());
            } else if let Ok(opened) = opened {
                prop_assert_eq!(opened, data.clone());
            }
            prop_assert!(open(&key, &object[..cut.index(object.len())]).is_err());
        }
    }
}
