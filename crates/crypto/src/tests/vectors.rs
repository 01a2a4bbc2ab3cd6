//! The captured vectors and the keys they were made with, for the tests of all of this crate.

use crate::{Key, KeyMode};
use ironborg_format::KeyMap;
use ironborg_types::RepositoryId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// `testdata/vectors/NAME.json`
pub(crate) fn load(name: &str) -> Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("the captured vectors are there");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// The list under `key`.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("{key} is a list"))
}

/// The text under `key`.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is text"))
}

/// The bytes under `key`: in hexadecimal, or said how to be made.
pub(crate) fn bytes(value: &Value, key: &str) -> Vec<u8> {
    let value = &value[key];
    let len = |key| usize::try_from(value[key].as_u64().expect("a length")).expect("a small one");
    match value {
        Value::String(digits) => from_hex(digits),
        Value::Object(how) if how.contains_key("zeros") => vec![0; len("zeros")],
        Value::Object(_) => generated(text(value, "gen"), len("len")),
        _ => panic!("{key} is bytes"),
    }
}

/// The bytes that `digits` writes in hexadecimal.
pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "whole bytes");
    let pairs = (0..digits.len() / 2).map(|i| &digits[2 * i..2 * i + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

/// The first `len` bytes of SHA-256(label, 0), SHA-256(label, 1), ..., as the vectors' inputs are
/// made.
fn generated(label: &str, len: usize) -> Vec<u8> {
    let block = |i: u64| {
        Sha256::new()
            .chain_update(label)
            .chain_update(i.to_be_bytes())
            .finalize()
    };
    (0..).flat_map(block).take(len).collect()
}

/// The mode under `key`.
pub(crate) fn mode(value: &Value, key: &str) -> KeyMode {
    KeyMode::from_argument(text(value, key)).expect("a mode of stock Borg")
}

/// The secrets all keys of the vectors have.
pub(crate) fn secrets(mode: KeyMode) -> KeyMap {
    let vectors = load("envelopes");
    let of_mode = list(&vectors, "modes")
        .iter()
        .find(|entry| text(entry, "mode") == mode.argument().expect("a living mode"))
        .expect("all modes are there");
    let secret = |name| Zeroizing::new(bytes(&of_mode["keys"], name));
    let seed = of_mode["keys"]["chunk_seed"].as_i64().expect("a number");
    KeyMap {
        repository_id: RepositoryId([7; 32]),
        enc_key: secret("enc_key"),
        enc_hmac_key: secret("enc_hmac_key"),
        id_key: secret("id_key"),
        chunk_seed: i32::try_from(seed).expect("32 bits"),
        tam_required: Some(true),
    }
}

/// The key of the vectors.
pub(crate) fn key(mode: KeyMode) -> Key {
    match mode {
        KeyMode::None => Key::plaintext(),
        mode => Key::from_key_map(mode, secrets(mode)).expect("the captured secrets are good"),
    }
}

/// The modes of the vectors: all but the dead one.
pub(crate) fn modes() -> impl Iterator<Item = KeyMode> {
    KeyMode::ALL
        .into_iter()
        .filter(|mode| *mode != KeyMode::Passphrase)
}
