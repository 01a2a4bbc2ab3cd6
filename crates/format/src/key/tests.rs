//! Tests of keys.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::golden::{KEY_BLOBS, hex_entry, shake, vectors};

fn golden_keys() -> Vec<Json> {
    match vectors(KEY_BLOBS)["cases"].take() {
        Json::Array(cases) => cases,
        _ => panic!("the vectors are a list"),
    }
}

#[test]
fn keys_are_the_bytes_borg_writes() {
    let golden = golden_keys();
    assert_eq!(golden.len(), 15);
    for case in golden {
        let map_bytes = hex_entry(&case, "key_msgpack");
        let map = KeyMap::decode(&map_bytes).expect("a golden key");
        assert_eq!(*map.encode(), map_bytes);
        assert_eq!(map.repository_id.to_string(), case["repository_id"]);
        assert_eq!(map.tam_required, case["tam_required"].as_bool());
        assert!([-559_038_737, 305_419_896].contains(&map.chunk_seed));

        let blob_bytes = hex_entry(&case, "blob_msgpack");
        let blob = EncryptedKeyBlob::decode(&blob_bytes).expect("a golden blob");
        assert_eq!(blob.encode(), blob_bytes);
        assert_eq!(blob.salt, hex_entry(&case, "salt"));
        assert_eq!(blob.data, hex_entry(&case, "data_aes256ctr_iv0"));
        assert_eq!(blob.iterations, 100_000);

        let text = case["text_form"].as_str().expect("text");
        assert_eq!(blob.to_text(), text);
        assert_eq!(EncryptedKeyBlob::from_text(text), Ok(blob));
        if let Some(content) = case.get("key_file_content") {
            let content = content.as_str().expect("text");
            assert_eq!(key_file_content(&map.repository_id, text), content);
            let found = check_key_file(content.as_bytes(), &map.repository_id);
            assert_eq!(found.map(str::trim_end), Ok(text));
        }
    }
}

#[test]
fn old_keys_say_nothing_about_authentication() {
    let mut map =
        KeyMap::decode(&hex_entry(&golden_keys()[0], "key_msgpack")).expect("a golden key");
    map.tam_required = None;
    assert_eq!(KeyMap::decode(&map.encode()), Ok(map));
}

#[test]
fn secrets_are_not_shown() {
    let map = KeyMap::decode(&hex_entry(&golden_keys()[0], "key_msgpack")).expect("a golden key");
    let shown = format!("{map:?}");
    assert!(shown.contains("[secret]"), "{shown}");
    assert!(!shown.contains("enc_key"), "{shown}");
    assert!(!shown.contains(&map.chunk_seed.to_string()), "{shown}");
}

#[track_caller]
fn check_key_file_error(content: &str, expected: KeyTextError) {
    let id = RepositoryId([0xab; 32]);
    assert_eq!(
        check_key_file(content.as_bytes(), &id),
        Err(expected),
        "{content:?}"
    );
}

#[test]
fn files_that_are_not_the_key_are_refused_as_stock_borg_refuses_them() {
    let (id, other) = ("ab".repeat(32), "cd".repeat(32));
    let blob = STANDARD.encode([7; 42]);
    check_key_file_error("", KeyTextError::Invalid);
    check_key_file_error("BORG_KEX ", KeyTextError::Invalid);
    check_key_file_error(
        &format!("BORG_KEY {other}\n{blob}\n"),
        KeyTextError::OtherRepository,
    );
    check_key_file_error(
        &format!("BORG_KEY {}", &id[..63]),
        KeyTextError::OtherRepository,
    );
    check_key_file_error(&format!("BORG_KEY {id}"), KeyTextError::Invalid);
    check_key_file_error(&format!("BORG_KEY {id}\n"), KeyTextError::Invalid);
    check_key_file_error(&format!("BORG_KEY {id}0\n{blob}\n"), KeyTextError::Invalid);
    check_key_file_error(&format!("BORG_KEY {id}\nAAAA\n"), KeyTextError::Invalid);
    check_key_file_error(&format!("BORG_KEY {id}\n{blob}A\n"), KeyTextError::Invalid);
    let good = format!("BORG_KEY {id} \r\n{blob}\r\n");
    assert!(check_key_file(good.as_bytes(), &RepositoryId([0xab; 32])).is_ok());
}

/// Expected results taken from Python's `binascii.a2b_base64`, with 20 bytes in front.
#[track_caller]
fn check_base64(tail: &str, expected: Option<&[u8]>) {
    let front = STANDARD.encode([0; 21]);
    let decoded = decode_key_text(&format!("{front}{tail}"));
    assert_eq!(
        decoded.as_deref().map(|bytes| &bytes[21..]),
        expected,
        "{tail:?}"
    );
}

#[test]
fn base64_is_read_as_leniently_as_python_reads_it() {
    check_base64("", Some(b""));
    check_base64("QUI=", Some(b"AB"));
    check_base64("QQ==", Some(b"A"));
    check_base64("QR==", Some(b"A"));
    check_base64("Q U\nI!=", Some(b"AB"));
    check_base64("QQ==QUJD", Some(b"A"));
    check_base64("QQ=Q=", Some(b"A\x04"));
    check_base64("=QUJD", Some(b"ABC"));
    check_base64("QUI", None);
    check_base64("QQ=", None);
    check_base64("Q", None);
    check_base64("Q=", None);
}

#[test]
fn versions_and_algorithms_of_the_future_are_named() {
    let blob =
        EncryptedKeyBlob::decode(&hex_entry(&golden_keys()[0], "blob_msgpack")).expect("golden");
    let mut bytes = blob.encode();
    let version_at = bytes.len() - 1;
    bytes[version_at] = 2;
    let error = EncryptedKeyBlob::decode(&bytes).expect_err("version 2");
    assert_eq!(
        error.to_string(),
        "Error: encrypted key version 2 is not supported by this borg version."
    );
    bytes[version_at] = 1;
    let at = bytes
        .windows(6)
        .position(|w| w == b"sha256")
        .expect("the algorithm");
    bytes[at..at + 6].copy_from_slice(b"argon2");
    let error = EncryptedKeyBlob::decode(&bytes).expect_err("another algorithm");
    assert_eq!(
        error.to_string(),
        "Error: encrypted key algorithm 'argon2' is not supported by this borg version."
    );
    let mut map = hex_entry(&golden_keys()[0], "key_msgpack");
    let version_at = map.len() - 1;
    map[version_at] = 2;
    assert_eq!(KeyMap::decode(&map), Err(MetadataError::KeyVersion));
}

#[test]
fn nothing_may_follow_a_key_map() {
    let mut map = hex_entry(&golden_keys()[0], "key_msgpack");
    map.push(0xc0);
    assert!(KeyMap::decode(&map).is_err());
}

#[test]
fn broken_keys_never_panic() {
    let case = &golden_keys()[6];
    shake(&hex_entry(case, "key_msgpack"), |bytes| {
        if let Ok(map) = KeyMap::decode(bytes) {
            assert_eq!(KeyMap::decode(&map.encode()), Ok(map));
        }
    });
    shake(&hex_entry(case, "blob_msgpack"), |bytes| {
        if let Ok(blob) = EncryptedKeyBlob::decode(bytes) {
            assert_eq!(EncryptedKeyBlob::from_text(&blob.to_text()), Ok(blob));
        }
    });
}

proptest! {
    #[test]
    fn texts_survive_a_round_trip(data in prop::collection::vec(any::<u8>(), 0..600)) {
        let blob = EncryptedKeyBlob { salt: vec![1; 32], iterations: 1, data, hash: vec![] };
        let text = blob.to_text();
        prop_assert!(text.lines().all(|line| !line.is_empty() && line.len() <= 70));
        prop_assert!(!text.ends_with('\n'));
        prop_assert_eq!(EncryptedKeyBlob::from_text(&text), Ok(blob));
    }

    #[test]
    fn any_file_is_judged_without_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(check_key_file(&content, &RepositoryId([0; 32])).is_err());
    }
}
