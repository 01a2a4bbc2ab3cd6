//! Keys: their secrets, what is shared and what is not shown.

use super::*;
use crate::tests::vectors;
use ironborg_types::ErrorKind;

const REPOSITORY: RepositoryId = RepositoryId([3; 32]);

#[test]
fn generated_keys_are_random_and_of_borgs_lengths() {
    for mode in vectors::modes().filter(|mode| *mode != KeyMode::None) {
        let (a, b) = (
            Key::generate(mode, REPOSITORY),
            Key::generate(mode, REPOSITORY),
        );
        let (a, b) = (a.expect("random numbers"), b.expect("random numbers"));
        let (a, b) = (
            a.key_map().expect("has secrets"),
            b.key_map().expect("has secrets"),
        );
        let mac_key_len = if mode.id_hash() == IdHashKind::Blake2b {
            128
        } else {
            32
        };
        assert_eq!((a.enc_key.len(), a.enc_hmac_key.len()), (32, mac_key_len));
        assert_eq!(a.id_key.len(), mac_key_len);
        if mac_key_len == 128 {
            assert_eq!(a.id_key[64..], [0; 64], "half of a BLAKE2b key is padding");
            assert_eq!(a.enc_hmac_key[64..], [0; 64]);
        }
        assert!(a.enc_key != b.enc_key && a.id_key != b.id_key);
        assert!(a.enc_hmac_key != b.enc_hmac_key && a.enc_hmac_key != a.id_key);
        assert_eq!((a.repository_id, a.tam_required), (REPOSITORY, Some(true)));
    }
    let plaintext = Key::generate(KeyMode::None, REPOSITORY).expect("nothing to fail");
    assert_eq!(
        (plaintext.chunk_seed(), plaintext.tam_required()),
        (0, false)
    );
    assert!(plaintext.has_secrets() && plaintext.key_map().is_none());
}

#[test]
fn the_seed_is_taken_as_unsigned() {
    assert_eq!(vectors::key(KeyMode::Repokey).chunk_seed(), 0xdead_beef);
}

#[test]
fn related_keys_make_equal_ids_and_nothing_else() {
    let key = vectors::key(KeyMode::RepokeyBlake2);
    let related = key.related_secrets().expect("has secrets");
    let other = Key::generate_related(KeyMode::KeyfileBlake2, REPOSITORY, &related)
        .expect("the id hash is the same");
    assert_eq!(other.id_hash(b"data"), key.id_hash(b"data"));
    assert_eq!(other.chunk_seed(), key.chunk_seed());
    assert_ne!(
        other.key_map().map(|m| &m.enc_key),
        key.key_map().map(|m| &m.enc_key)
    );
    for unrelated in [KeyMode::Repokey, KeyMode::Authenticated, KeyMode::None] {
        let refused = Key::generate_related(unrelated, REPOSITORY, &related).map(|k| k.mode());
        assert_eq!(refused, Err(CryptoError::UnrelatedIdHash), "{unrelated:?}");
    }
}

#[test]
fn secrets_of_the_wrong_length_are_refused() {
    for mode in vectors::modes().filter(|mode| *mode != KeyMode::None) {
        let spoil: [fn(&mut KeyMap); 3] = [
            |map| map.enc_key.truncate(16),
            |map| map.enc_hmac_key.truncate(16),
            |map| map.id_key.clear(),
        ];
        for (what, spoil) in spoil.into_iter().enumerate() {
            let mut secrets = vectors::secrets(mode);
            spoil(&mut secrets);
            let refused = Key::from_key_map(mode, secrets).map_err(|e| e.kind()).err();
            // The modes that do not encrypt have no use for the first two.
            let used = mode.is_encrypted() || what == 2;
            assert_eq!(
                refused,
                used.then_some(ErrorKind::KeyfileInvalidError),
                "{mode:?} {what}"
            );
        }
    }
}

/// Values of an independent computation: Python's `hashlib.pbkdf2_hmac("sha256", b"hello",
/// bytes(range(32)), 100000, 100)`.
#[test]
fn the_dead_mode_derives_its_key_from_the_passphrase() {
    let repository = RepositoryId(std::array::from_fn(|i| u8::try_from(i).expect("below 32")));
    let key = Key::from_passphrase(&Passphrase::new(*b"hello"), repository);
    let secrets = key.key_map().expect("has secrets");
    let derived = [
        secrets.enc_key.as_slice(),
        &secrets.enc_hmac_key,
        &secrets.id_key,
        &secrets.chunk_seed.to_be_bytes(),
    ]
    .concat();
    assert_eq!(derived, vectors::from_hex(PASSPHRASE_MODE_DERIVED));
    assert!(!key.tam_required());
}

const PASSPHRASE_MODE_DERIVED: &str = "ffcd0cd6c93f59c50249196c59a55e68ef46c970b8dd9ec8af457afb23a82e19ff5f1ca83920ea61f67ff6d11cd74d087dc317d22a3ca0630cc5e1107ac1d43fef9fd243bcb4e98e3ec1665406a2732fe49ebd97567ecd92d067708e8a96f7659f7a9820";

#[test]
fn many_ids_are_verified_like_one() {
    let chunks: [&[u8]; 4] = [b"", b"one", b"two", b"three"];
    for mode in vectors::modes() {
        let key = vectors::key(mode);
        let mut ids = chunks.map(|chunk| key.id_hash(chunk));
        ids.swap(1, 3);
        assert_eq!(key.verify_ids(&ids, &chunks), [true, false, true, false]);
    }
    let key = Key::without_secrets(KeyMode::AuthenticatedBlake2);
    assert_eq!(key.verify_ids(&[ChunkId([9; 32])], &[b"anything"]), [true]);
}

#[test]
fn nothing_secret_is_shown() {
    for mode in vectors::modes() {
        let shown = format!("{:?}", vectors::key(mode));
        assert_eq!(
            shown,
            format!("Key {{ mode: {mode:?}, secrets: \"[secret]\", .. }}")
        );
    }
    assert_eq!(format!("{:?}", Passphrase::new(*b"hello")), "[secret]");
    let related = vectors::key(KeyMode::Repokey).related_secrets();
    assert_eq!(format!("{related:?}"), "Some([secret])");
}

#[test]
fn keys_and_counters_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Key>();
    shared::<crate::Nonces>();
}
