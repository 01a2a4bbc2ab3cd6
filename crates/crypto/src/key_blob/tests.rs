//! Key blobs against the captured ones.

use super::*;
use crate::tests::vectors;
use ironborg_types::ErrorKind;

#[test]
fn captured_blobs_open_with_their_passphrase_and_are_made_again() {
    let captured = vectors::load("keyblobs");
    let cases = vectors::list(&captured, "cases");
    assert!(cases.len() > 10);
    for case in cases {
        let mode = vectors::mode(case, "mode");
        let passphrase = Passphrase::new(vectors::text(case, "passphrase").as_bytes());
        let text = vectors::text(case, "text_form");
        let mut key = Key::unlock(mode, text, &passphrase, false)
            .expect("stock Borg wrote it")
            .expect("the passphrase is right");
        let secrets = key.key_map().expect("has secrets").clone();
        assert_eq!(
            secrets.encode().as_slice(),
            vectors::bytes(case, "key_msgpack")
        );
        assert_eq!(case["tam_required"], key.tam_required());
        let in_repository = matches!(mode, KeyMode::Repokey | KeyMode::RepokeyBlake2);
        assert_eq!(
            key.logically_encrypted(),
            mode.is_encrypted() && !(in_repository && passphrase.is_empty())
        );

        let salt = vectors::bytes(case, "salt");
        let iterations = case["iterations"].as_u64().expect("a number");
        let iterations = u32::try_from(iterations).expect("a small one");
        let derived = passphrase.derive::<32>(&salt, iterations);
        assert_eq!(
            derived.as_slice(),
            vectors::bytes(case, "kek_pbkdf2_sha256")
        );
        let blob = encrypt_key_map(&secrets, &passphrase, &salt, iterations);
        assert_eq!(blob.data, vectors::bytes(case, "data_aes256ctr_iv0"));
        assert_eq!(
            blob.hash,
            vectors::bytes(case, "hash_hmac_sha256(kek,key_msgpack)")
        );
        assert_eq!(blob.to_text(), text);

        let locked = key.lock(&passphrase).expect("random numbers");
        assert_ne!(locked, text, "the salt is new each time");
        let again = Key::unlock(mode, &locked, &passphrase, false).expect("just made");
        assert_eq!(again.expect("same passphrase").key_map(), Some(&secrets));

        // What was stretched for another key, or of another passphrase, does not count.
        let stretched = |text, passphrase: &[u8]| Stretched::new(text, Passphrase::new(passphrase));
        for stretched in [
            stretched(text, passphrase.expose()),
            stretched(&locked, passphrase.expose()),
            stretched(text, b"another"),
        ] {
            assert!(stretched.is_some());
            let unlock = |with| Key::unlock_stretched(mode, text, with, stretched.as_ref(), false);
            let opened = unlock(&passphrase).expect("stock Borg wrote it");
            assert_eq!(opened.expect("right").key_map(), Some(&secrets));
            let refused = unlock(&Passphrase::new(*b"another")).expect("a good blob");
            assert!(refused.is_none());
        }
    }
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let key = &mut vectors::key(KeyMode::Keyfile);
    let text = key
        .lock(&Passphrase::new(*b"right"))
        .expect("random numbers");
    let wrong = Key::unlock(KeyMode::Keyfile, &text, &Passphrase::new(*b"wrong"), false);
    assert!(matches!(wrong, Ok(None)));
}

#[test]
fn old_keys_take_the_clients_word_for_the_demand() {
    let mut secrets = vectors::secrets(KeyMode::Repokey);
    secrets.tam_required = None;
    let passphrase = Passphrase::new(*b"old");
    let text = encrypt_key_map(&secrets, &passphrase, b"salt", 1).to_text();
    for seen in [false, true] {
        let key = Key::unlock(KeyMode::Repokey, &text, &passphrase, seen).expect("a good blob");
        assert_eq!(key.map(|key| key.tam_required()), Some(seen));
    }
}

#[test]
fn hostile_blobs_are_refused_without_work() {
    let secrets = vectors::secrets(KeyMode::Repokey);
    let passphrase = Passphrase::new(*b"p");
    let good = encrypt_key_map(&secrets, &passphrase, b"salt", 1);
    let unlock = |blob: &EncryptedKeyBlob| {
        Key::unlock(KeyMode::Repokey, &blob.to_text(), &passphrase, false)
            .map(|key| key.is_some())
            .map_err(|error| error.kind())
    };
    assert_eq!(unlock(&good), Ok(true));
    for iterations in [0, ITERATIONS_MAX + 1, u32::MAX] {
        let blob = EncryptedKeyBlob {
            iterations,
            ..good.clone()
        };
        assert_eq!(unlock(&blob), Err(ErrorKind::KeyfileInvalidError));
    }
    let cut = EncryptedKeyBlob {
        data: Vec::new(),
        ..good.clone()
    };
    assert_eq!(unlock(&cut), Ok(false));
    let cut = EncryptedKeyBlob {
        hash: good.hash[..31].to_vec(),
        ..good.clone()
    };
    assert_eq!(unlock(&cut), Ok(false));
    let text = Key::unlock(KeyMode::Repokey, "not a key", &passphrase, false);
    assert_eq!(
        text.map(|_| ()).map_err(|e| e.kind()),
        Err(ErrorKind::KeyfileInvalidError)
    );
}
